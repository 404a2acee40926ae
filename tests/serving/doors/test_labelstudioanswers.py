"""Predictions from generated answers under generated interfaces: each keeps every rule of Label Studio."""

import itertools
import math
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.answers import build_answer, labelled, rejected
from contract.formats.labelstudio.config import KEYFRAME, TRANSITIONS
from contract.formats.labelstudio.tags import read_label_config
from contract.tables import TASKS_OF_KIND, Kind, Task
from serving.doors.labelstudio.answers import Outcome, outcome_of, prediction
from tests.oracles.labelstudiorules import violations
from tests.oracles.lots import GUIDELINE, labels_of

NAMES: Mapping[Kind, tuple[str, ...]] = {
    Kind.IMAGE: GUIDELINE.class_names,
    Kind.TEXT: GUIDELINE.sentiment_names,
    Kind.VIDEO: (*TRANSITIONS, KEYFRAME, *GUIDELINE.event_names),
}
TAGS = {Kind.IMAGE: ("Image", "RectangleLabels", "Label"), Kind.TEXT: ("Text", "Choices", "Choice")}
TAGS[Kind.VIDEO] = ("Video", "TimelineLabels", "Label")
FACTS: Mapping[str, Any] = {"width": 640, "height": 480, "frames": 250, "fps": 25.0}


@st.composite
def configs(draw: st.DrawFn, kind: Kind) -> str:
    """Return an interface with up to three controls on one object, whose labels are the models' or others."""
    object_tag, control_tag, label_tag = TAGS[kind]
    view = ET.Element("View")
    rate = draw(st.sampled_from([{}, {"frameRate": "$fps"}, {"framerate": "12.5"}])) if kind is Kind.VIDEO else {}
    ET.SubElement(view, object_tag, {"name": "o", "value": f"${kind.value}", **rate})
    for name in draw(st.lists(st.sampled_from(["a", "b", "shots", "events", "boxes"]), max_size=3, unique=True)):
        threshold = draw(st.sampled_from([{}, {"model_score_threshold": "0.5"}]))
        control = ET.SubElement(view, control_tag, {"name": name, "toName": "o", **threshold})
        words = st.sampled_from([*NAMES[kind], *(each.upper() for each in NAMES[kind]), "other"])
        for value in draw(st.lists(words, max_size=5, unique=True)):
            more = {"predicted_values": ",".join(draw(st.lists(words, max_size=3)))} if draw(st.booleans()) else {}
            ET.SubElement(control, label_tag, {"value": value, **more})
    return ET.tostring(view, encoding="unicode")


@st.composite
def rows(draw: st.DrawFn, kind: Kind) -> dict[str, Any]:
    """Return an answer of a model as it comes out of its table: empty, rejected or with labels."""
    if draw(st.integers(0, 9)) == 0:
        row = rejected("i", kind, "it is broken")
    else:
        labels = {task: draw(st.lists(labels_of(task, dict(FACTS)), max_size=4)) for task in TASKS_OF_KIND[kind]}
        for task, each in labels.items():
            known = GUIDELINE.event_names if task is Task.EVENTS else ()
            labels[task] = [{k: v for k, v in label.items() if k not in ("source", "item")} for label in each]
            assert task is not Task.EVENTS or {label["label"] for label in each} <= set(known)
        row = labelled("i", kind, labels)
    (made,) = build_answer(kind, [row]).to_pylist()
    return dict(made)


@pytest.mark.parametrize("kind", list(Kind))
@settings(max_examples=100)
@given(data=st.data())
def test_every_rule_is_kept(kind: Kind, data: st.DataObject) -> None:
    config, row = data.draw(configs(kind)), data.draw(rows(kind))
    interface = read_label_config(config)
    outcome = Outcome("tiny@1", row, size=(FACTS["width"], FACTS["height"]))
    made = prediction(interface, {"fps": 25}, dict.fromkeys(interface.targets, outcome), version="tiny@1")
    assert violations(made, config) == []
    assert made["score"] == min((region["score"] for region in made["result"] if "score" in region), default=None)
    assert made["model_version"] == ("tiny@1 failed" if row["reason"] and interface.targets else "tiny@1")
    assert len(made["result"]) == expected(config, row)


def expected(config: str, row: Mapping[str, Any]) -> int:
    """Count the regions by the rules of the page: a label of the name, else one that lists it, else in any case."""
    count = 0
    for control in ET.fromstring(config).iter():  # noqa: S314 - the test's own
        if not control.get("toName"):
            continue
        own = {"shots": Task.SHOTS, "events": Task.EVENTS, "boxes": Task.BOXES}.get(str(control.get("name")))
        threshold = float(control.get("model_score_threshold", 0))
        kinds = [task for task in Task if task.value in row]
        for task in [own] if own in kinds else kinds:
            for label in row[task.value] if task else ():
                said = label.get("transition") or label.get("label") or KEYFRAME
                names = {
                    name.strip().casefold()
                    for each in control
                    for name in (each.get("value", ""), *each.get("predicted_values", "").split(","))
                }
                score = label.get("score")
                visible = task is not Task.BOXES or seen(label)
                count += said.casefold() in names and visible and not (score is not None and score < threshold)
    return count


def seen(box: Mapping[str, Any]) -> bool:
    """Return whether some of a box lies on its image, in exact numbers but for what a float64 of percent cannot tell."""
    sides = []
    for start, length, size in (("x", "w", "width"), ("y", "h", "height")):
        low, high = Fraction(box[start]), Fraction(box[start] + box[length])
        whole = Fraction(FACTS[size])
        sides.append(float(min(high, whole) / whole * 100) > float(max(low, Fraction(0)) / whole * 100))
    return all(sides)


@settings(max_examples=100)
@given(
    st.lists(st.floats(0, 50), min_size=1, max_size=6, unique=True),
    st.sampled_from([1.0, 12.5, 23.976, 24.0, 25.0, 30000 / 1001]),
)
def test_shots_that_meet_still_meet_and_none_overlaps(cuts: list[float], rate: float) -> None:
    times = [0.0, *sorted(cuts), 60.0]
    spans = list(itertools.pairwise(times))
    labels = "".join(f'<Label value="{name}"/>' for name in TRANSITIONS)
    control = f'<TimelineLabels name="t" toName="v">{labels}</TimelineLabels>'
    config = f'<View><Video name="v" value="$video" frameRate="{rate}"/>{control}</View>'
    interface = read_label_config(config)
    shots = [{"start_frame": 0, "end_frame": 1, "start_s": start, "end_s": end, "transition": "cut"} for start, end in spans]
    outcome = Outcome("tiny@1", labelled("i", Kind.VIDEO, {Task.SHOTS: shots}))
    made = prediction(interface, {}, dict.fromkeys(interface.targets, outcome), version="tiny@1")
    found = [each["value"]["ranges"][0] for each in made["result"]]
    for before, after, (start, end) in zip(found, found[1:], spans, strict=False):
        if math.floor(end * rate + 0.5) > math.floor(start * rate + 0.5):  # it has a frame of its own
            assert after["start"] == before["end"] + 1
    assert [each["start"] for each in found] == sorted(each["start"] for each in found)


@settings(max_examples=100)
@given(
    st.integers(0, 200_000),
    st.integers(1, 1000),
    st.sampled_from([Fraction(25), Fraction(24000, 1001), Fraction(30000, 1001)]),
    st.sampled_from([3, 17]),
)
def test_frames_at_the_rate_of_the_video_are_its_own(start: int, length: int, rate: Fraction, digits: int) -> None:
    end = start + length
    config = (
        f'<View><Video name="v" value="$video" frameRate="{round(float(rate), digits)}"/>'
        '<TimelineLabels name="events" toName="v"><Label value="x"/></TimelineLabels></View>'
    )
    event = {"label": "x", "start_frame": start, "end_frame": end, "score": None}
    event |= {"start_s": float(start / rate), "end_s": float(end / rate)}
    interface = read_label_config(config)
    outcome = Outcome("tiny@1", labelled("i", Kind.VIDEO, {Task.EVENTS: [event]}))
    (region,) = prediction(interface, {}, dict.fromkeys(interface.targets, outcome), version="t")["result"]
    assert region["value"]["ranges"] == [{"start": start + 1, "end": end}]


@pytest.mark.parametrize("score", [-0.1, 1.0000001, float("nan"), float("inf")])
def test_a_score_is_a_share_or_nothing(score: float) -> None:
    config = '<View><Text name="t" value="$text"/><Choices name="c" toName="t"><Choice value="good"/></Choices></View>'
    interface = read_label_config(config)
    row = labelled("i", Kind.TEXT, {Task.SENTIMENTS: [{"label": "good", "score": score, "probabilities": None}]})
    made = prediction(interface, {}, dict.fromkeys(interface.targets, Outcome("t@1", row)), version="t@1")
    assert made["score"] == (min(1.0, max(0.0, score)) if math.isfinite(score) else None)
    assert violations(made, config) == []


def test_an_image_whose_size_cannot_be_read_is_a_failure() -> None:
    row = labelled("i", Kind.IMAGE, {Task.BOXES: [{"label": "car", "x": 0, "y": 0, "w": 1, "h": 1, "score": 1}]})
    assert outcome_of(Kind.IMAGE, "t@1", row, b"no image").failed
    assert outcome_of(Kind.IMAGE, "t@1", labelled("i", Kind.IMAGE, {}), b"no image").failed is None
