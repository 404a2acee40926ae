"""Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html): how far a job is, as it changes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

from serving.jobs import JobStatus

MEDIA_TYPE: Final = "text/event-stream"
HEADERS: Final = {"cache-control": "no-store", "x-accel-buffering": "no"}

_LOOK_S: Final = 0.1
_EVERY_S: Final = 1.0
_RETRY_MS: Final = 2000


async def job_events(look: Callable[[], JobStatus], *, last_id: str | None, heartbeat_s: float) -> AsyncIterator[bytes]:
    """Yield an event for each change, at most one a second, until the job is over; a comment where nothing changes.

    Args:
        look: returns the status at once.
        last_id: of the last event that the caller has seen, which is not sent again.
        heartbeat_s: after so long a silence comes a comment, so that a connection that is gone is noticed.
    """
    clock = asyncio.get_running_loop().time
    # Python reads no number of thousands of digits, and ours never have so many.
    told = int(last_id) if last_id is not None and last_id.isascii() and last_id.isdigit() and len(last_id) < 19 else -1
    state = None
    told_s = spoke_s = float("-inf")
    yield f"retry: {_RETRY_MS}\n\n".encode()
    while True:
        status = look()
        now_s = clock()
        news = status.revision != told or status.state.final
        if news and (status.state is not state or now_s - told_s >= _EVERY_S):
            told, state, told_s, spoke_s = status.revision, status.state, now_s, now_s
            yield event(status)
        elif now_s - spoke_s >= heartbeat_s:
            spoke_s = now_s
            yield b": still here\n\n"
        if status.state.final:
            return
        await asyncio.sleep(_LOOK_S)


def event(status: JobStatus) -> bytes:
    """Return `status` as an event: its name is progress or end, its id the revision."""
    name = "end" if status.state.final else "progress"
    return f"id: {status.revision}\nevent: {name}\ndata: {status.model_dump_json()}\n\n".encode()
