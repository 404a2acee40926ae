"""Keyframes of a lot as pictures: each is the frame that it says it is, once, whatever stood or stops before."""

import json
import os
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from contract.files import sha256_file
from goldgate.keyframe_folder import SCHEMA
from models.stills import read_facts
from tests.oracles.numberedvideos import Making, make, number_in

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]


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
    assert {path.suffix for path in before} == {".webp", ".json", ".parquet"}
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


def test_a_run_that_is_killed_goes_on_with_what_lacks_and_leaves_the_same_bytes(cli: Any, lot: Path, tmp_path: Path) -> None:
    """By SIGKILL in processes of their own, at every ninth time that one waits for the disk."""
    raw = [str(word) for word in ("keyframes", "-c", cli.contract, "--lot", "made", "--work", cli.work, "--json")]
    out = tmp_path / "runs"
    out.mkdir()
    asked = json.dumps({"command": raw, "out": str(out), "every": 9})
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "tests.oracles.killedruns", asked]
    done = subprocess.run(  # noqa: S603
        words, cwd=ROOT, env={**os.environ, **one_thread}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    story = json.loads(done.stdout)
    whole = {name: content for name, (content, *_) in story["whole"].items()}
    pictures = {name for name in whole if name.endswith(".jpg") and not name.endswith("sheet.jpg")}
    assert len(pictures) > 4
    assert len(story["moments"]) > 4
    halfway = 0
    for moment in story["moments"]:
        stood, left = moment["stood"], moment["left"]
        assert {name: content for name, (content, *_) in left.items()} == whole  # no note or part of a file remains
        noted = {name for name in pictures if name in stood and f"{Path(name).parent}/.made/{Path(name).stem}.json" in stood}
        noted |= {name for name in pictures if f"{Path(name).parent}/index.json" in stood}
        assert all(left[name] == stood[name] for name in noted)  # not written again
        assert sum(video["kept"] for video in moment["said"]["videos"]) == len(noted)
        halfway += 0 < len(noted) < len(pictures)
    assert halfway > 1


def test_what_is_there_is_not_decoded_again(cli: Any, lot: Path, tmp_path: Path) -> None:
    """The sheet comes from the pictures that stand, without the video; a picture that is lacking needs it."""
    out = tmp_path / "keyframes"
    assert cli.on_lot("keyframes", "--out", out) == 0, cli.err
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    for name in ("one.mp4", "two.mp4"):
        (lot / name).rename(lot / f"{name}.away")
        (out / name / "sheet.jpg").unlink()
    assert cli.on_lot("keyframes", "--out", out, "--json") == 0, cli.err
    assert all(video["kept"] == video["pictures"] for video in cli.json()["videos"])
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    victim = next(path for path in sorted(before) if path.suffix == ".jpg" and path.name != "sheet.jpg")
    victim.unlink()
    assert cli.on_lot("keyframes", "--out", out) == 2
    assert "cannot be read" in cli.err
    for name in ("one.mp4", "two.mp4"):
        (lot / f"{name}.away").rename(lot / name)
    assert cli.on_lot("keyframes", "--out", out, "--json") == 0, cli.err
    assert sum(video["pictures"] - video["kept"] for video in cli.json()["videos"]) == 1
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_the_tables_say_what_the_indexes_say(cli: Any, lot: Path, tmp_path: Path) -> None:
    out = tmp_path / "keyframes"
    assert cli.on_lot("keyframes", "--out", out, "--json") == 0, cli.err
    videos = [video["item"] for video in cli.json()["videos"]]
    everything = pq.read_table(out / "index.parquet")
    assert everything.schema.equals(SCHEMA)
    rows = iter(everything.to_pylist())
    for name in videos:
        index = json.loads((out / name / "index.json").read_text(encoding="utf-8"))
        own = pq.read_table(out / name / "index.parquet")
        assert own.schema.equals(SCHEMA)
        assert index["files"]["index.parquet"] == sha256_file(out / name / "index.parquet")
        for entry, row, of_all in zip(index["keyframes"], own.to_pylist(), rows, strict=False):
            assert of_all == {**row, "file": f"{name}/{row['file']}"}
            assert sha256_file(out / of_all["file"]) == row["sha256"]
            base = f"{row.pop('time_base_numerator')}/{row.pop('time_base_denominator')}"
            assert {**row, "time_base": base} == {key: value for key, value in entry.items() if key != "order"}
            with av.open(str(lot / name)) as video:
                first = next(frame.pts for frame in video.decode(video=0))
            seconds = (row["pts"] - first) * Fraction(base)
            assert float(seconds) == pytest.approx(row["time_s"], abs=1e-6)
    assert next(rows, None) is None


def test_two_labels_of_one_frame_are_one_picture(cli: Any, lot: Path, tmp_path: Path) -> None:
    """The earlier label's, whether both are new or the other's stood before."""
    right = tmp_path / "right"
    assert cli.on_lot("export", "--format", "jsonl", "--out", right) == 0, cli.err
    lines = [json.loads(line) for line in (right / "keyframes.jsonl").read_text(encoding="utf-8").splitlines()]
    (labels,) = (line["keyframes"] for line in lines if line["item"] == "two.mp4")
    distinct, twin = len(labels), {**labels[0], "time_s": labels[0]["time_s"] - 0.004}
    for number in range(2):
        folder = tmp_path / f"gold-{number}"
        shutil.copytree(right, folder)
        held = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / "keyframes.jsonl").write_text(held, encoding="utf-8")
        assert cli.on_lot("import", "--format", "jsonl", "--as", "gold", folder) == 0, cli.err
        labels.append(twin)
    out, fresh = tmp_path / "keyframes", tmp_path / "fresh"
    assert cli.on_lot("keyframes", "--from", "gold:1", "--out", out) == 0, cli.err
    for place in (out, fresh):
        assert cli.on_lot("keyframes", "--from", "gold:2", "--out", place) == 0, cli.err
    index = json.loads((out / "two.mp4" / "index.json").read_text(encoding="utf-8"))
    assert len(index["keyframes"]) == distinct
    assert {path.name: path.read_bytes() for path in (out / "two.mp4").iterdir()} == {
        path.name: path.read_bytes() for path in (fresh / "two.mp4").iterdir()
    }


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
