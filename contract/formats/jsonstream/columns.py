"""JSON documents whose lists of objects are read in a stream into columns, in blocks and side by side.

A file is never held whole, nor as Python objects: a block of it is read, cut where most likely an entry begins, and read
into arrays by one of a few threads. Where a block stops tells whether the cut behind it was right; if it was not (entries
that nest lists of objects), the rest of the list is read block by block, each from where the one before stopped. So the
result depends neither on the cuts nor on the threads.
"""

import json
import os
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from contract.errors import FormatError
from contract.formats.columns import Columns
from contract.formats.jsonstream import records, tokens
from contract.formats.jsonstream.parts import Block, Fields, Part, not_utf8, read_block
from contract.formats.jsonstream.source import JsonSource, open_json
from contract.formats.jsonstream.tokens import PADDING, Bytes

BLOCK: Final = 16 << 20
MOST_THREADS: Final = 8
LONGEST: Final = 64 << 20  # bytes of one entry, one value beside the lists, or white space in one place
_WINDOW: Final = 1 << 14
_OPEN_LIST, _CLOSE_LIST, _OPEN, _CLOSE, _COMMA, _COLON, _QUOTE = b'[]{},:"'
_SAID: Final = {
    tokens.NOT_FINITE: "NaN is not a number that labels may hold, nor is infinity",
    tokens.TOO_DEEP: f"values nest deeper than {tokens.DEEPEST} lists and objects",
    tokens.NO_OBJECT: "it must be an object",
    tokens.NO_TEXT: "a text holds half of a surrogate pair, which stands for no character",
    tokens.NO_UTF8: "the text is not in UTF-8",
}


@dataclass(frozen=True)
class Streaming:
    """How a file is read: bytes in a block, and threads."""

    block: int = BLOCK
    threads: int = 0  # as many as there are cores, up to MOST_THREADS

    def workers(self, size: int) -> int:
        """Return how many threads read `size` bytes."""
        if size <= self.block:
            return 0
        return self.threads or min(len(os.sched_getaffinity(0)), MOST_THREADS)


class JsonStream:
    """A JSON document read from its beginning to its end.

    Args:
        source: the bytes.
        streaming: how lists are read.
    """

    def __init__(self, source: JsonSource, streaming: Streaming) -> None:
        self.path = source.path
        self._source = source
        self._streaming = streaming
        self._at = source.start
        self._window = source.piece(0, 0)
        self._window_at = self._at

    def _buffer(self, size: int) -> tuple[Bytes, int]:
        """Return a buffer that holds `size` bytes from here on, or the rest of the file, and where in it here is."""
        here = self._at - self._window_at
        if here < 0 or here + size > self._window.size - PADDING:
            self._window, self._window_at, here = self._source.piece(self._at, max(size, _WINDOW)), self._at, 0
        return self._window, here

    def peek(self) -> int:
        """Return the next byte that is no white space, or -1 at the end of the file."""
        start = self._at
        while True:
            buffer, here = self._buffer(1)
            end = buffer.size - PADDING
            self._at += min(int(tokens.past_space(buffer, here)), end) - here
            here = self._at - self._window_at
            if here < end:
                return int(buffer[here])
            if self._at >= self._source.size or end == 0:
                return -1
            if self._at - start > LONGEST:
                raise FormatError(
                    f"{self.path}: not a JSON document: {LONGEST >> 20} MiB of white space from byte {start} on"
                )

    def expect(self, byte: int, what: str) -> None:
        """Pass over `byte`.

        Raises:
            FormatError: something else stands there.
        """
        if self.peek() != byte:
            self.refuse(f"expected {what}")
        self._at += 1

    def refuse(self, what: str) -> NoReturn:
        """Raise the error that says `what` is wrong here."""
        self._fail(what, self._at, cut=self.peek() < 0)

    def _fail(self, what: str, at: int, *, cut: bool, entry: str = "") -> NoReturn:
        if self._source.size <= self._source.start:
            raise FormatError(f"{self.path}: not a JSON document: the file is empty")
        hint = "; the file may be cut off" if cut else ""
        raise FormatError(f"{self.path}{entry}: not a JSON document: {what} (byte {at}){hint}")

    def object_keys(self) -> Iterator[str]:
        """Yield the keys of the object that begins here; the caller passes over each value before the next.

        Raises:
            FormatError: it is broken.
        """
        self.expect(_OPEN, "an object")
        if self.peek() == _CLOSE:
            self._at += 1
            return
        while True:
            yield self._key()
            if self.peek() == _CLOSE:
                self._at += 1
                return
            self.expect(_COMMA, "a comma or the end of the object")

    def _key(self) -> str:
        if self.peek() != _QUOTE:
            self.refuse("expected a key")
        key: str = json.loads(self._value())
        self.expect(_COLON, "a colon")
        return key

    def skip(self) -> None:
        """Pass over the value that begins here; a list is read entry by entry, so that it may be longer than memory.

        Raises:
            FormatError: it is broken, or too long.
        """
        if self.peek() == _OPEN_LIST:
            self.entries(Fields(()), name="")
        else:
            self._value()

    def _value(self) -> bytes:
        """Pass over the value that begins here and return its bytes."""
        self.peek()
        size = _WINDOW
        while True:
            buffer, here = self._buffer(size)
            end = buffer.size - PADDING
            behind, mark = tokens.past_value(buffer, here)
            whole_file = self._window_at + end >= self._source.size
            if behind < end or whole_file:
                break
            if size >= LONGEST:
                self._fail(f"a value is longer than {LONGEST >> 20} MiB", self._at, cut=False)
            size *= 8
        if mark < 0:
            self._fail(_SAID.get(mark, "this is no value"), self._window_at + behind, cut=behind >= end)
        wrong = not_utf8(buffer[here:behind])
        if wrong is not None:
            self._fail(_SAID[tokens.NO_UTF8], self._at + wrong, cut=False)
        self._at = self._window_at + behind
        return buffer[here:behind].tobytes()

    def end(self) -> None:
        """Pass over the white space at the end of the file.

        Raises:
            FormatError: something else follows.
        """
        if self.peek() >= 0:
            self.refuse("something follows behind the document's end")

    def entries(self, fields: Fields, *, name: str, first: int = 0) -> Columns:
        """Read the list of objects that begins here into columns.

        Args:
            fields: which keys; all others are passed over, whatever their values nest.
            name: what an entry is called in messages, as in "annotation {}".
            first: the number of the first entry there.

        Raises:
            FormatError: the list or an entry is broken, is no object, or is longer than LONGEST bytes.
        """
        self.expect(_OPEN_LIST, "a list")
        parts: list[Part] = []
        rows = 0
        for start, block, whole_file in self._blocks(fields):
            parts += block.parts
            if block.reason < 0 or (block.reason == records.MORE and whole_file):
                entry = f": {name.format(first + rows + block.entry)}" if name else ""
                what = _SAID.get(block.reason, "expected a value, a comma or an end")
                if block.reason == tokens.NO_OBJECT:
                    raise FormatError(f"{self.path}{entry}: must be an object")
                self._fail(what, start + block.at, cut=block.reason == records.MORE, entry=entry)
            rows += block.entry
            self._at = start + block.at
        return Columns(fields, tuple(parts))

    def _blocks(self, fields: Fields) -> Iterator[tuple[int, Block, bool]]:
        """Yield, until the list ends, where a block starts, what it came to, and whether the file ends with it."""
        state = records.FIRST
        threads = self._streaming.workers(self._source.size - self._at)
        if threads:
            ahead = _Ahead(self._source, fields, self._at, self._streaming.block)
            with ThreadPoolExecutor(threads) as pool, closing(ahead.run(pool, threads + 1)) as found:
                for start, block, whole_file, clean in found:
                    yield start, block, whole_file
                    if block.reason == records.ENDED:
                        return
                    state = block.state
                    if not clean:
                        break
        yield from self._one_by_one(fields, state)

    def _one_by_one(self, fields: Fields, state: int) -> Iterator[tuple[int, Block, bool]]:
        size = self._streaming.block
        while True:
            start = self._at
            buffer = self._source.piece(start, size)
            block = read_block(buffer, state, fields)
            whole_file = start + buffer.size - PADDING >= self._source.size
            if block.reason == records.MORE and not block.entry and not whole_file:
                if size >= LONGEST:
                    self._fail(f"an entry is longer than {LONGEST >> 20} MiB", start, cut=False)
                size *= 4
                continue
            yield start, block, whole_file
            if block.reason == records.ENDED:
                return
            state, size = block.state, self._streaming.block


class _Ahead:
    """Blocks read ahead of what is known, each cut where most likely an entry begins."""

    def __init__(self, source: JsonSource, fields: Fields, at: int, size: int) -> None:
        self._source = source
        self._fields = fields
        self._next = at
        self._size = size
        self._state = records.FIRST

    def run(self, pool: ThreadPoolExecutor, most: int) -> Generator[tuple[int, Block, bool, bool], None, None]:
        """Yield each block in turn, and whether the one behind it begins where it stopped.

        Blocks that were read in vain are dropped when the iterator is closed.
        """
        waiting: deque[tuple[int, int, Future[Block]]] = deque()
        try:
            while True:
                while len(waiting) < most and self._next < self._source.size:
                    waiting.append(self._start(pool))
                if not waiting:
                    return
                start, size, future = waiting.popleft()
                block = future.result()
                whole_file = start + size >= self._source.size
                clean = block.reason == records.MORE and block.at == size and block.state == records.ENTRY
                yield start, block, whole_file, clean
                if not clean:
                    return
        finally:
            for _, _, future in waiting:
                future.cancel()

    def _start(self, pool: ThreadPoolExecutor) -> tuple[int, int, Future[Block]]:
        start = self._next
        buffer = self._source.piece(start, self._size)
        if start + buffer.size - PADDING < self._source.size:
            cut = int(records.last_cut(buffer))
            if cut:
                buffer = buffer[: cut + PADDING]
                buffer[cut:] = 0
        size = buffer.size - PADDING
        self._next = start + size if size else self._source.size
        state, self._state = self._state, records.ENTRY
        return start, size, pool.submit(read_block, buffer, state, self._fields)


@contextmanager
def open_stream(path: Path, streaming: Streaming | None = None) -> Iterator[JsonStream]:
    """Open the JSON document at `path`.

    Raises:
        FormatError: the file is absent, a folder, unreadable, or in UTF-16.
    """
    with open_json(path) as source:
        yield JsonStream(source, streaming or Streaming())


def read_object(stream: JsonStream, lists: Mapping[str, tuple[Fields, str, int]]) -> dict[str, Columns]:
    """Read an object whose values under `lists` (key -> fields, name and first number of an entry) are lists of objects.

    Of a key that stands twice the last value counts, as in Python's json; other keys are passed over.

    Raises:
        FormatError: the document is broken, or a value under one of the keys is no list.
    """
    found: dict[str, Columns] = {}
    for key in stream.object_keys():
        if key not in lists:
            stream.skip()
            continue
        if stream.peek() != _OPEN_LIST:
            raise FormatError(f"{stream.path}: {key} must be a list")
        fields, name, first = lists[key]
        found[key] = stream.entries(fields, name=name, first=first)
    stream.end()
    return found
