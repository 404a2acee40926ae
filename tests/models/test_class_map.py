"""Model classes and the guideline's classes meet by name."""

from contract.guideline import Guideline, LabelDefinition
from models.class_map import map_classes

GUIDELINE = Guideline(
    version="1",
    classes=(
        LabelDefinition(name="vehicle", definition="drives", model_names=("car", "Truck")),
        LabelDefinition(name="人", definition="a person", model_names=("person",)),
        LabelDefinition(name="traffic light", definition="a light"),
        LabelDefinition(name="tree", definition="grows"),
    ),
)


def test_without_a_guideline_a_models_names_are_the_labels() -> None:
    assert map_classes({0: "a", 3: "b", 5: "a"}, None) == ({0: "a", 3: "b", 5: "a"}, ("a", "b"), (), ())


def test_names_join_and_what_finds_no_partner_is_told() -> None:
    found = map_classes({7: "car", 0: "person", 2: "truck", 3: "Traffic_Light", 9: "dog"}, GUIDELINE)
    assert found.labels == {7: "vehicle", 0: "人", 2: "vehicle", 3: "traffic light"}
    assert found.classes == ("vehicle", "人", "traffic light")
    assert found.dropped == ("dog",)
    assert found.uncovered == ("tree",)


def test_exact_spelling_comes_before_loose() -> None:
    guideline = Guideline(
        version="1", classes=tuple(LabelDefinition(name=name, definition="x") for name in ("Stop", "stop"))
    )
    assert map_classes({0: "stop", 1: "Stop", 2: "STOP"}, guideline).labels == {0: "stop", 1: "Stop", 2: "Stop"}
