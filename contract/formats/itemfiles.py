"""One label file an item: where it stands in a written folder, and whose file a path in somebody's folder is.

A label file is called after its image without the suffix, below the same sub-folders, which is how darknet, Ultralytics,
X-AnyLabeling and Pascal VOC find it. Two items that differ in the suffix alone would share a file; theirs are called after
the whole name. No name leads out of the folder that is written.
"""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Final, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.errors import FormatError
from contract.files import sha256_bytes
from contract.formats.jsonfile import read_file
from contract.formats.lotview import LotView, require_name
from contract.labelset import LabelSet
from contract.tables import STATES, Kind, State
from contract.textcodes import codes_of
from contract.words import did_you_mean

ANNOTATED: Final = (State.LABELLED.value, State.EMPTY.value)
_MOST_BYTES: Final = 200  # of one part of a path; file systems take 255 with the suffix
_NEVER: Final = frozenset({"Cc", "Zl", "Zp"})  # ends of lines and other controls, by which lists would break
_UPLOADED: Final = re.compile(r"^[0-9a-f]{8}-(?=.)")  # Label Studio puts this before the name of an uploaded file
_ROWS_AT_ONCE: Final = 1 << 15
_LITTER: Final = "._"  # what macOS leaves beside files on foreign disks; a reader skips it
_MANY_ITEMS: Final = 10_000
_LARGEST: Final = 256 << 20  # bytes of one item's label file; X-AnyLabeling's may hold the image itself


def safe_path(path: str) -> str:
    """Return `path` as one that stays below its folder on any system and has no end of a line in it."""
    return "/".join(_safe_part(part) for part in path.split("/"))


def _safe_part(part: str) -> str:
    if part in ("", ".", ".."):
        return "_" * max(1, len(part))
    if not part.isprintable() or "\\" in part:
        part = "".join("_" if each == "\\" or unicodedata.category(each) in _NEVER else each for each in part)
    if part.startswith(_LITTER):
        part = f"_{part[1:]}"
    data = part.encode()
    if len(data) <= _MOST_BYTES:
        return part
    return f"{data[: _MOST_BYTES - 17].decode(errors='ignore')}-{sha256_bytes(data)[:16]}"


class ItemFiles:
    """The label files of the lot's items of some kinds, without their suffix.

    Args:
        lot: the manifest.
        kinds: whose items have label files in this format.
        place: an item's path without suffix -> its label file's path without suffix.
    """

    def __init__(self, lot: LotView, kinds: Collection[Kind], place: Callable[[str], str] = str) -> None:
        items = [item for item, row in lot.rows.items() if row["kind"] in {kind.value for kind in kinds}]
        plain = {item: safe_path(str(PurePosixPath(item).with_suffix(""))) if item.strip("/.") else "_" for item in items}
        shared = Counter(plain.values())
        self.stems: dict[str, str] = {}
        self._owners: dict[str, str] = {}
        for item in sorted(items, key=lambda item: shared[plain[item]] > 1):
            stem = plain[item] if shared[plain[item]] == 1 else safe_path(item)
            number = 1
            while place(stem) in self._owners:
                number += 1
                stem = f"{safe_path(item)}-{number}"
            self.stems[item] = stem
            self._owners[place(stem)] = item
        self._place = place
        self._plain = plain

    @cached_property
    def _by_name(self) -> dict[str, list[tuple[list[str], str]]]:
        """Last part of a path -> the paths that end in it, in parts, and their items; made where a place does not tell."""
        by_name: dict[str, list[tuple[list[str], str]]] = {}
        for item, plain in self._plain.items():
            for path in {plain, safe_path(item)}:
                parts = path.split("/")
                by_name.setdefault(parts[-1], []).append((parts, item))
        return by_name

    def path(self, item: str) -> str:
        """Return the path of the label file of `item` below its folder, without the suffix."""
        return self._place(self.stems[item])

    def image(self, item: str) -> str:
        """Return the path of the image of `item` that belongs to its label file."""
        suffix = PurePosixPath(item).suffix
        return self.stems[item] + safe_path(f"_{suffix}")[1:]

    def at(self, path: str) -> str | None:
        """Return the item whose label file would be written at `path`."""
        return self._owners.get(path)

    def owner(self, path: str, *, where: str, image: Callable[[], str | None] = lambda: None) -> str:
        """Return the item whose label file stands at `path`.

        The place where it would be written comes first; then, by its name, the item with most folders in common; then
        the image that the file itself names.

        Args:
            path: below the folder, without suffix, parts divided by "/".
            where: the file, for the message.
            image: the image's path or name as it stands in the file, which is asked for where the path does not tell.

        Raises:
            FormatError: no item has that name, or several have.
        """
        if path in self._owners:
            return self._owners[path]
        found = self._nearest(path)
        if len(found) != 1 and (name := image()):
            found = self._nearest(f"{path.rpartition('/')[0]}/{name}".replace("\\", "/")) or found
        if len(found) == 1:
            return found[0]
        if found:
            raise FormatError(
                f"{where}: {path!r} may be of item {found[0]!r} or of {found[1]!r}; keep the lot's folders in the names"
            )
        near = did_you_mean(path, self.stems.values()) if len(self.stems) <= _MANY_ITEMS else ""
        raise FormatError(f"{where}: item {path!r} is not in the lot{near}")

    def _nearest(self, path: str) -> list[str]:
        """Return the items called as the last part of `path`, those that share most folders with it."""
        parts = path.split("/")
        named = self._by_name.get(parts[-1]) or self._by_name.get(_UPLOADED.sub("", parts[-1]), [])
        shared = {item: _in_common(parts[:-1], of[:-1]) for of, item in named}
        most = max(shared.values(), default=0)
        return [item for item, count in shared.items() if count == most]


def _in_common(one: Sequence[str], other: Sequence[str]) -> int:
    count = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if a != b:
            break
        count += 1
    return count


def files_below(folder: Path, suffix: str) -> Iterator[tuple[str, Path]]:
    """Yield every file below `folder` that ends in `suffix`, in either case, with its path there without it, in order.

    Raises:
        FormatError: a folder cannot be read, a link leads out, or a file is larger than any label file.
    """
    root = folder.resolve()
    for place, folders, names in os.walk(folder, onerror=_unreadable):
        folders[:] = sorted(name for name in folders if name != "__MACOSX")
        for name in sorted(names):
            if name.lower().endswith(suffix) and not name.startswith(_LITTER):
                path = Path(place, name)
                if path.is_symlink() and root not in path.resolve().parents:
                    raise FormatError(f"{path}: the link leads out of the folder; put a copy of the file in its place")
                if path.is_file() and path.stat().st_size > _LARGEST:
                    raise FormatError(f"{path}: more than {_LARGEST >> 20} MiB, which no label file of one item has")
                yield path.relative_to(folder).as_posix()[: -len(suffix)], path


def _unreadable(error: OSError) -> NoReturn:
    raise FormatError(f"{error.filename}: cannot be read ({(error.strerror or str(error)).lower()})") from error


def require_any(found: Collection[str], folder: Path, *, what: str) -> None:
    """Refuse a folder in which nothing was found: it is another one than was meant.

    Raises:
        FormatError: `found` is empty.
    """
    if not found:
        raise FormatError(f"{folder}: holds no {what}; name the folder that the tool wrote")


def read_text_lines(path: Path) -> list[str]:
    """Return the lines of the file at `path`, without their ends.

    Raises:
        FormatError: it cannot be read, or is no text in UTF-8.
    """
    data = read_file(path)
    try:
        return [line.removesuffix("\r") for line in data.decode("utf-8").split("\n")]
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: not a text in UTF-8 (byte {error.start})") from error


def in_lot_order(files: Iterable[tuple[str, Path]], lot: LotView, owner: Callable[[str, Path], str]) -> dict[str, Path]:
    """Return item -> its label file, in the order of the lot.

    Args:
        files: path without suffix, and the file.
        lot: the manifest.
        owner: whose a file is.

    Raises:
        FormatError: two files are of one item, or one is of none.
    """
    found: dict[str, Path] = {}
    for name, file in files:
        item = owner(name, file)
        if item in found:
            raise FormatError(f"{file}: item {item!r} has another label file, {found[item]}")
        found[item] = file
    return {item: found[item] for item in lot.rows if item in found}


def require_fit(boxes: pa.Table, lot: LotView, *, form: str) -> None:
    """Check that `boxes` can be written: classes of the guideline, finite numbers.

    Raises:
        FormatError: names the first that cannot.
    """
    wrong = codes_of(boxes["label"], pa.array(lot.guideline.class_names, pa.string())) < 0
    for name in ("x", "y", "w", "h", "score", "area"):
        wrong |= ~np.asarray(pc.fill_null(pc.is_finite(boxes[name]), True).to_numpy(), np.bool_)
    for row in np.flatnonzero(wrong)[:1].tolist():
        where = f"item {boxes['item'][row].as_py()!r}"
        require_name(boxes["label"][row].as_py(), lot.guideline.class_names, word="class", where=where)
        raise FormatError(f"{where} has a box with a number that is not finite, so it cannot be written as {form}")


def annotated_items(labels: LabelSet, lot: LotView, kinds: Collection[Kind], *, form: str) -> tuple[list[str], LabelSet]:
    """Return the items of `kinds` that somebody annotated, and the states of the others.

    Raises:
        FormatError: an item is not in the lot.
    """
    wanted = {kind.value for kind in kinds}
    states = [row for row in labels.states.to_pylist() if row["kind"] in wanted]
    for row in states:
        if row["item"] not in lot.rows:
            raise FormatError(f"item {row['item']!r} is not in the lot, so it cannot be written as {form}")
    others = [row for row in states if row["state"] not in ANNOTATED]
    annotated = [row["item"] for row in states if row["state"] in ANNOTATED]
    return annotated, LabelSet(pa.Table.from_pylist(others, schema=STATES))


def sorted_by_item(table: pa.Table, items: Sequence[str], *, form: str) -> tuple[pa.Table, list[int]]:
    """Return `table` in the order of `items`, and where the rows of each begin, with the end of the last.

    Raises:
        FormatError: a row's item is none of `items`.
    """
    codes = codes_of(table["item"], pa.array(items, pa.string()))
    if (codes < 0).any():
        item = table["item"][int((codes < 0).argmax())].as_py()
        raise FormatError(f"item {item!r} has labels but is not marked labelled, so it cannot be written as {form}")
    order = np.argsort(codes, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=len(items)))])
    return table.take(pa.array(order)), starts.tolist()


def rows_by_item(table: pa.Table, items: Sequence[str], *, form: str) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of each of `items` in turn; no more than some thousand are objects at a time.

    Raises:
        FormatError: a row's item is none of `items`.
    """
    table, starts = sorted_by_item(table, items, form=form)
    at = 0
    while at < len(items):
        end = at + 1
        while end < len(items) and starts[end + 1] - starts[at] <= _ROWS_AT_ONCE:
            end += 1
        rows = table.slice(starts[at], starts[end] - starts[at]).to_pylist()
        for item in range(at, end):
            yield rows[starts[item] - starts[at] : starts[item + 1] - starts[at]]
        at = end
