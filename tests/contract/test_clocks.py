"""Clocks: working days that stand still, years that end on the day of the same date."""

import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.clocks import Clocks, clocks_of, stopped_days, with_stops, years_after
from contract.reading import reading
from contract.terms import Deadline, load_terms

DAY = datetime.timedelta(days=1)
START = datetime.date(2030, 1, 1)
DATES = st.integers(0, 60).map(lambda number: START + number * DAY)
SPANS = st.lists(st.tuples(DATES, st.integers(0, 20)).map(lambda pair: (pair[0], pair[0] + pair[1] * DAY)), max_size=4)


@settings(max_examples=80)
@given(spans=SPANS, free=st.sets(DATES, max_size=6), makeup=st.sets(DATES, max_size=4), working=st.integers(1, 25))
def test_the_deadline_counts_only_days_on_which_work_was_possible(
    spans: list[tuple[datetime.date, datetime.date]],
    free: set[datetime.date],
    makeup: set[datetime.date],
    working: int,
) -> None:
    deadline = Deadline(
        start=START, working_days=working, holidays=tuple(sorted(free - makeup)), makeup_workdays=tuple(sorted(makeup))
    )
    due = with_stops(deadline, stopped_days(spans, START)).due_date()
    counted, day = 0, START
    while counted < working:
        day += DAY
        works = day in makeup or (day.weekday() < 5 and day not in free)
        counted += works and not any(opened < day <= closed for opened, closed in spans)
    assert due == day
    assert due >= deadline.due_date()


def test_an_open_blocker_stops_the_clock_until_today() -> None:
    today = START + 3 * DAY
    assert stopped_days([(START, None)], today) == {START + DAY, START + 2 * DAY, today}
    assert stopped_days([(today, None)], today) == frozenset()
    assert stopped_days([(START, START)], today) == frozenset()
    assert stopped_days([(today + DAY, None)], today) == frozenset()


@pytest.mark.parametrize(
    ("day", "years", "last"),
    [
        ((2026, 11, 25), 3, (2029, 11, 25)),
        ((2028, 2, 29), 3, (2031, 2, 28)),
        ((2028, 2, 29), 4, (2032, 2, 29)),
        ((2026, 12, 31), 1, (2027, 12, 31)),
    ],
)
def test_years(day: tuple[int, int, int], years: int, last: tuple[int, int, int]) -> None:
    assert years_after(datetime.date(*day), years) == datetime.date(*last)


def test_three_clocks_begin_with_the_end_of_the_contract() -> None:
    deadline = Deadline(start=START, working_days=3)
    clocks = Clocks(secrecy_years=3, delete_within_days=15, records_years=5)
    running = clocks_of(deadline, clocks, ended=datetime.date(2030, 6, 30), stopped=frozenset({START + DAY}))
    assert [(clock.name, clock.ends) for clock in running] == [
        ("delivery", datetime.date(2030, 1, 7)),
        ("secrecy", datetime.date(2033, 6, 30)),
        ("deletion", datetime.date(2030, 7, 15)),
        ("records", datetime.date(2035, 6, 30)),
    ]
    assert running[0].stopped == 1
    assert running[2].days_left(datetime.date(2030, 7, 20)) == -5
    for told, why in ((clocks, "has not ended"), (None, "no section clocks")):
        for clock in clocks_of(deadline, told, ended=None)[1:]:
            assert (clock.begins, clock.ends, clock.days_left(START)) == (None, None, None)
            assert why in (clock.why or "")


def test_the_reading_says_the_clocks_and_terms_without_them_keep_their_digest() -> None:
    terms = load_terms(Path(__file__).resolve().parents[2] / "configs" / "demo.yaml")
    assert "clocks" not in terms.model_dump(mode="json")
    with_clocks = terms.model_copy(update={"clocks": Clocks(secrecy_years=7, delete_within_days=15, records_years=4)})
    assert with_clocks.sha256 != terms.sha256
    for language, words in (
        ("zh", ("保密 7 年", "15 天", "留存 4 年")),
        ("en", ("secrecy for 7 years", "15 days", "4 years")),
    ):
        said = reading(with_clocks, language)  # type: ignore[arg-type]
        assert all(word in said for word in words)
        assert words[0] not in reading(terms, language)  # type: ignore[arg-type]
