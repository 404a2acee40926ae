"""What tests of the exchange formats share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.oracles.environments import CannotInstallError
from tests.oracles.thirdparty import ReadByDatumaro, datumaro_reading, read_by_supervision


@pytest.fixture(scope="session")
def datumaro() -> ReadByDatumaro:
    """Read a folder in one of Datumaro's formats: `datumaro(folder, "coco")`."""
    try:
        return datumaro_reading()
    except CannotInstallError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def supervision() -> Callable[[str, Path], dict[str, list[list[Any]]]]:
    """Read a folder by supervision's DetectionDataset: `supervision("yolo", folder)`."""

    def read(form: str, folder: Path) -> dict[str, list[list[Any]]]:
        try:
            return read_by_supervision(form, folder)
        except CannotInstallError as error:
            pytest.skip(str(error))

    return read
