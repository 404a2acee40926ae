"""The reader of lines against one that holds the whole body."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from serving.http.lines import Line, split_lines


def read(pieces: Sequence[bytes], longest: int) -> list[Line]:
    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async def collect() -> list[Line]:
        return [line async for line in split_lines(body(), longest=longest)]

    return asyncio.run(collect())


def plainly(whole: bytes, longest: int) -> list[Line]:
    """All of the body at once: split, numbered, blank lines left out, long ones without their content."""
    lines = []
    for number, line in enumerate(whole.split(b"\n"), 1):
        if len(line) > longest:
            lines.append(Line(number, None))
        elif line.strip():
            lines.append(Line(number, line))
    return lines


SCRAPS = st.sampled_from([b"a", b"\n", b" ", b"\r\n", b"bc", b'{"x": 1}'])
PIECES = st.lists(st.lists(SCRAPS, max_size=6).map(b"".join), max_size=8)


@settings(max_examples=100)
@given(PIECES, st.integers(0, 12))
@example([b"", b"", b"\n"], 0)
@example([b"ab", b"c\n", b"d"], 3)
@example([b"abc", b"d\n", b"e"], 3)
def test_lines_are_those_of_the_whole_body(pieces: list[bytes], longest: int) -> None:
    assert read(pieces, longest) == plainly(b"".join(pieces), longest)


def test_a_line_without_an_end_is_not_held() -> None:
    most = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal most
        for _ in range(200):
            yield bytes(100_000)
            most = max(most, tracemalloc.get_traced_memory()[0])

    async def collect() -> list[Line]:
        return [line async for line in split_lines(endless(), longest=250_000)]

    tracemalloc.start()
    try:
        assert asyncio.run(collect()) == [Line(1, None)]
    finally:
        tracemalloc.stop()
    assert most < 2_000_000


@pytest.mark.parametrize("longest", [1, 5])
def test_the_limit_itself_is_allowed(longest: int) -> None:
    assert read([b"x" * longest], longest) == [Line(1, b"x" * longest)]
    assert read([b"x" * (longest + 1), b"\ny"], longest) == [Line(1, None), Line(2, b"y")]
