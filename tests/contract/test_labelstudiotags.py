"""Labelling interfaces read back: what a model can fill, and what must not be read at all."""

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import FormatError
from contract.formats.labelstudio.config import KEYFRAME, TRANSITIONS, label_config
from contract.formats.labelstudio.tags import MAX_CHARACTERS, Control, LabelInterface, read_label_config
from contract.tables import TASKS_OF_KIND, Kind, Task
from tests.oracles.lots import GUIDELINE


def only(config: str) -> Control:
    (control,) = read_label_config(config).controls
    return control


def boxes(labels: str, **attributes: str) -> str:
    written = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return (
        '<View><Image name="img" value="$image"/>'
        f'<RectangleLabels name="label" toName="img"{written}>{labels}</RectangleLabels></View>'
    )


@pytest.mark.parametrize("kind", list(Kind))
def test_what_we_write_is_read_back_whole(kind: Kind) -> None:
    interface = read_label_config(label_config(kind, GUIDELINE).decode())
    assert interface.kinds == (kind,)
    (target,) = interface.targets
    assert (target.name, target.key) == (kind.value, kind.value)
    assert [task for control in interface.controls for task in control.tasks] == [
        task for task in TASKS_OF_KIND[kind] if task is not Task.EVENTS or GUIDELINE.events
    ]
    names = {
        Task.BOXES: GUIDELINE.class_names,
        Task.SENTIMENTS: GUIDELINE.sentiment_names,
        Task.SHOTS: TRANSITIONS,
        Task.KEYFRAMES: (KEYFRAME,),
        Task.EVENTS: GUIDELINE.event_names,
    }
    for control in interface.controls:
        (task,) = control.tasks
        assert tuple(control.labels) == tuple(names[task])
        for definition in GUIDELINE.classes if task is Task.BOXES else ():
            assert [control.label_of(name) for name in definition.model_names] == [definition.name] * len(
                definition.model_names
            )


def test_predicted_values_name_what_a_model_says() -> None:
    control = only(
        boxes('<Label value="Car" predicted_values="car, truck ,"/><Label value="Person"/><Label value="truck"/>')
    )
    said = ("Car", "car", "CAR", "truck", "Truck", "person", " Person ", "bus", "")
    assert [control.label_of(each) for each in said] == ["Car", "Car", "Car", "truck", "Car", "Person", "Person", None, None]


def test_an_alias_is_what_regions_say() -> None:
    control = only(boxes('<Label value="Automobile" alias="car"/>'))
    assert (list(control.labels), control.label_of("Automobile"), control.label_of("CAR")) == (["car"], "car", "car")


WORDS = st.text("aAbB ß", min_size=1, max_size=2).map(str.strip).filter(bool)


@settings(max_examples=100)
@given(st.lists(st.tuples(WORDS, st.lists(WORDS, max_size=3)), min_size=1, max_size=4), WORDS)
def test_labels_are_found_in_three_rounds(labels: list[tuple[str, list[str]]], said: str) -> None:
    written = [ET.Element("Label", {"value": name, "predicted_values": ",".join(more)}) for name, more in labels]
    control = only(boxes("".join(ET.tostring(each, encoding="unicode") for each in written)))
    rounds = (
        [name for name, _ in labels if name == said],
        [name for name, more in labels if said in more],
        [name for name, more in labels if said.casefold() in {each.casefold() for each in (name, *more)}],
    )
    assert control.label_of(said) == next((found[0] for found in rounds if found), None)


def test_several_controls_and_objects() -> None:
    interface = read_label_config(
        '<View><Header value="$title"/><Image name="a" value="$left"/><Image name="b" value="$right.uri"/>'
        '<View><RectangleLabels name="x" toName="a"><Label value="car"/></RectangleLabels></View>'
        '<RectangleLabels name="y" toName="a"><Label value="man"/></RectangleLabels>'
        '<RectangleLabels name="z" toName="b"><Label value="car"/></RectangleLabels>'
        '<Choices name="quality" toName="a"><Choice value="blurred"/></Choices>'
        '<PolygonLabels name="p" toName="a"><Label value="car"/></PolygonLabels>'
        '<Text name="t" value="$text" valueType="url"/><TextArea name="area" toName="t"/></View>'
    )
    assert [(control.name, control.target.name) for control in interface.controls] == [("x", "a"), ("y", "a"), ("z", "b")]
    assert [target.key for target in interface.targets] == ["left", "right.uri"]


@pytest.mark.parametrize(
    "config",
    [
        "<View/>",
        boxes(""),
        '<View><RectangleLabels name="l" toName="none"><Label value="car"/></RectangleLabels></View>',
        boxes('<Label value="car"/>').replace("$image", "a.jpg"),
        boxes('<Label value="car"/>').replace('value="$image', 'valueList="$images'),
    ],
)
def test_nothing_to_fill(config: str) -> None:
    assert read_label_config(config) == LabelInterface(())


@pytest.mark.parametrize(
    ("tag", "data", "rate"),
    [
        ("", {}, 24.0),
        ('framerate="25.0"', {}, 25.0),
        ('frameRate="29.97"', {}, 29.97),
        ('frameRate="$fps"', {"fps": 30}, 30.0),
        ('frameRate="$fps"', {"fps": "12.5"}, 12.5),
        ('frameRate="$meta.fps"', {"meta": {"fps": 10}}, 10.0),
        ('frameRate="0.04"', {}, 25.0),
        ('frameRate="$fps"', {}, 24.0),
        ('frameRate="$fps"', {"fps": "fast"}, 24.0),
        ('frameRate="$fps"', {"fps": float("nan")}, 24.0),
        ('frameRate="0"', {}, 24.0),
        ('frameRate="-1"', {}, 24.0),
        ('frameRate="fast"', {}, 24.0),
    ],
)
def test_frame_rate(tag: str, data: dict[str, object], rate: float) -> None:
    control = '<TimelineLabels name="t" toName="v"><Label value="x"/></TimelineLabels>'
    config = f'<View><Video name="v" value="$video" {tag}/>{control}</View>'
    assert only(config).target.frame_rate(data) == pytest.approx(rate, abs=1e-12)


@pytest.mark.parametrize(("text", "threshold"), [("", None), ("0.25", 0.25), ("0", 0.0), ("1", 1.0)])
def test_threshold(text: str, threshold: float | None) -> None:
    assert only(boxes('<Label value="a"/>', model_score_threshold=text)).threshold == threshold


@pytest.mark.parametrize("text", ["high", "nan", "-0.1", "1.5", "50%"])
def test_a_threshold_that_is_none(text: str) -> None:
    with pytest.raises(FormatError, match=r"'label' has model_score_threshold .*; write a number from 0 to 1"):
        read_label_config(boxes('<Label value="a"/>', model_score_threshold=text))


LAUGHS = '<!DOCTYPE v [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><View>&b;</View>'


@pytest.mark.parametrize(
    "config",
    ["", "<View>", "no xml", LAUGHS, "<v>" * 999 + "</v>" * 999, "\ud800", "<View>" + " " * MAX_CHARACTERS + "</View>"],
    ids=["empty", "cut off", "words", "entities", "deep", "half a surrogate pair", "long"],
)
def test_what_is_not_read_at_all(config: str) -> None:
    with pytest.raises(FormatError, match="label config"):
        read_label_config(config)
