"""Which of many texts share most of their runs of three characters with one: exactly, by rare runs.

Likeness is the Jaccard index of the sets of runs (Broder 1997). Of two texts that are alike to at least t, the rarest
n - ceil(t n) + k of the n runs of each have k in common (prefix filter: Chaudhuri, Ganti and Kaushik 2006; Bayardo, Ma and
Srikant 2007, "Scaling up all pairs similarity search"; with k over 1: Wang, Li and Feng 2012, "Can we beat the prefix
filtering?"), so that only what shares so many is compared; unlike MinHash, nothing is missed by chance. Texts that have
fewer than k runs in common at all share all of these there.
"""

import heapq
import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

RUN: Final = 3
_COMMON: Final = 4  # k: the more, the fewer texts are compared for nothing, and the more runs are looked up
_EDGE: Final = 1e-9

Runs = frozenset[str]


def runs_of(text: str) -> Runs:
    """Return the runs of three letters and digits in normal form (NFKC, case folded, spaces and signs left out).

    A text of fewer than three is a run by itself, one without any its own signs.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    plain = "".join(character for character in folded if character.isalnum())
    if len(plain) < RUN:
        return frozenset({plain or folded.strip()})
    return frozenset(plain[at : at + RUN] for at in range(len(plain) - RUN + 1))


def likeness(one: Runs, other: Runs) -> float:
    """Return the Jaccard index of two sets, from 0 to 1."""
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)


class SimilarTexts:
    """Texts by number, in the order in which they were added.

    Args:
        share: least likeness, over 0 and at most 1.
        known: the runs of all texts that will be added or asked for, which tell how rare each run is.

    Raises:
        ValueError: the share is out of range.
    """

    def __init__(self, share: float, known: Iterable[Runs]) -> None:
        if not 0 < share <= 1:
            raise ValueError(f"a share of {share:g} is not over 0 and at most 1")
        self._share = share
        counts: Counter[str] = Counter(run for runs in known for run in runs)
        self._rank = {run: rank for rank, (run, _) in enumerate(sorted(counts.items(), key=lambda pair: (pair[1], pair[0])))}
        self._holders: dict[str, list[int]] = {}
        self._texts: list[Runs] = []
        self._last: tuple[Runs | None, Sequence[str]] = (None, ())

    def add(self, runs: Runs) -> None:
        """Take in a text."""
        for run in self._rarest(runs):
            self._holders.setdefault(run, []).append(len(self._texts))
        self._texts.append(runs)

    def near(self, runs: Runs) -> list[tuple[int, float]]:
        """Return (number, likeness) of the texts that are alike to at least the share, ascending."""
        size = len(runs)
        least, most = self._share * size - _EDGE, size / self._share + _EDGE
        shared = Counter[int]()
        for run in self._rarest(runs):
            shared.update(self._holders.get(run, ()))
        alike = (
            (number, likeness(runs, self._texts[number]))
            for number, count in sorted(shared.items())
            if least <= len(self._texts[number]) <= most
            and count >= min(_COMMON, self._fewest(max(size, len(self._texts[number]))))
        )
        return [(number, share) for number, share in alike if share >= self._share - _EDGE]

    def _fewest(self, size: int) -> int:
        """Return how many runs a text of `size` has in common with any that is alike to it, at least."""
        return math.ceil(self._share * size - _EDGE)

    def _rarest(self, runs: Runs) -> Sequence[str]:
        if self._last[0] is not runs:  # a text is asked for and then added: sorted once
            count = len(runs) - self._fewest(len(runs)) + _COMMON
            self._last = runs, heapq.nsmallest(count, runs, key=self._rank.__getitem__)
        return self._last[1]
