"""Days of lateness: of the first delivery by the deadline, of each rework by its own term."""

import datetime
from pathlib import Path

import pytest

from contract.life.state import Delivery, Life
from contract.terms import Deadline, load_terms
from goldgate.settling import late_days

TERMS = load_terms(Path(__file__).resolve().parents[2] / "configs" / "demo.yaml").model_copy(
    update={"deadline": Deadline(start=datetime.date(2030, 1, 1), working_days=10)}  # due on 2030-01-15, a Tuesday
)


def at(month: int, day: int) -> datetime.datetime:
    return datetime.datetime(2030, month, day, 23, 59, tzinfo=datetime.timezone(datetime.timedelta(hours=8)))


def first(day: datetime.datetime) -> Delivery:
    return Delivery(0, 1, day, None)


@pytest.mark.parametrize(
    ("deliveries", "days"),
    [
        ([], 0),
        ([first(at(1, 15))], 0),
        ([first(at(1, 16))], 1),
        ([first(at(1, 22))], 7),
        # Rejected on Friday the 18th: five working days end on Friday the 25th.
        ([first(at(1, 15)), Delivery(1, 2, at(1, 25), at(1, 18))], 0),
        ([first(at(1, 17)), Delivery(1, 2, at(1, 28), at(1, 18))], 2 + 3),
        # A rework before the contract's own deadline is not late before that.
        ([first(at(1, 3)), Delivery(1, 2, at(1, 15), at(1, 4))], 0),
        ([first(at(1, 3)), Delivery(1, 2, at(1, 16), at(1, 4))], 1),
    ],
)
def test_late_days(deliveries: list[Delivery], days: int) -> None:
    assert late_days(Life(deliveries=tuple(deliveries)), TERMS) == days
