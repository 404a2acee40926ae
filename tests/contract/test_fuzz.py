"""A few hundred mutated documents for every reader; benchmarks/fuzz_readers.py does a hundred thousand."""

import random
from pathlib import Path

import pytest

from tests.oracles.fuzzing import mutated, outcome, targets

NAMES = [
    "coco",
    "coco_results",
    "jsonl",
    "csv",
    "labelstudio",
    "cvat",
    "cvat_zip",
    "activitynet",
    "parquet",
    "yolo",
    "yolo_folder",
    "xanylabeling",
    "voc",
    "terms",
]


def test_every_reader_is_named(tmp_path: Path) -> None:
    assert list(targets(tmp_path)) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_seeds_are_accepted(name: str, tmp_path: Path) -> None:
    target = targets(tmp_path)[name]
    assert "accepted" in {outcome(target, seed, tmp_path) for seed in target.seeds}


@pytest.mark.parametrize("name", NAMES)
def test_mutated_documents_are_read_or_refused(name: str, tmp_path: Path) -> None:
    target = targets(tmp_path)[name]
    found = set()
    for seed in range(150 if name == "terms" else 300):
        found.add(outcome(target, mutated(target, random.Random(seed)), tmp_path))  # noqa: S311 (dice, not secrets)
    assert found == {"accepted", "refused"}
