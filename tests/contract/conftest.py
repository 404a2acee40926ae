"""What tests of the exchange formats share."""

import pytest

from tests.oracles.environments import CannotInstallError
from tests.oracles.thirdparty import ReadByDatumaro, datumaro_reading


@pytest.fixture(scope="session")
def datumaro() -> ReadByDatumaro:
    """Read a folder in one of Datumaro's formats: `datumaro(folder, "coco")`."""
    try:
        return datumaro_reading()
    except CannotInstallError as error:
        pytest.skip(str(error))
