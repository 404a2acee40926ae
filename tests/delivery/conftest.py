"""What tests of delivery share."""

import pytest

from tests.delivery.parcels import House


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A vendor and a client, whose keys lie in one folder."""
    return House(tmp_path_factory.mktemp("house"))
