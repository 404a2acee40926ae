"""The labels of a CVAT task for a guideline: what a file declares in its <meta>, and what CVAT's label editor takes.

Source: docs.cvat.ai, "XML annotation format" (version 1.1, labels) and "Create annotation task" (the Raw tab of labels).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from contract.files import json_bytes
from contract.formats.xmlstream import escaped
from contract.guideline import Guideline
from contract.tables import Kind, State
from contract.validate import TRANSITIONS

SHOT: Final = "goldgate:shot"
KEYFRAME: Final = "goldgate:keyframe"
STATE_LABELS: Final = {f"goldgate:{state.value}": state for state in (State.EXCUSED, State.MISSING, State.REJECTED)}
NOT_LABELLED: Final = {state.value: label for label, state in STATE_LABELS.items()}


@dataclass(frozen=True)
class _Attribute:
    name: str
    input_type: str = "text"
    default: str = ""
    values: tuple[str, ...] = ()


_SCORE: Final = _Attribute("score")
_SOURCE: Final = _Attribute("source")
_EXACT: Final = _Attribute("exact")
_TRANSITION: Final = _Attribute("transition", "select", "cut", TRANSITIONS)
_OF_BOX: Final = (_SCORE, _SOURCE, _EXACT, _Attribute("crowd", "checkbox", "false", ("false",)), _Attribute("area"))


@dataclass(frozen=True)
class _Label:
    name: str
    type: str
    attributes: tuple[_Attribute, ...] = ()


def _labels(kind: Kind, guideline: Guideline) -> Iterator[_Label]:
    """Yield the labels of a task of images or of a video; in a video a tag and a track can both say what holds."""
    if kind is Kind.IMAGE:
        for name in guideline.class_names:
            yield _Label(name, "rectangle", _OF_BOX)
    else:
        for name in guideline.event_names:
            yield _Label(name, "any", (_SCORE, _SOURCE, _EXACT))
        yield _Label(SHOT, "any", (_TRANSITION, _SOURCE, _EXACT))
        yield _Label(KEYFRAME, "any", (_SCORE, _SOURCE, _EXACT))
    for name in STATE_LABELS:
        yield _Label(name, "tag" if kind is Kind.IMAGE else "any")


def labels_xml(kind: Kind, guideline: Guideline) -> str:
    """Return the <labels> of a task of `kind`.

    Raises:
        FormatError: a name holds a character that XML cannot.
    """
    lines = ["      <labels>"]
    for label in _labels(kind, guideline):
        lines.append(f"        <label><name>{escaped(label.name, what='label')}</name><type>{label.type}</type><attributes>")
        for each in label.attributes:
            default = f"<default_value>{each.default}</default_value><values>{'&#10;'.join(each.values)}</values>"
            kind_of = f"<mutable>False</mutable><input_type>{each.input_type}</input_type>"
            lines.append(f"          <attribute><name>{each.name}</name>{kind_of}{default}</attribute>")
        lines.append("        </attributes></label>")
    return "\n".join([*lines, "      </labels>\n"])


def labels_json(kind: Kind, guideline: Guideline) -> bytes:
    """Return the labels of a task of `kind` as CVAT's label editor takes them (tab Raw)."""
    return json_bytes(
        [
            {
                "name": label.name,
                "type": label.type,
                "attributes": [
                    {
                        "name": each.name,
                        "mutable": False,
                        "input_type": each.input_type,
                        "default_value": each.default,
                        "values": list(each.values) or [""],
                    }
                    for each in label.attributes
                ],
            }
            for label in _labels(kind, guideline)
        ]
    )
