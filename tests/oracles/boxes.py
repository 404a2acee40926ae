"""The contract's reading of boxes, slowly: plain loops over images and every choice of matching."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from contract.acceptance import ImageProfile
from tests.oracles.matching import best_matching, plain_iou

Row = Mapping[str, Any]


def corners(row: Row) -> tuple[float, float, float, float]:
    return row["x"], row["y"], row["x"] + row["w"], row["y"] + row["h"]


def counts(gold: Sequence[Row], labels: Sequence[Row], profile: ImageProfile) -> tuple[Counter[str], float]:
    """Return tp, fp, fn and the sum of matched IoU; no crowds, optimal matching."""
    result: Counter[str] = Counter(tp=0, fp=0, fn=0)
    total = 0.0
    for item in {row["item"] for row in (*gold, *labels)}:
        theirs = [row for row in gold if row["item"] == item and min(row["w"], row["h"]) >= profile.min_side_px]
        ours = [row for row in labels if row["item"] == item and min(row["w"], row["h"]) >= profile.min_side_px]
        edges = {}
        for i, one in enumerate(theirs):
            for j, other in enumerate(ours):
                iou = plain_iou(corners(one), corners(other))
                if iou >= profile.iou - 1e-9 and (one["label"] == other["label"] or not profile.class_aware):
                    edges[i, j] = iou
        pairs, quality = best_matching(edges)
        result.update(tp=pairs, fp=len(ours) - pairs, fn=len(theirs) - pairs)
        total += quality
    return result, total
