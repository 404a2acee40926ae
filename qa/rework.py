"""Rework: what a new submission changed and mended, inside the sample that sank the earlier one and outside it.

A vendor who mends only what was sampled mends nothing that the client does not know already: an honest rework changes items
outside the sample at about the rate of those inside.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from contract.scores import BoxScore, Score, SentimentScore, TimelineScore
from contract.tables import Task

FEW: Final = 0.1  # of the rate inside the sample; below it the rework is called one of the sampled items alone


@dataclass(frozen=True)
class Part:
    """One part of the lot: its items, those that changed, those that the gold found wrong, and those of them now right."""

    items: int
    changed: int
    wrong: int
    fixed: int

    @property
    def change_rate(self) -> float | None:
        """Changed items to all; None where there are none."""
        return self.changed / self.items if self.items else None

    @property
    def fix_rate(self) -> float | None:
        """Mended items to those that were wrong; None where none is known to have been."""
        return self.fixed / self.wrong if self.wrong else None


@dataclass(frozen=True)
class ReworkRates:
    """The earlier sample and all that lies outside it."""

    inside: Part
    outside: Part

    @property
    def only_sampled(self) -> bool:
        """Whether (nearly) nothing changed but what had been sampled."""
        inside, outside = self.inside.change_rate, self.outside.change_rate
        return bool(inside) and outside is not None and inside is not None and outside < FEW * inside

    @property
    def nothing_changed(self) -> bool:
        """Whether the new submission is the old one."""
        return self.inside.changed + self.outside.changed == 0


def rework_rates(
    items: Collection[str],
    sampled: Collection[str],
    *,
    changed: Collection[str],
    wrong_before: Collection[str],
    wrong_now: Collection[str],
) -> ReworkRates:
    """Count what a rework changed and mended.

    Args:
        items: the lot's items.
        sampled: the items on which the earlier verdict stood.
        changed: items whose labels differ between the two submissions.
        wrong_before: items that gold, old or new, found wrong in the earlier submission.
        wrong_now: of the items with that gold, those that are wrong in the new submission.
    """
    lot, inside = set(items), set(sampled) & set(items)
    changes, before = set(changed), set(wrong_before)
    fixed = before - set(wrong_now)

    def part(names: set[str]) -> Part:
        return Part(len(names), len(changes & names), len(before & names), len(fixed & names))

    return ReworkRates(part(inside), part(lot - inside))


def wrong_items(scores: Mapping[Task, Score]) -> set[str]:
    """Return the items with at least one error in any of `scores`."""
    wrong: set[str] = set()
    for score in scores.values():
        if isinstance(score, SentimentScore):
            differs = pc.fill_null(pc.not_equal(score.pairs["gold_label"], score.pairs["label"]), fill_value=True)
            wrong |= set(score.pairs.filter(differs)["item"].to_pylist())
        elif isinstance(score, BoxScore | TimelineScore):
            wrong |= _with_errors(score.items)
        wrong |= set(score.coverage.incomplete)
    return wrong


def _with_errors(counts: pa.Table) -> set[str]:
    return set(counts.filter(pc.greater(pc.add(counts["fp"], counts["fn"]), 0))["item"].to_pylist())
