"""Videos put together from the takes of a folder, with known changes of shot, for judging detectors.

Takes are cut, dissolved, faded and wiped into one another; flashes, shaking, banners and fast pans happen within them. What
comes out is H.264 at 640 x 360 and 25 frames a second, and a JSON file beside each video with its truth, as
benchmarks/shots_f1.py reads it. A video without any change is what false cuts are counted on.
"""

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import av
import cv2
import numpy as np
from numpy.typing import NDArray

SIZE: Final = (640, 360)
RATE: Final = 25
SHARES: Final = {"cut": 0.55, "dissolve": 0.18, "fade": 0.15, "wipe": 0.12}
MOST_FRAMES: Final = 800  # of a video that are kept
LEAST_FRAMES: Final = 25  # of a take
MIN_CHANGE: Final = 12.0  # mean absolute difference of the pictures on both sides of a change
VIDEOS: Final = frozenset({".mp4", ".mkv", ".avi", ".mpg", ".webm", ".mov"})

Picture = NDArray[np.uint8]
Random = np.random.Generator


@dataclass(frozen=True)
class Change:
    """A change of shot: kind, first changed frame, first frame of the new shot."""

    kind: str
    start: int
    end: int


def read_takes(folder: Path) -> list[list[Picture]]:
    """Return the takes of every video in `folder`, as RGB of SIZE, the first frames of each.

    A video is one take, unless takes.json says at which frames further ones begin: {"name.mp4": [98, 154]}.
    """
    page = folder / "takes.json"
    begins = json.loads(page.read_text(encoding="utf-8")) if page.exists() else {}
    takes = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in VIDEOS:
            frames = list(_frames(path))
            bounds = [0, *begins.get(path.name, []), len(frames)]
            takes += [frames[low:high] for low, high in itertools.pairwise(bounds) if high - low >= LEAST_FRAMES]
    return takes


def _frames(path: Path) -> Iterator[Picture]:
    with av.open(str(path)) as container:
        for frame in itertools.islice(container.decode(video=0), MOST_FRAMES):
            yield cv2.resize(frame.to_ndarray(format="rgb24"), SIZE, interpolation=cv2.INTER_AREA)


class Reel:
    """A video in the making.

    Args:
        takes: of which it is made.
        rng: draws everything.
    """

    def __init__(self, takes: Sequence[Sequence[Picture]], rng: Random) -> None:
        self._takes = takes
        self._rng = rng
        self.frames: list[Picture] = []
        self.changes: list[Change] = []

    def shot(self, length: int) -> list[Picture]:
        """Return `length` frames of a take from anywhere in it, seen through a window of its own, mirrored at times."""
        rng = self._rng
        take = self._takes[int(rng.integers(len(self._takes)))]
        start = int(rng.integers(len(take)))
        width = rng.uniform(0.6, 1.0)
        left, top = rng.uniform(0, 1 - width, 2)
        mirrored = rng.random() < 0.5
        turn = max(1, 2 * (len(take) - 1))
        shown = []
        for at in range(length):
            place = (start + at) % turn
            picture = take[min(place, turn - place)]
            x, y = int(left * SIZE[0]), int(top * SIZE[1])
            part = picture[y : y + int(width * SIZE[1]), x : x + int(width * SIZE[0])]
            whole = cv2.resize(part[:, ::-1] if mirrored else part, SIZE, interpolation=cv2.INTER_LINEAR)
            shown.append(np.ascontiguousarray(whole))
        return shown

    def add(self, kind: str, length: int) -> None:
        """Change to another shot by `kind`, and go on with it for `length` frames."""
        rng = self._rng
        span = int(rng.integers(8, 32))
        for _ in range(20):
            following = self.shot(length + span)
            if not self.frames or np.abs(self.frames[-1].astype(np.int16) - following[0]).mean() >= MIN_CHANGE:
                break
        if not self.frames:
            self.frames += following
            return
        at = len(self.frames)
        if kind == "cut":
            self.changes.append(Change("cut", at, at))
            self.frames += following
            return
        mixed = list(getattr(self, f"_{kind}")(self.frames[-span:], following[:span]))
        self.frames[-span:] = mixed
        self.changes.append(Change(kind, at - span, at))
        self.frames += following[span:]

    def _dissolve(self, old: Sequence[Picture], new: Sequence[Picture]) -> Iterator[Picture]:
        for at, (one, two) in enumerate(zip(old, new, strict=True)):
            share = (at + 1) / (len(old) + 1)
            yield cv2.addWeighted(one, 1 - share, two, share, 0)

    def _fade(self, old: Sequence[Picture], new: Sequence[Picture]) -> Iterator[Picture]:
        level = 255 if self._rng.random() < 0.2 else 0
        blank, half = np.full_like(old[0], level), len(old) // 2
        for at in range(len(old)):
            share = 1 - (at + 1) / (half + 1) if at < half else (at - half + 1) / (len(old) - half + 1)
            yield cv2.addWeighted(old[at] if at < half else new[at], share, blank, 1 - share, 0)

    def _wipe(self, old: Sequence[Picture], new: Sequence[Picture]) -> Iterator[Picture]:
        x, y = np.meshgrid(np.linspace(0, 1, SIZE[0]), np.linspace(0, 1, SIZE[1]))
        turn = self._rng.uniform(0, 2 * np.pi)
        field = (x - 0.5) * np.cos(turn) + (y - 0.5) * np.sin(turn)
        field = field / (abs(np.cos(turn)) + abs(np.sin(turn))) + 0.5
        for at, (one, two) in enumerate(zip(old, new, strict=True)):
            yield np.where((field < (at + 1) / (len(old) + 1))[..., None], two, one)

    def disturb(self, start: int, end: int) -> None:
        """Let something happen in frames [start, end) that is no change of shot."""
        rng = self._rng
        kind = rng.choice(["flash", "shake", "banner", "pan"])
        length = int(rng.integers(1, 4)) if kind == "flash" else int(rng.integers(8, 30))
        at = int(rng.integers(start, max(start + 1, end - length)))
        stop = min(at + length, end)
        if kind == "flash":
            for frame in range(at, stop):
                self.frames[frame] = cv2.addWeighted(
                    self.frames[frame], 0.25, np.full_like(self.frames[frame], 255), 0.75, 0
                )
        elif kind == "banner":
            top, colour = int(rng.uniform(0.55, 0.75) * SIZE[1]), rng.integers(0, 256, 3).tolist()
            for frame in range(at, stop):
                cv2.rectangle(self.frames[frame], (20, top), (SIZE[0] - 20, top + 80), colour, -1)
        else:
            path = rng.uniform(-30, 30, (stop - at, 2)) if kind == "shake" else self._swing(stop - at)
            for frame, (dx, dy) in zip(range(at, stop), path, strict=True):
                moved = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
                self.frames[frame] = cv2.warpAffine(self.frames[frame], moved, SIZE, borderMode=cv2.BORDER_REFLECT_101)

    def _swing(self, count: int) -> NDArray[np.float64]:
        """There and back again."""
        turn, far = self._rng.uniform(0, 2 * np.pi), self._rng.uniform(60, 250)
        way = far * np.sin(np.pi * (np.arange(count) + 1) / (count + 1))
        return np.stack([way * np.cos(turn), 0.4 * way * np.sin(turn)], axis=1)


def make_splice(takes: Sequence[Sequence[Picture]], *, seconds: float, seed: int) -> Reel:
    """Return a video of about so many seconds with changes of shot, and something else in every third shot."""
    rng = np.random.default_rng(seed)
    reel = Reel(takes, rng)
    kinds = list(SHARES)
    while len(reel.frames) < seconds * RATE:
        begin = len(reel.frames)
        reel.add(str(rng.choice(kinds, p=list(SHARES.values()))), int(rng.integers(40, 130)))
        quiet = begin + 4, len(reel.frames) - 34  # the next change may reach so far back
        if rng.random() < 0.4 and quiet[1] - quiet[0] > 32:
            reel.disturb(*quiet)
    return reel


def make_calm(takes: Sequence[Sequence[Picture]], *, seconds: float, seed: int) -> Reel:
    """Return a video of one shot in which something that is no change happens every two seconds."""
    rng = np.random.default_rng(seed)
    reel = Reel(takes, rng)
    reel.frames += reel.shot(int(seconds * RATE))
    for start in range(0, len(reel.frames) - 2 * RATE, 2 * RATE):
        reel.disturb(start, start + 2 * RATE)
    return reel


def write(reel: Reel, path: Path) -> None:
    """Write the video, and its truth beside it."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=RATE, options={"crf": "23", "preset": "fast"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for picture in reel.frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    changes = [{"kind": change.kind, "start": change.start, "end": change.end} for change in reel.changes]
    truth = {"fps": RATE, "frames": len(reel.frames), "transitions": changes}
    path.with_suffix(".json").write_text(json.dumps(truth), encoding="utf-8")


def make_folder(material: Path, out: Path, *, videos: int = 6, calm_minutes: float = 10.0) -> None:
    """Fill `out` with `videos` spliced videos of a minute, and, under calm/, with minutes in which no shot changes."""
    takes = read_takes(material)
    (out / "calm").mkdir(parents=True, exist_ok=True)
    for seed in range(videos):
        write(make_splice(takes, seconds=60, seed=seed), out / f"splice-{seed}.mp4")
    for seed in range(round(calm_minutes)):
        write(make_calm(takes, seconds=60, seed=seed), out / "calm" / f"calm-{seed}.mp4")
