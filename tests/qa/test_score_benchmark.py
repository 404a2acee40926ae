"""The benchmark of evaluators measures what it says: on a small set its runs give the figures and curves of pycocotools."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import score
from benchmarks.evaluators import child
from benchmarks.evaluators.frame import Set

GENERATOR = Path(__file__).resolve().parents[3] / "shared" / "tools" / "synth_coco.py"
IMAGES = 30


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not GENERATOR.exists():
        pytest.skip(f"{GENERATOR} is not there")
    data = tmp_path_factory.mktemp("sets")
    bench = score.Bench(score.parsed(["--quick", "--generator", str(GENERATOR)]), data)
    bench.prepare(IMAGES)
    assert bench.sets[str(IMAGES)]["images"] == IMAGES
    assert bench.sets[str(IMAGES)]["classes"] == 80
    return bench.folder(IMAGES)


def measured(task: str, evaluator: str, folder: Path) -> dict[str, Any]:
    return child.evaluate(task, evaluator, Set.at(folder), repeats=2, warm_up=False)


def test_every_run_of_ours_gives_the_figures_of_pycocotools(small: Path) -> None:
    peer = measured("json", "pycocotools", small)
    assert peer["figures"]["AP"] > 0.3
    runs = {name: measured("arrays", name, small) for name in ("goldgate", "goldgate, from ids", "pycocotools")}
    for result in runs.values():
        assert result["precision_sha256"] == peer["precision_sha256"]
        assert result["recall_sha256"] == peer["recall_sha256"]
    runs |= {task: measured(task, "goldgate", small) for task in ("json", "parquet")}
    for result in runs.values():
        assert result["figures"] == pytest.approx(peer["figures"], abs=1e-14)
        assert result["seconds"] > 0
        assert len(result["runs"]) == 2


def test_a_vendor_is_scored_as_if_alone(small: Path) -> None:
    result = measured("vendors", "goldgate", small)
    assert result["last_vendor_as_if_alone"]
    assert len(result["parts"]) == 1 + result["vendors"]
    assert result["figures"] != measured("arrays", "goldgate", small)["figures"]


def test_the_contract_reading_leaves_out_what_scores_low(small: Path) -> None:
    every, sent = (measured("contract", f"goldgate, {boxes}", small) for boxes in ("every box", "score >= 0.3"))
    scores = np.load(small / "arrays.npz")["d_score"]
    assert (every["boxes"], sent["boxes"]) == (scores.size, int((scores >= 0.3).sum()))
    assert every["tp"] + every["fp"] <= every["boxes"]
    assert 0 < sent["tp"] <= every["tp"]
    assert sent["fp"] < every["fp"]


def test_processes_are_started_and_who_is_absent_is_named(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "score.json"
    given = ["--quick", "--images", str(IMAGES), "--growth", "--data", str(small.parent), "--out", str(out)]
    options = score.parsed(
        [*given, "--generator", str(GENERATOR), "--tasks", "arrays", "--evaluators", "goldgate", "hotcoco"]
    )
    document = score.run(options, small.parent)
    results = document["results"]["arrays"][str(IMAGES)]
    assert set(results) == {"goldgate", "goldgate, from ids", "hotcoco"}
    assert results["goldgate"]["peak_rss_mib"] > 10
    assert results["hotcoco"].get("absent") == "No module named 'hotcoco'" or results["hotcoco"]["seconds"] > 0
    assert json.loads(out.read_text(encoding="utf-8")) == document
    assert "hotcoco" in capsys.readouterr().out


def test_a_broken_run_is_a_failure_and_no_figure(small: Path) -> None:
    bench = score.Bench(score.parsed(["--quick", "--generator", str(GENERATOR)]), small.parent)
    bench.measure(score.Order("arrays", "nobody", IMAGES))
    result = bench.results["arrays"][str(IMAGES)]["nobody"]
    assert result["failed"].startswith("ended with 1")
    assert "seconds" not in result
    assert score.agreement(bench.results, str(IMAGES)) is None


def test_a_set_that_cannot_be_made_ends_the_benchmark(tmp_path: Path) -> None:
    options = score.parsed(["--quick", "--generator", str(tmp_path / "none.py")])
    with pytest.raises(SystemExit, match="no such file"):
        score.run(options, tmp_path)
    assert not list(tmp_path.glob("*.json"))


def test_what_is_too_large_is_said_and_the_rest_is_ordered() -> None:
    orders = list(score.orders([100_000], [1000], list(score.TASKS), []))
    left_out = {order.evaluator for order in orders if order.why_not}
    assert left_out == {
        "pycocotools",
        "faster-coco-eval",
        "torchmetrics, faster_coco_eval",
        "torchmetrics, pycocotools",
    }
    assert {(order.task, order.evaluator) for order in orders} == {
        (task, name) for task, names in score.TASKS.items() for name in names
    }
    assert orders[-1] == score.Order("arrays", "goldgate", 1000)


def test_agreement_tells_a_last_bit() -> None:
    figures = dict.fromkeys(("AP", "AP50"), 0.25) | {"APs": None}
    same = {"figures": figures, "precision_sha256": "a", "recall_sha256": "b"}
    off = {"figures": figures | {"AP": float(np.nextafter(0.25, 1))}, "precision_sha256": "c", "recall_sha256": None}
    results = {
        "json": {"5": {"pycocotools": same, "goldgate": off}},
        "arrays": {"5": {"goldgate": same, "vernier": {"absent": ""}}},
    }
    found = score.agreement(results, "5")
    assert found is not None
    assert found["reference"] == "json: pycocotools"
    assert found["arrays: goldgate"] == {
        "figures_equal": True,
        "largest_difference": 0.0,
        "precision_identical": True,
        "recall_identical": True,
    }
    assert found["json: goldgate"]["figures_equal"] is False
    assert found["json: goldgate"]["largest_difference"] == pytest.approx(5.6e-17, rel=0.1)
    assert found["json: goldgate"]["precision_identical"] is False
    assert found["json: goldgate"]["recall_identical"] is None
    assert "arrays: vernier" not in found
    assert score.agreement({}, "5") is None
