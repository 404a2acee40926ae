from pathlib import Path

import pytest

from contract.tables import Task
from goldgate.judging import describe_score, score_files

LABELS = "item,label\na,positive\nb,negative\nc,positive\nd,positive\n"


@pytest.mark.parametrize(
    ("gold", "told"),
    [
        ("a,positive\nb,negative\nc,positive\nd,positive\n", []),
        ("a,positive\nb,negative\n", ["of what the gold covers: 2 items; 2 others have no gold"]),
        (
            "a,positive\nz,negative\n",
            [
                "of what the gold covers: 2 items; 3 others have no gold",
                "1 items of the gold were not labelled and count as wrong: z",
            ],
        ),
    ],
)
def test_partial_gold_is_said(gold: str, told: list[str], tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(LABELS, encoding="utf-8")
    (tmp_path / "gold.csv").write_text("item,label\n" + gold, encoding="utf-8")
    score = score_files(Task.SENTIMENTS, tmp_path / "labels.csv", tmp_path / "gold.csv", contract=None, out=None)
    assert [line.strip() for line in describe_score(score)[2:]] == told
