"""Run inside supervision's own environment: `python supervision_reader.py FORMAT FOLDER` prints as JSON the boxes it reads.

`yolo` reads data.yaml, labels/train and images/train, `voc` reads Annotations and JPEGImages; corners are left, top,
right, bottom.
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any


def document(form: str, folder: Path) -> dict[str, list[list[Any]]]:
    """Return the file name of each image -> its boxes, each with the name of its class and its corners."""
    dataset: Any = importlib.import_module("supervision").DetectionDataset
    if form == "yolo":
        read = dataset.from_yolo(
            images_directory_path=str(folder / "images" / "train"),
            annotations_directory_path=str(folder / "labels" / "train"),
            data_yaml_path=str(folder / "data.yaml"),
        )
    else:
        read = dataset.from_pascal_voc(
            images_directory_path=str(folder / "JPEGImages"), annotations_directory_path=str(folder / "Annotations")
        )
    return {
        Path(path).name: [
            [read.classes[number], *corners]
            for number, corners in zip(found.class_id.tolist(), found.xyxy.tolist(), strict=True)
        ]
        for path, found in read.annotations.items()
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(document(sys.argv[1], Path(sys.argv[2]))))
