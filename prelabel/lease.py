"""One process at a time works on a run: a lease in the work folder, on this machine or on a folder that several share.

Leases of a run are numbered, and the one of the highest number counts. Whoever wants it writes the next number with a link,
which one of any two rivals wins, also over NFS; so a lease is never taken from somebody by deleting a file that may be newer
than the one that was looked at. Its holder writes a beat into it every few seconds, in place and of equal length, since
that is what a shared folder's cache lets others see soonest and a full disk does not forbid.

A holder on the same boot of the same machine is dead when its process is. One elsewhere is dead when its beat has not
changed for as long as `Pace.stale_s` by this machine's clock that only runs forward: no two machines' clocks are compared,
and no clock that can jump is read. A holder that was taken for dead finds out before it writes its next chunk.
"""

import contextlib
import errno
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from contract.errors import StageError
from contract.files import storage_errors, write_once

_HELD: Final = "held"
_RELEASED: Final = "left"  # of the same length, for the file is rewritten in place
_BEAT_DIGITS: Final = 12
_PROC: Final = Path("/proc")
_here: Final = set[str]()  # owners in this process: one that could not write that it left has left all the same
_GONE: Final = frozenset({errno.ENOENT, errno.ESTALE})


@dataclass(frozen=True)
class Pace:
    """Seconds: between two beats, until a lease without a beat is stale, and between two looks at another's."""

    beat_s: float = 5.0
    stale_s: float = 30.0
    look_s: float = 0.5


@dataclass(frozen=True)
class Holder:
    """A process: `boot` and `space` tell whether its `pid` means anything here, `born` whether it is still the same."""

    owner: str
    host: str
    boot: str
    space: str
    pid: int
    born: str

    def is_neighbour(self, other: "Holder") -> bool:
        """Tell whether `other` runs under the same kernel and names processes alike."""
        return bool(self.boot) and (self.boot, self.space) == (other.boot, other.space)


def this_process() -> Holder:
    """Return this process as a holder with an owner's mark of its own."""
    return Holder(
        owner=secrets.token_hex(8),
        host=socket.gethostname(),
        boot=_text(_PROC / "sys/kernel/random/boot_id"),
        space=_link(_PROC / "self/ns/pid"),
        pid=os.getpid(),
        born=_born(os.getpid()),
    )


def _text(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="ascii").strip()
    return ""


def _link(path: Path) -> str:
    with contextlib.suppress(OSError):
        return str(path.readlink())
    return ""


def _born(pid: int) -> str:
    """Return when process `pid` started, in ticks since boot (proc(5), stat, field 22); "" if there is none."""
    fields = _text(_PROC / str(pid) / "stat").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 and fields[0] != "Z" else ""  # a zombie works no more


class Lease:
    """A lease that this process holds until `release`; `hold` is the usual way to it."""

    def __init__(self, place: Path, number: int, holder: Holder, pace: Pace) -> None:
        self._place, self._number, self._holder, self._pace = place, number, holder, pace
        self._beats = 0
        self._ended = threading.Event()
        self._writing = threading.Lock()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Make sure that the lease is still this process's.

        Raises:
            StageError: another took it over.
        """
        newest, own = _newest(self._place), _read(_path(self._place, self._number))
        if newest is None or own is None or newest.number != self._number or own.holder != self._holder:
            by = f" by process {newest.holder.pid} on {newest.holder.host}" if newest else ""
            raise StageError(
                f"{self._place}: the run was taken over{by}, since this process showed no sign of life for "
                f"{self._pace.stale_s:g} s; it stops here, what it finished stands"
            )

    def release(self) -> None:
        """Let the next one have it at once."""
        self._ended.set()
        self._thread.join()
        with contextlib.suppress(OSError, StageError):  # a lease that is not left becomes stale
            self._write(_RELEASED)

    def _keep(self) -> None:
        while not self._ended.wait(self._pace.beat_s):
            with contextlib.suppress(OSError, StageError):  # `check` tells the worker, and a beat may come through later
                self._write(_HELD)

    def _write(self, state: str) -> None:
        with self._writing:
            self.check()
            self._beats += 1
            with _path(self._place, self._number).open("r+b") as file:
                file.write(_document(self._holder, state, self._beats))


@contextlib.contextmanager
def hold(place: Path, *, pace: Pace | None = None, holder: Holder | None = None) -> Iterator[Lease]:
    """Hold the lease on `place`, which need not exist: its files lie beside it.

    Raises:
        StageError: another process holds it and is alive, or was quicker.
        StorageError: the folder cannot be written.
    """
    pace, holder = pace or Pace(), holder or this_process()
    _here.add(holder.owner)
    try:
        lease = Lease(place, _take(place, holder, pace), holder, pace)
        try:
            yield lease
        finally:
            lease.release()
    finally:
        _here.discard(holder.owner)


@dataclass(frozen=True)
class _Standing:
    number: int
    holder: Holder
    state: str
    content: bytes


def _take(place: Path, holder: Holder, pace: Pace) -> int:
    with storage_errors(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        before = _newest(place)
    if before is not None and before.state == _HELD:
        _check_dead(place, before, holder, pace)
    number = before.number + 1 if before else 1
    try:
        write_once(_path(place, number), _document(holder, _HELD, 0))
    except StageError as error:
        raise StageError(
            f"{place}: the same run is under way in another process, which was quicker; wait for it or stop it"
        ) from error
    for old in _paths(place):
        if _number(old) < number:
            old.unlink(missing_ok=True)
    return number


def _check_dead(place: Path, standing: _Standing, me: Holder, pace: Pace) -> None:
    """Return once the holder of `standing` is known to be dead; of one elsewhere that takes time.

    Raises:
        StageError: it is alive.
    """
    other = standing.holder
    if me.is_neighbour(other):
        if other.born and _born(other.pid) == other.born and (other.pid != me.pid or other.owner in _here):
            raise _under_way(place, other)
        return
    end = time.monotonic() + pace.stale_s
    while time.monotonic() < end:
        time.sleep(pace.look_s)
        now = _newest(place)
        if now is not None and now.state == _RELEASED:
            return
        if now is None or now.content != standing.content:
            raise _under_way(place, other)


def _under_way(place: Path, holder: Holder) -> StageError:
    return StageError(f"{place}: the same run is under way in process {holder.pid} on {holder.host}; wait for it or stop it")


def _path(place: Path, number: int) -> Path:
    return place.with_name(f".{place.name}.lease-{number:06d}")


def _paths(place: Path) -> list[Path]:
    return list(place.parent.glob(f".{place.name}.lease-[0-9]*[0-9]"))


def _number(path: Path) -> int:
    return int(path.name.rpartition("-")[2])


def _newest(place: Path) -> _Standing | None:
    """Return the lease that counts."""
    for path in sorted(_paths(place), key=_number, reverse=True):
        standing = _read(path)
        if standing is not None:  # else it was followed by the next, or a folder's cache still lists it
            return standing
    return None


def _read(path: Path) -> _Standing | None:
    """Return what stands in `path`, if it is there; one that says nothing belongs to a holder of whom nothing is known."""
    try:
        content = path.read_bytes()
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise
    known: dict[str, Any] = {}
    with contextlib.suppress(ValueError):
        known = json.loads(content)
    holder = known.get("holder", {"owner": "", "host": "unknown", "boot": "", "space": "", "pid": 0, "born": ""})
    return _Standing(_number(path), Holder(**holder), known.get("state", _HELD), content)


def _document(holder: Holder, state: str, beat: int) -> bytes:
    document = {"beat": f"{beat:0{_BEAT_DIGITS}d}", "state": state, "holder": asdict(holder)}
    return json.dumps(document, sort_keys=True).encode() + b"\n"
