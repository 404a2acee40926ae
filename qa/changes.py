"""Changes of shot scored as lists of changes, where there are no label tables: for measuring detectors."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from contract.errors import LabelsError
from contract.labelset import LabelSet
from contract.scores import ShotScore
from contract.tables import SCHEMAS, STATES, Kind, State, Task, conform
from qa import defaults
from qa.score_timelines import score_shots


class Change(NamedTuple):
    """A change of shot; for a cut `first` and `start` are equal."""

    kind: str  # cut, dissolve, fade or wipe
    first: int  # first changed frame
    start: int  # first frame of the new shot


class Length(NamedTuple):
    """How long a video is."""

    frames: int
    rate: float  # frames a second


def score_changes(
    found: Mapping[str, Sequence[Change]],
    gold: Mapping[str, Sequence[Change]],
    lengths: Mapping[str, Length],
    *,
    tolerance: int = defaults.VIDEO.shot_tolerance_frames,
) -> ShotScore:
    """Score changes of shot, by video, in the reading of whole transitions (`shot_match: transition`).

    Args:
        found: what a detector says; the changes of a video in any order. One without kinds says "cut" of all.
        gold: what is so; the changes of a video in any order, none within another.
        lengths: of every video of the gold.
        tolerance: in frames.

    Raises:
        LabelsError: a video was found something in that the gold does not know.
    """
    unknown = sorted({*found, *gold} - set(lengths))
    if unknown:
        raise LabelsError(f"video {unknown[0]!r} has no length; name the frames and the rate of every video")
    profile = defaults.VIDEO.model_copy(update={"shot_match": "transition", "shot_tolerance_frames": tolerance})
    return score_shots(_labels(found, lengths), _labels(gold, lengths), profile)


def _labels(changes: Mapping[str, Sequence[Change]], lengths: Mapping[str, Length]) -> LabelSet:
    rows = [row for item in sorted(lengths) for row in _shots(item, changes.get(item, ()), lengths[item])]
    states = [{"item": item, "kind": Kind.VIDEO.value, "state": State.LABELLED.value} for item in sorted(lengths)]
    schema = SCHEMAS[Task.SHOTS]
    shots = pa.Table.from_pylist(rows, schema=schema)
    return LabelSet(pa.Table.from_pylist(states, schema=STATES), {Task.SHOTS: conform(shots, schema)})


def _shots(item: str, changes: Sequence[Change], length: Length) -> list[dict[str, Any]]:
    """Return the shots between the changes, by the frame at which they begin."""
    ordered = sorted(changes, key=lambda change: (change.start, change.first))
    begins = [("start", 0), *((change.kind, change.start) for change in ordered)]
    ends = [*(change.first for change in ordered), length.frames]
    return [
        {
            "item": item,
            "transition": kind,
            "start_frame": begin,
            "end_frame": end,
            "start_s": begin / length.rate,
            "end_s": end / length.rate,
        }
        for (kind, begin), end in zip(begins, ends, strict=True)
    ]
