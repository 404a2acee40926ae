"""Features and times of a whole video: from its beginning, or by ranges on several cores and in several sittings."""

import contextlib
import io
import itertools
import logging
import zipfile
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

import av
import numpy as np

from contract.errors import SourceError
from contract.files import sha256_json, write_bytes
from contract.predictor import Source
from models.features import Features, FeatureTable
from models.frames import Frame, VideoReader
from models.openvideo import OpenVideo, too_long
from models.ranges import RANGE_FRAMES, InexactError, PacketIndex, Part, Range, cut, decode_range, read_index
from models.spool import FeatureSpool
from models.timeline import MAX_SECONDS, Clock, Gap, Timeline

FEATURES_VERSION: Final = 1  # raised whenever the same picture may get other features, so that no stored range is reused
LEAST_FRAMES: Final = 250  # of a range, about: what it costs to begin one is then little
RANGES_A_CORE: Final = 4  # so that no core is idle for long at the end
_COLUMNS: Final = frozenset(f"{of}{name}" for of in ("", "next_") for name in ("luma", "chroma", "sharpness")) | {
    "times",
    "lengths",
    "next_numbers",
}
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Analysis:
    """Features of every frame with their seconds, and what is missing because the data is damaged."""

    features: FeatureTable
    timeline: Timeline
    origin_s: float = 0.0  # seconds of the stream at which the first frame is shown
    gaps: tuple[Gap, ...] = ()


class RangePool(Protocol):
    """Decodes ranges of a video elsewhere, where its file is seen under the same path."""

    @property
    def cores(self) -> int:
        """How many ranges are decoded at a time."""
        ...

    def parts(self, decode: Callable[[Range], Part], ranges: Sequence[Range]) -> Generator[Part, None, None]:
        """Yield what `decode`, which can be pickled, makes of each range, in order; what waits ends with the generator.

        Raises:
            InexactError: as `decode` does.
        """
        ...


@runtime_checkable
class Spreading(Protocol):
    """A predictor that can have ranges decoded elsewhere."""

    @property
    def spreads(self) -> bool:
        """Whether it is meant to."""
        ...

    def spread_over(self, pool: RangePool) -> None:
        """Have them decoded by `pool` from now on."""
        ...


@dataclass(frozen=True, slots=True)
class Reading:
    """How videos are read; only `loop_filter` and `max_seconds` may change the result."""

    threads: int = 1  # of the decoder, where a video is decoded from its beginning
    max_seconds: float = MAX_SECONDS
    loop_filter: bool = False
    range_frames: int = RANGE_FRAMES  # of a range at most
    share: int = 1  # cores for one video: it is cut finer the more there are
    ahead: int = 4  # ranges that are decoded or wait at a time
    resume_folder: Path | None = None  # where ranges that are done outlive an interruption
    elsewhere: RangePool | None = None  # decodes the ranges of files in the pool's stead


def analyse(
    source: Source,
    pool: Executor | None = None,
    reading: Reading | None = None,
    *,
    see: Callable[[Frame], None] | None = None,
) -> Analysis:
    """Decode the whole of `source`.

    Args:
        source: the video.
        pool: decodes the ranges of a long video; without, or where its ranges would not join exactly, it is decoded from its
            beginning.
        reading: settings.
        see: shown every frame in order, whole as the encoder meant it; for this the video is decoded from its beginning.

    Raises:
        SourceError: it cannot be opened or decoded, is cut off, or is longer than the limit.
        StorageError: the folder for resuming, or that for temporary files, cannot be written.
    """
    reading = reading or Reading()
    by = reading.elsewhere if reading.elsewhere is not None and source.data is None else pool
    if by is not None and see is None:
        try:
            found = _by_ranges(source, by, reading)
        except (InexactError, av.error.FFmpegError, OSError) as problem:
            _LOG.info("%s is decoded from its beginning: %s", source.item, problem)
        else:
            if found is not None:
                return found
    log = FeatureSpool()
    with VideoReader(
        source,
        threads=reading.threads,
        max_seconds=reading.max_seconds,
        loop_filter=reading.loop_filter or see is not None,
    ) as reader:
        for frame in reader.frames():
            log.add(frame)
            if see is not None:
                see(frame)
        return Analysis(log.features(), reader.timeline(), reader.clock.first, tuple(reader.gaps))


def _by_ranges(source: Source, pool: Executor | RangePool, reading: Reading) -> Analysis | None:
    """Return the analysis of a long video, or None of one that has no two ranges."""
    with OpenVideo(source, max_seconds=reading.max_seconds) as video:
        frames = reading.range_frames
        share = reading.share if isinstance(pool, Executor) else max(reading.share, pool.cores)
        if share > 1:
            frames = min(frames, max(LEAST_FRAMES, int(video.frames_about) // (RANGES_A_CORE * share)))
        if video.frames_about < 2 * frames:
            return None
        index = read_index(video, digest=reading.resume_folder is not None)
        ranges = cut(index, frames=frames) if index is not None else []
        if index is None or len(ranges) < 2:
            return None
        base = video.stream.time_base
        seconds = float((int(index.shown[-1]) - int(index.shown[0])) * base) if base is not None else 0.0
        if seconds > reading.max_seconds:
            raise SourceError(too_long(seconds, reading.max_seconds))
        store = _Store(reading.resume_folder, index, reading) if reading.resume_folder is not None else None
        whole, clock = FeatureSpool(), Clock(video.step)
        work = _Work(source, index, reading.loop_filter, store)
        parts = _parts(work, ranges, pool, reading.ahead) if isinstance(pool, Executor) else _spread(work, ranges, pool)
        _join(parts, ranges, whole, clock)
        video.check_tail(clock)
    if store is not None:
        store.clear(ranges)
    return Analysis(whole.features(), clock.timeline(), clock.first)


@dataclass(frozen=True, slots=True)
class _Work:
    """One range at a time, from the store where it lies there."""

    source: Source
    index: PacketIndex
    loop_filter: bool
    store: "_Store | None"

    def part(self, of: Range) -> Part:
        kept = self.store.load(of) if self.store is not None else None
        return kept if kept is not None else self.kept(of, self.decode(of))

    def decode(self, of: Range) -> Part:
        return decode_range(self.source, self.index, of, loop_filter=self.loop_filter)

    def kept(self, of: Range, part: Part) -> Part:
        if self.store is not None:
            self.store.save(of, part)
        return part


def _spread(work: _Work, ranges: Sequence[Range], pool: RangePool) -> Generator[Part, None, None]:
    """Yield the parts in order, those that are not in the store from `pool`; the store stays here."""
    missing = {of for of in ranges if work.store is None or not work.store.holds(of)}
    with contextlib.closing(pool.parts(replace(work, store=None).decode, [of for of in ranges if of in missing])) as made:
        for of in ranges:
            yield work.kept(of, next(made)) if of in missing else work.part(of)


def _parts(work: _Work, ranges: Sequence[Range], pool: Executor, ahead: int) -> Generator[Part, None, None]:
    """Yield the parts in order, a few being decoded ahead of the one that is asked for."""
    waiting: deque[Future[Part]] = deque()
    left = iter(ranges)
    try:
        waiting.extend(pool.submit(work.part, of) for of in itertools.islice(left, ahead))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(work.part, of) for of in itertools.islice(left, 1))
    finally:
        for future in waiting:
            future.cancel()


def _join(parts: Generator[Part, None, None], ranges: Sequence[Range], whole: FeatureSpool, clock: Clock) -> None:
    """Put `parts` together in `whole` and `clock`.

    Raises:
        InexactError: pictures that two neighbours decoded differ.
    """
    numbers, promised = np.zeros(0, np.int64), Features.none()
    with contextlib.closing(parts):  # its end cancels what is decoded ahead
        for of, part in zip(ranges, parts, strict=True):
            here = numbers < of.end
            again, before = part.features.rows(numbers[here] - of.start), promised.rows(here)
            if not again.equals(before):
                raise InexactError(f"frames from {of.start} on are different when decoding begins with them")
            whole.append(part.features)
            for shown, length in zip(part.times.tolist(), part.lengths.tolist(), strict=True):
                clock.tick(shown, length)
            numbers, promised = part.next_numbers, part.next_features


class _Store:
    """Ranges of one video that are done, each a file; what cannot be read is decoded again."""

    def __init__(self, folder: Path, index: PacketIndex, reading: Reading) -> None:
        made_by = {
            "video": index.digest,
            "loop_filter": reading.loop_filter,
            "version": FEATURES_VERSION,
            "av": av.__version__,
        }
        self._folder = folder / sha256_json(made_by)

    def _path(self, of: Range) -> Path:
        return self._folder / f"{of.start}-{of.end}-{of.first}-{of.last}.npz"

    def holds(self, of: Range) -> bool:
        return self._path(of).exists()

    def load(self, of: Range) -> Part | None:
        try:
            with np.load(io.BytesIO(self._path(of).read_bytes()), allow_pickle=False) as kept:
                columns = {name: kept[name] for name in kept.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            return None
        if columns.keys() != _COLUMNS or len(columns["times"]) != of.end - of.start:
            return None
        return Part(
            Features(columns["luma"], columns["chroma"], columns["sharpness"]),
            columns["times"],
            columns["lengths"],
            columns["next_numbers"],
            Features(columns["next_luma"], columns["next_chroma"], columns["next_sharpness"]),
        )

    def save(self, of: Range, part: Part) -> None:
        mine, following = part.features, part.next_features
        held = io.BytesIO()
        np.savez(
            held,
            luma=mine.luma,
            chroma=mine.chroma,
            sharpness=mine.sharpness,
            times=part.times,
            lengths=part.lengths,
            next_numbers=part.next_numbers,
            next_luma=following.luma,
            next_chroma=following.chroma,
            next_sharpness=following.sharpness,
        )
        write_bytes(self._path(of), held.getvalue())

    def clear(self, ranges: Sequence[Range]) -> None:
        """Take away what is no longer needed."""
        for of in ranges:
            self._path(of).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # another process may still write there
            self._folder.rmdir()
