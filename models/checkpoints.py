"""PyTorch checkpoints are programs: look at what one would import before anything of it runs."""

import zipfile
from pathlib import Path
from typing import Final

import torch

from contract.errors import WeightsError

_TRUSTED_PACKAGES: Final = ("torch.nn.modules.", "ultralytics.nn.", "ultralytics.yolo.")
_TRUSTED_NAMES: Final = frozenset(
    {
        "builtins.getattr",  # some checkpoints store bound forwards; the restricted unpickler narrows it to modules
        "numpy._core.multiarray.scalar",
        "numpy.core.multiarray.scalar",
        "numpy.dtype",
        "pathlib.PosixPath",
        "pathlib.WindowsPath",
        "pathlib._local.PosixPath",
        "pathlib._local.WindowsPath",
        "torch.nn.modules",
        "ultralytics.utils.IterableSimpleNamespace",
        "ultralytics.utils.loss.E2EDetectLoss",
        "ultralytics.utils.loss.v8DetectionLoss",
        "ultralytics.utils.tal.TaskAlignedAssigner",
        "ultralytics.utils.loss.BboxLoss",
    }
)


def refuse_foreign(path: Path) -> None:
    """Check that the checkpoint at `path` would build nothing but Ultralytics and torch layers.

    The pickle's opcodes are read, none is run; the load that follows uses torch's restricted unpickler.

    Raises:
        WeightsError: it is no checkpoint of torch's zip format, is damaged, or names anything else.
    """
    if not zipfile.is_zipfile(path):
        raise WeightsError(f"{path}: it is no PyTorch checkpoint in zip format; export it again with torch 1.6 or later")
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except (RuntimeError, ValueError, EOFError, OSError, KeyError, IndexError, AttributeError) as error:
        raise WeightsError(
            f"{path}: the checkpoint is damaged ({' '.join(str(error).split())[:120]}); fetch it again"
        ) from error
    foreign = sorted(name for name in names if name not in _TRUSTED_NAMES and not name.startswith(_TRUSTED_PACKAGES))
    if any(name.split(".")[0] == "models" for name in foreign):
        raise WeightsError(
            f"{path}: it is a YOLOv5-family pickle that imports its own package `models`; "
            "export it to ONNX where it was trained and give the .onnx file"
        )
    if foreign:
        raise WeightsError(
            f"{path}: its pickle would import {', '.join(foreign[:5])}, which no detector needs; "
            "export the model to ONNX where it was trained, or take weights from a source that you trust"
        )
