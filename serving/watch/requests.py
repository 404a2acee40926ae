"""Which request is served, known to everything that works for it, as far as the replica."""

import contextlib
import random
import re
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, NamedTuple

REQUEST_ID: Final[ContextVar[str | None]] = ContextVar("request_id", default=None)
"""The id of the request under way, set where it comes in; None outside of one."""

CARRIED: Final[ContextVar[tuple[str, ...]]] = ContextVar("carried", default=())
"""The ids of all requests whose items the model call under way carries."""


@dataclass
class Tally:
    """What those who serve a request say of it.

    Args:
        items: how many it brought to a model.
        caller: the name of the key that it came with.
    """

    items: int = 0
    caller: str | None = None


TALLY: Final[ContextVar[Tally | None]] = ContextVar("tally", default=None)
"""The tally of the request under way; None outside of one."""

_SANE_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")


class TraceParent(NamedTuple):
    """Where a request stands in a caller's trace (W3C Trace Context)."""

    trace_id: str
    span_id: str
    flags: str


def trace_parent(header: str) -> TraceParent | None:
    """Return what a `traceparent` header says, or None where it is not one (W3C Trace Context, 3.2.2)."""
    found = _TRACEPARENT.fullmatch(header)
    if found is None or (header.startswith("00") and len(header) != len("00-") + 32 + 1 + 16 + 1 + 2):
        return None
    return TraceParent(found[1], found[2], found[3])


def request_id(header: str | None, trace: TraceParent | None) -> str:
    """Return the caller's own id of a request if it is sane, else that of its trace, else a new one."""
    if header is not None and _SANE_ID.fullmatch(header):
        return header
    # A name and no secret; the system's own numbers would cost a call of the kernel for each request.
    return f"{random.getrandbits(128):032x}" if trace is None else trace.trace_id


def count_items(count: int) -> None:
    """Add items to the tally of the request under way."""
    tally = TALLY.get()
    if tally is not None:
        tally.items += count


def name_caller(name: str) -> None:
    """Write down who makes the request under way: the name of a key, never the key."""
    tally = TALLY.get()
    if tally is not None:
        tally.caller = name


@contextlib.contextmanager
def carrying(requests: Sequence[str | None]) -> Iterator[None]:
    """Say for whom a gathered call is made."""
    token = CARRIED.set(tuple(dict.fromkeys(each for each in requests if each is not None)))
    try:
        yield
    finally:
        CARRIED.reset(token)


def carried() -> tuple[str, ...]:
    """Return the ids of the requests that a call is made for: those gathered in it, or the one under way."""
    own = REQUEST_ID.get()
    return CARRIED.get() or (() if own is None else (own,))
