"""The acceptance profile: every choice that decides a verdict, fixed before work starts.

Nothing here has a default: a field that the parties leave open is refused and named (reference:
the profile sketch of the project's acceptance notes; Korn and Graubard 1998; Clopper and Pearson 1934).
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from contract.guideline import Strict
from contract.inspection import AqlSampling
from contract.ruleterms import items_to_prove, proof_method, rule_problems

Rule = Literal["lower_bound", "point", "aql", "e_process"]
Share = Annotated[float, Field(ge=0, le=1)]
Threshold = Annotated[float, Field(gt=0, lt=1)]
Confidence = Annotated[float, Field(gt=0.5, lt=1)]


class Thresholds(Strict):
    """Thresholds by metric; null says that the parties do not demand it, and at least one is demanded."""

    @model_validator(mode="after")
    def _something_is_demanded(self) -> "Thresholds":
        if not self.demanded:
            raise ValueError("every threshold is null, so nothing would decide the verdict; set at least one")
        return self

    @property
    def demanded(self) -> dict[str, float]:
        """Metric -> threshold, for the metrics that the parties demand, in the profile's order."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: value for name, value in values.items() if value is not None}


class BoxMetrics(Thresholds):
    """Thresholds over matched boxes; null says that the parties do not demand it."""

    f1: Threshold | None
    precision: Threshold | None
    recall: Threshold | None
    class_recall_min: Threshold | None
    conforming: Threshold | None = None  # share of images without any defect


class SentimentMetrics(Thresholds):
    """Thresholds over texts; null says that the parties do not demand it."""

    accuracy: Threshold
    macro_f1: Threshold | None
    class_recall_min: Threshold | None


class VideoMetrics(Thresholds):
    """Thresholds over videos; null says that the parties do not demand it."""

    keyframe_f1: Threshold | None
    event_f1: Threshold | None
    shot_f1: Threshold | None
    keyframe_conforming: Threshold | None = None  # share of videos whose keyframes have no defect
    event_conforming: Threshold | None = None
    shot_conforming: Threshold | None = None


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


def _is_start(match: str) -> bool:
    return match == "start"


class VideoProfile(Strict):
    """How keyframes, shots and events are read."""

    keyframe_tolerance_s: Annotated[float, Field(ge=0)]
    shot_tolerance_frames: Annotated[int, Field(ge=0)]
    # What a start is compared with: the gold's, or its whole change. Left out of the canonical JSON where it says nothing
    # new, so that terms of before keep their digest.
    shot_match: Annotated[Literal["start", "transition"], Field(exclude_if=_is_start)] = "start"
    event_tiou: Annotated[float, Field(gt=0, le=1)]
    metrics: VideoMetrics
    bound: VideoBound


Stratum = Literal["class", "annotator", "confidence"]


class Sampling(Strict):
    """How many items are checked, and who can predict which; without `stratify` the draw is plain."""

    mode: Literal["lower_bound", "aql", "e_process"]
    min_items: Annotated[int, Field(gt=0)]
    extend_to: Annotated[int, Field(gt=0)]
    draw: Literal["commit_reveal", "full"]
    aql: AqlSampling | None = None  # under rule aql, and only there
    stratify: tuple[Stratum, ...] = ()

    @model_validator(mode="after")
    def _each_stratum_once(self) -> "Sampling":
        if len(set(self.stratify)) < len(self.stratify):
            raise ValueError("stratify names one stratum twice")
        return self

    @model_validator(mode="after")
    def _extension_is_no_smaller(self) -> "Sampling":
        if self.extend_to < self.min_items:
            raise ValueError(
                f"extend_to is {self.extend_to}, less than min_items, which is {self.min_items}; raise extend_to"
            )
        return self


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
    rule: Rule  # what must reach the threshold
    sampling: Sampling
    gold: Gold
    rework: Rework
    deemed_acceptance_workdays: Annotated[int, Field(ge=0)]

    @property
    def profiles(self) -> "dict[str, ImageProfile | TextProfile | VideoProfile]":
        """Kind -> profile, for the kinds that have one."""
        found = {"image": self.image, "text": self.text, "video": self.video}
        return {kind: profile for kind, profile in found.items() if profile is not None}

    @model_validator(mode="after")
    def _the_rule_fits(self) -> "Acceptance":
        if problems := list(rule_problems(self)):
            raise ValueError("; ".join(problems))
        return self

    @model_validator(mode="after")
    def _the_sample_can_prove_the_thresholds(self) -> "Acceptance":
        if self.rule in {"point", "aql"}:
            return self
        census = self.sampling.draw == "full"
        problems = []
        for kind, profile in self.profiles.items():
            metric, needed = _largest_need(profile, rule=self.rule, census=census)
            if needed > self.sampling.extend_to:
                problems.append(
                    f"acceptance.{kind}.metrics.{metric} of {profile.metrics.demanded[metric]:g} at confidence "
                    f"{profile.bound.confidence:g} cannot be proven on fewer than {needed} items, even by a delivery "
                    f"without one error, but acceptance.sampling.extend_to stops at {self.sampling.extend_to}; "
                    f"raise it to {needed} or more"
                )
        if problems:
            raise ValueError("; ".join(problems))
        return self


def _largest_need(profile: ImageProfile | TextProfile | VideoProfile, *, rule: Rule, census: bool) -> tuple[str, int]:
    """Return the metric over all items that needs the largest sample, and that sample's size.

    The smallest recall over classes counts the items of one class, whose number no one knows beforehand; and a lot
    that is checked whole proves itself where the bound knows the lot's size.
    """
    if census and not (isinstance(profile, TextProfile) and not profile.bound.finite_lot):
        return "", 1
    if isinstance(profile, TextProfile):
        demanded = {"accuracy": profile.metrics.accuracy}
    else:
        demanded = {name: value for name, value in profile.metrics.demanded.items() if name != "class_recall_min"}
    bound = profile.bound
    needs = {
        name: items_to_prove(value, bound.confidence, method=proof_method(rule, name, bound.method))
        for name, value in demanded.items()
    }
    return max(needs.items(), key=lambda need: need[1], default=("class_recall_min", 1))
