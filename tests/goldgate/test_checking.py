import json
from pathlib import Path

import pytest

from contract.errors import InputError
from goldgate.checking import check_terms

DEMO = Path(__file__).resolve().parents[2] / "configs" / "demo.yaml"


def test_check_draws_what_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "chances.svg"
    assert check_terms(DEMO, picture=picture, as_json=False) == 0
    said = capsys.readouterr().out
    assert "判定机会" in said
    assert "Client's risk" in said
    assert picture.read_bytes().startswith(b"<?xml")
    assert check_terms(DEMO, picture=None, as_json=False) == 0
    assert "Client's risk" in capsys.readouterr().out


def test_check_gives_the_points(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check_terms(DEMO, picture=tmp_path / "chances.PNG", as_json=True) == 0
    document = json.loads(capsys.readouterr().out)
    assert {"contract", "terms_sha256", "guideline_sha256", "zh", "en", "chances"} == set(document)
    assert len(document["chances"]["demands"]) == 5
    assert (tmp_path / "chances.PNG").read_bytes().startswith(b"\x89PNG")


def test_another_kind_of_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"chances\.pdf: a picture is written as \.svg or \.png"):
        check_terms(DEMO, picture=tmp_path / "chances.pdf", as_json=False)
    assert not list(tmp_path.iterdir())
