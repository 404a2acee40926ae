"""What happened in the last minutes, second by second, in memory that does not grow."""

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from contract.tables import Kind

WINDOW_S: Final = 60
"""Seconds that the figures are of."""

KEPT_S: Final = 300
"""Seconds that the course goes back."""

_LATEST: Final = 8192


@dataclass
class _Second:
    at: int
    requests: int = 0
    shed: int = 0
    failed: int = 0
    items: "Counter[Kind]" = field(default_factory=Counter)
    rejected: "Counter[Kind]" = field(default_factory=Counter)


@dataclass(frozen=True)
class Figures:
    """Figures of the window; what nothing tells of is None.

    Args:
        requests_per_s: answered requests of work, by second.
        p50_s: half of them took no longer.
        p95_s: 95 of 100 took no longer.
        shed: requests refused with 429 or 503.
        failed: requests answered by another 5xx.
        items_per_s: answered items by kind, by second.
        rejected: rejected items by kind.
        mean_batch: mean items of a call by kind.
        largest_batch: most items of a call by kind.
    """

    requests_per_s: float
    p50_s: float | None
    p95_s: float | None
    shed: int
    failed: int
    items_per_s: dict[Kind, float]
    rejected: dict[Kind, int]
    mean_batch: dict[Kind, float]
    largest_batch: dict[Kind, int]


class Rates:
    """Counts by second, and the latest latencies and batches; of one thread.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began_s = clock()
        self._seconds: deque[_Second] = deque(maxlen=KEPT_S)
        self._latencies: deque[tuple[float, float]] = deque(maxlen=_LATEST)
        self._batches: deque[tuple[float, Kind, int]] = deque(maxlen=_LATEST)

    def request(self, status: int, seconds: float) -> None:
        """Count an answered request."""
        second = self._now()
        second.requests += 1
        second.shed += status in (429, 503)
        second.failed += status >= 500 and status != 503
        self._latencies.append((self._clock(), seconds))

    def call(self, kind: Kind, items: int, rejected: int) -> None:
        """Count an answered call of a model."""
        second = self._now()
        second.items[kind] += items
        second.rejected[kind] += rejected
        self._batches.append((self._clock(), kind, items))

    def _now(self) -> _Second:
        at = math.floor(self._clock())
        if not self._seconds or self._seconds[-1].at != at:
            self._seconds.append(_Second(at))
        return self._seconds[-1]

    def figures(self) -> Figures:
        """Return the figures of the last minute, or of the time since the start where that is shorter."""
        now_s = self._clock()
        after_s = now_s - WINDOW_S
        span_s = max(1.0, min(float(WINDOW_S), now_s - self._began_s))
        seconds = [each for each in self._seconds if each.at > after_s]
        took = sorted(took_s for at_s, took_s in self._latencies if at_s > after_s)
        batches: dict[Kind, list[int]] = {}
        for at_s, kind, size in self._batches:
            if at_s > after_s:
                batches.setdefault(kind, []).append(size)
        items = sum((each.items for each in seconds), Counter[Kind]())
        return Figures(
            requests_per_s=sum(each.requests for each in seconds) / span_s,
            p50_s=quantile(took, 0.50),
            p95_s=quantile(took, 0.95),
            shed=sum(each.shed for each in seconds),
            failed=sum(each.failed for each in seconds),
            items_per_s={kind: count / span_s for kind, count in items.items()},
            rejected=dict(sum((each.rejected for each in seconds), Counter[Kind]())),
            mean_batch={kind: sum(sizes) / len(sizes) for kind, sizes in batches.items()},
            largest_batch={kind: max(sizes) for kind, sizes in batches.items()},
        )

    def course(self, step_s: int = 5) -> tuple[list[float], list[float]]:
        """Return requests by second and items by second, oldest first, each the mean of `step_s` whole seconds."""
        steps = KEPT_S // step_s
        first = (math.floor(self._clock()) // step_s - steps + 1) * step_s
        requests, items = [0] * steps, [0] * steps
        for each in self._seconds:
            step = (each.at - first) // step_s
            if 0 <= step < steps:
                requests[step] += each.requests
                items[step] += each.items.total()
        return [count / step_s for count in requests], [count / step_s for count in items]


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """Return the smallest value that at least `share` of the ordered values do not exceed; None of no values."""
    return ordered[max(1, math.ceil(share * len(ordered))) - 1] if ordered else None
