"""Answers of models as Label Studio's predictions: one a task, its regions on the controls of the labelling interface."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from contract.errors import SourceError
from contract.formats.labelstudio.config import KEYFRAME
from contract.formats.labelstudio.regions import region
from contract.formats.labelstudio.tags import Control, LabelInterface, ObjectTag
from contract.tables import Kind, State, Task
from models.images import image_size


@dataclass(frozen=True)
class Outcome:
    """What became of one object of a task.

    Args:
        source: the model's word for itself, or None where no model saw the object.
        row: of `contract.answers`, or None.
        size: width and height of an image after EXIF orientation.
        reason: why there is no row.
    """

    source: str | None
    row: Mapping[str, Any] | None
    size: tuple[int, int] | None = None
    reason: str | None = None

    @property
    def failed(self) -> str | None:
        """Why the object is not labelled; None where it is, if only with nothing on it."""
        if self.row is None:
            return self.reason or "it was not labelled"
        return str(self.row["reason"]) if self.row["state"] == State.REJECTED.value else None


def outcome_of(kind: Kind, source: str, row: Mapping[str, Any], content: bytes) -> Outcome:
    """Return the outcome of an object that a model has seen."""
    if kind is not Kind.IMAGE or row["state"] != State.LABELLED.value:
        return Outcome(source, row)
    try:
        return Outcome(source, row, size=image_size(content))
    except SourceError as error:
        return Outcome(source, None, reason=str(error))


def prediction(
    interface: LabelInterface, data: Mapping[str, Any], outcomes: Mapping[ObjectTag, Outcome], *, version: str
) -> dict[str, Any]:
    """Return the prediction of one task; its score is that of its least certain region.

    A task of which nothing could be labelled has another model_version than `version`: an empty prediction means that
    the model found nothing, and Label Studio asks again for tasks that have none of the model's version.

    Args:
        interface: the labelling interface.
        data: the task's data.
        outcomes: what became of each object of the task.
        version: the models' word for themselves.
    """
    regions: list[dict[str, Any]] = []
    for control in interface.controls:
        outcome = outcomes.get(control.target)
        if outcome is not None and outcome.row is not None and outcome.failed is None:
            rate = control.target.frame_rate(data) if control.target.kind is Kind.VIDEO else None
            for task, row in _rows(control, outcome.row):
                regions += _region(control, task, row, outcome, rate=rate, number=len(regions) + 1)
    scores = [each["score"] for each in regions if "score" in each]
    made: dict[str, Any] = {"model_version": version, "score": min(scores, default=None), "result": regions}
    failures = [reason for outcome in outcomes.values() if (reason := outcome.failed)]
    if failures and len(failures) == len(outcomes):
        made["model_version"] = failed_version(version)
    if failures:
        made["error"] = "; ".join(dict.fromkeys(failures))
    return made


def failed_version(version: str) -> str:
    """Return the model_version of a task that could not be labelled."""
    return f"{version} failed"


def _rows(control: Control, row: Mapping[str, Any]) -> Iterator[tuple[Task, Mapping[str, Any]]]:
    for task in control.tasks:
        for each in row[task.value]:
            yield task, each


def _region(
    control: Control, task: Task, row: Mapping[str, Any], outcome: Outcome, *, rate: float | None, number: int
) -> list[dict[str, Any]]:
    """Return the region of one label; none where the control lacks the label, or the score is below its threshold."""
    label = control.label_of(
        {Task.SHOTS: row.get("transition"), Task.KEYFRAMES: KEYFRAME}.get(task) or str(row.get("label"))
    )
    score = _score(row.get("score"))
    if label is None or (score is not None and control.threshold is not None and score < control.threshold):
        return []
    whole = {"crowd": None, "area": None, **row, "score": score, "source": outcome.source}
    if rate is not None:
        whole |= _frames(row, rate)
    width, height = outcome.size or (None, None)
    facts = {"item": str(number), "kind": control.target.kind.value, "width": width, "height": height}
    made = region(task, whole, facts, name=f"{task.value}-{number}")
    made |= {"from_name": control.name, "to_name": control.target.name}
    value = made["value"]
    value[made["type"]] = [label]
    if task is Task.SENTIMENTS and "choice" in made["meta"]:
        made["meta"]["choice"] = label
    # A box that lies beside its image has nothing that a person could take hold of.
    return [made] if task is not Task.BOXES or (value["width"] > 0 and value["height"] > 0) else []


def _score(score: Any) -> float | None:
    if not isinstance(score, (int, float)) or not math.isfinite(score):
        return None
    return min(1.0, max(0.0, float(score)))


def _frames(row: Mapping[str, Any], rate: float) -> dict[str, int]:
    """Return the frames of a label on a time axis of `rate` frames a second, counted from 0, the end exclusive.

    Every moment goes to the nearest boundary of frames: where the rate is the video's own, even if rounded (29.97 for
    30000/1001), its frames stay as they are; where it is another, spans that meet still meet.
    """
    if "time_s" in row:
        return {"frame": _frame(row["time_s"], rate)}
    start = _frame(row["start_s"], rate)
    return {"start_frame": start, "end_frame": max(start + 1, _frame(row["end_s"], rate))}


def _frame(seconds: float, rate: float) -> int:
    return max(0, math.floor(seconds * rate + 0.5))
