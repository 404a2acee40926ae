"""Which items are unlike all that went before: farthest first in the space of an embedding.

Farthest-first traversal (Gonzalez 1985) is the greedy k-center of Sener and Savarese 2018 (arXiv:1708.00489): its first k
items cover the others within at most twice the least radius that any k items reach.
"""

import unicodedata
import zlib
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
CENTRES: Final = 2_000  # after so many the rest is ordered by its distance from them
TEXT_DIMENSIONS: Final = 256
_GRAM: Final = 3
_AT_ONCE: Final = 256


def farthest_first(
    vectors: Vectors, *, covered: NDArray[np.bool_] | None = None, most: int = CENTRES
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the order in which items are taken, and how far each was from all before it (0 where it is `covered`).

    Each next item is the one that is farthest from those taken; of equals the first row. The first of all is the farthest
    from the mean, unless items are `covered`, which count as taken from the start and come last. After `most` items the
    others follow by their distance from these, for that is what the time of a large lot allows: the time is that of
    `most` passes over the vectors.

    Args:
        vectors: shape (items, dimensions), finite.
        covered: shape (items,), items that people have seen already.
        most: how many items are chosen one by one.
    """
    size = len(vectors)
    seen = np.zeros(size, np.bool_) if covered is None else covered.copy()
    distance = _nearest(vectors, vectors[seen])
    order: list[int] = []
    novelty = np.zeros(size)
    own = np.einsum("ij,ij->i", vectors, vectors)
    start = _squares(vectors, own, vectors.mean(axis=0, dtype=np.float64).astype(np.float32)) if size else distance
    while len(order) < most and not seen.all():
        scores = np.where(seen, -1.0, distance if np.isfinite(distance).all() else start)
        row = int(scores.argmax())
        order.append(row)
        novelty[row] = scores[row]
        seen[row] = True
        np.minimum(distance, _squares(vectors, own, vectors[row]), out=distance)
    rest = np.flatnonzero(~seen)
    novelty[rest] = distance[rest]
    last = np.flatnonzero(covered) if covered is not None else np.array([], np.int64)
    rest = rest[np.argsort(-distance[rest], kind="stable")]
    return np.concatenate([np.array(order, np.int64), rest, last]).astype(np.int64), np.sqrt(novelty)


def _squares(vectors: Vectors, own: Vectors, centre: Vectors) -> NDArray[np.float64]:
    """Return the squared distance of each vector, whose squared length is `own`, to `centre`."""
    return np.asarray(np.maximum(own - 2 * (vectors @ centre) + centre @ centre, 0), np.float64)


def _nearest(vectors: Vectors, centres: Vectors) -> NDArray[np.float64]:
    """Return the squared distance of each vector to the nearest of `centres`, infinite where there are none."""
    nearest = np.full(len(vectors), np.inf)
    own = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
    for start in range(0, len(centres), _AT_ONCE):
        some = centres[start : start + _AT_ONCE].astype(np.float64)
        squares = own[:, None] - 2 * (vectors @ some.T) + np.einsum("ij,ij->i", some, some)
        np.minimum(nearest, np.maximum(squares, 0).min(axis=1), out=nearest)
    return nearest


def text_vectors(texts: Sequence[str], *, dimensions: int = TEXT_DIMENSIONS) -> Vectors:
    """Return an embedding of each text, shape (texts, dimensions), of length 1 (0 for a text without a letter or sign).

    Counts of runs of three characters (in normal form NFKC, case folded, Chinese included), hashed with a sign into few
    dimensions (Weinberger et al. 2009, "Feature hashing for large scale multitask learning"), under a square root.
    """
    vectors = np.zeros((len(texts), dimensions), np.float32)
    for row, text in enumerate(texts):
        folded = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
        padded = f" {folded} " if folded else ""
        for at in range(len(padded) - _GRAM + 1):
            code = zlib.crc32(padded[at : at + _GRAM].encode())
            vectors[row, code % dimensions] += 1.0 if code >> 31 else -1.0
    vectors = np.sign(vectors) * np.sqrt(np.abs(vectors))
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0), np.float32)
