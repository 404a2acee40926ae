"""Label Studio's labelling interface read back: which controls a model can fill, from which field of a task's data.

Source: labelstud.io, tags Image, Text, Video, RectangleLabels, Choices and TimelineLabels; the attributes `predicted_values`
and `model_score_threshold` are those of its ML backends. `contract.formats.labelstudio.config` is the writing side.
"""

import math
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from contract.errors import FormatError
from contract.formats.labelstudio.config import CONTROLS
from contract.formats.xmlstream import read_tree
from contract.tables import TASKS_OF_KIND, Kind, Task

MAX_CHARACTERS: Final = 1 << 20
DEFAULT_RATE: Final = 24.0
_KIND_OF_OBJECT: Final = MappingProxyType({"Image": Kind.IMAGE, "Text": Kind.TEXT, "Video": Kind.VIDEO})
_CONTROL_OF_KIND: Final = MappingProxyType(
    {Kind.IMAGE: "RectangleLabels", Kind.TEXT: "Choices", Kind.VIDEO: "TimelineLabels"}
)
_LABEL_OF_CONTROL: Final = MappingProxyType({"RectangleLabels": "Label", "Choices": "Choice", "TimelineLabels": "Label"})
_TASK_OF_NAME: Final = MappingProxyType({name: task for task, name in CONTROLS.items()})


@dataclass(frozen=True)
class ObjectTag:
    """What is labelled: an Image, Text or Video and where a task's data holds it.

    `rate` is what a Video says of its frame rate: a number, or $ and the field of a task's data that holds one.
    """

    name: str
    kind: Kind
    key: str
    is_url: bool
    rate: str = ""

    def frame_rate(self, data: Mapping[str, Any]) -> float:
        """Return the frames a second that Label Studio's time axis has for a task of `data`.

        What is no rate counts as 24, and what is below 1 as the seconds of a frame, as in its player (1.23.2).
        """
        said = value_at(data, self.rate[1:]) if self.rate.startswith("$") else self.rate
        try:
            rate = float(said)
        except (TypeError, ValueError):
            return DEFAULT_RATE
        if not math.isfinite(rate) or rate <= 0:
            return DEFAULT_RATE
        return 1 / rate if rate < 1 else rate


@dataclass(frozen=True)
class Control:
    """A control tag that a model can fill.

    Args:
        name: the regions' from_name.
        target: what it labels.
        labels: its labels as regions name them -> what the models' labels may be called.
        threshold: least score of a region.
    """

    name: str
    target: ObjectTag
    labels: Mapping[str, tuple[str, ...]]
    threshold: float | None

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks whose labels it takes: one where the name says which, else all of its kind."""
        tasks = TASKS_OF_KIND[self.target.kind]
        named = _TASK_OF_NAME.get(self.name)
        return (named,) if named in tasks else tasks

    def label_of(self, predicted: str) -> str | None:
        """Return the label that stands for what a model calls `predicted`, or None.

        A label of that name goes before one that lists it, and that before one that differs in the case of its letters.
        """
        if predicted in self.labels:
            return predicted
        folded = predicted.strip().casefold()
        near = None
        for label, names in self.labels.items():
            if predicted in names:
                return label
            if near is None and any(name.casefold() == folded for name in names):
                near = label
        return near


@dataclass(frozen=True)
class LabelInterface:
    """A labelling interface: the controls that a model can fill, in the order of the document."""

    controls: tuple[Control, ...]

    @property
    def targets(self) -> tuple[ObjectTag, ...]:
        """What those controls label, each once."""
        return tuple(dict.fromkeys(control.target for control in self.controls))

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of item that a task holds, each once."""
        return tuple(dict.fromkeys(target.kind for target in self.targets))


def read_label_config(document: str) -> LabelInterface:
    """Return what a labelling interface asks of models; tags that no model here can fill are passed over.

    Raises:
        FormatError: it is not XML, is too large or too deep, declares a document type, or sets a threshold that is none.
    """
    if len(document) > MAX_CHARACTERS:
        raise FormatError(f"the label config has {len(document)} characters, more than the limit of {MAX_CHARACTERS}")
    elements = list(read_tree(document.encode("utf-8", "surrogatepass"), where="the label config").iter())
    objects = {each.name: each for element in elements for each in _object(element)}
    return LabelInterface(tuple(control for element in elements for control in _control(element, objects)))


def value_at(data: Mapping[str, Any], key: str) -> Any:
    """Return the field of a task's data that `key` names, with dots for objects in objects; None where there is none."""
    if key in data:
        return data[key]
    found: Any = data
    for part in key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _object(element: ET.Element) -> Iterator[ObjectTag]:
    kind, name, value = _KIND_OF_OBJECT.get(element.tag), element.get("name"), element.get("value", "")
    if kind is None or not name or not value.startswith("$") or len(value) < 2:
        return
    attributes = {key.lower(): each.strip() for key, each in element.attrib.items()}
    is_url = kind is not Kind.TEXT or attributes.get("valuetype") == "url"
    yield ObjectTag(name=name, kind=kind, key=value[1:], is_url=is_url, rate=attributes.get("framerate", ""))


def _control(element: ET.Element, objects: Mapping[str, ObjectTag]) -> Iterator[Control]:
    name, target = element.get("name"), objects.get(element.get("toName", ""))
    if not name or target is None or element.tag != _CONTROL_OF_KIND[target.kind]:
        return
    labels: dict[str, tuple[str, ...]] = {}
    for each in element.iter(_LABEL_OF_CONTROL[element.tag]):
        written = each.get("alias") or each.get("value")
        if written:
            more = (word.strip() for word in each.get("predicted_values", "").split(","))
            names = (written, each.get("value") or written, *(word for word in more if word))
            labels[written] = tuple(dict.fromkeys((*labels.get(written, ()), *names)))
    if labels:
        yield Control(name, target, MappingProxyType(labels), _threshold(element, name))


def _threshold(element: ET.Element, name: str) -> float | None:
    text = element.get("model_score_threshold")
    if text is None or not text.strip():
        return None
    try:
        threshold = float(text)
    except ValueError:
        threshold = math.nan
    if not 0 <= threshold <= 1:
        raise FormatError(f"the label config's {name!r} has model_score_threshold {text!r}; write a number from 0 to 1")
    return threshold
