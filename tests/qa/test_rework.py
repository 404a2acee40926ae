"""What a rework mended, and the one that mends the sampled items alone."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa.rework import Part, ReworkRates, rework_rates
from qa.words.lifewords import reworked

LOT = [f"i{number}" for number in range(100)]


def test_the_counts_of_both_parts() -> None:
    rates = rework_rates(
        LOT,
        LOT[:20],
        changed=[*LOT[:4], *LOT[30:38]],
        wrong_before=[*LOT[:5], *LOT[30:40]],
        wrong_now=[LOT[4], *LOT[38:41]],
    )
    assert rates == ReworkRates(Part(20, 4, 5, 4), Part(80, 8, 10, 8))
    assert (rates.inside.fix_rate, rates.outside.fix_rate) == (0.8, 0.8)
    assert not rates.only_sampled
    (told,) = reworked(1, rates, rounds=2)
    assert "4 of 5 items known as wrong are mended (0.8000), and 4 of 20 items changed" in told.english
    assert "原样本外已知有误的 10 件改正 8 件" in told.chinese


@pytest.mark.parametrize(
    ("inside", "outside", "flagged"),
    [(10, 0, True), (10, 3, True), (10, 4, False), (1, 0, True), (0, 5, False)],
)
def test_only_the_sampled_items(inside: int, outside: int, flagged: bool) -> None:
    # 10 of 20 changed inside is a rate of .5; a tenth of it outside is 4 of 80.
    rates = rework_rates(LOT, LOT[:20], changed=[*LOT[:inside], *LOT[20 : 20 + outside]], wrong_before=(), wrong_now=())
    assert rates.only_sampled is flagged
    said = [sentence.chinese for sentence in reworked(1, rates, rounds=2)]
    assert any("只改抽检项" in sentence for sentence in said) is flagged


def test_no_change_at_all() -> None:
    rates = rework_rates(LOT, LOT[:20], changed=(), wrong_before=LOT[:1], wrong_now=LOT[:1])
    assert rates.nothing_changed
    assert [len(sentence) for sentence in reworked(2, rates, rounds=2)] == [2, 2]


def test_a_lot_checked_whole_has_nothing_outside() -> None:
    rates = rework_rates(LOT, LOT, changed=LOT[:5], wrong_before=(), wrong_now=())
    assert rates.outside.change_rate is None
    assert not rates.only_sampled


@given(*[st.sets(st.sampled_from(LOT)) for _ in range(4)])
@settings(max_examples=60, deadline=None)
def test_the_parts_add_up(sampled: set[str], changed: set[str], before: set[str], now: set[str]) -> None:
    rates = rework_rates(LOT, sampled, changed=changed, wrong_before=before, wrong_now=now)
    for name, whole in (("items", set(LOT)), ("changed", changed), ("wrong", before), ("fixed", before - now)):
        assert getattr(rates.inside, name) + getattr(rates.outside, name) == len(whole)
        assert getattr(rates.inside, name) == len(whole & sampled)
