"""How much a caller may ask: a bucket of tokens for the rate, a count for what is under way."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_MOST_CALLERS: Final = 10_000


@dataclass
class Bucket:
    """Tokens that come in at a rate and go out with requests (the token bucket of RFC 2697, of one colour)."""

    rate_per_s: float
    burst: float
    tokens: float
    filled_s: float

    def take(self, now_s: float) -> float:
        """Take a token and return 0, or return the seconds until there is one."""
        self.tokens = min(self.burst, self.tokens + (now_s - self.filled_s) * self.rate_per_s)
        self.filled_s = now_s
        if self.tokens >= 1:
            self.tokens -= 1
            return 0.0
        return (1 - self.tokens) / self.rate_per_s


class Meter:
    """Measures callers by their id.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._buckets: dict[str, Bucket] = {}
        self._under_way: dict[str, int] = {}

    def wait_s(self, caller: str, *, rate_per_s: float | None, burst: int) -> int:
        """Count a request of `caller`; return 0, or the whole seconds after which it may come again."""
        if rate_per_s is None:
            return 0
        now_s = self._clock()
        bucket = self._buckets.get(caller)
        if bucket is None or bucket.rate_per_s != rate_per_s or bucket.burst != burst:
            if len(self._buckets) >= _MOST_CALLERS:
                self._buckets.clear()
            bucket = self._buckets[caller] = Bucket(rate_per_s, burst, burst, now_s)
        return math.ceil(bucket.take(now_s))

    def enter(self, caller: str, *, most: int | None) -> bool:
        """Tell whether `caller` may have one more request under way, and if so count it."""
        count = self._under_way.get(caller, 0)
        if most is not None and count >= most:
            return False
        self._under_way[caller] = count + 1
        return True

    def leave(self, caller: str) -> None:
        """Take back what `enter` counted."""
        count = self._under_way[caller] - 1
        if count:
            self._under_way[caller] = count
        else:
            del self._under_way[caller]
