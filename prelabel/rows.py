"""Rows of a CSV, JSONL or Parquet file, with the place of each: the one reader of text tables and of manifests."""

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from prelabel.encoding import UTF8, UTF8_MARKED, detect
from prelabel.refusal import Reason, RefusedError
from prelabel.sniff import HEAD_BYTES, sniff

CSV: Final = "text/csv"
TSV: Final = "text/tab-separated-values"
JSONL: Final = "application/x-ndjson"
PARQUET: Final = "application/vnd.apache.parquet"

_SUFFIXES: Final = {".csv": CSV, ".tsv": TSV, ".jsonl": JSONL, ".ndjson": JSONL}
_DELIMITERS: Final = {CSV: ",", TSV: "\t"}
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_PIECE_BYTES: Final = 1 << 20
_LONGEST_FIELD: Final = 1 << 24
_LONGEST_LINE: Final = 1 << 26
_BATCH_ROWS: Final = 4096

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Row:
    """One row: `number` is its first line in a CSV or JSONL file and its row in a Parquet file, from 1.

    `values` are keyed by the column's name in lower case; `problem` says why the row cannot be used.
    """

    number: int
    encoding: str
    values: Mapping[str, Any]
    problem: RefusedError | None = None


def table_media(path: Path) -> str | None:
    """Return the media type of the table at `path`, or None if it is none.

    Parquet is known by its content; CSV and JSONL are text whose layout only the suffix tells.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        media = sniff(file.read(HEAD_BYTES))
    if media == PARQUET:
        return media
    return _SUFFIXES.get(path.suffix.lower()) if media == "text/plain" else None


def columns(path: Path, media: str) -> frozenset[str]:
    """Return the column names, in lower case, of the table at `path`; of JSONL, the keys of its first object.

    Raises:
        RefusedError: the table cannot be read.
    """
    if media == PARQUET:
        with _parquet(path) as file:
            return frozenset(name.strip().lower() for name in file.schema_arrow.names)
    if media == JSONL:
        return next((frozenset(row.values) for row in read_rows(path, media) if row.problem is None), frozenset())
    with path.open("rb") as file:
        encoding = detect(_pieces(path)) or UTF8
        line = file.readline(_PIECE_BYTES).decode(encoding, "surrogateescape")
    return frozenset(name.strip().lower() for names in csv.reader([line], delimiter=_DELIMITERS[media]) for name in names)


def read_rows(path: Path, media: str) -> Iterator[Row]:
    """Yield the rows of the table at `path`, in order; a row that cannot be read has a `problem`.

    Raises:
        RefusedError: the table as a whole cannot be parsed, so that none of its rows is to be trusted.
        OSError: the file cannot be read.
    """
    readers: Mapping[str, Callable[[Path], Iterator[Row]]] = MappingProxyType(
        {
            PARQUET: _parquet_rows,
            JSONL: _json_rows,
            CSV: lambda path: _csv_rows(path, ","),
            TSV: lambda path: _csv_rows(path, "\t"),
        }
    )
    return readers[media](path)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _foreign_bytes() -> RefusedError:
    return RefusedError(Reason.ENCODING, "the text is neither UTF-8 nor GB18030; save the file as UTF-8")


def _is_foreign(value: str) -> bool:
    return _SURROGATE.search(value) is not None


def _csv_rows(path: Path, delimiter: str) -> Iterator[Row]:
    encoding = detect(_pieces(path)) or UTF8  # where neither fits, rows in plain ASCII are still sound
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_FIELD))
    with path.open(encoding=encoding, errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        number = 1
        try:
            header = [name.strip().lower() for name in next(reader, [])]
            _check_header(header)
            while True:
                number = reader.line_num + 1
                fields = next(reader, None)
                if fields is None:
                    return
                if fields:
                    yield _csv_row(number, encoding, header=header, fields=fields)
        except csv.Error as error:
            raise RefusedError(
                Reason.CORRUPT,
                f"the row that begins in line {number} is not CSV ({error}), so no row of the file can be trusted",
            ) from error


def _check_header(header: list[str]) -> None:
    twice = next((name for name in header if name and header.count(name) > 1), None)
    if twice is not None:
        raise RefusedError(
            Reason.CORRUPT, f"the first line names the column {twice!r} twice, so a row's text is in doubt; rename one"
        )


def _csv_row(number: int, encoding: str, *, header: list[str], fields: list[str]) -> Row:
    problem = None
    if any(map(_is_foreign, fields)):
        problem = _foreign_bytes()
    elif len(fields) != len(header):
        problem = RefusedError(
            Reason.CORRUPT,
            f"the row has {len(fields)} fields where the header has {len(header)}; quote a text that holds a delimiter",
        )
    return Row(number, encoding, dict(zip(header, fields, strict=False)), problem)


def _json_rows(path: Path) -> Iterator[Row]:
    found = detect(_pieces(path)) or UTF8
    encoding = UTF8 if found == UTF8_MARKED else found
    with path.open("rb") as file:
        number = 0
        while line := file.readline(_LONGEST_LINE):
            number += 1
            if len(line) == _LONGEST_LINE:
                raise RefusedError(Reason.OVERSIZED, f"line {number} is longer than {_LONGEST_LINE} bytes")
            if number == 1 and found == UTF8_MARKED:
                line = line[3:]
            if line.strip():
                yield _json_row(number, found, line=line, codec=encoding)


def _json_row(number: int, encoding: str, *, line: bytes, codec: str) -> Row:
    try:
        document = json.loads(line.decode(codec))
    except UnicodeDecodeError:
        return Row(number, encoding, {}, _foreign_bytes())
    except (json.JSONDecodeError, RecursionError):
        return Row(number, encoding, {}, RefusedError(Reason.CORRUPT, "the line is not a JSON document"))
    if not isinstance(document, dict):
        return Row(number, encoding, {}, RefusedError(Reason.CORRUPT, "the line is not a JSON object"))
    return Row(number, encoding, {name.strip().lower(): value for name, value in document.items()})


def _parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise _bad_parquet(error) from error


def _bad_parquet(error: Exception) -> RefusedError:
    return RefusedError(Reason.CORRUPT, f"the Parquet file cannot be read ({str(error).splitlines()[0]})")


def _parquet_rows(path: Path) -> Iterator[Row]:
    number = 0
    with _parquet(path) as file:
        try:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                for values in batch.to_pylist():
                    number += 1
                    yield Row(number, UTF8, {name.strip().lower(): value for name, value in values.items()})
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise _bad_parquet(error) from error
