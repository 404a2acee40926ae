"""CVAT XML 1.1 as a stream of boxes, tags and tracks; see `contract.formats.cvat.files` for what means what."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import pyarrow as pa

from contract.errors import FormatError
from contract.formats.cvat.labels import STATE_LABELS
from contract.formats.lotview import LotView, require_name
from contract.formats.xmlstream import XmlStream
from contract.labelset import LabelSet
from contract.tables import SCHEMAS, STATES, Kind, State, Task
from contract.words import did_you_mean

Attributes = Mapping[str, str]

VERSION: Final = "1.1"
CORNERS: Final = ("xtl", "ytl", "xbr", "ybr")
_ROWS_AT_ONCE: Final = 1 << 15
_SHAPES: Final = frozenset({"polygon", "polyline", "points", "cuboid", "ellipse", "mask", "skeleton"})
_NEAR: Final = 0.005001  # CVAT rounds a coordinate to two decimals
_WHOLE: Final = re.compile(r"\d{1,15}")


@dataclass
class Meta:
    """What <meta> says of the task: the leaves of its <task>, <job> or <project>, and its own."""

    kind: str = "task"
    leaves: dict[str, str] = field(default_factory=dict)

    def said(self, name: str) -> str:
        """Return a leaf without blanks around it, empty where there is none."""
        return self.leaves.get(name, "").strip()


class Section(Protocol):
    """What the annotations of a file are put into; `where` of each call is the place in the file, for messages."""

    def begin(self, name: str, attributes: Attributes) -> None:
        """Open an <image> or a <track>."""

    def add(self, name: str, attributes: Attributes, values: Attributes) -> None:
        """Take a <box> or <tag> of what is open, and its <attribute>s."""

    def finish(self, name: str) -> None:
        """Close what is open."""

    def labels(self) -> LabelSet:
        """Return what came together, after the end of the file."""


class CvatStream:
    """Hands the elements of a file to a section, which is chosen when <meta> has been read.

    Args:
        where: the file, for messages.
        section: makes the section.
    """

    def __init__(self, where: str, section: Callable[[Meta], Section]) -> None:
        self.where = where
        self._make = section
        self._section: Section | None = None
        self._meta = Meta()
        self._path: list[str] = []
        self._of: Attributes = {}
        self._values: dict[str, str] = {}
        self._name = ""
        self._version: str | None = None

    def labels(self) -> LabelSet:
        """Return the labels, after the end of the file."""
        return self._opened().labels()

    def start(self, name: str, attributes: dict[str, str]) -> bool:
        """Take the beginning of an element and return whether its text is wanted."""
        path, depth = self._path, len(self._path)
        path.append(name)
        if depth == 3 and path[1] != "meta":
            return self._start_attribute(name, attributes)
        if depth == 2 and path[1] in ("image", "track"):
            self._start_annotation(name, attributes)
        elif depth == 1 and name in ("image", "track"):
            self._opened().begin(name, attributes)
        elif depth == 0 and name != "annotations":
            raise FormatError(f"{self.where}: its root is <{name}>, not the <annotations> of CVAT")
        elif depth == 2 and path[1] == "meta" and name in ("task", "job", "project"):
            self._meta.kind = name
        return (depth == 1 and name == "version") or (depth in (2, 3) and path[1] == "meta")

    def end(self, name: str, text: str) -> None:
        """Take the end of an element and the text in it."""
        path = self._path
        path.pop()
        depth = len(path)
        if depth == 3 and path[1] != "meta":
            if name == "attribute":
                self._values[self._name] = text
        elif depth == 2 and path[1] in ("image", "track"):
            self._opened().add(name, self._of, self._values)
        elif depth == 1 and name in ("image", "track"):
            self._opened().finish(name)
        elif depth == 1 and name == "version":
            self._version = text.strip()
        elif depth in (2, 3) and path[1] == "meta":
            self._meta.leaves.setdefault(name, text)

    def _opened(self) -> Section:
        if self._section is None:
            if self._version != VERSION:
                found = "has no <version>" if self._version is None else f"is of version {self._version!r}"
                raise FormatError(f"{self.where}: {found}; export it from CVAT as 'CVAT for images 1.1' or for video")
            self._section = self._make(self._meta)
        return self._section

    def _start_annotation(self, name: str, attributes: dict[str, str]) -> None:
        if name not in ("box", "tag"):
            what = f"a {name}" if name in _SHAPES else f"an element <{name}>"
            raise FormatError(f"{self.where}: {self._path[1]} holds {what}; boxes and tags alone have a place in the labels")
        self._of, self._values = attributes, {}

    def _start_attribute(self, name: str, attributes: dict[str, str]) -> bool:
        if name == "attribute" and "name" not in attributes:
            raise FormatError(f"{self.where}: an <attribute> in a {self._path[2]} has no name")
        self._name = attributes.get("name", "")
        return name == "attribute"


def read_stream(pieces: Iterator[bytes], section: Callable[[Meta], Section], *, where: str) -> LabelSet:
    """Parse `pieces` and return the labels of the section.

    Raises:
        FormatError: the document is broken, or names what is not the lot's.
    """
    stream = CvatStream(where, section)
    XmlStream(stream.start, stream.end, where=where).feed(pieces)
    return stream.labels()


def finite(text: str | None, *, name: str, where: str) -> float:
    """Return the number that `text` is.

    Raises:
        FormatError: there is none, or it is not finite.
    """
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if text is None or not math.isfinite(value) or "_" in text:
        raise FormatError(f"{where}: {name} is {text!r}, which is not a finite number" if text else f"{where}: no {name}")
    return value


def whole(text: str | None, *, name: str, where: str) -> int:
    """Return the whole number, not negative, that `text` is.

    Raises:
        FormatError: it is none.
    """
    if text is None or not _WHOLE.fullmatch(text):
        raise FormatError(f"{where}: {name} is {text!r}, which is not a whole number from 0 on")
    return int(text)


def score_of(values: Attributes, *, where: str) -> float | None:
    """Return the score among an annotation's attributes; CVAT fills in an empty one where a person drew."""
    text = values.get("score")
    return finite(text, name="score", where=where) if text else None


def floats(text: str) -> list[float]:
    """Return the numbers in `text` between blanks, or none where one of them is no finite number."""
    try:
        found = [float(each) for each in text.split()]
    except ValueError:
        return []
    return found if all(map(math.isfinite, found)) else []


class ImageSection:
    """Images with boxes.

    Args:
        lot: the manifest and guideline.
        where: the file, for messages.
    """

    def __init__(self, lot: LotView, where: str) -> None:
        self._lot, self._file = lot, where
        self._classes = frozenset(lot.guideline.class_names)
        self._states: dict[str, State | None] = {}
        self._item = ""
        self._boxes = 0
        self._rows: list[tuple[Any, ...]] = []
        self._tables: list[pa.Table] = []

    def _where(self) -> str:
        return f"{self._file}: item {self._item!r}"

    def begin(self, name: str, attributes: Attributes) -> None:
        """Open an <image>."""
        if name == "track":
            raise FormatError(f"{self._file}: tracks name no images; export the task from CVAT as 'CVAT for images 1.1'")
        self._item = self._lot.join(attributes.get("name"), None, where=self._file)
        facts = self._lot.rows[self._item]
        if facts["kind"] != Kind.IMAGE.value:
            raise FormatError(f"{self._where()} is of the kind {facts['kind']} in the lot, not an image")
        for side in ("width", "height"):
            if facts[side] and side in attributes and attributes[side] != str(facts[side]):
                raise FormatError(
                    f"{self._where()} has the {side} {attributes[side]!r} in the file, but {facts[side]} in the lot, "
                    "so that its boxes would lie elsewhere"
                )
        if self._item in self._states:
            raise FormatError(f"{self._where()} stands twice in the file")
        self._states[self._item] = None
        self._boxes = 0

    def add(self, name: str, attributes: Attributes, values: Attributes) -> None:
        """Take a <box> or <tag>."""
        label = attributes.get("label")
        if name == "box":
            self._boxes += 1
            self._rows.append(self._box(label, attributes, values))
            if len(self._rows) >= _ROWS_AT_ONCE:
                self._flush()
        elif label in STATE_LABELS:
            self._states[self._item] = weightier(self._states[self._item], STATE_LABELS[label])
        else:
            near = did_you_mean(str(label), STATE_LABELS)
            raise FormatError(f"{self._where()} has the tag {label!r}; tags of images say {', '.join(STATE_LABELS)}{near}")

    def _box(self, label: str | None, attributes: Attributes, values: Attributes) -> tuple[Any, ...]:
        if label not in self._classes:
            require_name(label, self._lot.guideline.class_names, word="class", where=self._where())
        try:
            left, top, right, bottom = [float(attributes[name]) for name in CORNERS]
            sound = math.isfinite(left + top + right + bottom)
        except (KeyError, ValueError):
            sound = False
        if not sound or any("_" in attributes[name] for name in CORNERS):
            for name in CORNERS:
                finite(attributes.get(name), name=name, where=self._where())
            raise FormatError(f"{self._where()} has a box whose corners are not finite together")
        if attributes.get("rotation") and finite(attributes["rotation"], name="rotation", where=self._where()):
            raise FormatError(
                f"{self._where()} has a box rotated by {attributes['rotation']} degrees; upright ones are ordered"
            )
        sides = (left, top, right - left, bottom - top)
        score = area = None
        if values:
            if values.get("exact"):
                sides = _exact(values["exact"], (left, top, right, bottom)) or sides
            score = score_of(values, where=self._where()) if values.get("score") else None
            area = finite(values["area"], name="area", where=self._where()) if values.get("area") else None
        crowd = True if values.get("crowd") == "true" else None
        return self._item, label, *sides, score, crowd, area, values.get("source") or None

    def _flush(self) -> None:
        columns = zip(*self._rows, strict=True) if self._rows else [()] * len(_BOXES)
        arrays = [pa.array(column, of.type) for column, of in zip(columns, _BOXES, strict=True)]
        self._tables.append(pa.table(arrays, schema=_BOXES))
        self._rows.clear()

    def finish(self, name: str) -> None:
        """Close an <image>: it is labelled or empty, unless a tag says that nobody labelled it."""
        state = self._states[self._item]
        if state is None or (state is State.MISSING and self._boxes):
            self._states[self._item] = State.LABELLED if self._boxes else State.EMPTY

    def labels(self) -> LabelSet:
        """Return the states and boxes."""
        self._flush()
        kind = Kind.IMAGE.value
        rows = [{"item": item, "kind": kind, "state": state.value} for item, state in self._states.items() if state]
        tables = {Task.BOXES: pa.concat_tables(self._tables).combine_chunks()} if rows else {}
        return LabelSet(pa.Table.from_pylist(rows, schema=STATES), tables)


_BOXES: Final = SCHEMAS[Task.BOXES]


def _exact(text: str, corners: tuple[float, float, float, float]) -> tuple[float, float, float, float] | None:
    """Return x, y, w, h as they were written, where the box has not been moved since."""
    found = floats(text)
    if len(found) != 4:
        return None
    x, y, w, h = found
    written = (x, y, x + w, y + h)
    near = all(abs(one - other) <= _NEAR for one, other in zip(corners, written, strict=True))
    return (x, y, w, h) if near else None


def weightier(one: State | None, other: State) -> State:
    """Return which of two states holds: missing is what nobody has taken off yet."""
    return other if one is None or one is State.MISSING else one


def item_of_video(meta: Meta, lot: LotView, *, where: str) -> str:
    """Return the lot's item that a task of a video is about: by the task's name, or by its video's file name.

    Raises:
        FormatError: it is not in the lot, is no video, or the file holds a whole project.
    """
    if meta.kind == "project":
        raise FormatError(f"{where}: is the export of a project; export the tasks of videos from CVAT one by one")
    name = meta.leaves.get("name")
    item = name if name in lot.rows and lot.rows[name]["kind"] == Kind.VIDEO.value else None
    if item is None:
        item = lot.join(meta.said("source") or meta.said("name"), None, where=where)
    if lot.rows[item]["kind"] != Kind.VIDEO.value:
        raise FormatError(f"{where}: item {item!r} is of the kind {lot.rows[item]['kind']} in the lot, not a video")
    return item
