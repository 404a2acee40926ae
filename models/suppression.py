"""Non-maximum suppression of candidates, class by class, with the constants of Ultralytics' own."""

from collections.abc import Collection
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.ops import nms

from models.heads import Candidates

_APART: Final = 7680  # pixels that lie between the boxes of two classes, so that they never meet
_MOST: Final = 30_000  # candidates, by score


def suppressed(found: Candidates, *, iou: float, max_det: int, classes: Collection[int]) -> NDArray[np.float32]:
    """Return rows of x1, y1, x2, y2, score, class that no likelier box of their class overlaps by more than `iou`.

    They come by falling score, `max_det` at most; other classes than `classes` are left out before that counts.
    """
    wanted = np.isin(found.classes, np.fromiter(classes, np.int64))
    kept = np.flatnonzero(wanted)
    if len(kept) > _MOST:
        kept = kept[np.argsort(-found.scores[kept], kind="stable")[:_MOST]]
    numbers = found.classes[kept].astype(np.float32)
    rows = np.concatenate([found.corners[kept], found.scores[kept, None], numbers[:, None]], axis=1)
    apart = torch.from_numpy(rows[:, :4] + numbers[:, None] * np.float32(_APART))
    order = nms(apart, torch.from_numpy(np.ascontiguousarray(rows[:, 4])), iou)[:max_det]
    kept_rows: NDArray[np.float32] = rows[order.numpy()]
    return kept_rows
