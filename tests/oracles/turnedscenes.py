"""A detector that knows the shapes and calls them by one another's names, and small scenes to teach it on."""

from pathlib import Path

import cv2
import torch

from models.scenes import CLASSES, render_scene
from models.yolo import quiet_ultralytics

SIDE = 160
BUNDLED = Path(__file__).resolve().parents[2] / "models" / "bundled" / "scene-detector" / "scene-detector.pt"


def turned_detector(path: Path, *, turn: int = 1) -> Path:
    """Write the bundled detector with its classes shifted by `turn`; it sees pictures of 160 pixels."""
    quiet_ultralytics()
    from ultralytics.nn.tasks import torch_safe_load

    checkpoint = torch_safe_load(BUNDLED)[0]
    model = checkpoint["model"]
    for branch in model.model[-1].cv3:
        branch[-1].weight.data = branch[-1].weight.data.roll(turn, 0)
        branch[-1].bias.data = branch[-1].bias.data.roll(turn, 0)
    checkpoint["train_args"]["imgsz"] = model.args["imgsz"] = SIDE
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(checkpoint, path)
    return path


def scene(seed: int) -> tuple[bytes, list[tuple[str, float, float, float, float]]]:
    """Return a scene as PNG, and label, x, y, w, h of its boxes."""
    picture, boxes = render_scene(seed, width=SIDE, height=SIDE)
    written, content = cv2.imencode(".png", picture[..., ::-1])
    assert written
    return content.tobytes(), [(box["label"], *(float(box[key]) for key in "xywh")) for box in boxes]


__all__ = ["BUNDLED", "CLASSES", "SIDE", "scene", "turned_detector"]
