"""Checking an audit log: by itself, and against checkpoints that were kept elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from delivery.auditlog import Checkpoint, Entry, is_entry, parse_entry, read_lines
from delivery.merkle import Frontier, leaf_hash


@dataclass
class LogFindings:
    """What a check found.

    Attributes:
        entries: whole lines.
        root: of the tree over them.
        problems: what shows that the log is not as it was written, a sentence each.
        remarks: what is worth a look and proves nothing.
    """

    entries: int = 0
    root: bytes = b""
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def check_log(path: Path, checkpoints: Sequence[tuple[str, Checkpoint]] = ()) -> LogFindings:
    """Check the log at `path` against itself and against `checkpoints` (name, checkpoint), whose signatures hold.

    Raises:
        DeliveryError: there is no log.
    """
    lines, cut = read_lines(path)
    found = LogFindings(entries=len(lines))
    if cut:
        found.remarks.append(
            f"after {len(lines)} entries stand {len(cut)} bytes of a line that was not written to its end; "
            "the next command puts them aside and says so"
        )
    roots = _chain(lines, {checkpoint.size for _, checkpoint in checkpoints}, found)
    found.root = roots[len(lines)]
    origin = _origin(lines)
    for name, checkpoint in checkpoints:
        _against(name, checkpoint, roots, found, origin=origin)
    return found


def _origin(lines: Sequence[bytes]) -> str | None:
    return parse_entry(lines[0]).log if lines and is_entry(lines[0]) else None


def _chain(lines: Sequence[bytes], sizes: set[int], found: LogFindings) -> dict[int, bytes]:
    """Follow the entries from the first on and return the roots at `sizes` and at the end."""
    tree, roots = Frontier(), {}
    last: Entry | None = None
    broken = False
    for number, line in enumerate(lines):
        if number in sizes:
            roots[number] = tree.root()
        entry = parse_entry(line) if is_entry(line) else None
        if not broken:
            problem = _problem(number, entry, tree, last)
            broken = problem is not None
            found.problems += [problem] if problem else []
        if entry and last and entry.time < last.time:
            found.remarks.append(f"entry {number} is dated before entry {number - 1}: the clock was set back")
        last = entry or last
        tree.add(leaf_hash(line))
    roots[len(lines)] = tree.root()
    return roots


def _problem(number: int, entry: Entry | None, tree: Frontier, last: Entry | None) -> str | None:
    """Return what the first place says at which the log is not as it was written."""
    if entry is None:
        return f"line {number + 1} is not an entry as it was written: it was edited"
    if entry.number > number:
        return f"entry {entry.number} stands in the place of entry {number}: entries were taken out or moved"
    if entry.number < number:
        return f"entry {entry.number} stands in the place of entry {number}: entries were put in or moved"
    if last and entry.log != last.log:
        return f"entry {number} is of the log {entry.log}, not of {last.log}: it was put in"
    if entry.before != tree.root().hex():
        return f"entry {number} does not follow from the entries before it: one of them, or it, was edited"
    return None


def _against(name: str, checkpoint: Checkpoint, roots: dict[int, bytes], found: LogFindings, *, origin: str | None) -> None:
    if origin is not None and checkpoint.origin != origin:
        found.problems.append(f"{name}: a checkpoint of {checkpoint.origin}, while the log is that of {origin}")
    elif checkpoint.size > found.entries:
        found.problems.append(
            f"{name}: counted {checkpoint.size} entries, the log has {found.entries}: its end was taken away"
        )
    elif roots[checkpoint.size] != checkpoint.root:
        found.problems.append(
            f"{name}: the first {checkpoint.size} entries are not those that were signed: the log was written anew or edited"
        )
