import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.watch.requests import request_id, trace_parent

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


def test_a_traceparent_is_read() -> None:
    parent = trace_parent(f"00-{TRACE}-{SPAN}-01")
    assert parent is not None
    assert (parent.trace_id, parent.span_id, parent.flags) == (TRACE, SPAN, "01")
    later = trace_parent(f"cc-{TRACE}-{SPAN}-00-what-the-future-will-be-like")
    assert later is not None
    assert later.flags == "00"


@pytest.mark.parametrize(
    "header",
    [
        "",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-0",
        f"00-{TRACE}-{SPAN}-01\n",
        f"{TRACE}-{SPAN}",
    ],
)
def test_what_is_no_traceparent_is_not_read(header: str) -> None:
    assert trace_parent(header) is None


@given(st.text(max_size=200))
def test_an_id_is_always_one_short_word_of_plain_letters(header: str) -> None:
    found = request_id(header, None)
    assert re.fullmatch(r"[A-Za-z0-9._:-]{1,128}", found, re.ASCII)
    assert found == header or re.fullmatch(r"[0-9a-f]{32}", found)


def test_a_sane_id_is_kept_then_the_trace_then_a_new_one() -> None:
    parent = trace_parent(f"00-{TRACE}-{SPAN}-01")
    assert request_id("job-7:chunk.12", parent) == "job-7:chunk.12"
    assert request_id("a" * 128, None) == "a" * 128
    assert request_id("a" * 129, parent) == TRACE
    assert request_id(None, parent) == TRACE
    assert request_id(None, None) != request_id(None, None)
