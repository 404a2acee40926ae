"""Events by the guideline's rules: over detections of objects, and over the signal."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from contract.guideline import DetectionEvent, FlashEvent, Guideline, SignalEvent, SilenceEvent
from models.detections import Samples
from models.features import FeatureTable
from models.frames import Timeline
from models.objectevents import Span, spans_of, traces_of
from models.refine import Looking, refined
from models.signalevents import flash_spans, signal_spans, silence_spans
from models.sound import Sound


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the guideline on whole frames [start, end)."""

    label: str
    start: int
    end: int
    score: float | None


@dataclass(frozen=True, slots=True)
class Material:
    """What events are found in: the picture frame by frame, its times, detections on samples, and the sound if there is any.

    `cuts` are the frames with which shots begin; no object is followed across them.
    """

    features: FeatureTable
    timeline: Timeline
    samples: Samples
    sound: Sound | None = None
    cuts: Sequence[int] = ()


def find_events(material: Material, guideline: Guideline, *, looking: Looking | None = None) -> list[Event]:
    """Return every event of the guideline on whole frames, by start, then end, then name.

    With `looking`, borders between two samples are found by further detections; without, they are those of the samples.
    """
    timeline = material.timeline
    found = [(rule.name, span) for rule in guideline.events for span in _signal_spans(material, rule)]
    rules = [rule for rule in guideline.events if isinstance(rule, DetectionEvent)]
    found += _object_spans(material, rules, looking)
    events = []
    for name, span in found:
        start, end = timeline.frame_at(span.start), timeline.first_from(span.end)
        events.append(Event(name, start, max(end, start + 1), span.score))
    return in_order(events)


def in_order(events: Sequence[Event]) -> list[Event]:
    """Return events by start, then end, then name, then score."""
    return sorted(events, key=lambda event: (event.start, event.end, event.label, event.score or 0.0))


def _signal_spans(material: Material, rule: object) -> list[Span]:
    if isinstance(rule, SignalEvent):
        return signal_spans(material.features, material.timeline, rule)
    if isinstance(rule, FlashEvent):
        return flash_spans(material.features, material.timeline, rule)
    if isinstance(rule, SilenceEvent):
        return silence_spans(material.sound, material.timeline, rule)
    return []


def _object_spans(material: Material, rules: Sequence[DetectionEvent], looking: Looking | None) -> list[tuple[str, Span]]:
    samples, timeline = material.samples, material.timeline
    cuts = {int(np.searchsorted(samples.times, timeline.seconds(frame))) for frame in material.cuts}
    watched = [(rule, trace) for rule in rules for trace in traces_of(samples, rule, cuts=cuts)]
    moved = refined(watched, samples, timeline, looking) if looking else [{} for _ in watched]
    return [
        (rule.name, span)
        for (rule, trace), edges in zip(watched, moved, strict=True)
        for span in spans_of(trace, rule, samples, moved=edges)
    ]
