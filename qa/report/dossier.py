"""The files beside a report: what `verifier` needs to compute its figures again.

Rows of boxes carry the areas that decide their size, since row numbers alone need the label tables to be at hand.
"""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from contract.labelset import LabelSet
from contract.scores import BoxScore, Score, SentimentScore, TimelineScore
from contract.tables import Task


def evidence_tables(scores: Mapping[Task, Score], *, labels: LabelSet, gold: LabelSet) -> dict[str, pa.Table]:
    """Return file name -> table for the evidence of `scores`.

    Boxes: matches.parquet and defects.parquet (with columns gold_area and label_area, square pixels, null where no box of
    that side takes part) and boxes-items.parquet. Sentiments: sentiments-pairs.parquet. Shots, keyframes and events:
    TASK-matches.parquet and TASK-items.parquet.

    Args:
        scores: with their tables of evidence.
        labels: the submission that was scored; row numbers of the evidence are those of its tables.
        gold: the gold that was scored against.
    """
    files: dict[str, pa.Table] = {}
    for task, score in scores.items():
        if isinstance(score, BoxScore):
            sides = {"gold": _gold_areas(gold.table(Task.BOXES)), "label": _areas(labels.table(Task.BOXES))}
            files["matches.parquet"] = _with_areas(score.matches, sides)
            files["defects.parquet"] = _with_areas(score.defect_rows, sides)
            files["boxes-items.parquet"] = score.items
        elif isinstance(score, SentimentScore):
            files["sentiments-pairs.parquet"] = score.pairs
        elif isinstance(score, TimelineScore):
            files[f"{task.value}-matches.parquet"] = score.matches
            files[f"{task.value}-items.parquet"] = score.items
    return files


def _areas(boxes: pa.Table) -> pa.ChunkedArray:
    return pc.multiply(boxes["w"], boxes["h"])


def _gold_areas(boxes: pa.Table) -> pa.ChunkedArray:
    """Return the areas as annotated, or width times height where the annotation has none."""
    return pc.coalesce(boxes["area"], _areas(boxes))


def _with_areas(rows: pa.Table, areas: Mapping[str, pa.ChunkedArray]) -> pa.Table:
    for side, of in areas.items():
        rows = rows.append_column(f"{side}_area", of.take(rows[f"{side}_row"]))
    return rows
