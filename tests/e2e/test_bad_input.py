"""Bad input gets one sentence that names file and item, exit status 2, and leaves nothing half-written."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import yaml
from PIL import Image

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
FAKES = ["--model", "detector=fake", "--model", "sentiment=fake", "--model", "video=fake"]


def assert_one_sentence(cli: Any, *words: str) -> None:
    lines = cli.err.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("goldgate: ")
    assert "Traceback" not in cli.err
    for word in words:
        assert word in lines[0]


def test_empty_lot(cli: Any, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    assert cli.on_lot("intake", tmp_path / "nothing") == 2
    assert_one_sentence(cli, "nothing")
    assert not cli.work.exists() or not list(cli.work.rglob("*.parquet"))


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("acceptance", "image", "iuo"), 0.5, ("acceptance.image.iuo",)),
        (("acceptance", "image", "iou"), None, ("acceptance.image.iou",)),
        (("volumes", "images"), "many", ("volumes.images",)),
        (("acceptance", "rule"), "guess", ("acceptance.rule",)),
    ],
)
def test_contract_with_a_typo(
    cli: Any, tmp_path: Path, path: tuple[str, ...], value: object, words: tuple[str, ...]
) -> None:
    document = yaml.safe_load(cli.contract.read_text(encoding="utf-8"))
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    broken = tmp_path / "contract.yaml"
    broken.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    assert cli("check", broken) == 2
    assert_one_sentence(cli, "contract.yaml", *words)


def test_an_open_profile_field_is_named(cli: Any, tmp_path: Path) -> None:
    document = yaml.safe_load(cli.contract.read_text(encoding="utf-8"))
    del document["acceptance"]["image"]["matching"]
    del document["acceptance"]["text"]["bound"]["confidence"]
    (tmp_path / "open.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    assert cli("check", tmp_path / "open.yaml") == 2
    assert_one_sentence(cli, "acceptance.image.matching", "acceptance.text.bound.confidence")


def audio_only(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_broken_items_are_rejected_by_name_and_harm_nobody(cli: Any, raw: Path) -> None:
    (raw / "notes.jpg").write_text("this is a text", encoding="utf-8")
    Image.effect_noise((64, 64), 30).save(raw / "whole.jpg")
    (raw / "cut.jpg").write_bytes((raw / "whole.jpg").read_bytes()[:-200])
    (raw / "nothing.mp4").write_bytes(b"")
    audio_only(raw / "sound.mp4")
    (raw / "latin1.csv").write_bytes("text\nDéjà vu, très élégant, où est la façade? Çà et là, naïveté\n".encode("latin-1"))
    assert cli.on_lot("intake", raw, "--json") == 0
    assert cli.json()["items_by_kind"]["image"] == 41
    import pyarrow.parquet as pq

    (rejects,) = cli.work.rglob("rejects.parquet")
    named = {Path(row["item"]).name: (row["reason"], row["detail"]) for row in pq.read_table(rejects).to_pylist()}
    assert {"notes.jpg", "cut.jpg", "cut.png", "nothing.mp4", "sound.mp4"} <= set(named)
    assert any(name.startswith("latin1.csv") for name in named)
    assert all(detail for _, detail in named.values())
    assert cli.on_lot("prelabel", *FAKES, "--json") == 0
    assert cli.json()["rejected"] == 0


def edited(drafted: Any, tmp_path: Path, edit: Any) -> Path:
    out = tmp_path / "edited"
    assert drafted.on_lot("export", "--format", "jsonl", "--out", out) == 0
    path = out / "boxes.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    victim = next(line for line in lines if line["boxes"])
    edit(lines, victim)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def with_nan(lines: list[Any], victim: Any) -> None:
    victim["boxes"][0]["x"] = float("nan")


def negative(lines: list[Any], victim: Any) -> None:
    victim["boxes"][0]["w"] = -3.0


def outside(lines: list[Any], victim: Any) -> None:
    victim["boxes"][0]["x"] = 1000.0


def foreign_class(lines: list[Any], victim: Any) -> None:
    victim["boxes"][0]["label"] = "circel"


def twice(lines: list[Any], victim: Any) -> None:
    lines.append(victim)


def foreign_item(lines: list[Any], victim: Any) -> None:
    victim["item"] = "elsewhere.png"


@pytest.mark.parametrize("edit", [with_nan, negative, outside, foreign_class, twice, foreign_item])
def test_bad_labels_are_refused_by_name(drafted: Any, tmp_path: Path, edit: Any) -> None:
    path = edited(drafted, tmp_path, edit)
    victim = next(
        line
        for line in map(json.loads, path.read_text(encoding="utf-8").splitlines())
        if line["boxes"] and is_victim(line, edit)
    )
    assert drafted.on_lot("import", "--format", "jsonl", "--as", "submission", path) == 2
    # NaN is no JSON: the reader stops before it knows the item, and names the line.
    assert_one_sentence(drafted, "boxes.jsonl", "line" if edit is with_nan else victim["item"])
    assert not list(drafted.work.rglob("submissions/*/receipt.json"))


def is_victim(line: Any, edit: Any) -> bool:
    box = line["boxes"][0]
    signs = {
        with_nan: box["x"] != box["x"],
        negative: box["w"] < 0,
        outside: box["x"] == 1000,
        foreign_class: box["label"] == "circel",
        twice: True,
        foreign_item: line["item"] == "elsewhere.png",
    }
    return bool(signs[edit])


def test_gold_of_another_lot(drafted: Any, tmp_path: Path, raw: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    Image.new("RGB", (64, 48), (1, 2, 3)).save(other / "x.png")
    assert drafted.on_lot("intake", other, lot="other") == 0
    assert drafted.on_lot("prelabel", *FAKES, lot="other") == 0
    assert drafted.on_lot("export", "--format", "coco", "--out", tmp_path / "theirs", lot="other") == 0
    assert drafted.on_lot("import", "--format", "coco", "--as", "gold", tmp_path / "theirs" / "instances.json") == 2
    assert_one_sentence(drafted, "x.png", "not in the lot")


def test_gold_folder_copied_from_another_lot(drafted: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert drafted.on_lot("export", "--format", "jsonl", "--out", out) == 0
    for role in ("gold", "submission"):
        assert drafted.on_lot("import", "--format", "jsonl", "--as", role, out) == 0
    (receipt,) = drafted.work.rglob("gold/1/receipt.json")
    document = json.loads(receipt.read_text(encoding="utf-8"))
    receipt.write_text(json.dumps({**document, "manifest_sha256": "0" * 64, "lot": "elsewhere"}), encoding="utf-8")
    assert drafted.on_lot("accept") == 2
    assert_one_sentence(drafted, "elsewhere")


def test_a_submission_that_was_touched_is_refused(drafted: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert drafted.on_lot("export", "--format", "jsonl", "--out", out) == 0
    for role in ("gold", "submission"):
        assert drafted.on_lot("import", "--format", "jsonl", "--as", role, out) == 0
    (boxes,) = drafted.work.rglob("submissions/1/boxes.parquet")
    boxes.write_bytes(boxes.read_bytes()[:-1])
    assert drafted.on_lot("accept") == 2
    assert_one_sentence(drafted, "boxes.parquet", "changed")


def test_terms_that_differ_from_the_signed_ones(drafted: Any, tmp_path: Path) -> None:
    document = yaml.safe_load(drafted.contract.read_text(encoding="utf-8"))
    document["acceptance"]["image"]["iou"] = 0.3
    laxer = tmp_path / "laxer.yaml"
    laxer.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    drafted.contract = laxer
    assert drafted.on_lot("prelabel", *FAKES) == 2
    assert_one_sentence(drafted, "laxer.yaml", "differs from the terms")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["frob"], ("frob",)),
        (["score", "--task", "boxs", "--labels", "a", "--gold", "b"], ("boxs",)),
        (["score", "--task", "boxes", "--labels", "absent.json", "--gold", "absent.json"], ("absent.json",)),
        (["check", "absent.yaml"], ("absent.yaml",)),
    ],
)
def test_usage(cli: Any, arguments: list[str], words: tuple[str, ...]) -> None:
    assert cli(*arguments) == 2
    assert_one_sentence(cli, *words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["prelabel", "--model", "painter=fake"], ("painter",)),
        (["prelabel", "--address", "ftp://x"], ("ftp://x",)),
        (["prelabel", "--device", "cuda", *FAKES, "--model", "detector=fake"], ()),
        (["export", "--format", "xml", "--out", "o"], ("xml",)),
        (["export", "--format", "cvta", "--out", "o"], ("cvta", "cvat")),
        (["export", "--format", "coco", "--out", "o", "--from", "memory"], ("memory",)),
        (["import", "--format", "coco", "--as", "truth", "absent.json"], ("truth",)),
        (["import", "--format", "coco", "--as", "gold", "absent.json"], ("absent.json",)),
        (["accept"], ("submission",)),
    ],
)
def test_usage_on_a_lot(drafted: Any, arguments: list[str], words: tuple[str, ...]) -> None:
    status = drafted.on_lot(*arguments)
    if "cuda" in arguments:
        assert status in (0, 2)  # the fakes need no device
        return
    assert status == 2
    assert_one_sentence(drafted, *words)


def test_ctrl_c_stops_with_one_sentence_and_the_job_goes_on_later(cli: Any, raw: Path, tmp_path: Path) -> None:
    assert cli.on_lot("intake", raw) == 0
    slow = tmp_path / "slow.py"
    slow.write_text(
        "import sys, time\n"
        "from models.fake import FakePredictor\n"
        "predict = FakePredictor.predict\n"
        "def slowly(self, sources):\n"
        "    print('predicting', file=sys.stderr, flush=True)\n"
        "    time.sleep(60)\n"
        "    return predict(self, sources)\n"
        "FakePredictor.predict = slowly\n"
        "from goldgate.cli import main\n"
        "main()\n"
    )
    arguments = ["prelabel", *FAKES, "-c", str(cli.contract), "--lot", "made", "--work", str(cli.work)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(slow), *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)  # noqa: S603 - our own script
    assert process.stderr is not None
    assert "predicting" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "stopped by Ctrl-C" in err
    assert "Traceback" not in err
    assert not list(cli.work.rglob(".*.tmp"))
    assert cli.on_lot("prelabel", *FAKES, "--json") == 0
    assert cli.json()["items"] == 80


def test_a_class_outside_the_guideline_is_named_when_scored_under_a_contract(cli: Any, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("text,label\ngood,postive\n", encoding="utf-8")
    (tmp_path / "gold.csv").write_text("text,label\ngood,positive\n", encoding="utf-8")
    files = ["--labels", tmp_path / "labels.csv", "--gold", tmp_path / "gold.csv"]
    assert cli("score", "--task", "sentiment", *files, "-c", cli.contract) == 2
    assert_one_sentence(cli, "labels.csv", "postive", "positive")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
@pytest.mark.parametrize("command", ["export", "score"])
def test_a_full_disk_leaves_nothing_half_written(drafted: Any, tmp_path: Path, command: str) -> None:
    whole, tiny = tmp_path / "whole", tmp_path / "tiny"
    assert drafted.on_lot("export", "--format", "jsonl", "--out", whole) == 0
    tiny.mkdir()
    size = "16k" if command == "export" else "40k"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(tiny)], check=False)  # noqa: S603, S607
    if mounted.returncode:
        pytest.skip("this machine does not let tests mount a tmpfs")
    try:
        if command == "export":
            assert drafted.on_lot("export", "--format", "jsonl", "--out", tiny / "out") == 2
        else:
            boxes = ["--labels", whole / "boxes.jsonl", "--gold", whole / "boxes.jsonl"]
            assert drafted("score", "--task", "boxes", *boxes, "--out", tiny / "out") == 2
        assert_one_sentence(drafted, "no space left")
        assert [path for path in tiny.rglob("*") if path.is_file()] == []
    finally:
        subprocess.run(["umount", str(tiny)], check=True)  # noqa: S603, S607
