"""Points in time as texts: against whole numbers of microseconds, written in every way that other programs do."""

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.instants import instant

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
SECONDS = st.integers(0, 4_000_000_000)
OFFSETS = st.integers(-14 * 60, 14 * 60)


def written(microseconds: int, minutes: int, *, digits: int, colon: bool) -> str:
    """Return a time with an offset, its fraction cut to `digits`; Z where the offset is zero."""
    there = EPOCH + timedelta(microseconds=microseconds, minutes=minutes)
    fraction = f".{there.microsecond:06d}"[: digits + 1] if digits else ""
    offset = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}{':' if colon else ''}{abs(minutes) % 60:02d}"
    return f"{there:%Y-%m-%dT%H:%M:%S}{fraction}{offset if minutes else 'Z'}"


@settings(max_examples=100, deadline=None)
@given(SECONDS, st.integers(0, 999_999), OFFSETS, st.integers(0, 6), st.booleans())
def test_every_way_of_writing_is_the_same_time(seconds: int, part: int, minutes: int, digits: int, colon: bool) -> None:
    kept = part // 10 ** (6 - digits) * 10 ** (6 - digits)
    found = instant(written(seconds * 1_000_000 + kept, minutes, digits=digits, colon=colon))
    assert found is not None
    assert (found - EPOCH) // timedelta(microseconds=1) == seconds * 1_000_000 + kept


def test_no_offset_is_utc_and_more_digits_are_cut() -> None:
    assert instant("2026-01-01 00:00:40.1234567") == datetime(2026, 1, 1, 0, 0, 40, 123456, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    "text",
    [None, 5, "", "yesterday", "2026-02-30T00:00:00Z", "2026-01-01T25:00:00Z", "2026-01-01", "0001-01-01T00:00:00+14:00"],
)
def test_what_is_no_time(text: object) -> None:
    assert instant(text) is None
