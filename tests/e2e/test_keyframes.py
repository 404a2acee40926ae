"""Keyframes of a lot as pictures: each is the frame that it says it is, once, whatever stood or stops before."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.stills import read_facts
from tests.oracles.numberedvideos import Making, make, number_in

pytestmark = pytest.mark.e2e


@pytest.fixture
def lot(cli: Any, tmp_path: Path) -> Path:
    """A lot of two numbered videos with drafts of a predictor without weights; their folder."""
    raw = tmp_path / "videos"
    raw.mkdir()
    for name, bframes in (("one.mp4", 2), ("two.mp4", 0)):
        (raw / name).write_bytes(make(Making(frames=60, turn=90 * bframes, options={"bf": str(bframes), "g": "20"})))
    assert cli.on_lot("intake", raw) == 0, cli.err
    assert cli.on_lot("prelabel", "--address", "local", "--device", "cpu", "--model", "video=fake") == 0, cli.err
    return raw


def test_every_picture_is_the_frame_that_it_says(cli: Any, lot: Path, tmp_path: Path) -> None:
    out = tmp_path / "keyframes"
    assert cli.on_lot("keyframes", "--out", out, "--json") == 0, cli.err
    document = cli.json()
    assert [video["item"] for video in document["videos"]] == ["one.mp4", "two.mp4"]
    assert document["problems"] == {}
    for video in document["videos"]:
        folder = out / video["item"]
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        assert len(index["keyframes"]) == video["pictures"] > 0
        for entry in index["keyframes"]:
            content = (folder / entry["file"]).read_bytes()
            facts = read_facts(content)
            assert facts is not None
            assert (facts["item"], facts["frame"], facts["time_s"]) == (video["item"], entry["frame"], entry["time_s"])
            with Image.open(folder / entry["file"]) as picture:
                assert picture.size == (entry["width"], entry["height"])
                assert number_in(np.asarray(picture.convert("RGB"))) == entry["frame"]
        with Image.open(folder / "sheet.jpg") as sheet:
            assert sheet.width > 320


def test_what_stands_is_kept_and_what_was_changed_is_made_again(cli: Any, lot: Path, tmp_path: Path) -> None:
    out = tmp_path / "keyframes"
    assert cli.on_lot("keyframes", "--out", out, "--format", "webp", "--no-sheet") == 0, cli.err
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in sorted(out.rglob("*")) if path.is_file()}
    assert {path.suffix for path in before} == {".webp", ".json"}
    again = ("keyframes", "--out", out, "--format", "webp", "--no-sheet")
    assert cli.on_lot(*again) == 0
    assert "there before" in cli.out
    assert {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in sorted(out.rglob("*")) if path.is_file()
    } == before
    victim = next(path for path in before if path.suffix == ".webp")
    victim.write_bytes(b"spoiled")
    assert cli.on_lot(*again) == 0
    assert {path: path.read_bytes() for path in before} == {path: content for path, (content, _) in before.items()}


def test_a_video_that_is_gone_or_another_is_told_and_the_rest_goes_on(cli: Any, lot: Path, tmp_path: Path) -> None:
    shutil.copy(lot / "two.mp4", lot / "one.mp4")
    assert cli.on_lot("keyframes", "--out", tmp_path / "out", "--json") == 2
    document = cli.json()
    assert list(document["problems"]) == ["one.mp4"]
    assert "not the one that was taken in" in document["problems"]["one.mp4"]
    assert [video["item"] for video in document["videos"]] == ["two.mp4"]
    (lot / "one.mp4").unlink()
    assert cli.on_lot("keyframes", "--out", tmp_path / "out") == 2
    assert "one.mp4: " in cli.err
    assert "cannot be read" in cli.err


def test_wrong_wishes_are_one_sentence(cli: Any, lot: Path, tmp_path: Path) -> None:
    for wish, words in (
        (("--format", "gif"), "write jpeg or webp"),
        (("--from", "gold"), "gold"),
        (("--from", "x"), "--from"),
    ):
        assert cli.on_lot("keyframes", "--out", tmp_path / "out", *wish) == 2
        assert words in cli.err
    assert not (tmp_path / "out").exists()
