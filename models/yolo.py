"""Ultralytics, kept quiet and offline: the one place that imports it.

Its switches are environment variables read at import and a settings file, so both are set before the first
import: no network look-ups, no packages installed on the fly, no telemetry, no third-party loggers, and
checkpoints read with torch's restricted unpickler.
"""

import logging
import math
import os
from functools import partial
from types import ModuleType
from typing import Final

from PIL import Image

from models.registry import cache_folder

_ENVIRONMENT: Final = (
    ("YOLO_OFFLINE", "true"),
    ("YOLO_AUTOINSTALL", "false"),
    ("YOLO_VERBOSE", "false"),
    ("ULTRALYTICS_SAFE_LOAD", "true"),
    ("ULTRALYTICS_SKIP_REQUIREMENTS_CHECKS", "1"),
)
_LOGGERS_ELSEWHERE: Final = ("sync", "clearml", "comet", "dvc", "mlflow", "raytune", "tensorboard", "wandb")


def quiet_ultralytics(*, offline: bool = True) -> ModuleType:
    """Return the module `ultralytics`, silent, without telemetry and, unless a pull needs it, without network."""
    for name, value in _ENVIRONMENT:
        os.environ[name] = value
    if not offline:
        os.environ["YOLO_OFFLINE"] = "false"
    threads = os.environ.get("OMP_NUM_THREADS")
    os.environ.setdefault("YOLO_CONFIG_DIR", str(cache_folder()))
    import ultralytics
    from ultralytics.nn import tasks
    from ultralytics.utils import SETTINGS, nms, patches

    if not isinstance(nms.non_max_suppression, partial):  # on a busy machine it would drop the rest of a batch
        nms.non_max_suppression = partial(nms.non_max_suppression, max_time_img=math.inf)
    Image.open = patches._image_open  # its own installs a package when a file is no image
    tasks.SAFE_LOAD = True  # where something imported it before the switches were set
    if threads is None:
        os.environ.pop("OMP_NUM_THREADS", None)  # it pins one thread for every child of this process
    dict.update(SETTINGS, dict.fromkeys(_LOGGERS_ELSEWHERE, False))  # this process alone: its own update writes the file
    logging.getLogger("ultralytics").setLevel(logging.ERROR)
    module: ModuleType = ultralytics
    return module
