"""Fine-tune an Ultralytics detector on corrected boxes, stopping early on pictures put aside.

Pictures are decoded as the detector decodes them, upright, and no larger than it sees them. A class of the gold that the
base lacks becomes a class behind its own; Ultralytics carries what the base knows of the others over by their names. The
pass of best mAP (IoU 0.50 to 0.95) on the pictures put aside stays, of the averaged weights; training ends after so many
passes without a better one.
"""

import contextlib
import dataclasses
import io
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import yaml

from contract.errors import FormatError, WeightsError
from contract.files import write_bytes
from contract.predictor import Source
from models.content import read_content
from models.devices import resolve
from models.exports import read_facts
from models.images import decode_image
from models.train_detector import bare_checkpoint
from models.yolo import quiet_ultralytics

Tell = Callable[[str], None]

_QUALITY: Final = 95  # of the JPEGs that Ultralytics reads


class Box(NamedTuple):
    """A box in pixels of the upright picture; `number` is its class among the names given."""

    number: int
    x: float
    y: float
    w: float
    h: float


class Example(NamedTuple):
    """A picture and all boxes on it; without any it teaches what is none."""

    source: Source
    boxes: tuple[Box, ...]


class Lessons(NamedTuple):
    """What to learn: the names of all classes by number, pictures to train on, and pictures to stop on."""

    names: Sequence[str]
    train: Sequence[Example]
    validation: Sequence[Example]


@dataclasses.dataclass(frozen=True, slots=True)
class TuneDetectorSettings:
    """Everything that decides the weights, besides the base and the pictures."""

    epochs: int = 30
    patience: int = 5
    batch: int = 16
    learning_rate: float = 5e-4
    seed: int = 0
    imgsz: int | None = None  # side the network sees; None is that of its training
    device: str = "cpu"


def tune_detector(
    base: Path,
    out: Path,
    lessons: Lessons,
    *,
    settings: TuneDetectorSettings | None = None,
    tell: Tell | None = None,
) -> dict[str, Any]:
    """Fine-tune the checkpoint `base` and write the result to the file `out`, in half precision.

    Args:
        base: an Ultralytics .pt.
        out: file of the new weights.
        lessons: pictures and classes; the names of the base's come first, in its order.
        settings: see there.
        tell: gets one line a pass.

    Returns:
        The passes made, the best of them (from 1), and the mAP of every pass on the pictures to stop on.

    Raises:
        FormatError: no box is left to train or to stop on, or names are not the base's.
        WeightsError: the base is no checkpoint that can be trained.
        DeviceError: cuda was asked for and is absent.
        SourceError: a picture cannot be read.
    """
    chosen, device = settings or TuneDetectorSettings(), resolve((settings or TuneDetectorSettings()).device)
    known, train = _must_be_of(base, lessons.names), lessons.train
    if not any(example.boxes for example in train) or not any(example.boxes for example in lessons.validation):
        raise FormatError(f"{base}: cannot be fine-tuned: no box is left to train or to stop on; give more gold")
    module = quiet_ultralytics()
    found: list[tuple[int, float]] = []
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(io.StringIO()):
        folder = Path(name)
        model = module.YOLO(str(base), task="detect")
        side = chosen.imgsz or _side(model)
        data = _write_dataset(folder, lessons, side=side)
        model.add_callback("on_model_save", lambda trainer: _note(trainer, found, tell))
        model.train(data=str(data), **_options(folder, chosen, side=side, device=device))
        best = int(model.trainer.stopper.best_epoch)
        words = f"fine-tuned from {base.name} of {known} classes on {len(train)} pictures"
        write_bytes(out, bare_checkpoint(Path(model.trainer.best), side=side, docs=words))
    return {"passes": len(found), "best": best, "map50_95": [value for _, value in found]}


def _must_be_of(base: Path, names: Sequence[str]) -> int:
    """Return how many classes the base has, which `names` must begin with."""
    if base.suffix != ".pt":
        raise WeightsError(f"{base}: an export cannot be trained; give the .pt that it was made from")
    own = read_facts(base).names
    listed = [own[number] for number in sorted(own)]
    if sorted(own) != list(range(len(own))) or list(names[: len(own)]) != listed:
        raise FormatError(f"{base}: its classes are {', '.join(listed)}, in this order; the names given differ")
    return len(own)


def _side(model: Any) -> int:
    side = model.overrides.get("imgsz") or 640
    return int(side if isinstance(side, int) else max(side))


def _options(folder: Path, chosen: TuneDetectorSettings, *, side: int, device: str) -> dict[str, Any]:
    quiet = {"verbose": False, "plots": False, "exist_ok": True, "project": str(folder), "name": "run"}
    # Boxes must stay tight and pictures likely: no turning and no mosaics of strangers.
    pictures = {"mosaic": 0.0, "degrees": 0.0, "scale": 0.25, "translate": 0.1, "erasing": 0.0}
    # Ultralytics warms up over 100 steps at least, and gold may be worth no more than that.
    rates = {"optimizer": "AdamW", "lr0": chosen.learning_rate, "lrf": 0.1, "cos_lr": True, "warmup_epochs": 0.0}
    steps = {"epochs": chosen.epochs, "patience": chosen.patience, "batch": chosen.batch, "nbs": chosen.batch}
    fixed = {"seed": chosen.seed, "deterministic": True, "amp": False, "workers": 0, "val": True, "imgsz": side}
    return {**quiet, **pictures, **rates, **steps, **fixed, "device": device, "pretrained": True}


def _write_dataset(folder: Path, lessons: Lessons, *, side: int) -> Path:
    """Write pictures and boxes in YOLO's layout and return its YAML."""
    for split, examples in (("train", lessons.train), ("val", lessons.validation)):
        images, labels = folder / "images" / split, folder / "labels" / split
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        for place, example in enumerate(examples):
            picture = decode_image(read_content(example.source))
            height, width = picture.shape[:2]
            lines = [line for box in example.boxes if (line := _line(box, width, height))]
            (labels / f"{place:07d}.txt").write_text("".join(lines), encoding="ascii")
            ratio = side / max(height, width)
            if ratio < 1:
                size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
                picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
            cv2.imwrite(str(images / f"{place:07d}.jpg"), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    page = folder / "gold.yaml"
    document = {"path": str(folder), "train": "images/train", "val": "images/val", "names": dict(enumerate(lessons.names))}
    page.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    return page


def _line(box: Box, width: int, height: int) -> str:
    """Return YOLO's line of a box, cut to the picture; nothing where nothing is left."""
    left, top = max(box.x, 0.0), max(box.y, 0.0)
    w, h = min(box.x + box.w, width) - left, min(box.y + box.h, height) - top
    if w <= 0 or h <= 0:
        return ""
    return f"{box.number} {(left + w / 2) / width:.8f} {(top + h / 2) / height:.8f} {w / width:.8f} {h / height:.8f}\n"


def _note(trainer: Any, found: list[tuple[int, float]], tell: Tell | None) -> None:
    passed, value = int(trainer.epoch) + 1, float(trainer.metrics["metrics/mAP50-95(B)"])
    found.append((passed, value))
    if tell is not None:
        tell(f"pass {passed} of at most {trainer.epochs}: mAP {value:.4f} on pictures put aside")
