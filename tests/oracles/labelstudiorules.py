"""What Label Studio demands of a prediction, checked by its own words and not by our code: regions against the interface."""

import math
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from typing import Any

OBJECTS = {"Image": "image", "Text": "text", "Video": "video"}


def violations(prediction: Mapping[str, Any], config: str) -> list[str]:
    """Return what is wrong with `prediction` under the interface `config`."""
    return list(_violations(prediction, config))


def _violations(prediction: Mapping[str, Any], config: str) -> Iterator[str]:
    tree = ET.fromstring(config)  # noqa: S314 - the test's own
    controls = {each.get("name"): each for each in tree.iter() if each.get("toName")}
    objects = {each.get("name"): each for each in tree.iter() if each.tag in OBJECTS}
    if not isinstance(prediction.get("model_version"), str):
        yield "model_version is no text"
    score = prediction["score"]
    if score is not None and not (math.isfinite(score) and 0 <= score <= 1):
        yield f"score {score}"
    ids = [region["id"] for region in prediction["result"]]
    if len(set(ids)) < len(ids):
        yield "ids are not unique"
    for region in prediction["result"]:
        control = controls.get(region["from_name"])
        if control is None or region["to_name"] not in objects:
            yield f"{region['from_name']} or {region['to_name']} is not in the config"
        elif control.get("toName") != region["to_name"] or control.tag.lower() != region["type"]:
            yield f"{region['from_name']}: another object or another type"
        else:
            yield from _region(region, control)


def _region(region: Mapping[str, Any], control: ET.Element) -> Iterator[str]:
    value = region["value"]
    (label,) = value[region["type"]]
    if label not in {each.get("alias") or each.get("value") for each in control}:
        yield f"label {label!r} is not in the config"
    if not 0 <= region.get("score", 0) <= 1:
        yield f"region score {region['score']}"
    if region["type"] == "rectanglelabels":
        yield from _box(region, value)
    elif region["type"] == "timelinelabels":
        (span,) = value["ranges"]
        if not (isinstance(span["start"], int) and isinstance(span["end"], int) and 1 <= span["start"] <= span["end"]):
            yield f"range {span}"


def _box(region: Mapping[str, Any], value: Mapping[str, Any]) -> Iterator[str]:
    for name in ("x", "y", "width", "height"):
        if not 0 <= value[name] <= 100:
            yield f"{name} {value[name]}"
    if value["x"] + value["width"] > 100 or value["y"] + value["height"] > 100:
        yield "the box sticks out"
    for name in ("original_width", "original_height"):
        if not isinstance(region[name], int) or region[name] < 1:
            yield f"{name} {region[name]}"
