"""The work folder: plain names only, and numbers that grow."""

from pathlib import Path

import pytest

from contract.errors import StageError
from contract.workfolder import lot_folder, next_number, numbers


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "a b", "a\0"])
def test_lot_name_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(StageError, match="may hold letters"):
        lot_folder(tmp_path, "C", name)


def test_lot_needs_its_receipt(tmp_path: Path) -> None:
    lot = lot_folder(tmp_path, "C", "批次-1")
    with pytest.raises(StageError, match="no such lot; run 'goldgate intake' first"):
        lot.require()
    lot.root.mkdir(parents=True)
    lot.receipt.write_text("{}", encoding="utf-8")
    assert lot.require() is lot


def test_numbers_grow(tmp_path: Path) -> None:
    assert (numbers(tmp_path / "absent"), next_number(tmp_path / "absent")) == ([], 1)
    for name in ("1", "2.json", "10", "notes", ".3.tmp"):
        (tmp_path / name).mkdir()
    assert (numbers(tmp_path), next_number(tmp_path)) == ([1, 2, 10], 11)
