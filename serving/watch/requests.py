"""Which request is served, known to everything that works for it, as far as the replica."""

import contextlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Final

REQUEST_ID: Final[ContextVar[str | None]] = ContextVar("request_id", default=None)
"""The id of the request under way, set where it comes in; None outside of one."""

CARRIED: Final[ContextVar[tuple[str, ...]]] = ContextVar("carried", default=())
"""The ids of all requests whose items the model call under way carries."""


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
