"""Files are whole or absent, and equal content gives equal bytes."""

import errno
import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import LabelsError, StageError, StorageError
from contract.files import (
    canonical_json,
    parquet_bytes,
    read_json,
    read_parquet,
    sha256_file,
    storage_errors,
    write_bytes,
    write_json,
    write_once,
    write_parquet,
    write_together,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_canonical_json_knows_no_order(document: dict[str, object]) -> None:
    turned = dict(reversed(list(document.items())))
    assert canonical_json(document) == canonical_json(turned)
    assert json.loads(canonical_json(document)) == document


def test_canonical_json_refuses_nan() -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"x": float("nan")})


def test_same_table_gives_same_bytes(tmp_path: Path) -> None:
    whole = pa.table({"item": ["a", "b", "c"], "x": [1.0, 2.0, 3.0]})
    pieces = pa.concat_tables([whole.slice(0, 1), whole.slice(1)])
    assert parquet_bytes(whole) == parquet_bytes(pieces)
    digest = write_parquet(tmp_path / "deep" / "t.parquet", whole)
    assert digest == sha256_file(tmp_path / "deep" / "t.parquet") == hashlib.sha256(parquet_bytes(whole)).hexdigest()
    assert read_parquet(tmp_path / "deep" / "t.parquet").equals(whole)


def test_of_two_writers_one_wins(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "1.json"
    write_once(path, b"first")
    with pytest.raises(StageError, match="another command was quicker"):
        write_once(path, b"second")
    assert path.read_bytes() == b"first"
    assert [each.name for each in path.parent.iterdir()] == ["1.json"]


def test_write_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"n": 1})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"n": float("inf")})
    assert read_json(path) == {"n": 1}
    write_bytes(path, b"{}")
    assert read_json(path) == {}
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def test_full_disk_is_told_and_other_faults_pass(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no space left on device; free space"), storage_errors(tmp_path):
        raise OSError(errno.ENOSPC, "full")
    with pytest.raises(FileNotFoundError), storage_errors(tmp_path):
        raise FileNotFoundError(errno.ENOENT, "gone")


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe\x00", b""])
def test_what_is_no_json_or_parquet_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    with pytest.raises(LabelsError, match="no such file"):
        read_json(path)
    with pytest.raises(LabelsError, match="no such file"):
        read_parquet(path)
    path.write_bytes(content)
    with pytest.raises(LabelsError, match="not a JSON document"):
        read_json(path)
    with pytest.raises(LabelsError, match="not a readable Parquet file"):
        read_parquet(path)


def test_files_written_together_all_stand_or_none(tmp_path: Path) -> None:
    write_together(tmp_path / "new", {"a": b"1", "b": b"2"})
    assert {path.name: path.read_bytes() for path in (tmp_path / "new").iterdir()} == {"a": b"1", "b": b"2"}
    (tmp_path / "barred" / "b" / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="b"):
        write_together(tmp_path / "barred", {"a": b"1", "c": b"3", "b": b"2"})
    assert [path.name for path in (tmp_path / "barred").iterdir()] == ["b"]
