"""The table of exchange formats is closed and agrees with the terms."""

from pathlib import Path
from typing import get_args

import pytest

from contract.errors import FormatError
from contract.formats.registry import FORMATS, exchange
from contract.tables import Task
from contract.terms import Format
from tests.oracles.labelsets import label_set
from tests.oracles.lots import lot_of


def test_table_names_what_terms_may_name() -> None:
    assert tuple(FORMATS) == get_args(Format)
    assert all(exchange(name).name == name for name in FORMATS)


@pytest.mark.parametrize("name", ["xanylabeling"])
def test_formats_to_come_say_so_and_write_nothing(tmp_path: Path, name: str) -> None:
    lot = lot_of([])
    with pytest.raises(FormatError, match=f"format '{name}' cannot be read or written yet; use coco"):
        exchange(name).write(tmp_path, label_set(Task.BOXES, [], {}), lot)
    with pytest.raises(FormatError, match="cannot be read or written yet"):
        exchange(name).read(tmp_path, lot)
    assert not list(tmp_path.iterdir())


def test_unknown_format() -> None:
    with pytest.raises(FormatError, match=r"format 'cocoo' is unknown; it may be coco, .*; did you mean 'coco'"):
        exchange("cocoo")
