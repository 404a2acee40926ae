"""What the options' help says."""

from contract.formats.registry import FORMATS as TABLE
from goldgate.options import FORMATS


def test_help_names_every_format() -> None:
    assert FORMATS.removesuffix(".").replace(" or ", ", ").split(", ") == list(TABLE)
