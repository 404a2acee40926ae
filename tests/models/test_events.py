"""Every event of a guideline at once: on whole frames, in order, with the names of the guideline."""

import numpy as np

from contract.guideline import Guideline, LabelDefinition, ObjectEvent, SignalEvent
from models.detections import Samples
from models.events import Event, Material, find_events
from models.features import CHROMA_SIZE, LUMA_SIZE, Features
from models.frames import Timeline

MISSING = -np.inf


def rule(kind: str, *, gap: float = 0.5) -> ObjectEvent:
    fields = {"name": f"cat {kind}", "definition": "a cat", "rule": kind, "label": "cat"}
    return ObjectEvent.model_validate(fields | {"min_seconds": 0.3, "max_gap_seconds": gap, "min_score": 0.5})


def test_events_lie_on_whole_frames_in_order() -> None:
    black = SignalEvent(name="black", definition="the picture", rule="black", min_seconds=0.2)
    guideline = Guideline(
        version="1",
        classes=(LabelDefinition(name="cat", definition="a cat"),),
        events=(rule("present"), rule("appears"), black),
    )
    luma = np.random.default_rng(1).integers(40, 220, (30, LUMA_SIZE)).astype(np.uint8)
    luma[20:] = 2
    features = Features(luma, np.full((30, 2 * CHROMA_SIZE), 128, np.uint8), np.ones(30, np.float32))
    found = Samples(np.array([0.0, 0.4, 0.8]), 1.2, {"cat": np.array([MISSING, 0.7, MISSING])})
    material = Material(features, Timeline(np.linspace(0.0, 1.2, 31)), found)
    assert find_events(material, guideline) == [Event("cat present", 10, 20, 0.7), Event("black", 20, 30, None)]
    guideline = guideline.model_copy(update={"events": (rule("appears", gap=0.0),)})
    assert find_events(material, guideline) == [Event("cat appears", 10, 18, 0.7)]
