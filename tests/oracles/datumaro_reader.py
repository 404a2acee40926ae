"""Run inside Datumaro's own environment: `python datumaro_reader.py FOLDER FORMAT` prints as JSON what it reads there."""

import importlib
import json
import sys
from typing import Any


def document(folder: str, form: str) -> dict[str, Any]:
    """Return the names of the classes and the items with their boxes (x, y, w, h in pixels) and labels of a whole image."""
    datumaro: Any = importlib.import_module("datumaro")
    types = datumaro.AnnotationType
    dataset = datumaro.Dataset.import_from(folder, form)
    names = [each.name for each in dataset.categories()[types.label]]
    items = []
    for item in dataset:
        height, width = (item.media and item.media.size) or (None, None)
        facts = {"id": item.id, "subset": item.subset, "width": width, "height": height}
        boxes = [
            {**_label(each, names), "box": [float(side) for side in each.get_bbox()]}
            for each in item.annotations
            if each.type == types.bbox
        ]
        tags = [_label(each, names) for each in item.annotations if each.type == types.label]
        items.append({**facts, "boxes": boxes, "tags": tags})
    return {"classes": names, "items": items}


def _label(annotation: Any, names: list[str]) -> dict[str, Any]:
    return {"label": names[annotation.label], "attributes": annotation.attributes}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(document(*sys.argv[1:3])))
