"""What changed since intake is found and named."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from contract.errors import StageError
from contract.terms import Terms
from contract.workfolder import LotFolder, lot_folder
from prelabel.intake import take_in
from prelabel.verify import verify


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    for number in range(3):
        Image.new("RGB", (16, 12), (number, 0, 0)).save(folder / f"{number}.png")
    (folder / "bad.jpg").write_text("not a picture")
    (folder / "one.txt").write_text("one text\n")
    (folder / "texts.csv").write_text("id,text\na,first\nb,second\nc,\n")
    return folder


@pytest.fixture
def lot(source: Path, tmp_path: Path, demo_terms: Terms) -> LotFolder:
    folder = lot_folder(tmp_path / "work", demo_terms.contract, "one")
    take_in([str(source)], lot=folder, terms=demo_terms, lot_name="one")
    return folder


def flip(path: Path, offset: int = -20) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(bytes(data))


def test_an_untouched_lot_has_no_findings(lot: LotFolder) -> None:
    assert verify(lot) == []


CASES: list[tuple[Callable[[Path], object], list[tuple[str, str | None, str]]]] = [
    (lambda source: flip(source / "1.png"), [("changed", "1.png", "1.png")]),
    (lambda source: flip(source / "one.txt", 2), [("changed", "one.txt", "one.txt")]),
    (lambda source: (source / "1.png").unlink(), [("missing", "1.png", "1.png")]),
    (lambda source: (source / "one.txt").unlink(), [("missing", "one.txt", "one.txt")]),
    (lambda source: (source / "new.png").write_bytes(b"x"), [("extra", None, "new.png")]),
    (lambda source: (source / ".hidden").write_bytes(b"x"), [("extra", None, ".hidden")]),
    (
        lambda source: (source / "texts.csv").unlink(),
        [("missing", "a", "texts.csv#2"), ("missing", "b", "texts.csv#3")],
    ),
    (
        lambda source: (source / "texts.csv").write_text("id,text\na,first\nb,sEcond\nc,\n"),
        [("changed", "b", "texts.csv#3")],
    ),
    (
        lambda source: (source / "texts.csv").write_text("id,text\na,first\n"),
        [("missing", "b", "texts.csv#3")],
    ),
    (
        lambda source: (source / "texts.csv").write_text("id,text\na,first\nb,second\nc,\nd,fourth\n"),
        [("extra", None, "texts.csv#5")],
    ),
    (
        lambda source: (source / "texts.csv").write_text('id,text\na,first\nb,"second\n'),
        [("changed", "a", "texts.csv#2"), ("changed", "b", "texts.csv#3")],
    ),
]


@pytest.mark.parametrize(("damage", "expected"), CASES)
def test_each_change_is_named(
    source: Path, lot: LotFolder, damage: Callable[[Path], object], expected: list[tuple[str, str | None, str]]
) -> None:
    damage(source)
    findings = [(finding.kind, finding.item, finding.uri) for finding in verify(lot)]
    assert findings == [(kind, item, str(source / name)) for kind, item, name in expected]


def test_the_whole_source_gone(source: Path, lot: LotFolder) -> None:
    source.rename(source.with_name("elsewhere"))
    assert {finding.kind for finding in verify(lot)} == {"missing"}
    assert len(verify(lot)) == 6


@pytest.mark.parametrize("name", ["manifest.parquet", "rejects.parquet", "texts.parquet"])
def test_the_lots_own_files_are_checked(lot: LotFolder, name: str) -> None:
    flip(lot.root / name)
    (finding,) = verify(lot)
    assert (finding.kind, finding.item, finding.uri) == ("changed", None, str(lot.root / name))
    (lot.root / name).unlink()
    (finding,) = verify(lot)
    assert finding.kind == "missing"


def test_there_must_be_a_lot(tmp_path: Path, demo_terms: Terms) -> None:
    with pytest.raises(StageError):
        verify(lot_folder(tmp_path, demo_terms.contract, "none"))
