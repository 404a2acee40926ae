"""Files that are either whole or absent: write, fsync, rename; and their digests."""

import contextlib
import errno
import hashlib
import io
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from contract.errors import LabelsError, StageError, StorageError

_CHUNK_BYTES = 1 << 20
_STORAGE_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG})


def sha256_bytes(data: bytes) -> str:
    """Return the SHA-256 of `data` as lower-case hex."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of the file at `path` as lower-case hex, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_CHUNK_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def canonical_json(document: object) -> bytes:
    """Return `document` as JSON bytes with sorted keys: equal documents give equal bytes.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    return json.dumps(document, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def sha256_json(document: object) -> str:
    """Return the SHA-256 of the canonical JSON of `document`."""
    return sha256_bytes(canonical_json(document))


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn a full disk or a forbidden folder into a StorageError that names `path`."""
    try:
        yield
    except OSError as error:
        if error.errno in _STORAGE_ERRNOS:
            reason = os.strerror(error.errno or 0).lower()
            raise StorageError(f"cannot write {path}: {reason}; free space or choose another --work folder") from error
        raise


def _mark() -> str:
    """Return what no other writer has: on a folder that machines share, process numbers repeat."""
    return f"{os.getpid()}-{secrets.token_hex(4)}"


def write_bytes(path: Path, data: bytes) -> None:
    """Put `data` at `path` as a whole or not at all (temporary file, fsync, rename, fsync of the folder).

    Raises:
        StorageError: the disk is full or the folder may not be written.
    """
    write_pieces(path, (data,))


def write_pieces(path: Path, pieces: Iterable[bytes]) -> None:
    """Put what `pieces` yield at `path`, as `write_bytes` does; where they raise, nothing is there.

    Raises:
        StorageError: the disk is full or the folder may not be written.
    """
    temporary = path.with_name(f".{path.name}.{_mark()}.tmp")
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.writelines(pieces)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_once(path: Path, data: bytes) -> None:
    """Put `data` at `path` as a whole, unless something stands there already: of two writers one wins.

    Raises:
        StageError: `path` exists.
        StorageError: the disk is full or the folder may not be written.
    """
    draft = path.with_name(f".{path.name}.{_mark()}.new")
    write_bytes(draft, data)
    try:
        with storage_errors(path):
            os.link(draft, path)
    except FileExistsError as error:
        raise StageError(f"{path}: exists already; another command was quicker, so run this one again") from error
    finally:
        draft.unlink(missing_ok=True)


def write_together(folder: Path, files: Mapping[str, bytes]) -> None:
    """Put `files` (name -> content) into `folder`; if one cannot be written, none of them remains.

    Raises:
        StorageError: the disk is full or the folder may not be written.
    """
    with contextlib.ExitStack() as undo:
        for name, data in files.items():
            write_bytes(folder / name, data)
            undo.callback((folder / name).unlink, missing_ok=True)
        undo.pop_all()


def write_each(folder: Path, files: Iterable[tuple[str, bytes]]) -> list[Path]:
    """Put many `files` (path below `folder`, content) there as they come, each whole or not at all, and return the paths.

    They are on the disk for good when the function returns, not one by one: a hundred thousand small files would wait a
    hundred thousand times.

    Raises:
        StorageError: the disk is full or the folder may not be written.
    """
    paths, made = [], set()
    for name, data in files:
        path = folder / name
        temporary = path.with_name(f".{_mark()}.tmp")
        with storage_errors(path):
            if path.parent not in made:
                path.parent.mkdir(parents=True, exist_ok=True)
                made.add(path.parent)
            try:
                temporary.write_bytes(data)
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
        paths.append(path)
    os.sync()
    return paths


def json_bytes(document: object) -> bytes:
    """Return `document` as indented JSON for people and programs, ending in a line feed."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, indent=2, sort_keys=True).encode() + b"\n"


def write_json(path: Path, document: object) -> None:
    """Put `document` at `path` as indented JSON, whole or not at all."""
    write_bytes(path, json_bytes(document))


def read_json(path: Path) -> Any:
    """Return the JSON document at `path`.

    Raises:
        LabelsError: the file is absent or is not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise LabelsError(f"{path}: no such file") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise LabelsError(f"{path}: not a JSON document ({error})") from error


def parquet_bytes(table: pa.Table) -> bytes:
    """Return `table` as Parquet bytes: the same table always gives the same bytes."""
    sink = io.BytesIO()
    pq.write_table(table.combine_chunks(), sink, compression="zstd", store_schema=True)
    return sink.getvalue()


def write_parquet(path: Path, table: pa.Table) -> str:
    """Put `table` at `path` as Parquet, whole or not at all, and return the file's SHA-256."""
    data = parquet_bytes(table)
    write_bytes(path, data)
    return sha256_bytes(data)


def read_parquet(path: Path, *, coded: Sequence[str] = ()) -> pa.Table:
    """Return the table at `path`, the text columns that `coded` names dictionary-encoded.

    Raises:
        LabelsError: the file is absent or is not Parquet.
    """
    try:
        table = pq.read_table(path, partitioning=None, read_dictionary=list(coded) or None)
        table.validate(full=True)  # of a damaged file also texts that are not UTF-8, which fail only when they are looked at
        return table
    except FileNotFoundError as error:
        raise LabelsError(f"{path}: no such file") from error
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise LabelsError(f"{path}: not a readable Parquet file ({first_line(error)})") from error


def first_line(error: BaseException) -> str:
    """Return the first line of what a library says of an error, which may be many or none."""
    return next(iter(str(error).splitlines()), type(error).__name__)
