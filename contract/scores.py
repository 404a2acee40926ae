"""Scores: what comparing labels with gold yields, as documents that both parties can read.

A figure that is undefined is null, and `reasons` of the same document says why under the figure's name.
Counts are integers that add over any split of the items; rates are divided once, at the end.
Tables of evidence (BOX_MATCHES and the like) travel on the objects but stay out of their JSON.
Definitions: the acceptance notes, sections 3.6 (boxes), 3.7 (sentiments), 3.8 (videos), 3.3 (bounds).
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from contract.tables import Task


def _required(name: str, of: pa.DataType) -> pa.Field:
    return pa.field(name, of, nullable=False)


BOX_MATCHES: Final = pa.schema(
    [
        _required("item", pa.string()),
        _required("gold_row", pa.int64()),  # row of the gold's boxes table
        _required("label_row", pa.int64()),  # row of the submission's boxes table
        _required("gold_label", pa.string()),
        _required("label", pa.string()),
        _required("iou", pa.float64()),
    ]
)

BOX_DEFECTS: Final = pa.schema(
    [
        _required("item", pa.string()),
        _required("kind", pa.string()),  # missed, spurious, wrong_class, loose_box, duplicate
        pa.field("gold_row", pa.int64()),  # null where no gold box takes part
        pa.field("label_row", pa.int64()),  # null where no box of the submission takes part
        pa.field("gold_label", pa.string()),
        pa.field("label", pa.string()),
        pa.field("iou", pa.float64()),
    ]
)

ITEM_COUNTS: Final = pa.schema(
    [
        _required("item", pa.string()),
        _required("tp", pa.int64()),
        _required("fp", pa.int64()),
        _required("fn", pa.int64()),
    ]
)

TEXT_PAIRS: Final = pa.schema(
    [
        _required("item", pa.string()),
        _required("gold_label", pa.string()),
        pa.field("label", pa.string()),  # null where the submission has none
    ]
)

TIME_MATCHES: Final = pa.schema(
    [
        _required("item", pa.string()),
        pa.field("gold_row", pa.int64()),  # row of the gold's table; null: a false positive
        pa.field("label_row", pa.int64()),  # row of the submission's table; null: a miss
        pa.field("label", pa.string()),  # event name or kind of transition (of the gold where there is one)
        pa.field("gold_s", pa.float64()),  # start, or the keyframe's own time
        pa.field("label_s", pa.float64()),
        pa.field("quality", pa.float64()),  # |offset| in frames (shots) or seconds (keyframes); tIoU (events)
    ]
)

SHOT_MATCHES: Final = TIME_MATCHES.append(pa.field("label_kind", pa.string()))  # the submission's; null: a miss

SHOT_ITEMS: Final = ITEM_COUNTS.append(pa.field("seconds", pa.float64()))  # where the gold's last shot ends; null: none


class Document(BaseModel):
    """Base of every result: unknown keys are refused and values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Interval(Document):
    """A share with its one-sided limits, each at `confidence` of its own."""

    estimate: float | None
    lower: float | None
    upper: float | None
    method: str
    confidence: float
    units: int = Field(description="independent units of sampling behind the figure: images, texts or videos")
    lot_items: int | None = Field(default=None, description="size of the lot, where the finite lot was taken into account")
    reason: str | None = Field(default=None, description="why a limit or the estimate is null")


class Coverage(Document):
    """Which items the figures stand on."""

    items: int = Field(description="items that were scored")
    incomplete: tuple[str, ...] = Field(description="items of the gold without labels: all their gold is missed")
    excused: tuple[str, ...] = Field(description="items that the gold excuses: out of the denominator")
    without_gold: int = Field(description="items of the submission that the gold does not speak of: not scored")


class Rates(Document):
    """Counts of a one-to-one matching and the rates made of them."""

    tp: int
    fp: int
    fn: int
    precision: float | None
    recall: float | None
    f1: float | None
    reasons: Mapping[str, str] = Field(default_factory=dict)


class ClassRates(Rates):
    """Rates of one class, event, or kind of transition."""

    label: str
    recall_bound: Interval | None = None


class SizeRates(Rates):
    """Rates of one COCO size: small < 32**2 <= medium < 96**2 <= large, square pixels."""

    size: Literal["small", "medium", "large"]


class BoxContract(Rates):
    """The contract's reading of boxes."""

    jaccard: float | None = Field(description="tp / (tp + fp + fn)")
    mean_iou: float | None = Field(description="mean IoU of matched pairs")
    p5_iou: float | None = Field(description="5th percentile of matched IoU, linear interpolation")
    share_iou_075: float | None = Field(description="share of matched pairs with IoU >= .75")
    lower_bound: float | None = Field(description="one-sided lower limit of F1; the method is in bounds.f1")
    upper_bound: float | None = Field(description="one-sided upper limit of F1")
    precision_lower_bound: float | None
    recall_lower_bound: float | None
    images: int
    perfect_images: int = Field(description="images with neither fp nor fn")
    ignored_gold: int = Field(description="gold boxes left out: crowd or under the minimum side")
    ignored_labels: int = Field(description="boxes of the submission left out: under the minimum side or inside a crowd")


class BoxDefects(Document):
    """Leftovers of the matching, each box once, in the order of the acceptance notes 3.6."""

    missed: int
    spurious: int
    wrong_class: int
    loose_box: int
    duplicate: int


class CocoFigures(Document):
    """The twelve figures of the COCO detection evaluation; null where there is no gold of that size."""

    AP: float | None
    AP50: float | None
    AP75: float | None
    APs: float | None
    APm: float | None
    APl: float | None
    AR1: float | None
    AR10: float | None
    AR100: float | None
    ARs: float | None
    ARm: float | None
    ARl: float | None


class ClassCoco(CocoFigures):
    """COCO's figures of one class."""

    label: str


class CocoCurves(Document):
    """Precision at the 101 recall points, averaged over classes with gold; all areas, 100 detections an image."""

    recall: tuple[float, ...]
    precision_iou_50: tuple[float, ...]
    precision_iou_75: tuple[float, ...]
    precision_iou_50_95: tuple[float, ...]


class BoxScore(Document):
    """Boxes against gold, in the contract's reading and in COCO's."""

    task: Literal[Task.BOXES] = Task.BOXES
    contract: BoxContract
    defects: BoxDefects
    per_class: tuple[ClassRates, ...]
    per_size: tuple[SizeRates, ...]
    iou_histogram: tuple[int, ...] = Field(description="matched pairs by IoU, 20 equal bins from 0 to 1")
    coco: CocoFigures | None
    coco_reason: str | None
    coco_curves: CocoCurves | None = None
    coco_per_class: tuple[ClassCoco, ...] = Field(default=(), description="classes with gold, by name")
    bounds: Mapping[Literal["precision", "recall", "f1"], Interval]
    coverage: Coverage
    reading: Mapping[str, Any] = Field(description="the profile under which the boxes were read")
    matches: pa.Table = Field(default_factory=BOX_MATCHES.empty_table, exclude=True, repr=False)
    defect_rows: pa.Table = Field(default_factory=BOX_DEFECTS.empty_table, exclude=True, repr=False)
    items: pa.Table = Field(default_factory=ITEM_COUNTS.empty_table, exclude=True, repr=False)


class Confusion(Document):
    """Counts of texts: one row a gold label, one column a submitted label, both in the order of `labels`."""

    labels: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]
    missing: tuple[int, ...] = Field(description="texts of each gold label without a submitted label")


class SentimentScore(Document):
    """Sentiments against gold; a text without a submitted label is an error."""

    task: Literal[Task.SENTIMENTS] = Task.SENTIMENTS
    n: int
    correct: int
    accuracy: float | None
    lower_bound: float | None = Field(description="one-sided lower limit of accuracy; the method is in bounds.accuracy")
    upper_bound: float | None
    macro_f1: float | None
    weighted_f1: float | None
    balanced_accuracy: float | None
    mcc: float | None
    kappa: float | None
    kappa_linear: float | None
    kappa_quadratic: float | None
    alpha_nominal: float | None
    alpha_ordinal: float | None
    alpha_interval: float | None
    majority_share: float | None = Field(
        description="share of the commonest gold label: what answering it always would score"
    )
    majority_trap: bool = Field(description="the submission gives one label to every text")
    confusion: Confusion
    per_class: tuple[ClassRates, ...]
    bounds: Mapping[Literal["accuracy", "macro_f1"], Interval]
    coverage: Coverage
    reading: Mapping[str, Any]
    reasons: Mapping[str, str] = Field(default_factory=dict)
    pairs: pa.Table = Field(default_factory=TEXT_PAIRS.empty_table, exclude=True, repr=False)

    @property
    def is_no_better_than_majority(self) -> bool:
        """Whether answering the commonest label of the gold to everything would have scored as well."""
        known = self.accuracy is not None and self.majority_share is not None and self.majority_share < 1
        return known and (self.accuracy or 0.0) <= (self.majority_share or 0.0)


class TimelineScore(Rates):
    """What shots, keyframes and events have in common; the video is the unit of sampling."""

    lower_bound: float | None = Field(description="one-sided lower limit of F1; the method is in bounds.f1")
    upper_bound: float | None
    bounds: Mapping[Literal["precision", "recall", "f1"], Interval]
    per_class: tuple[ClassRates, ...] = Field(description="by event, or by kind of transition; none for keyframes")
    coverage: Coverage
    reading: Mapping[str, Any]
    matches: pa.Table = Field(default_factory=TIME_MATCHES.empty_table, exclude=True, repr=False)
    items: pa.Table = Field(default_factory=ITEM_COUNTS.empty_table, exclude=True, repr=False)


class KindConfusion(Document):
    """Transitions by kind: one row a gold kind, one column a submitted kind, over matched pairs; and what is left over."""

    labels: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]
    missed: tuple[int, ...] = Field(description="gold transitions of each kind without a partner")
    spurious: tuple[int, ...] = Field(description="submitted transitions of each kind without a partner")


class KindRates(Rates):
    """Rates of one kind of transition when its name counts: a pair of two kinds is a miss of one and a false other."""

    label: str


class ShotScore(TimelineScore):
    """Starts of shots against gold; a video's first shot, which starts it, is no transition."""

    task: Literal[Task.SHOTS] = Task.SHOTS
    mean_offset_frames: float | None
    kinds: KindConfusion
    per_kind: tuple[KindRates, ...] = Field(description="kinds that either side names, in the order of `kinds.labels`")
    kinds_right: float | None = Field(description="share of the matched transitions whose kind is named right")
    seconds: float | None = Field(description="length of the videos scored: where the gold's last shot ends")
    false_per_10_min: float | None = Field(description="false positives in 600 s of video")
    matches: pa.Table = Field(default_factory=SHOT_MATCHES.empty_table, exclude=True, repr=False)
    items: pa.Table = Field(default_factory=SHOT_ITEMS.empty_table, exclude=True, repr=False)


class KeyframeScore(TimelineScore):
    """Keyframes against gold."""

    task: Literal[Task.KEYFRAMES] = Task.KEYFRAMES
    mean_offset_s: float | None


class ActivityNet(Document):
    """Mean average precision of scored events, all-point interpolation."""

    mean: float | None = Field(description="mean over the tIoU thresholds .50, .55, ..., .95")
    at: Mapping[str, float | None] = Field(description='threshold as text ("0.50") -> mean over classes with gold')


class EventScore(TimelineScore):
    """Events against gold."""

    task: Literal[Task.EVENTS] = Task.EVENTS
    mean_tiou: float | None
    activitynet: ActivityNet | None
    activitynet_reason: str | None


Score = BoxScore | SentimentScore | ShotScore | KeyframeScore | EventScore
