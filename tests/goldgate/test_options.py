"""What the options' help says."""

from contract.formats.registry import FORMATS as TABLE
from goldgate.options import FORMATS

NOT_YET = {"xanylabeling"}


def test_help_names_every_format() -> None:
    assert FORMATS.removesuffix(".").replace(" or ", ", ").split(", ") == [name for name in TABLE if name not in NOT_YET]
