"""Intake: what a client delivered becomes a lot with a manifest, rejects and a signed-off receipt."""

import contextlib
import datetime
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Final

import pyarrow as pa

from contract.errors import SourceError, StageError
from contract.files import parquet_bytes, sha256_bytes, storage_errors, write_bytes, write_json
from contract.receipts import IntakeReceipt
from contract.tables import ITEMS, REJECTS, Kind, State
from contract.terms import Terms
from contract.workfolder import LotFolder
from prelabel.examine import Accepted, Rejected, examine
from prelabel.probe_image import pixel_limit
from prelabel.refusal import Reason
from prelabel.run import read_intake_receipt
from prelabel.sources import Found, absolute_roots, find

TEXTS: Final = pa.schema([pa.field("item", pa.string(), nullable=False), pa.field("text", pa.string(), nullable=False)])

_MAX_THREADS: Final = 8
_WINDOW: Final = 512
_NAMED_REASONS: Final = 3

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class _Tables:
    """The files of a lot, in memory."""

    manifest: bytes
    rejects: bytes
    texts: bytes | None


def take_in(
    paths: Sequence[str], *, lot: LotFolder, terms: Terms, lot_name: str, progress: Progress | None = None
) -> IntakeReceipt:
    """Take the files, folders, patterns, text tables and manifests `paths` in as one lot, and return its receipt.

    Every entry found ends in the manifest or, with a reason, in the rejects. The result depends on names and contents alone,
    not on the order of `paths`. The receipt is written last; if anything fails, no file of the lot remains. Taking the same
    content in again under the same terms changes nothing. `progress` is called with (files done, files found).

    An item's id is its path below the source folder, a text's its column item or id, or else file:line. The SHA-256 and size
    of an image or video are its file's, those of a text are of its UTF-8 bytes.

    Raises:
        SourceError: a path matches nothing, or nothing that was found can be accepted.
        StageError: the lot exists with other terms or other content.
        StorageError: the lot's folder cannot be written.
    """
    _check_terms(lot, terms, lot_name)
    found = find(paths)
    outcomes = _examine_all(found, terms, progress=progress)
    accepted, rejected = _without_duplicates(outcomes)
    if len(accepted) + len(rejected) != len(outcomes) or len(outcomes) < len(found):
        raise RuntimeError(f"intake lost an entry: {len(found)} found, {len(accepted)} accepted, {len(rejected)} rejected")
    if not accepted:
        raise SourceError(_nothing_left(lot_name, rejected))
    tables = _tables(accepted, rejected)
    receipt = IntakeReceipt(
        contract=terms.contract,
        lot=lot_name,
        terms_sha256=terms.sha256,
        guideline_sha256=terms.guideline.sha256,
        items_by_kind={kind: sum(item.kind is kind for item in accepted) for kind in Kind},
        video_seconds=math.fsum(item.duration_s or 0.0 for item in accepted),
        rejects_by_reason=dict(sorted(Counter(reject.reason.value for reject in rejected).items())),
        manifest_sha256=sha256_bytes(tables.manifest),
        rejects_sha256=sha256_bytes(tables.rejects),
        texts_sha256=None if tables.texts is None else sha256_bytes(tables.texts),
        roots=tuple(absolute_roots(paths)),
        created=datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0),
    )
    if lot.receipt.exists():
        return _same_as_before(lot, receipt)
    _write(lot, tables, receipt)
    return receipt


def _check_terms(lot: LotFolder, terms: Terms, lot_name: str) -> None:
    if lot.receipt.exists() and read_intake_receipt(lot).terms_sha256 != terms.sha256:
        raise StageError(f"{lot.root}: lot {lot_name} was taken in under other terms; choose another --lot name")


def _same_as_before(lot: LotFolder, receipt: IntakeReceipt) -> IntakeReceipt:
    before = read_intake_receipt(lot)
    if receipt.model_copy(update={"created": before.created, "roots": before.roots}) != before:
        raise StageError(f"{lot.root}: lot {receipt.lot} exists with other content; choose another --lot name")
    return before


def _examine_all(found: Sequence[Found], terms: Terms, *, progress: Progress | None) -> list[Accepted | Rejected]:
    outcomes: list[Accepted | Rejected] = []
    todo = iter(found)
    done = 0
    look = partial(examine, limits=terms.limits)
    with (
        pixel_limit(terms.limits.max_image_pixels),
        ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1), thread_name_prefix="intake") as pool,
        _cancelling(pool),
    ):
        while window := list(islice(todo, _WINDOW)):
            for result in pool.map(look, window):
                outcomes += result
                done += 1
                if progress is not None:
                    progress(done, len(found))
    return outcomes


@contextlib.contextmanager
def _cancelling(pool: ThreadPoolExecutor) -> Iterator[None]:
    """Let Ctrl-C end the pool at once instead of after all that is queued."""
    finished = False
    try:
        yield
        finished = True
    finally:
        if not finished:
            pool.shutdown(wait=False, cancel_futures=True)


def _without_duplicates(outcomes: Sequence[Accepted | Rejected]) -> tuple[list[Accepted], list[Rejected]]:
    accepted: list[Accepted] = []
    rejected: list[Rejected] = []
    uri_of_item: dict[str, str] = {}
    item_of_content: dict[tuple[Kind, str], str] = {}
    for outcome in sorted(outcomes, key=lambda outcome: outcome.order):
        if isinstance(outcome, Rejected):
            rejected.append(outcome)
            continue
        content = (outcome.kind, outcome.content)
        if not _is_plain_id(outcome.item):
            detail = f"the item id {outcome.item!r} is a path that leaves its folder, or holds a control character"
            rejected.append(_turned_down(outcome, Reason.NAME, detail))
        elif outcome.item in uri_of_item:
            detail = (
                f"{outcome.uri} has the item id {outcome.item} of {uri_of_item[outcome.item]}; give each an id of its own"
            )
            rejected.append(_turned_down(outcome, Reason.DUPLICATE_ID, detail))
        elif content in item_of_content:
            detail = f"the content is that of item {item_of_content[content]}"
            rejected.append(_turned_down(outcome, Reason.DUPLICATE, detail))
        else:
            uri_of_item[outcome.item] = outcome.uri
            item_of_content[content] = outcome.item
            accepted.append(outcome)
    return accepted, rejected


def _is_plain_id(item: str) -> bool:
    """Tools make file names of item ids, so an id may no more lead out of a folder than a path may."""
    return (
        bool(item)
        and item[0] != "/"
        and ".." not in item.split("/")
        and not any(ord(character) < 0x20 for character in item)
    )


def _turned_down(item: Accepted, reason: Reason, detail: str) -> Rejected:
    return Rejected(item.order, item.item, item.uri, reason, detail)


def _nothing_left(lot_name: str, rejected: Sequence[Rejected]) -> str:
    first: dict[Reason, Rejected] = {}
    for reject in rejected:
        first.setdefault(reject.reason, reject)
    counts = Counter(reject.reason for reject in rejected)
    reasons = "; ".join(
        f"{counts[reason]} {reason.value}, such as {first[reason].uri}: {first[reason].detail}"
        for reason, _ in counts.most_common(_NAMED_REASONS)
    )
    return f"lot {lot_name} would be empty: none of {len(rejected)} entries can be accepted ({reasons})"


def _tables(accepted: Sequence[Accepted], rejected: Sequence[Rejected]) -> _Tables:
    named = {
        "kind": [item.kind.value for item in accepted],
        "bytes": [item.size for item in accepted],
        "state": [State.MISSING.value] * len(accepted),
    }
    columns = [
        pa.array(named.get(field.name) or [getattr(item, field.name) for item in accepted], field.type) for field in ITEMS
    ]
    rows = [
        {"item": reject.item, "uri": reject.uri, "reason": reject.reason.value, "detail": reject.detail}
        for reject in rejected
    ]
    texts = [(item.item, item.text) for item in accepted if item.kind is Kind.TEXT]
    return _Tables(
        parquet_bytes(pa.table(columns, schema=ITEMS)),
        parquet_bytes(pa.Table.from_pylist(rows, schema=REJECTS)),
        parquet_bytes(pa.table([[item for item, _ in texts], [text for _, text in texts]], schema=TEXTS)) if texts else None,
    )


def _write(lot: LotFolder, tables: _Tables, receipt: IntakeReceipt) -> None:
    with storage_errors(lot.root), contextlib.ExitStack() as undo:
        if not lot.root.exists():
            undo.callback(_remove_folder, lot)
        lot.root.mkdir(parents=True, exist_ok=True)
        files = [(lot.manifest, tables.manifest), (lot.rejects, tables.rejects)]
        if tables.texts is None:
            lot.texts.unlink(missing_ok=True)  # of an attempt that was killed
        else:
            files.append((lot.texts, tables.texts))
        for path, data in files:
            undo.callback(path.unlink, missing_ok=True)
            write_bytes(path, data)
        undo.callback(lot.receipt.unlink, missing_ok=True)
        write_json(lot.receipt, receipt.model_dump(mode="json"))
        undo.pop_all()


def _remove_folder(lot: LotFolder) -> None:
    with contextlib.suppress(OSError):  # somebody else's file in it is left alone
        lot.root.rmdir()
