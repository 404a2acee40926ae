"""From accepted lots to a package, and what the client finds in it."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from qa.verifier.report import verify as verify_report

pytestmark = pytest.mark.e2e


FORMATS = ["coco", "labelstudio", "jsonl", "yolo", "yolo-darknet", "voc", "cvat", "xanylabeling", "activitynet"]


@pytest.fixture
def accepted(make_lot: Any) -> Any:
    """A lot that was accepted, its labels by two people whose names nobody outside is to learn."""
    lot = make_lot(formats=FORMATS)
    folder = lot.folder("work")
    path = folder / "sentiments.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for number, row in enumerate(rows):
        row["source"] = ("li.lei@vendor.example", "han.meimei@vendor.example", row.get("source"))[number % 3]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    lot.bring_gold(lot.right)
    lot.hand_in(folder)
    assert lot.do("accept")["verdict"] == "ACCEPT"
    for kind, name in (("signing", "vendor"), ("recipient", "client")):
        assert lot.cli("keypair", kind, "--name", f"{name}.example", "--out", lot.tmp / f"{name}.key") == 0, lot.cli.err
    return lot


def deliver(lot: Any, out: Path, *more: str | Path) -> int:
    keys = ["--key", lot.tmp / "vendor.key", "--to", lot.tmp / "client.pub"]
    status = lot.cli("deliver", "-c", lot.cli.contract, "--work", lot.cli.work, *keys, "--out", out, *more)
    assert isinstance(status, int)
    return status


def opening(lot: Any) -> list[str | Path]:
    return ["--signer", lot.tmp / "vendor.pub", "--identity", lot.tmp / "client.key"]


def test_a_delivery_from_verdict_to_client(accepted: Any) -> None:
    lot, cli = accepted, accepted.cli
    package, out = lot.tmp / "package", lot.tmp / "opened"
    assert deliver(lot, package, "--json") == 0, cli.err
    record = cli.json()
    assert record["lots"] == {"made": 1}
    assert cli("verify", package, "--signer", lot.tmp / "vendor.pub") == 0, cli.err
    assert "not looked inside" in cli.out
    assert cli("verify", package, *opening(lot), "--contract-id", "DEMO-2025") == 0, cli.out + cli.err
    assert "its totals are those of its own files" in cli.out
    assert cli("unpack", package, *opening(lot), "--out", out, "--json") == 0, cli.err
    document = cli.json()
    assert document["not_recounted"] == ["cvat", "xanylabeling", "yolo-darknet"]  # and of activitynet there is nothing
    (told,) = document["lots"]
    assert told["totals"]["items"]["text"] == {"labelled": 40}
    assert sum(told["totals"]["items"]["image"].values()) == 40
    made = out / "lots" / "made"
    assert sum(told["totals"]["labels"]["boxes"].values()) == pq.read_table(made / "labels" / "boxes.parquet").num_rows
    raw = lot.tmp / "raw"
    media = {path.name: path.read_bytes() for path in (made / "media").rglob("*") if path.is_file()}
    assert media == {path.name: path.read_bytes() for path in raw.glob("[0-9]*.png")}
    assert verify_report(made / "report").disagreements == []
    statistics = json.loads((out / "statistics.json").read_bytes())
    (of,) = statistics["lots"]
    people = [row for row in of["sources"] if row["kind"] == "annotator"]
    assert len(people) == 2
    assert all(row["name"].startswith("annotator-") for row in people)
    assert sum(row["labels"] for row in of["sources"] if row["task"] == "sentiments") == 40
    assert all(row["right"] <= row["scored"] <= row["labels"] for row in of["sources"])
    assert {row["kind"]: row["delivered"] for row in statistics["volumes"]}["text"] == 40
    for page, words in (
        ("statistics.html", ("标注结果统计报告", "Statistics of the delivery")),
        ("certificate.html", ("验收证书", "certificate")),
    ):
        text = (out / page).read_text(encoding="utf-8")
        assert all(word in text for word in words)
        assert "<script" not in text
    everything = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file() and "media" not in path.parts)
    assert b"li.lei" not in everything
    assert b"li.lei" not in b"".join(path.read_bytes() for path in package.rglob("*") if path.is_file())
    checkpoint = ["--checkpoint", out / "audit" / "checkpoint.txt", "--signer", lot.tmp / "vendor.pub"]
    assert cli("verify-log", cli.work / "DEMO-2025", *checkpoint) == 0, cli.out
    assert deliver(lot, package) == 2
    assert "finished package already" in cli.err
    assert not list((cli.work / "DEMO-2025").glob(".delivery-*"))


def test_changes_are_named_and_nothing_is_written(accepted: Any) -> None:
    lot, cli = accepted, accepted.cli
    package = lot.tmp / "package"
    assert deliver(lot, package, "--no-media") == 0, cli.err
    (package / "objects" / "000000.age").write_bytes(b"age-encryption.org/v1")
    (package / "added").touch()
    assert cli("verify", package, *opening(lot), "--json") == 2
    problems = cli.json()["problems"]
    assert [problem.split(":")[0] for problem in problems] == ["objects/000000.age", "added"]
    assert cli("unpack", package, *opening(lot), "--out", lot.tmp / "opened") == 2
    assert "PROBLEM: added" in cli.out
    assert not (lot.tmp / "opened").exists()
    assert cli("verify", package, "--signer", lot.tmp / "vendor.pub", "--contract-id", "OTHER") == 2
    assert "is a package of contract DEMO-2025, not of OTHER" in cli.err


def test_only_what_was_accepted_is_delivered(accepted: Any) -> None:
    lot, cli = accepted, accepted.cli
    out, home = lot.tmp / "package", cli.work / "DEMO-2025" / "lots" / "made"
    labels = home / "submissions" / "1" / "sentiments.parquet"
    kept = labels.read_bytes()
    labels.write_bytes((home / "gold" / "1" / "sentiments.parquet").read_bytes())
    assert deliver(lot, out) == 2
    assert "missing or changed since it was sealed" in cli.err
    labels.write_bytes(kept)
    score = home / "scores" / "1" / "score.json"
    figures = score.read_bytes()
    score.write_bytes(figures + b" ")
    assert deliver(lot, out) == 2
    assert "the report does not agree" in cli.err
    score.write_bytes(figures)
    assert cli.on_lot("intake", lot.tmp / "raw", lot="other") == 0
    assert deliver(lot, out, "--lot", "other") == 2
    assert "lot 'other' is open and no verdict stands: only accepted lots are delivered" in cli.err
    assert deliver(lot, out) == 2
    assert "lot 'other'" in cli.err
    assert not out.exists()


def test_a_changed_picture_stops_the_delivery_and_the_same_command_goes_on(accepted: Any) -> None:
    lot, cli = accepted, accepted.cli
    out, picture = lot.tmp / "package", lot.tmp / "raw" / "07.png"
    kept = picture.read_bytes()
    picture.write_bytes(kept + b"x")
    assert deliver(lot, out) == 2
    assert "07.png: is not what it was when it was taken in" in cli.err
    assert cli("verify", out, "--signer", lot.tmp / "vendor.pub") == 2
    assert "half a package" in cli.err
    picture.write_bytes(kept)
    assert deliver(lot, out) == 0, cli.err
    assert cli("verify", out, *opening(lot)) == 0, cli.out
