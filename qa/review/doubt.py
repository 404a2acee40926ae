"""How doubtful a model is of its own drafts, summed over each item.

Measures over the probabilities p of a label's classes, each 0 where one class is sure and 1 where all are alike (Settles
2009, "Active Learning Literature Survey", section 3.1, scaled):

- margin: 1 - (p1 - p2), of the two likeliest
- entropy: -sum(p log p) / log K
- least_confidence: (1 - p1) K / (K - 1)

A box or an event is right with its score and wrong with the rest, K = 2, where margin and least_confidence are the same.
The doubts of an image's boxes are added (Brust, Kaeding and Denzler 2019, "Active learning for deep object detection", which
also has mean and maximum): what is asked is where errors are to be found, and each box may be one.
"""

from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contract.labelset import LabelSet
from contract.tables import Kind, Task
from contract.textcodes import codes_of

Floats = NDArray[np.float64]
Measure = Literal["margin", "entropy", "least_confidence"]

MEASURES: Final[tuple[Measure, ...]] = ("margin", "entropy", "least_confidence")
GRADUAL: Final = pa.array(["dissolve", "fade", "wipe"], pa.string())
# Drafts of shots carry no probability. What models find less surely than a hard cut is a change over many frames.
GRADUAL_DOUBT: Final = 0.5


def doubt(probabilities: Floats, measure: Measure) -> Floats:
    """Return the doubt of each row of `probabilities`, shape (n, K >= 2), whose rows sum to 1: from 0, sure, to 1.

    Raises:
        ValueError: there are fewer than two classes.
    """
    classes = probabilities.shape[1]
    if classes < 2:
        raise ValueError("doubt needs two classes or more")
    if measure == "entropy":
        logs = np.log(probabilities, out=np.zeros_like(probabilities), where=probabilities > 0)
        return np.asarray(np.clip(-(probabilities * logs).sum(axis=1) / np.log(classes), 0, 1))
    ordered = np.sort(probabilities, axis=1)
    if measure == "margin":
        return np.asarray(1 - (ordered[:, -1] - ordered[:, -2]))
    return np.asarray((1 - ordered[:, -1]) * classes / (classes - 1))


def item_doubts(kind: Kind, labels: LabelSet, items: pa.Array, *, measure: Measure) -> Floats:
    """Return the doubt of each of `items` of `kind`, shape (items,): the sum over its labels, 0 where it has none.

    A label without a score is as doubtful as one can be. A shot that begins with a gradual change counts `GRADUAL_DOUBT`.
    """
    if kind is Kind.TEXT:
        table = labels.table(Task.SENTIMENTS)
        return _summed(table, _of_sentiments(table, measure), items)
    if kind is Kind.IMAGE:
        table = labels.table(Task.BOXES)
        return _summed(table, _of_scores(table, measure), items)
    events, shots = labels.table(Task.EVENTS), labels.table(Task.SHOTS)
    gradual = pc.is_in(shots["transition"], value_set=GRADUAL).to_numpy(zero_copy_only=False)
    return _summed(events, _of_scores(events, measure), items) + _summed(shots, GRADUAL_DOUBT * gradual, items)


def _summed(table: pa.Table, of_rows: Floats, items: pa.Array) -> Floats:
    at = codes_of(table["item"], items)
    return np.bincount(at[at >= 0], weights=of_rows[at >= 0], minlength=len(items)).astype(np.float64)


def _of_scores(table: pa.Table, measure: Measure) -> Floats:
    score = np.clip(np.asarray(pc.fill_null(table["score"], 0.5).to_numpy(), np.float64), 0, 1)
    return doubt(np.stack([score, 1 - score], axis=1), measure)


def _of_sentiments(table: pa.Table, measure: Measure) -> Floats:
    """Return the doubt of each text by its probabilities, or by the score alone where it has none."""
    found = _of_scores(table, measure)
    for row, shares in enumerate(table["probabilities"].to_pylist()):
        given = np.array([share for _, share in shares or () if share > 0])
        if len(shares or ()) >= 2 and given.size:
            padded = np.zeros((1, len(shares)))
            padded[0, : given.size] = given / given.sum()
            found[row] = doubt(padded, measure)[0]
    return found
