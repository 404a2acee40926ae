"""The acceptance profile: every choice that decides a verdict, fixed before work starts.

Nothing here has a default: a field that the parties leave open is refused and named (reference:
the profile sketch of the project's acceptance notes; Korn and Graubard 1998; Clopper and Pearson 1934).
"""

from typing import Annotated, Literal

from pydantic import Field

from contract.guideline import Strict

Share = Annotated[float, Field(ge=0, le=1)]
Threshold = Annotated[float, Field(gt=0, lt=1)]
Confidence = Annotated[float, Field(gt=0.5, lt=1)]


class BoxMetrics(Strict):
    """Thresholds over matched boxes; null says that the parties do not demand it."""

    f1: Threshold | None
    precision: Threshold | None
    recall: Threshold | None
    class_recall_min: Threshold | None


class SentimentMetrics(Strict):
    """Thresholds over texts; null says that the parties do not demand it."""

    accuracy: Threshold
    macro_f1: Threshold | None
    class_recall_min: Threshold | None


class VideoMetrics(Strict):
    """Thresholds over videos; null says that the parties do not demand it."""

    keyframe_f1: Threshold | None
    event_f1: Threshold | None
    shot_f1: Threshold | None


class BoxBound(Strict):
    """How uncertainty is stated for boxes: the image is the unit of sampling."""

    method: Literal["korn_graubard", "cluster_bootstrap"]
    confidence: Confidence
    cluster: Literal["image"]


class SentimentBound(Strict):
    """How uncertainty is stated for texts."""

    method: Literal["clopper_pearson", "wilson", "jeffreys"]
    confidence: Confidence
    finite_lot: bool


class VideoBound(Strict):
    """How uncertainty is stated for videos: the video is the unit of sampling."""

    method: Literal["korn_graubard", "cluster_bootstrap"]
    confidence: Confidence
    cluster: Literal["video"]


class ImageProfile(Strict):
    """How boxes are read."""

    matching: Literal["hungarian", "greedy_iou"]
    iou: Annotated[float, Field(gt=0, le=1)]
    class_aware: bool
    crowd: Literal["ignore", "count"]
    min_side_px: Annotated[float, Field(ge=0)]
    metrics: BoxMetrics
    bound: BoxBound


class TextProfile(Strict):
    """How sentiments are read."""

    metrics: SentimentMetrics
    bound: SentimentBound


class VideoProfile(Strict):
    """How keyframes, shots and events are read."""

    keyframe_tolerance_s: Annotated[float, Field(ge=0)]
    shot_tolerance_frames: Annotated[int, Field(ge=0)]
    event_tiou: Annotated[float, Field(gt=0, le=1)]
    metrics: VideoMetrics
    bound: VideoBound


class Sampling(Strict):
    """How many items are checked, and who can predict which."""

    mode: Literal["lower_bound"]
    min_items: Annotated[int, Field(gt=0)]
    extend_to: Annotated[int, Field(gt=0)]
    draw: Literal["commit_reveal", "full"]


class Gold(Strict):
    """Where the gold comes from."""

    blind_share: Share
    double_label_share: Share
    dispute_workdays: Annotated[int, Field(ge=0)]
    arbiter: Annotated[str, Field(min_length=1)]


class Rework(Strict):
    """What follows a rejection."""

    max_rounds: Annotated[int, Field(ge=0)]
    workdays: Annotated[int, Field(ge=0)]
    fresh_sample: bool
    severity_after_reject: Literal["same", "tightened"]


class Acceptance(Strict):
    """The whole profile; a kind that the contract does not order has null."""

    image: ImageProfile | None
    text: TextProfile | None
    video: VideoProfile | None
    rule: Literal["lower_bound", "point"]  # what must reach the threshold
    sampling: Sampling
    gold: Gold
    rework: Rework
    deemed_acceptance_workdays: Annotated[int, Field(ge=0)]
