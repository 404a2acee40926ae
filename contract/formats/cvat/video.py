"""The labels of a video from CVAT XML 1.1: tracks of 'CVAT for video', frame tags of 'CVAT for images'."""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from contract.errors import FormatError
from contract.formats.cvat.labels import KEYFRAME, SHOT, STATE_LABELS
from contract.formats.cvat.reading import Attributes, Meta, floats, item_of_video, score_of, weightier, whole
from contract.formats.lotview import LotView, require_name
from contract.labelset import LabelSet
from contract.tables import SCHEMAS, STATES, TASKS_OF_KIND, Kind, State, Task
from contract.validate import TRANSITIONS

_STEP: Final = re.compile(r"step=([1-9]\d{0,8})")
Seen = tuple[int, bool, Mapping[str, str]]  # frame, whether it is in sight there, attributes


class VideoSection:
    """One video: its labels are tracks, which last from where they are seen to where they are gone, or frame tags.

    Args:
        meta: of the task.
        lot: the manifest and guideline.
        where: the file, for messages.
    """

    def __init__(self, meta: Meta, lot: LotView, where: str) -> None:
        self._lot = lot
        self._item = item_of_video(meta, lot, where=where)
        self._where = f"{where}: item {self._item!r}"
        self._facts = lot.rows[self._item]
        step = _STEP.fullmatch(meta.said("frame_filter"))
        self._step = int(step[1]) if step else 1
        stop = meta.said("stop_frame")
        known = None if not stop else whole(stop, name="stop_frame", where=self._where) + self._step
        frames = self._facts["frames"]
        self._end: int | None = min((each for each in (known, frames) if each), default=None)
        self._label: str | None = None
        self._frame: int | None = None
        self._seen: list[Seen] = []
        self._tags: dict[str, list[Seen]] = {}
        self._state: State | None = None
        self._rows: dict[Task, list[dict[str, Any]]] = {task: [] for task in TASKS_OF_KIND[Kind.VIDEO]}

    def begin(self, name: str, attributes: Attributes) -> None:
        """Open an <image>, which is a frame, or a <track>."""
        if name == "image":
            self._frame = whole(attributes.get("id"), name="the id of an image", where=self._where)
        else:
            self._label, self._seen = self._known(attributes.get("label")), []

    def _known(self, label: str | None) -> str:
        if label in self._lot.guideline.class_names:
            raise FormatError(
                f"{self._where} has boxes of the class {label!r}; boxes in videos are no labels of goldgate, "
                "so take them out or label the frames as images"
            )
        if label in STATE_LABELS or label in (SHOT, KEYFRAME):
            return str(label)
        return require_name(label, self._lot.guideline.event_names, word="event", where=self._where)

    def add(self, name: str, attributes: Attributes, values: Attributes) -> None:
        """Take a <box> of a track or a <tag> of a frame."""
        if self._label is not None:
            if name == "box":
                frame = whole(attributes.get("frame"), name="the frame of a box", where=self._where)
                self._seen.append((frame, attributes.get("outside") != "1", values))
            return
        label = self._known(attributes.get("label"))
        if name == "box":
            raise FormatError(f"{self._where} has boxes on single frames; export the task from CVAT as 'CVAT for video 1.1'")
        self._tags.setdefault(label, []).append((self._frame or 0, True, values))

    def finish(self, name: str) -> None:
        """Close a <track>, of which every time that it is in sight becomes a label."""
        label, self._label, self._frame = self._label, None, None
        if label is None:
            return
        seen = sorted(self._seen, key=lambda each: each[0])
        runs = [(visible, list(run)) for visible, run in itertools.groupby(seen, key=lambda each: each[1])]
        for at, (visible, run) in enumerate(runs):
            if visible:
                end = runs[at + 1][1][0][0] if at + 1 < len(runs) else self._until(run[-1][0])
                self._take(label, run[0][0], end, run[0][2])

    def _until(self, last: int) -> int:
        """Return where something ends that is still in sight at `last`: with the task, or with the video."""
        return max(last + 1, self._end or 0)

    def _take(self, label: str, start: int, end: int, values: Attributes) -> None:
        if label in STATE_LABELS:
            self._state = weightier(self._state, STATE_LABELS[label])
            return
        task = {SHOT: Task.SHOTS, KEYFRAME: Task.KEYFRAMES}.get(label, Task.EVENTS)
        frames = [start] if task is Task.KEYFRAMES else [start, end]
        seconds = self._seconds(frames, values)
        row: dict[str, Any] = {"item": self._item, "source": values.get("source") or None}
        if task is Task.KEYFRAMES:
            row |= {"frame": start, "time_s": seconds[0]}
        else:
            row |= {"start_frame": start, "end_frame": end, "start_s": seconds[0], "end_s": seconds[1]}
        if task is Task.SHOTS:
            transition = values.get("transition") or ("cut" if start else "start")
            row["transition"] = require_name(transition, TRANSITIONS, word="transition", where=self._where)
        else:
            row["score"] = score_of(values, where=self._where)
        if task is Task.EVENTS:
            row["label"] = label
        self._rows[task].append(row)

    def _seconds(self, frames: Sequence[int], values: Attributes) -> list[float]:
        """Return the times of frames: as they were written, while the frames are the same, and by the frame rate."""
        written = floats(values.get("exact", ""))
        if len(written) == 2 * len(frames) and written[: len(frames)] == list(frames):
            return written[len(frames) :]
        if not self._facts["fps"]:
            raise FormatError(f"{self._where} has no frame rate in the manifest, so seconds cannot be told")
        return [frame / self._facts["fps"] for frame in frames]

    def _spans(self, label: str, tags: list[Seen]) -> Iterator[tuple[int, int, Attributes]]:
        """Yield what frame tags say: a shot begins, a keyframe stands alone, frames in a row are one event."""
        tags.sort(key=lambda each: each[0])
        frames = [frame for frame, _, _ in tags]
        if label == SHOT:
            ends = [*frames[1:], self._until(frames[-1])]
            yield from ((frame, end, values) for (frame, _, values), end in zip(tags, ends, strict=True) if end > frame)
        elif label == KEYFRAME:
            yield from ((frame, frame + 1, values) for frame, _, values in tags)
        else:
            start = 0
            for at in range(1, len(tags) + 1):
                if at == len(tags) or frames[at] > frames[at - 1] + self._step or tags[at][2] != tags[start][2]:
                    yield frames[start], frames[at - 1] + self._step, tags[start][2]
                    start = at

    def labels(self) -> LabelSet:
        """Return the state and the tables of shots, keyframes and events."""
        for label, tags in self._tags.items():
            for start, end, values in self._spans(label, tags):
                self._take(label, start, end, values)
        labelled = any(self._rows.values())
        if self._state is None or (self._state is State.MISSING and labelled):
            self._state = State.LABELLED if labelled else State.EMPTY
        states = [{"item": self._item, "kind": Kind.VIDEO.value, "state": self._state.value}]
        tables = {task: pa.Table.from_pylist(rows, schema=SCHEMAS[task]) for task, rows in self._rows.items()}
        return LabelSet(pa.Table.from_pylist(states, schema=STATES), tables)
