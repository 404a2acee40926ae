"""Training of the bundled detector on rendered scenes: a narrow YOLO11 on CPU in minutes."""

import contextlib
import datetime
import io
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import torch
import yaml

from contract.files import write_bytes
from models.scenes import CLASSES, render_scene
from models.yolo import quiet_ultralytics

SIDE: Final = 320
HELD_OUT: Final = 300
HELD_OUT_SEED: Final = 1_000_000  # no training seed comes near
WIDTH: Final = 0.125
DEPTH: Final = 0.33
WEIGHTS: Final = "scene-detector.pt"

Report = Callable[[str], None]


def _write_split(folder: Path, split: str, seeds: range) -> None:
    (folder / "images" / split).mkdir(parents=True)
    (folder / "labels" / split).mkdir(parents=True)
    for seed in seeds:
        picture, boxes = render_scene(seed, width=SIDE, height=SIDE)
        cv2.imwrite(str(folder / "images" / split / f"{seed:07d}.png"), picture[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
        lines = [
            f"{CLASSES.index(box['label'])} {(box['x'] + box['w'] / 2) / SIDE:.8f} {(box['y'] + box['h'] / 2) / SIDE:.8f} "
            f"{box['w'] / SIDE:.8f} {box['h'] / SIDE:.8f}\n"
            for box in boxes
        ]
        (folder / "labels" / split / f"{seed:07d}.txt").write_text("".join(lines), encoding="ascii")


def write_dataset(folder: Path, *, train: range, held_out: range) -> Path:
    """Render the scenes of both ranges of seeds into `folder` in YOLO's layout and return its YAML."""
    _write_split(folder, "train", train)
    _write_split(folder, "val", held_out)
    page = folder / "scenes.yaml"
    names = dict(enumerate(CLASSES))
    page.write_text(yaml.safe_dump({"path": str(folder), "train": "images/train", "val": "images/val", "names": names}))
    return page


def write_architecture(folder: Path) -> Path:
    """Write YOLO11 in this project's width into `folder` and return its YAML."""
    module = quiet_ultralytics()
    original = Path(module.__file__ or "").parent / "cfg" / "models" / "11" / "yolo11.yaml"
    layers = yaml.safe_load(original.read_text(encoding="utf-8"))
    page = folder / "yolo11n-scenes.yaml"
    page.write_text(yaml.safe_dump({**layers, "nc": len(CLASSES), "scales": {"n": [DEPTH, WIDTH, 1024]}}))
    return page


class _Phase(NamedTuple):
    """A stretch of the training: small pictures first, because they cost a third."""

    side: int
    epochs: int
    first_rate: float
    last_share: float  # of the first rate
    warmup_epochs: float


def _phases(epochs: int) -> list[_Phase]:
    full = max(1, epochs // 4)
    phases = [_Phase(192, epochs - full, 0.003, 0.3, 1.0), _Phase(SIDE, full, 0.001, 0.02, 0.0)]
    return [phase for phase in phases if phase.epochs]


def _settings(folder: Path, phase: _Phase, *, seed: int, device: str) -> dict[str, Any]:
    quiet = {"verbose": False, "plots": False, "exist_ok": True, "project": str(folder), "name": f"side{phase.side}"}
    # The scenes vary already, so no mosaics; no turning, which would loosen the boxes.
    pictures = {"mosaic": 0.0, "degrees": 0.0, "scale": 0.4, "translate": 0.1, "flipud": 0.5, "fliplr": 0.5, "hsv_h": 0.5}
    rates = {"lr0": phase.first_rate, "lrf": phase.last_share, "cos_lr": True, "warmup_epochs": phase.warmup_epochs}
    steps = {"optimizer": "AdamW", "batch": 16, "nbs": 16, "weight_decay": 0.0005, "patience": phase.epochs}
    return {
        **quiet,
        **pictures,
        **rates,
        **steps,
        "epochs": phase.epochs,
        "seed": seed,
        "device": device,
        "imgsz": phase.side,
        "workers": 1,
        "cache": "ram",
        "amp": False,
        "val": False,
        "deterministic": True,
    }


def _in_half_precision(trainer: Any) -> None:
    """Let the forward pass of `trainer` run in bfloat16 on CPU, which Ultralytics offers on CUDA alone."""
    if trainer.device.type != "cpu":
        return
    trainer.model.forward = torch.autocast("cpu", dtype=torch.bfloat16)(trainer.model.forward)


def bare_checkpoint(path: Path, *, side: int, docs: str) -> bytes:
    """Return the checkpoint at `path` in half precision, without optimizer, paths and times of this machine.

    `side` is what the network sees unless told otherwise, in pixels; `docs` says where the weights come from.
    """
    from ultralytics.nn.tasks import torch_safe_load

    checkpoint = torch_safe_load(path)[0]
    model = (checkpoint.get("ema") or checkpoint["model"]).half()  # the averaged weights, as validated
    for parameter in model.parameters():
        parameter.requires_grad = False
    model.criterion = None
    vars(model).pop("pt_path", None)
    model.args = {"task": "detect", "imgsz": side}
    model.yaml_file = Path(model.yaml.pop("yaml_file", None) or getattr(model, "yaml_file", None) or "yolo.yaml").name
    bare = {"model": model, "ema": None, "epoch": -1, "train_args": model.args, "license": "AGPL-3.0", "docs": docs}
    buffer = io.BytesIO()
    torch.save({**bare, "version": "goldgate", "date": datetime.date.min.isoformat()}, buffer)
    return buffer.getvalue()


def measure(weights: Path, *, held_out: range) -> Mapping[str, float]:
    """Return map50 and map50_95 of `weights` on the scenes of `held_out`, as Ultralytics' validator counts them."""
    module = quiet_ultralytics()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = write_dataset(folder, train=range(0), held_out=held_out)
        options = {"imgsz": SIDE, "device": "cpu", "plots": False, "verbose": False, "project": str(folder), "workers": 0}
        metrics = module.YOLO(str(weights), task="detect").val(data=str(data), **options)
    return {"map50": float(metrics.box.map50), "map50_95": float(metrics.box.map)}


def train_detector(
    out: Path, *, images: int = 4000, epochs: int = 12, seed: int = 0, device: str = "cpu", report: Report | None = None
) -> Mapping[str, float]:
    """Train the scene detector and write `scene-detector.pt` into `out`.

    Args:
        out: folder that gets the weights, in half precision, without optimizer state.
        images: how many scenes of 320 x 320 pixels are rendered for training, from `seed` on.
        epochs: how often each is seen.
        seed: of the scenes and of the training.
        device: cpu, cuda or cuda:N.
        report: gets one line an epoch.

    Returns:
        map50 and map50_95 on 300 held-out scenes.

    Raises:
        DeviceError: cuda was asked for and is absent.
    """
    module = quiet_ultralytics()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = seed * images
        data = write_dataset(folder, train=range(first, first + images), held_out=range(HELD_OUT_SEED, HELD_OUT_SEED + 16))
        latest = write_architecture(folder)
        for phase in _phases(epochs):
            settings = _settings(folder, phase, seed=seed, device=device)
            model = module.YOLO(str(latest), task="detect")
            model.add_callback("on_train_start", _in_half_precision)
            if report is not None:
                model.add_callback("on_train_epoch_end", lambda trainer: report(_epoch_line(trainer)))
            with contextlib.redirect_stdout(io.StringIO()):
                model.train(data=str(data), **settings)
            latest = folder / settings["name"] / "weights" / "last.pt"
        command = f"goldgate models train detector --images {images} --epochs {epochs} --seed {seed}"
        write_bytes(out / WEIGHTS, bare_checkpoint(latest, side=SIDE, docs=command))
    return measure(out / WEIGHTS, held_out=range(HELD_OUT_SEED, HELD_OUT_SEED + HELD_OUT))


def _epoch_line(trainer: Any) -> str:
    losses = ", ".join(f"{name} {float(value):.3f}" for name, value in trainer.tloss.items())
    return f"{trainer.args.imgsz} pixels, epoch {trainer.epoch + 1} of {trainer.epochs}: {losses}"
