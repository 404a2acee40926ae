"""Hours, devices and money, against sums by hand and a slow search for the fewest devices."""

import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.tables import Kind
from qa.capacity import Need, capacity
from qa.report.capacity_plot import capacity_picture
from qa.words.capacitywords import as_document, capacity_words

START = datetime.date(2025, 9, 1)
VOLUMES = {Kind.IMAGE: 100_000.0, Kind.TEXT: 50_000.0, Kind.VIDEO: 100.0}
RATES = {Kind.IMAGE: 10.0, Kind.TEXT: 50.0, Kind.VIDEO: 4.0}


def need(**changes: Any) -> Need:
    given: dict[str, Any] = {"volumes": VOLUMES, "rates": RATES, "start": START, "due": START + datetime.timedelta(days=10)}
    return Need(**{**given, **changes})


def test_a_plan_by_hand() -> None:
    found = capacity(need(utilisation=0.5, hours_a_day=12.0, price=Decimal("2.50"), devices=3, reserve_days=8))
    # 100,000 images at 10/s are 2.777.. h, 50,000 texts at 50/s 0.2777.. h, 100 h of video at 4 h/h 25 h; half of the time
    assert [part.hours for part in found.parts] == pytest.approx([5.5556, 0.55556, 50.0], abs=1e-3)
    assert found.hours == pytest.approx(56.1111, abs=1e-3)
    assert found.fewest == 3  # 2 days of 12 hours: 24 hours a device
    assert found.cost == Decimal("140.30")  # 56.12 h, a hundredth begun is billed
    chosen = found.chosen
    assert chosen is not None
    assert (chosen.devices, chosen.done, chosen.days_left, chosen.in_time) == (3, datetime.date(2025, 9, 3), 0, True)
    assert chosen.days == pytest.approx(56.1111 / 36, abs=1e-3)
    late = next(choice for choice in found.choices if choice.devices == 2)
    assert (late.in_time, late.days_left) == (False, -1)
    assert [choice.devices for choice in found.choices] == [1, 2, 3, 4, 8, 16]


@settings(max_examples=100)
@given(
    st.floats(1, 1e6),
    st.floats(0.01, 1e4),
    st.integers(1, 60),
    st.sampled_from([0.25, 0.8, 1.0]),
    st.sampled_from([8.0, 24.0]),
)
def test_the_fewest_devices_are_in_time_and_one_fewer_is_not(
    volume: float, rate: float, days: int, utilisation: float, hours: float
) -> None:
    asked = need(
        volumes={Kind.IMAGE: volume},
        rates={Kind.IMAGE: rate},
        due=START + datetime.timedelta(days=days),
        utilisation=utilisation,
        hours_a_day=hours,
    )
    found = capacity(asked)
    assert found.hours == pytest.approx(volume / rate / 3600 / utilisation)
    assert found.hours is not None
    assert found.fewest is not None
    window = days * hours
    assert found.hours <= found.fewest * window * (1 + 1e-9)
    assert found.fewest == 1 or found.hours > (found.fewest - 1) * window * (1 - 1e-9)
    assert found.chosen is not None
    assert found.chosen.in_time
    for choice in found.choices:
        assert choice.in_time == (choice.devices >= found.fewest)


def test_a_rate_that_is_not_known_leaves_the_whole_undefined() -> None:
    found = capacity(need(rates={Kind.IMAGE: 10.0}, price=Decimal(1)))
    assert (found.hours, found.fewest, found.cost, found.choices, found.chosen) == (None, None, None, (), None)
    assert found.reason == "no rate of text, video items is known"
    assert [part.hours is None for part in found.parts] == [False, True, True]
    words = capacity_words(found, currency="CNY", contract_price=None)
    assert "速率未知" in words.zh
    assert "undefined, since no rate of text, video items is known" in words.en
    with pytest.raises(ValueError, match="no rate of text"):
        capacity_picture(found, words)


def test_kinds_that_are_not_ordered_need_no_rate() -> None:
    found = capacity(need(volumes={Kind.IMAGE: 0.0, Kind.TEXT: 100.0, Kind.VIDEO: 0.0}, rates={Kind.TEXT: 1.0}))
    assert [part.kind for part in found.parts] == [Kind.TEXT]
    assert found.fewest == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"utilisation": 0}, "utilisation"),
        ({"utilisation": 1.1}, "utilisation"),
        ({"hours_a_day": 25}, "hours a day"),
        ({"rates": {Kind.TEXT: 0.0}}, "a rate must be over 0"),
        ({"rates": {Kind.TEXT: float("inf")}}, "a rate must be over 0"),
        ({"devices": 0}, "there must be a device"),
        ({"price": Decimal(-1)}, "a price"),
        ({"reserve_days": 10}, "none is left for drafts"),
    ],
)
def test_needs_that_cannot_be(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        need(**changes)


def test_words_document_and_picture_tell_the_same() -> None:
    found = capacity(need(price=Decimal("3"), devices=2))
    words = capacity_words(found, currency="CNY", contract_price=Decimal("255000.00"))
    for text in (words.zh, words.en):
        assert "100,000" in text
        assert "105.21 CNY" in text
        assert "255,000.00" in text
        assert "0.04%" in text
    assert "device-hours" in words.en
    assert "台时" in words.zh
    document = as_document(found, currency="CNY", contract_price=Decimal("255000.00"))
    assert document["cost"] == "105.21"
    assert document["chosen"] == next(choice for choice in document["choices"] if choice["devices"] == 2)
    picture = capacity_picture(found, words)
    assert picture == capacity_picture(found, words)
    text = picture.decode()
    assert text.startswith("<?xml")
    for part in (
        "图像 images",
        "文本 texts",
        "视频 video",
        "台时 device-hours",
        "按期 in time",
        "期限 drafts due 2025-09-11",
    ):
        assert part in text
    assert capacity_picture(found, words, media="png").startswith(b"\x89PNG")


def test_a_plan_that_is_late_with_few_devices_shows_both() -> None:
    slow = capacity(need(rates={kind: rate / 200 for kind, rate in RATES.items()}))
    text = capacity_picture(slow, capacity_words(slow, currency=None, contract_price=None)).decode()
    assert "逾期 late" in text
    assert "按期 in time" in text
