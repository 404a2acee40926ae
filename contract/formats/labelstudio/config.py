"""Label Studio's labelling interface for a guideline, as XML.

Source: labelstud.io, tags Image, Text, Video, RectangleLabels, Choices and TimelineLabels.
"""

import xml.etree.ElementTree as ET
from typing import Final

from contract.guideline import Guideline
from contract.tables import Kind, Task

CONTROLS: Final = {
    Task.BOXES: "boxes",
    Task.SENTIMENTS: "sentiment",
    Task.SHOTS: "shots",
    Task.KEYFRAMES: "keyframes",
    Task.EVENTS: "events",
}
KEYFRAME: Final = "keyframe"
TRANSITIONS: Final = ("start", "cut", "dissolve", "fade", "wipe")


def label_config(kind: Kind, guideline: Guideline) -> bytes:
    """Return the labelling interface for items of `kind`: names from the guideline, its definitions as hints."""
    view = ET.Element("View")
    if kind is Kind.IMAGE:
        ET.SubElement(view, "Image", name="image", value="$image", zoom="true")
        control = ET.SubElement(view, "RectangleLabels", name=CONTROLS[Task.BOXES], toName="image")
        for definition in guideline.classes:
            _label(control, "Label", definition.name, definition.definition, definition.model_names)
    elif kind is Kind.TEXT:
        ET.SubElement(view, "Text", name="text", value="$text")
        control = ET.SubElement(
            view, "Choices", name=CONTROLS[Task.SENTIMENTS], toName="text", choice="single", required="true"
        )
        for definition in guideline.sentiments:
            _label(control, "Choice", definition.name, definition.definition, definition.model_names)
    else:
        ET.SubElement(view, "Video", name="video", value="$video", frameRate="$fps")
        for task, names in (
            (Task.SHOTS, [(name, "how the shot begins") for name in TRANSITIONS]),
            (Task.KEYFRAMES, [(KEYFRAME, "one frame")]),
            (Task.EVENTS, [(event.name, event.definition) for event in guideline.events]),
        ):
            if names:
                control = ET.SubElement(view, "TimelineLabels", name=CONTROLS[task], toName="video")
                for name, hint in names:
                    _label(control, "Label", name, hint)
    ET.indent(view)
    text: str = ET.tostring(view, encoding="unicode")
    return text.encode() + b"\n"


def _label(control: ET.Element, tag: str, name: str, hint: str, model_names: tuple[str, ...] = ()) -> None:
    attributes = {"value": name, "hint": hint}
    if model_names:
        attributes["predicted_values"] = ",".join((name, *model_names))
    ET.SubElement(control, tag, attributes)
