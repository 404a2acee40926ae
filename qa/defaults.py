"""Profiles for scoring two files with no contract at hand: the reading is stated in every score."""

from collections.abc import Mapping
from typing import Final

from contract.acceptance import (
    BoxBound,
    BoxMetrics,
    ImageProfile,
    SentimentBound,
    SentimentMetrics,
    TextProfile,
    VideoBound,
    VideoMetrics,
    VideoProfile,
)
from contract.tables import Kind

IMAGE: Final = ImageProfile(
    matching="hungarian",
    iou=0.5,
    class_aware=True,
    crowd="ignore",
    min_side_px=0,
    metrics=BoxMetrics(f1=0.9, precision=None, recall=None, class_recall_min=None),
    bound=BoxBound(method="korn_graubard", confidence=0.95, cluster="image"),
)

TEXT: Final = TextProfile(
    metrics=SentimentMetrics(accuracy=0.9, macro_f1=None, class_recall_min=None),
    bound=SentimentBound(method="clopper_pearson", confidence=0.95, finite_lot=False),
)

VIDEO: Final = VideoProfile(
    keyframe_tolerance_s=0.5,
    shot_tolerance_frames=2,
    event_tiou=0.5,
    metrics=VideoMetrics(keyframe_f1=0.9, event_f1=0.9, shot_f1=0.9),
    bound=VideoBound(method="korn_graubard", confidence=0.95, cluster="video"),
)

OF_KIND: Final[Mapping[Kind, ImageProfile | TextProfile | VideoProfile]] = {
    Kind.IMAGE: IMAGE,
    Kind.TEXT: TEXT,
    Kind.VIDEO: VIDEO,
}
