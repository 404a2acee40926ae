"""Texts as batches of tokens: windows of like length together, so that hardly a padded token is computed.

Texts are cut into pieces by their length in characters, longest first; a piece is tokenised while the model is busy with
the one before. Within what is tokenised, windows are sorted by their tokens and packed up to a budget of padded tokens.
A batch is closed early where one more window would pad it by over a twentieth.
"""

import math
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, pairwise
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

PIECE_TEXTS: Final = 1024
_PIECE_CHARACTERS: Final = 1 << 20
_PADDED_SHARE: Final = 0.05
_CALL_SHARE: Final = 64  # padding up to this part of the budget costs less than another call of the model
_SPLIT_SHARE: Final = 8  # a budget is split among idle workers down to this part of it


class Window(NamedTuple):
    """A run of tokens that the model reads at once, special tokens included.

    `text` is the place of its text in the call and `slot` that of the hypothesis it was paired with, else 0; `types` are
    the token types of a pair, else None; `weight` is how many tokens are of the text.
    """

    text: int
    slot: int
    tokens: list[int]
    types: list[int] | None
    weight: int


class Batch(NamedTuple):
    """Windows as arrays of int64, (windows, longest window): token ids, mask (1 = real), token types of pairs."""

    ids: NDArray[np.int64]
    mask: NDArray[np.int64]
    types: NDArray[np.int64] | None


class Encoder:
    """A fast tokenizer that cuts texts into windows; safe to be called by several threads."""

    def __init__(
        self, tokenizer: Any, *, window: int, stride: int, hypotheses: Sequence[str] = (), typed: bool = False
    ) -> None:
        """Set the tokenizer up.

        Args:
            tokenizer: a fast tokenizer of transformers that nobody else uses.
            window: tokens that the model reads at once.
            stride: tokens that come again in the next window.
            hypotheses: second texts, each of which every text is paired with.
            typed: whether the model is told which tokens are of the second text.

        Raises:
            ValueError: window and hypotheses leave no room for the stride.
        """
        self._backend = tokenizer.backend_tokenizer
        self._backend.no_padding()
        self._backend.no_truncation()
        self.padding: int = tokenizer.pad_token_id
        self._hypotheses = tuple(hypotheses)
        self._typed = typed
        pairs: list[Any] = [("", hypothesis) for hypothesis in hypotheses] or [""]
        self._empty = [len(encoding.ids) for encoding in self._backend.encode_batch_fast(pairs)]
        if window - max(self._empty) <= stride:
            raise ValueError(f"a window of {window} tokens leaves no room for a stride of {stride}")
        self._backend.enable_truncation(window, stride=stride, strategy="only_first" if hypotheses else "longest_first")

    def windows(self, texts: Sequence[str], places: Sequence[int]) -> list[Window]:
        """Return the windows of `texts`, which stand at `places` in the call; of a text without tokens there are none."""
        if not self._hypotheses:
            return list(self._cut(texts, places, 0))
        windows: list[Window] = []
        for slot, hypothesis in enumerate(self._hypotheses):
            windows += self._cut([(text, hypothesis) for text in texts], places, slot)
        return windows

    def _cut(self, inputs: Sequence[Any], places: Sequence[int], slot: int) -> Iterator[Window]:
        nothing = self._empty[slot]
        for place, first in zip(places, self._backend.encode_batch_fast(inputs), strict=True):
            for encoding in (first, *first.overflowing):
                tokens = encoding.ids
                if len(tokens) > nothing:
                    yield Window(place, slot, tokens, encoding.type_ids if self._typed else None, len(tokens) - nothing)


class Padding:
    """Counts real and padded tokens over all batches, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.real = self.padded = 0

    def add(self, windows: Sequence[Window]) -> None:
        """Count a batch."""
        real = sum(len(window.tokens) for window in windows)
        padded = len(windows) * max(len(window.tokens) for window in windows)
        with self._lock:
            self.real += real
            self.padded += padded

    @property
    def ratio(self) -> float | None:
        """Tokens computed for each that was there; None before the first."""
        return self.padded / self.real if self.real else None


def pieces(texts: Sequence[str]) -> list[list[int]]:
    """Return the places of `texts`, longest text first, in runs that are tokenised together."""
    found: list[list[int]] = []
    room = 0
    for place in sorted(range(len(texts)), key=lambda place: -len(texts[place])):
        if room <= 0 or len(found[-1]) == PIECE_TEXTS:
            found.append([])
            room = _PIECE_CHARACTERS
        found[-1].append(place)
        room -= len(texts[place])
    return found


def tokenised(encoder: Encoder, texts: Sequence[str], ahead: ThreadPoolExecutor) -> Iterator[list[Window]]:
    """Yield the windows of each piece of `texts`, while a thread of `ahead` makes those of the next."""
    runs = pieces(texts)

    def cut(places: Sequence[int]) -> list[Window]:
        return encoder.windows([texts[place] for place in places], places)

    if not runs:
        return
    windows = cut(runs[0])
    for run in runs[1:]:
        future: Future[list[Window]] = ahead.submit(cut, run)
        yield windows
        windows = future.result()
    yield windows


def batched(runs: Iterable[list[Window]], *, budget: int, workers: int) -> Iterator[list[Window]]:
    """Yield the windows of all `runs` in batches whose padded tokens are at most `budget`, a longer window alone.

    The last batch of a run waits for the next run. Where there is one run alone and it is small, its tokens are spread
    over the `workers` that would else stand idle.
    """
    held: list[Window] = []
    for number, run in enumerate(runs):
        held += run
        held.sort(key=lambda window: -len(window.tokens))
        if number == 0:
            share = math.ceil(sum(len(window.tokens) for window in held) / workers)
            first = min(budget, max(budget // _SPLIT_SHARE, share))
        cuts = _cuts(held, first if number == 0 else budget, slack=budget // _CALL_SHARE)
        for begin, end in pairwise(cuts):
            yield held[begin:end]
        held = held[cuts[-1] :]
    if held:
        yield held


def _cuts(windows: Sequence[Window], budget: int, *, slack: int) -> list[int]:
    """Return where batches begin in `windows`, which come longest first."""
    cuts = [0]
    longest = real = 0
    for place, window in enumerate(windows):
        length = len(window.tokens)
        padded = longest * (place - cuts[-1] + 1)
        if place > cuts[-1] and (padded > budget or padded - real - length > max(slack, _PADDED_SHARE * real)):
            cuts.append(place)
        if place == cuts[-1]:
            longest, real = length, 0
        real += length
    return cuts


def arrays(windows: Sequence[Window], padding: int) -> Batch:
    """Return `windows` padded to the longest of them."""
    lengths = np.fromiter((len(window.tokens) for window in windows), np.int64, len(windows))
    real = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(real.shape, padding, np.int64)
    total = int(lengths.sum())
    ids[real] = np.fromiter(chain.from_iterable(window.tokens for window in windows), np.int64, total)
    types = None
    if windows[0].types is not None:
        types = np.zeros(real.shape, np.int64)
        types[real] = np.fromiter(chain.from_iterable(window.types or () for window in windows), np.int64, total)
    return Batch(ids, real.astype(np.int64), types)


def through(
    batches: Iterable[list[Window]],
    work: Callable[[list[Window]], NDArray[np.float64]],
    *,
    workers: ThreadPoolExecutor,
    at_once: int,
) -> Iterator[tuple[list[Window], NDArray[np.float64]]]:
    """Yield each batch with what `work` made of it, in order, at most twice `at_once` of them under way."""
    under_way: list[tuple[list[Window], Future[NDArray[np.float64]]]] = []
    try:
        for batch in batches:
            under_way.append((batch, workers.submit(work, batch)))
            if len(under_way) >= 2 * at_once:
                done, future = under_way.pop(0)
                yield done, future.result()
        while under_way:
            done, future = under_way.pop(0)
            yield done, future.result()
    finally:
        for _, future in under_way:
            future.cancel()
