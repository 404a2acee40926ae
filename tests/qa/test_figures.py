import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.tables import Kind
from contract.verdict import Criterion, Outcome
from qa.report.figures import DASH, bullet, plain, share

shares = st.floats(0, 1)


def criterion(estimate: float | None, lower: float | None, upper: float | None, threshold: float = 0.9) -> Criterion:
    return Criterion(
        name="image.f1",
        kind=Kind.IMAGE,
        estimate=estimate,
        lower_bound=lower,
        upper_bound=upper,
        threshold=threshold,
        outcome=Outcome.EXTEND,
        units=3,
    )


@pytest.mark.parametrize(
    ("value", "against", "written"),
    [
        (None, 0.9, DASH),
        (-0.00001, None, "0.0000"),
        (0.9, 0.9, "0.9000"),
        (0.89996, 0.9, "0.89996"),
        (0.9000001, 0.9, "0.9000001"),
        (0.89996, None, "0.9000"),
        (0.5, 0.9, "0.5000"),
    ],
)
def test_a_share_is_not_rounded_across_its_threshold(value: float | None, against: float | None, written: str) -> None:
    assert share(value, against) == written


@given(shares, st.floats(0.01, 0.99).map(lambda value: round(value, 3)))
def test_what_is_written_lies_on_the_side_where_the_share_lies(value: float, against: float) -> None:
    written = float(share(value, against))
    assert (written >= against) == (value >= against) or abs(value - against) < 1e-11


@pytest.mark.parametrize(
    ("value", "written"), [(None, DASH), (3, "3"), (12345.0, "12,345"), (0.05, "0.05"), (0.12345, "0.1235"), (-0.5, "-0.5")]
)
def test_plain_numbers(value: float | None, written: str) -> None:
    assert plain(value) == written


def test_nothing_known_is_not_drawn() -> None:
    assert bullet(criterion(None, None, None)) is None


def test_a_limit_that_is_not_known_reaches_the_end() -> None:
    drawn = bullet(criterion(0.95, None, None))
    assert drawn is not None
    assert drawn.open_lower
    assert drawn.open_upper
    assert (drawn.lower, drawn.upper) == (drawn.left, drawn.right)


@given(st.tuples(shares, shares, shares).map(sorted), st.floats(0.01, 0.99))
def test_places_keep_the_order_of_values_and_lie_on_the_line(values: list[float], threshold: float) -> None:
    lower, estimate, upper = values
    drawn = bullet(criterion(estimate, lower, upper, threshold))
    assert drawn is not None
    assert drawn.estimate is not None
    assert drawn.left - 0.01 <= drawn.lower <= drawn.estimate <= drawn.upper <= drawn.right + 0.01
    assert drawn.left <= drawn.threshold <= drawn.right
    assert (drawn.lower < drawn.threshold) <= (lower < threshold)
