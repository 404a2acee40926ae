"""Money to the cent: the reference's figures, whole numbers of cents as oracle, and no float anywhere."""

from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import TermsError
from contract.reading import reading
from contract.settlement import Settlement
from contract.tables import Kind
from contract.terms import parse_terms
from contract.yamlfile import parse_yaml
from qa.settlement import AcceptedLot, late_damages, money, price_of, statement

DEMO = (Path(__file__).resolve().parents[2] / "configs" / "demo.yaml").read_text(encoding="utf-8")
PRICES = {
    "currency": "CNY",
    "unit_price": {"image": "1.80", "text": None, "video_hour": None},
    "basis": "accepted_items",
    "late_per_day": "0.001",
    "late_cap": "0.10",
}
SHA = "b" * 64
TWENTY_THOUSAND = {Kind.IMAGE: Decimal(20_000)}  # a contract of 36 000


def priced(**changes: Any) -> Settlement:
    return Settlement.model_validate({**PRICES, **changes})


def lot(images: int, *, late: int = 0, name: str = "week-1", **estimates: str) -> AcceptedLot:
    found = {criterion.replace("_", ".", 1): Decimal(value) for criterion, value in estimates.items()}
    return AcceptedLot(name, 3, SHA, {Kind.IMAGE: Decimal(images)}, found, late)


@pytest.mark.parametrize(("quantity", "owed"), [(5000, "9000.00"), (4810, "8658.00"), (0, "0.00")])
def test_accepted_quantity_times_price(quantity: int, owed: str) -> None:
    assert str(price_of(quantity, "1.8")) == owed


@pytest.mark.parametrize(("days", "owed"), [(7, "63.00"), (120, "1080.00"), (0, "0.00")])
def test_late_damages_of_nine_thousand(days: int, owed: str) -> None:
    assert str(late_damages("9000", per_day="0.001", days=days)) == owed


def test_the_cap_of_a_contract_of_36_000_is_3_600() -> None:
    owed = statement([lot(5000, late=120)], priced(), ordered=TWENTY_THOUSAND)
    assert (str(owed.late_limit), str(owed.late), str(owed.net)) == ("3600.00", "1080.00", "7920.00")
    lots = [lot(5000, late=300, name=f"week-{number}") for number in (1, 2)]
    capped = statement(lots, priced(), ordered=TWENTY_THOUSAND)
    assert [str(line.amount) for line in capped.lines] == ["9000.00", "-2700.00", "9000.00", "-900.00"]
    assert capped.lines[3].formula == "9000.00 x 0.001 x 300 days = 2700.00, of which the cap leaves 900.00"
    assert str(capped.late) == "3600.00"


def test_half_a_cent_goes_up() -> None:
    assert money("2.675") == Decimal("2.68")
    assert round(2.675, 2) == 2.67  # what a float would have said
    assert money(Decimal("0.005")) == Decimal("0.01")


def test_floats_are_refused() -> None:
    number: Any = 2.675
    said = "is a float; money is counted in Decimal"
    with pytest.raises(TypeError, match=said):
        money(number)
    with pytest.raises(TypeError, match=said):
        price_of(3, number)
    with pytest.raises(TypeError, match=said):
        late_damages("9000", per_day=number, days=1)


@given(st.integers(0, 10**9), st.decimals("0", "99999", places=4), st.integers(0, 500), st.decimals("0", "1", places=4))
@settings(max_examples=100, deadline=None)
def test_lines_are_those_of_exact_fractions(quantity: int, price: Decimal, days: int, per_day: Decimal) -> None:
    def cents(value: Fraction) -> int:
        return int((value * 200 + 1) // 2)

    amount = price_of(quantity, price)
    assert amount * 100 == cents(Fraction(quantity) * Fraction(price))
    late = late_damages(amount, per_day=per_day, days=days)
    assert late * 100 == cents(Fraction(amount) * Fraction(per_day) * days)


def test_every_line_cites_its_verdict_and_the_lines_add_up() -> None:
    steps = [
        {"criterion": "image.f1", "below": "0.95", "share": "0.02"},
        {"criterion": "image.f1", "below": "0.92", "share": "0.05"},
        {"criterion": "text.accuracy", "below": "1", "share": "1"},
    ]
    terms = priced(deductions=steps)
    lots = [
        lot(100, name="good", image_f1="0.97"),
        lot(100, name="fair", image_f1="0.94"),
        lot(100, name="poor", image_f1="0.91", late=2),
        lot(100, name="at-the-step", image_f1="0.95"),
    ]
    owed = statement(lots, terms, ordered=TWENTY_THOUSAND)
    assert all((line.verdict, line.verdict_sha256) == (3, SHA) for line in owed.lines)
    taken = {line.lot: str(line.amount) for line in owed.lines if line.reason == "deduction"}
    assert taken == {"fair": "-3.60", "poor": "-9.00"}
    assert sum(line.amount for line in owed.lines) == owed.net
    assert (str(owed.accepted), str(owed.deducted), str(owed.late)) == ("720.00", "12.60", "0.36")


def test_nothing_accepted_is_nothing_owed() -> None:
    owed = statement([], priced(), ordered=TWENTY_THOUSAND)
    assert (owed.lines, str(owed.net), str(owed.late)) == ((), "0.00", "0.00")


def demo(**changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = parse_yaml(DEMO)
    prices = {"image": "1.80", "text": "0.30", "video_hour": "120"}
    document["settlement"] = {**PRICES, "unit_price": prices, **changes}
    return document


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"unit_price": {"image": 1.8, "text": "1", "video_hour": "1"}}, "settlement.unit_price.image must be text"),
        ({"unit_price": {"image": "1", "text": "1"}}, "settlement.unit_price.video_hour is left open"),
        ({"unit_price": {}}, "names no price"),
        ({"late_cap": "1.5"}, "write 10 % as"),
        ({"late_per_day": "1e-3"}, "is not a plain number"),
        ({"late_per_day": "-0.1"}, "is not a plain number"),
        ({"late_per_day": "0.0000001"}, "decimal places"),
        ({"currency": "yuan"}, "settlement.currency"),
        ({"basis": "hours"}, "settlement.basis"),
        ({"deductions": [{"criterion": "audio.f1", "below": "1", "share": "1"}]}, "settlement.deductions[0].criterion"),
    ],
)
def test_wrong_terms_are_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(TermsError) as caught:
        parse_terms(demo(**changes), origin="terms.yaml")
    assert words in str(caught.value)


def test_the_reading_says_what_is_paid() -> None:
    steps = [{"criterion": "image.f1", "below": "0.95", "share": "0.02"}]
    terms = parse_terms(demo(deductions=steps), origin="x")
    for language in ("zh", "en"):
        words = reading(terms, language)
        for fact in ("1.80", "0.30", "120", "0.001", "0.10", "0.95", "0.02", "CNY", "image.f1"):
            assert fact in words
    document = demo()
    del document["settlement"]
    assert "CNY" not in reading(parse_terms(document, origin="x"), "en")
