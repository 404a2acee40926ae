"""The table of exchange formats is closed and agrees with the terms."""

from typing import get_args

import pytest

from contract.errors import FormatError
from contract.formats.registry import FORMATS, exchange
from contract.terms import Format


def test_table_names_what_terms_may_name() -> None:
    assert tuple(FORMATS) == get_args(Format)
    assert all(exchange(name).name == name for name in FORMATS)


def test_unknown_format() -> None:
    with pytest.raises(FormatError, match=r"format 'cocoo' is unknown; it may be coco, .*; did you mean 'coco'"):
        exchange("cocoo")
