"""Does a lot still stand as its receipt signed it off?"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from contract.errors import SourceError
from contract.files import read_parquet, sha256_bytes, sha256_file
from contract.objectstore import exists, local_copy
from contract.receipts import IntakeReceipt
from contract.tables import Kind
from contract.workfolder import LotFolder
from prelabel.refusal import RefusedError
from prelabel.rows import columns, table_media
from prelabel.run import read_intake_receipt
from prelabel.sources import find
from prelabel.texts import RefusedText, read_text_file, read_texts, text_column

_MAX_THREADS: Final = 8
_ANY_LENGTH: Final = 1 << 40


@dataclass(frozen=True)
class Finding:
    """One difference; `item` is None for a file of the lot itself and for what no item is."""

    kind: Literal["changed", "missing", "extra"]
    item: str | None
    uri: str
    detail: str


@dataclass(frozen=True)
class _Item:
    item: str
    sha256: str
    uri: str


def verify(lot: LotFolder) -> list[Finding]:
    """Compare every file of `lot` and of its sources with the receipt and the manifest; no finding means that all agree.

    A flipped byte of an item is "changed"; an item whose file or row is gone is "missing"; a file or row that was not there
    at intake is "extra". Rejected entries are expected to be there but are not read again.

    Raises:
        StageError: the lot does not exist.
        LabelsError: the manifest or the rejects cannot be read.
    """
    receipt = read_intake_receipt(lot)
    own = _own_files(lot, receipt)
    if any(finding.uri in {lot.manifest.as_posix(), lot.rejects.as_posix()} for finding in own):
        return own  # what they say can no longer be held against the sources
    manifest = read_parquet(lot.manifest).to_pylist()
    rejected = set(read_parquet(lot.rejects)["uri"].to_pylist())
    files, tables = _by_file(manifest)
    with ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1), thread_name_prefix="verify") as pool:
        changed = [finding for finding in pool.map(_check_file, files) if finding is not None]
    of_tables = [finding for path, items in tables.items() for finding in _check_table(path, items, rejected)]
    known = {row["uri"] for row in manifest} | rejected | set(tables)
    extra = [
        Finding("extra", None, entry.uri, "the file was not there at intake")
        for entry in find(receipt.roots, strict=False)
        if entry.uri not in known
    ]
    return sorted([*own, *changed, *of_tables, *extra], key=lambda finding: (finding.uri, finding.kind))


def _own_files(lot: LotFolder, receipt: IntakeReceipt) -> list[Finding]:
    signed = [
        (lot.manifest, receipt.manifest_sha256),
        (lot.rejects, receipt.rejects_sha256),
        (lot.texts, receipt.texts_sha256),
    ]
    findings = []
    for path, digest in signed:
        if not path.exists():
            if digest is not None:
                findings.append(Finding("missing", None, path.as_posix(), "the lot's own file is gone"))
        elif digest is None:
            findings.append(Finding("extra", None, path.as_posix(), "the receipt knows no such file"))
        elif (now := sha256_file(path)) != digest:
            findings.append(Finding("changed", None, path.as_posix(), f"SHA-256 is {now}, the receipt says {digest}"))
    return findings


def _by_file(manifest: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, dict[str, _Item]]]:
    """Part whole files from rows: the latter by the table's path, then by uri."""
    files, tables = [], dict[str, dict[str, _Item]]()
    for row in manifest:
        if row["kind"] == Kind.TEXT.value and row["media"] != "text/plain":
            path = row["uri"].rpartition("#")[0]
            tables.setdefault(path, {})[row["uri"]] = _Item(row["item"], row["sha256"], row["uri"])
        else:
            files.append(row)
    return files, tables


def _check_file(row: dict[str, Any]) -> Finding | None:
    try:
        with local_copy(row["uri"]) as path:
            if row["kind"] == Kind.TEXT.value:
                now = sha256_bytes(read_text_file(path, max_characters=_ANY_LENGTH).text.encode())
            else:
                now = sha256_file(path)
    except FileNotFoundError:
        return Finding("missing", row["item"], row["uri"], "the file is gone")
    except RefusedError as error:
        return Finding("changed", row["item"], row["uri"], str(error))
    except SourceError as error:
        return Finding(_of_store(row["uri"]), row["item"], row["uri"], str(error))
    except OSError as error:
        return Finding("changed", row["item"], row["uri"], f"the file cannot be read ({error.strerror})")
    if now != row["sha256"]:
        return Finding("changed", row["item"], row["uri"], f"SHA-256 is {now}, the manifest says {row['sha256']}")
    return None


def _of_store(uri: str) -> Literal["changed", "missing"]:
    """Return what it means that an object store did not give the object at `uri`."""
    return "changed" if exists(uri) else "missing"


def _check_table(path: str, items: dict[str, _Item], rejected: set[str]) -> Iterator[Finding]:
    try:
        with local_copy(path) as copy:
            now = _texts_of(copy, path)
    except FileNotFoundError:
        yield from (Finding("missing", item.item, uri, "the table is gone") for uri, item in items.items())
        return
    except (RefusedError, OSError) as error:
        yield from (Finding("changed", item.item, uri, f"the table cannot be read: {error}") for uri, item in items.items())
        return
    except SourceError as error:
        yield from (Finding(_of_store(path), item.item, uri, str(error)) for uri, item in items.items())
        return
    for uri, item in items.items():
        if uri not in now:
            yield Finding("missing", item.item, uri, "the row is gone")
        elif now[uri] != item.sha256:
            yield Finding("changed", item.item, uri, f"SHA-256 is {now[uri]}, the manifest says {item.sha256}")
    for uri in now:
        if uri not in items and uri not in rejected:
            yield Finding("extra", None, uri, "the row was not there at intake")


def _texts_of(path: Path, uri: str) -> dict[str, str | None]:
    """Return uri -> SHA-256 of each row's text, None where the row is no text; the table at `uri` lies at `path`."""
    media = table_media(path)
    column = text_column(columns(path, media)) if media else None
    if media is None or column is None:
        return {}
    rows = read_texts(path, media, column=column, max_characters=_ANY_LENGTH)
    return {f"{uri}#{row.number}": None if isinstance(row, RefusedText) else sha256_bytes(row.text.encode()) for row in rows}
