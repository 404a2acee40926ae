"""Datumaro and supervision as third parties that read what we write, in environments of their own."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from PIL import Image

from tests.oracles.environments import installed

DATUMARO: Final = "1.13.12"
_READER: Final = Path(__file__).with_name("datumaro_reader.py")
SUPERVISION: Final = "0.31.2"
_SUPERVISION_READER: Final = Path(__file__).with_name("supervision_reader.py")
_TIMEOUT_S: Final = 120

ReadByDatumaro = Callable[[Path, str], dict[str, Any]]


def datumaro_reading() -> ReadByDatumaro:
    """Return what reads a folder in one of Datumaro's formats; `datumaro_reader.document` tells the answer.

    Raises:
        CannotInstallError: Datumaro is not installed and cannot be.
    """
    python = installed("datumaro", DATUMARO)

    def read(folder: Path, form: str) -> dict[str, Any]:
        command = [str(python), "-I", str(_READER), str(folder), form]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)  # noqa: S603
        assert ran.returncode == 0, ran.stderr[-2000:]
        document: dict[str, Any] = json.loads(ran.stdout)
        return document

    return read


def blank_image(path: Path, width: int, height: int) -> None:
    """Put a black image at `path`: Datumaro's readers of CVAT and YOLO want it to be there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height)).save(path)


def read_by_supervision(form: str, folder: Path) -> dict[str, list[list[Any]]]:
    """Return what supervision reads of a folder in `form`; `supervision_reader.document` tells the answer.

    Raises:
        CannotInstallError: supervision is not installed and cannot be.
    """
    command = [str(installed("supervision", SUPERVISION)), "-I", str(_SUPERVISION_READER), form, str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)  # noqa: S603
    assert ran.returncode == 0, ran.stderr[-2000:]
    document: dict[str, list[list[Any]]] = json.loads(ran.stdout)
    return document
