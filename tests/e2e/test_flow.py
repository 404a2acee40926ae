"""The flow from the outside: every arrow is one command, and scripts read its JSON."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.e2e

FAKES = ["--model", "detector=fake", "--model", "sentiment=fake", "--model", "video=fake"]


def test_intake_counts_and_prelabel_balances(cli: Any, raw: Path) -> None:
    assert cli.on_lot("intake", raw, "--json") == 0
    receipt = cli.json()
    assert receipt["items_by_kind"]["image"] == 40
    assert receipt["items_by_kind"]["text"] == 40
    assert sum(receipt["rejects_by_reason"].values()) == 1
    assert cli.on_lot("prelabel", *FAKES, "--json") == 0
    summary = cli.json()
    assert summary["items"] == 80 == summary["labelled"] + summary["rejected"]
    assert set(summary) >= {"run", "items", "labelled", "rejected", "seconds", "items_per_s", "drafts"}
    shards = sorted(Path(summary["drafts"]).glob("shard-*.parquet"))
    assert sum(pq.read_metadata(shard).num_rows for shard in shards) == 80
    assert cli.on_lot("prelabel", *FAKES, "--json") == 0
    assert cli.json()["resumed"] == 80


def test_drafts_go_out_in_each_format(drafted: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert drafted.on_lot("export", "--format", "coco", "--out", out / "coco") == 0
    coco = json.loads((out / "coco" / "instances.json").read_text(encoding="utf-8"))
    assert len(coco["images"]) == 40
    assert all("score" in annotation for annotation in coco["annotations"])
    assert drafted.on_lot("export", "--format", "jsonl", "--out", out / "jsonl", "--json") == 0
    lines = [json.loads(line) for line in (out / "jsonl" / "boxes.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["item"] for line in lines] == sorted(line["item"] for line in lines)
    assert len(lines) == 40
    assert all(line["uri"] for line in lines)
    assert drafted.on_lot("export", "--format", "labelstudio", "--out", out / "ls") == 0
    tasks = json.loads((out / "ls" / "image" / "tasks.json").read_text(encoding="utf-8"))
    assert len(tasks) == 40
    assert all(len(task["predictions"]) == 1 for task in tasks)


def test_work_that_equals_the_gold_is_accepted(drafted: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert drafted.on_lot("export", "--format", "jsonl", "--out", out) == 0
    for role in ("gold", "submission"):
        assert drafted.on_lot("import", "--format", "jsonl", "--as", role, out) == 0
    assert drafted.on_lot("accept", "--json") == 0
    verdict = drafted.json()
    assert verdict["verdict"] == "ACCEPT"
    assert verdict["reasons"]
    for criterion in verdict["criteria"]:
        assert set(criterion) >= {"name", "estimate", "lower_bound", "upper_bound", "threshold", "outcome"}
        assert criterion["estimate"] == 1
    report = Path(verdict["report"])
    assert "ACCEPT" in report.read_text(encoding="utf-8")
    for name in ("score.json", "matches.parquet", "defects.parquet"):
        assert (report.parent / name).exists()
    assert drafted("verify-report", report.parent) == 0
    assert "all agree" in drafted.out
    score = report.parent / "score.json"
    truth = score.read_text(encoding="utf-8")
    score.write_text(truth.replace('"perfect_images": 40', '"perfect_images": 39'), encoding="utf-8")
    assert drafted("verify-report", report.parent, "--json") == 2
    found = "".join(drafted.json()["disagreements"])
    assert "boxes.contract.perfect_images is 39, but the files give 40" in found
    assert "score.json: its SHA-256" in found
    score.write_text(truth, encoding="utf-8")
    assert drafted.on_lot("export", "--format", "jsonl", "--out", tmp_path / "again", "--from", "submission:1") == 0
    again = (tmp_path / "again" / "boxes.jsonl").read_bytes()
    assert again == (out / "boxes.jsonl").read_bytes()


def test_a_submission_may_come_in_several_files(drafted: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert drafted.on_lot("export", "--format", "jsonl", "--out", out) == 0
    assert drafted.on_lot("export", "--format", "coco", "--out", out) == 0
    assert drafted.on_lot("import", "--format", "jsonl", "--as", "gold", out / "boxes.jsonl", out / "sentiments.jsonl") == 0
    assert drafted.on_lot("import", "--format", "coco", "--as", "submission", out / "instances.json") == 0
    assert drafted.on_lot("accept", "--json") == 3
    assert any("40 of 40 texts are neither labelled" in reason for reason in drafted.json()["reasons"])
    added = ["--add-to", "1", out / "sentiments.jsonl"]
    assert drafted.on_lot("import", "--format", "jsonl", "--as", "submission", *added, "--json") == 0
    receipt = drafted.json()
    assert (receipt["number"], receipt["items"]) == (2, 80)
    assert drafted.on_lot("accept", "--json") == 0
    assert drafted.on_lot("accept", "--submission", "1") == 3
    again = ["--add-to", "2", out / "sentiments.jsonl"]
    assert drafted.on_lot("import", "--format", "jsonl", "--as", "submission", *again) == 2
    assert "texts.csv:2" in drafted.err


def test_work_that_contradicts_the_gold_is_rejected(drafted: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert drafted.on_lot("export", "--format", "jsonl", "--out", out) == 0
    assert drafted.on_lot("import", "--format", "jsonl", "--as", "gold", out) == 0
    path = out / "sentiments.jsonl"
    other = {"positive": "negative", "negative": "positive"}
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    flipped = [{**line, "label": other[line["label"]], "probabilities": None} for line in lines]
    path.write_text("".join(json.dumps(line) + "\n" for line in flipped), encoding="utf-8")
    assert drafted.on_lot("import", "--format", "jsonl", "--as", "submission", out) == 0
    assert drafted.on_lot("accept", "--json") == 3
    verdict = drafted.json()
    assert verdict["verdict"] == "REJECT"
    outcomes = {criterion["name"]: criterion["outcome"] for criterion in verdict["criteria"]}
    assert outcomes["image.f1"] == "ACCEPT"
    assert outcomes["text.accuracy"] == "REJECT"


def test_a_gold_of_few_items_asks_for_more(drafted: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert drafted.on_lot("export", "--format", "jsonl", "--out", out) == 0
    assert drafted.on_lot("import", "--format", "jsonl", "--as", "submission", out) == 0
    for path in out.glob("*.jsonl"):
        path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:5]), encoding="utf-8")
    assert drafted.on_lot("import", "--format", "jsonl", "--as", "gold", out) == 0
    assert drafted.on_lot("accept", "--json") == 4
    assert drafted.json()["verdict"] == "EXTEND"


def test_score_needs_no_lot(cli: Any, tmp_path: Path) -> None:
    gold = tmp_path / "gold.csv"
    gold.write_text("text,label\ngood,positive\nbad,negative\nfine,positive\n", encoding="utf-8")
    labels = tmp_path / "labels.csv"
    labels.write_text("text,label\nbad,negative\ngood,negative\nfine,positive\n", encoding="utf-8")
    out = tmp_path / "out"
    assert cli("score", "--task", "sentiment", "--labels", labels, "--gold", gold, "--out", out, "--json") == 0
    score = cli.json()
    assert (score["n"], score["correct"]) == (3, 2)
    assert set(score) >= {"accuracy", "lower_bound", "macro_f1", "kappa", "confusion"}
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "没有合同" in page
    assert "There is no contract" in page
    assert cli("verify-report", out) == 0


def test_score_shows_the_majority_trap(cli: Any, tmp_path: Path) -> None:
    gold = {f"text {number}": label for number, label in enumerate(["positive"] * 9 + ["negative"])}
    always = dict.fromkeys(gold, "positive")
    worse = {**gold, "text 0": "negative", "text 1": "negative"}
    for name, labels in (("gold", gold), ("always", always), ("worse", worse)):
        lines = [f"{text},{label}" for text, label in labels.items()]
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,label", *lines]) + "\n", encoding="utf-8")
    words = {"always": "gives one label to every text", "worse": "no better than that", "gold": "would score 0.9000\n"}
    for name, said in words.items():
        files = ["--labels", tmp_path / f"{name}.csv", "--gold", tmp_path / "gold.csv"]
        assert cli("score", "--task", "sentiment", *files, "--out", tmp_path / name) == 0
        assert said in cli.out
        page = (tmp_path / name / "report.html").read_text(encoding="utf-8")
        assert ("Beware" in page) == (name != "gold")


def test_score_of_coco_files(cli: Any, tmp_path: Path) -> None:
    box = {"id": 1, "image_id": 7, "category_id": 3, "bbox": [10, 10, 20, 20], "area": 400, "iscrowd": 0}
    gold = {
        "images": [{"id": 7, "file_name": "a.jpg", "width": 100, "height": 100}],
        "categories": [{"id": 3, "name": "car"}],
        "annotations": [box],
    }
    (tmp_path / "gold.json").write_text(json.dumps(gold))
    results = [{"image_id": 7, "category_id": 3, "bbox": [10, 10, 20, 16], "score": 0.9}]
    (tmp_path / "results.json").write_text(json.dumps(results))
    arguments = ["--labels", tmp_path / "results.json", "--gold", tmp_path / "gold.json"]
    assert cli("score", "--task", "boxes", *arguments, "--json") == 0
    score = cli.json()
    assert score["contract"]["tp"] == 1
    assert score["contract"]["mean_iou"] == pytest.approx(0.8)
    assert set(score["defects"]) == {"missed", "spurious", "wrong_class", "loose_box", "duplicate"}
    assert score["coco"]["AP50"] == pytest.approx(1.0)
    assert set(score["coco"]) == {"AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"}


def test_check_prints_both_languages(cli: Any) -> None:
    assert cli("check", cli.contract) == 0
    assert "接收" in cli.out
    assert "ACCEPT" in cli.out


def test_verify_names_what_changed(drafted: Any, raw: Path) -> None:
    assert drafted.on_lot("intake", "--verify") == 0
    data = bytearray((raw / "05.png").read_bytes())
    data[-20] ^= 1
    (raw / "05.png").write_bytes(data)
    (raw / "06.png").unlink()
    (raw / "extra.png").write_bytes(b"x")
    assert drafted.on_lot("intake", "--verify", "--json") == 2
    findings = {(finding["kind"], Path(finding["uri"]).name) for finding in drafted.json()["findings"]}
    assert findings == {("changed", "05.png"), ("missing", "06.png"), ("extra", "extra.png")}
