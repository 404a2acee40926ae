"""The seconds of a video's frames, counted from the first one that is shown."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

DEFAULT_RATE: Final = 25.0  # frames a second where neither timestamps nor the container tell
MAX_SECONDS: Final = 86_400.0
EDGE_S: Final = 1e-6  # seconds this near to a frame's edge are that edge
_NAMED_GAPS: Final = 3


@dataclass(frozen=True, slots=True)
class Timeline:
    """Frame number <-> seconds: `edges` holds n + 1 ascending float64 values; frame i shows in [edges[i], edges[i + 1])."""

    edges: NDArray[np.float64]

    @property
    def frames(self) -> int:
        """How many frames there are."""
        return len(self.edges) - 1

    @property
    def starts(self) -> NDArray[np.float64]:
        """Seconds at which each frame appears."""
        return self.edges[:-1]

    @property
    def rate(self) -> float:
        """Frames a second in the middle of the video's distribution, between 1 and 240."""
        return float(np.clip(1.0 / np.median(np.diff(self.edges)), 1.0, 240.0)) if self.frames else DEFAULT_RATE

    def seconds(self, frame: int) -> float:
        """Return when `frame` appears; the number of frames gives the end of the video."""
        return float(self.edges[frame])

    def frame_at(self, seconds: float) -> int:
        """Return the frame on show at `seconds`, the nearest end where that is outside the video."""
        found = int(np.searchsorted(self.edges, seconds + EDGE_S, side="right")) - 1
        return min(max(found, 0), self.frames - 1)

    def first_from(self, seconds: float) -> int:
        """Return the first frame edge at or after `seconds`: the exclusive end of what ends then, at most `frames`."""
        return min(int(np.searchsorted(self.edges, seconds - EDGE_S, side="left")), self.frames)


@dataclass(frozen=True, slots=True)
class Gap:
    """Seconds [start_s, end_s) of which the data is damaged, so that they have no frames; both 0 before the first frame."""

    start_s: float
    end_s: float


def told(gaps: Sequence[Gap]) -> str | None:
    """Return one sentence on what is missing, or None where nothing is."""
    if not gaps:
        return None
    named = [
        f"from {gap.start_s:.3f} s to {gap.end_s:.3f} s" if gap.end_s > 0 else "before the first whole picture"
        for gap in gaps[:_NAMED_GAPS]
    ]
    more = [f"in {len(gaps) - _NAMED_GAPS} more places"] if len(gaps) > _NAMED_GAPS else []
    return f"the data is damaged {', '.join(named + more)}; what lies there was not looked at"


class Clock:
    """Gives each frame its seconds since the first.

    A timestamp that is absent or does not ascend is replaced by the previous one plus the nominal duration of a frame.
    """

    def __init__(self, step: float) -> None:
        """Begin, with the nominal duration of a frame in seconds."""
        self._step = step
        self._times = array("d")
        self._last_duration = 0.0
        self._told = 0  # frames with a timestamp
        self._latest = 0.0
        self.first = 0.0  # seconds of the stream at which the first frame is shown

    @property
    def frames(self) -> int:
        """How many frames there were."""
        return len(self._times)

    @property
    def end(self) -> float:
        """Seconds at which the last frame ends."""
        return self._times[-1] + self._last_duration if self._times else 0.0

    @property
    def reached(self) -> str:
        """The last frame in words."""
        return f"{self._times[-1]:.3f} s (frame {self.frames - 1})" if self._times else "no frame"

    @property
    def stands_still(self) -> bool:
        """Whether there are timestamps, and none is later than the first."""
        return self._told > 1 and self._latest <= self.first

    def tick(self, shown: float | None, duration: float) -> float:
        """Take the next frame, shown at second `shown` of the stream for `duration` (0: unknown); return its seconds."""
        if shown is not None:
            self._latest = max(self._latest, shown) if self._told else shown
            self._told += 1
        if not self._times:
            self.first = shown or 0.0
            self._times.append(0.0)
        elif shown is not None and shown - self.first > self._times[-1]:
            self._times.append(shown - self.first)
        else:
            self._times.append(self._times[-1] + self._step)
        self._last_duration = duration if duration > 0 else self._step
        return self._times[-1]

    def timeline(self) -> Timeline:
        """Return the seconds of all frames so far."""
        return Timeline(np.append(np.array(self._times, np.float64), self.end))
