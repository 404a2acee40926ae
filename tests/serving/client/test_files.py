"""Files of a form against httpx's own way with open ones, and what becomes of those that go away meanwhile."""

import io
import os
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.errors import InputError
from serving.client import calls
from serving.client.calls import Order
from serving.client.files import UnreadFile

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(-1, 9)),
        st.tuples(st.just("seek"), st.integers(0, 12)),
        st.tuples(st.just("end"), st.just(0)),
        st.tuples(st.just("tell"), st.just(0)),
    ),
    max_size=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=12), steps=STEPS)
def test_it_reads_as_an_open_file_does(tmp_path: Path, content: bytes, steps: list[tuple[str, int]]) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    unread, plain = UnreadFile(path), io.BytesIO(content)
    for step, number in steps:
        if step == "read":
            assert unread.read(number) == plain.read(number)
        elif step == "tell":
            assert unread.tell() == plain.tell()
        else:
            whence = io.SEEK_END if step == "end" else io.SEEK_SET
            assert unread.seek(number, whence) == plain.seek(number, whence)
    unread.close()


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  links that go away meanwhile


def test_few_are_open_at_a_time_and_all_can_be_sent_again(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(200)]
    for path in paths:
        path.write_bytes(path.name.encode() * 20_000)
    call = calls.submit(Order("c", "l", texts=["好"], files=paths))
    before = open_files()
    bodies = []
    for _ in range(2):
        arguments: Any = {**call.arguments, "headers": {"content-type": "multipart/form-data; boundary=b"}}
        request = httpx.Request("POST", "http://h", **arguments)
        pieces = []
        for piece in cast("Any", request.stream):
            assert open_files() <= before + 1
            pieces.append(piece)
        bodies.append(b"".join(pieces))
        assert int(request.headers["content-length"]) == len(bodies[-1])
    assert open_files() == before
    assert bodies[0] == bodies[1]
    assert all(path.read_bytes() in bodies[0] for path in paths[::50])


def test_a_file_that_goes_away_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    unread = UnreadFile(tmp_path / "a")
    (tmp_path / "a").unlink()
    with pytest.raises(InputError, match=r"a: cannot be read \(No such file"):
        unread.read(1)
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory"):
        UnreadFile(tmp_path)
