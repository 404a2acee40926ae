"""Consistency, completeness and bias as documents: what accuracy against gold does not show.

A contract promises accuracy, consistency and completeness (clause 4.2(2)); pre-labels add the question whether people
looked at all. A figure that is undefined is null with a reason, as in `scores`.
"""

from collections.abc import Mapping
from typing import Final, Literal

import pyarrow as pa
from pydantic import Field

from contract.scores import Document, Interval
from contract.tables import Kind, Task

BIAS_ROWS: Final = pa.schema(
    [
        pa.field("task", pa.string(), nullable=False),
        pa.field("item", pa.string(), nullable=False),
        pa.field("drafted", pa.bool_(), nullable=False),  # drafts and submission both speak of it
        pa.field("blind", pa.bool_(), nullable=False),
        *(
            pa.field(name, pa.int64(), nullable=False)
            for name in (
                "drafts",
                "untouched",
                "labels",
                "kept",
                "kept_scored",
                "kept_right",
                "edited_scored",
                "edited_right",
            )
        ),
    ]
)


class Agreement(Document):
    """How far two labellings of the same items agree; neither is true, so that both sides may be swapped."""

    task: Task
    first: str = Field(description="who labelled, for example submission 1")
    second: str
    items: int = Field(description="items that both sides labelled or called empty")
    counts: Mapping[str, int] = Field(description="matched, only_first, only_second; for texts agreeing, disagreeing")
    figures: Mapping[str, float | None]
    bound: Interval = Field(description="of F1 (items as clusters) or of the share of texts that agree")
    reasons: Mapping[str, str] = Field(default_factory=dict)


class GoldCeiling(Document):
    """What a faultless vendor can reach at most, since the gold has errors too (acceptance notes, 3.7).

    Two people who err independently, each with chance e and evenly over the other labels, disagree on a share
    d = 2e - e**2 K / (K - 1) of texts with K labels. The upper limit of d gives the upper limit of e.
    """

    texts: int = Field(description="texts with gold of two people")
    disagreeing: int
    labels: int = Field(description="K, the labels to choose from")
    error: float | None = Field(description="e, of one person")
    error_upper: float | None
    ceiling: float | None = Field(description="1 - e")
    ceiling_lower: float | None
    confidence: float
    reason: str | None = None


class Completeness(Document):
    """Every item of a kind in exactly one state: the four counts add up to `items`."""

    kind: Kind
    items: int
    labelled: int
    empty: int = Field(description="called empty: looked at, and nothing there")
    excused: int = Field(description="excused by the gold: no vendor excuses an item alone")
    missing: int = Field(description="neither labelled nor called empty nor excused")
    missing_items: tuple[str, ...]
    excused_items: tuple[str, ...]


class Consistency(Document):
    """The three families of clause 4.2(2) beside accuracy: agreement, self-consistency, completeness."""

    submission: int | None
    labels_sha256: str | None = Field(description="seal of the submission that this speaks of")
    agreement: tuple[Agreement, ...] = Field(description="items labelled twice, by two submissions or two sources")
    duplicates: int = Field(description="pairs of items with the same content")
    self_consistency: tuple[Agreement, ...] = Field(description="the submission against itself on such pairs")
    completeness: tuple[Completeness, ...]


class Portion(Document):
    """Labels that went through review one way, and how many of them the gold confirms."""

    labels: int = Field(description="labels of the submission of this portion, on items with gold")
    right: int = Field(description="those that the gold matches")
    accuracy: Interval


class Bias(Document):
    """What became of the drafts of one task.

    A draft is untouched if the submission holds it unchanged: the same class and, for boxes, every side within `epsilon_px`;
    the same sentiment; the same frames and name. All other labels of the submission count as edited, new ones included.
    """

    task: Task
    epsilon_px: float | None = Field(description="boxes only")
    drafts: int
    untouched: int
    untouched_share: Interval
    items: int = Field(description="items with drafts that the submission speaks of")
    unchanged_items: int = Field(description="items that came back exactly as they went out")
    accuracy_untouched: Portion | None
    accuracy_edited: Portion | None
    against_blind: Interval | None = Field(
        description="F1 (texts: accuracy) on items whose gold was made without sight of drafts"
    )
    against_corrected: Interval | None = Field(description="the same on all other gold")
    difference: float | None = Field(description="against corrected gold less against blind gold")
    difference_lower: float | None = Field(description="its one-sided lower limit, from the limits of both (MOVER)")
    anchored: bool | None = Field(description="the lower limit of the difference is over 0: corrected gold flatters")
    reasons: Mapping[str, str] = Field(default_factory=dict)


class SeedsCaught(Document):
    """Deliberately wrong drafts and how many of them the vendor corrected."""

    task: Task
    kind: Literal["wrong_class", "moved", "dropped", "wrong_label"]
    seeded: int
    caught: int
    share: Interval


class BiasOfDrafts(Document):
    """Bias of pre-labels in a lot: by task, and the seeded errors that were caught."""

    run: str
    submission: int
    gold: int | None
    blind_items: int = Field(description="items of the gold that are known to be blind")
    planted: int | None = Field(description="number of the deliberately wrong drafts that people saw")
    tasks: tuple[Bias, ...]
    seeds: tuple[SeedsCaught, ...]
    rows: pa.Table = Field(default_factory=BIAS_ROWS.empty_table, exclude=True, repr=False)


class Quality(Document):
    """All of it, for one report."""

    consistency: Consistency | None = None
    ceiling: GoldCeiling | None = None
    bias: BiasOfDrafts | None = None
    no_bias: str | None = Field(default=None, description="why bias was not computed although there are drafts")
