"""COCO AP of a detector behind goldgate's predictor, beside Ultralytics' own, in one run on the same files.

    python benchmarks/detect_ap.py DATA WEIGHTS [--device cpu] [--out benchmarks/results/detect_ap.json]

DATA holds images/ and instances.json (COCO); WEIGHTS is what Ultralytics loads. Both sides run at conf 0.001, iou 0.7
and max_det 300, and pycocotools counts. Seconds are of one pass each, after the weights are loaded.
"""

import argparse
import contextlib
import io
import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from contract.predictor import Source
from contract.tables import Kind
from models.detector import from_entry
from models.registry import ModelEntry
from models.yolo import quiet_ultralytics

SETTINGS = {"conf": 0.001, "iou": 0.7, "max_det": 300}
FIGURES = ("AP", "AP50", "AP75")


def coco_ap(gold: Path, results: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return AP, AP50 and AP75 of detections in COCO's own result form, as pycocotools counts them."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(gold))
        evaluation = COCOeval(truth, truth.loadRes(list(results)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(FIGURES, map(float, evaluation.stats[:3]), strict=True))


def ours(
    paths: Mapping[int, Path], categories: Mapping[str, int], weights: Path, device: str, *, rect: bool = True
) -> tuple[list[Any], float]:
    """Return COCO results of the images by our predictor, on rectangles or squares, and the seconds it takes."""
    settings = {**SETTINGS, "rect": rect}
    predictor = from_entry(ModelEntry(name="peer", kind=Kind.IMAGE, loader="ultralytics", path=weights, settings=settings))
    predictor.load(device)
    sources = [Source(str(number), Kind.IMAGE, str(path)) for number, path in paths.items()]
    predictor.predict(sources[:1])
    start = time.perf_counter()
    rows = predictor.predict(sources).to_pylist()
    seconds = time.perf_counter() - start
    found = [
        {
            "image_id": int(row["item"]),
            "category_id": categories[box["label"]],
            "bbox": [box["x"], box["y"], box["w"], box["h"]],
            "score": box["score"],
        }
        for row in rows
        for box in row["boxes"]
    ]
    return found, seconds


def theirs(paths: Mapping[int, Path], categories: Mapping[str, int], weights: Path, device: str) -> tuple[list[Any], float]:
    """Return COCO results of the images by Ultralytics itself, reading the files on its own."""
    model = quiet_ultralytics().YOLO(str(weights), task="detect")
    options = {**SETTINGS, "device": device, "verbose": False}
    model.predict(str(next(iter(paths.values()))), **options)
    found = []
    start = time.perf_counter()
    for number, path in paths.items():
        [result] = model.predict(str(path), **options)
        for x1, y1, x2, y2, score, kind in result.boxes.data.cpu().double().tolist():
            box = [x1, y1, x2 - x1, y2 - y1]
            name = categories[result.names[int(kind)]]
            found.append({"image_id": number, "category_id": name, "bbox": box, "score": score})
    return found, time.perf_counter() - start


def compare(data: Path, weights: Path, *, device: str = "cpu") -> dict[str, Any]:
    """Return the figures of both sides on the images of `data`, with the machine and the versions."""
    gold = data / "instances.json"
    document = json.loads(gold.read_bytes())
    paths = {image["id"]: data / "images" / image["file_name"] for image in document["images"]}
    categories = {category["name"]: category["id"] for category in document["categories"]}
    sides = {}
    for name, side in (("goldgate", ours), ("goldgate, squares", partial(ours, rect=False)), ("ultralytics", theirs)):
        results, seconds = side(paths, categories, weights, device)
        speed = {"seconds": round(seconds, 3), "images_per_s": round(len(paths) / seconds, 2)}
        sides[name] = {**coco_ap(gold, results), "detections": len(results), **speed}
    packages = ("ultralytics-opencv-headless", "torch", "openvino", "pycocotools", "pillow", "opencv-python-headless")
    return {
        "data": {"images": len(paths), "boxes": len(document["annotations"])},
        "weights": weights.name,
        "settings": SETTINGS,
        "device": device,
        "sides": sides,
        "ap_difference": abs(sides["goldgate, squares"]["AP"] - sides["ultralytics"]["AP"]),  # on what both pad to squares
        "machine": {"platform": platform.platform(), "python": platform.python_version(), "cores": os.cpu_count()},
        "load_average": list(os.getloadavg()),
        "versions": {package: version(package) for package in packages},
    }


def main() -> None:
    """Run both sides and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/detect_ap.json"))
    arguments = parser.parse_args()
    document = compare(arguments.data, arguments.weights, device=arguments.device)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    print(json.dumps(document["sides"], indent=2))


if __name__ == "__main__":
    main()
