"""The stratified draw: proportional, one of each at least, and an extension that takes nothing back."""

import hashlib
import hmac
import math
from fractions import Fraction

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.labelset import LabelSet
from contract.tables import SCHEMAS, STATES, Kind, Task
from qa.sampling.draw import draw_key, draw_order, fresh_key
from qa.sampling.strata import NONE, strata
from qa.sampling.stratified import BLIND, DOUBLE, allocate, draw_strata, marked

SIZES = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 60), min_size=1).filter(lambda of: sum(of.values()) > 0)


def hamilton(sizes: dict[str, int], n: int) -> dict[str, int]:
    """Seat by seat: whole quotas first, then one for the largest remainder still unserved."""
    total = sum(sizes.values())
    seats = {name: n * size // total for name, size in sizes.items()}
    remainder = {name: n * size % total for name, size in sizes.items()}
    while sum(seats.values()) < n:
        name = min(remainder, key=lambda each: (-remainder[each], each))
        seats[name] += 1
        remainder[name] = -1
    return seats


@given(SIZES, st.data())
@settings(max_examples=100, deadline=None)
def test_allocation_is_hamiltons_where_every_stratum_gets_one(sizes: dict[str, int], data: st.DataObject) -> None:
    present = [name for name, size in sizes.items() if size]
    n = data.draw(st.integers(len(present), sum(sizes.values())))
    found, plain = allocate(sizes, n), hamilton(sizes, n)
    assert sum(found.values()) == n
    assert all(1 <= found[name] <= sizes[name] for name in present)
    if all(plain[name] for name in present):
        assert found == {name: plain[name] for name in present}
    # Whoever gave an item up for a stratum of none had the most above its share: nobody is an item and more below it
    # but where strata smaller than their one item took it.
    small = sum(1 for name in present if not plain[name])
    for name in present:
        assert found[name] > Fraction(n * sizes[name], sum(sizes.values())) - 1 - small


@given(SIZES, st.data())
@settings(max_examples=100, deadline=None)
def test_extending_only_adds(sizes: dict[str, int], data: st.DataObject) -> None:
    total, present = sum(sizes.values()), sum(1 for size in sizes.values() if size)
    looks = sorted(data.draw(st.lists(st.integers(present, total), min_size=1, max_size=4)))
    pots = {name: [f"{name}{number}" for number in range(size)] for name, size in sizes.items()}
    already: dict[str, int] = {}
    drawn: set[str] = set()
    for n in looks:
        already = allocate(sizes, n, already=already)
        now = {item for items in draw_strata(pots, already, key=b"k").values() for item in items}
        assert len(now) == n
        assert drawn <= now
        drawn = now
    for name, size in sizes.items():
        assert already.get(name, 0) <= size


def test_the_alabama_paradox_takes_nothing_back() -> None:
    # Hamilton's method gives c 2 of 10 seats but 1 of 11.
    sizes = {"a": 6, "b": 6, "c": 2}
    assert hamilton(sizes, 10) == {"a": 4, "b": 4, "c": 2}
    assert hamilton(sizes, 11) == {"a": 5, "b": 5, "c": 1}
    ten = allocate(sizes, 10)
    eleven = allocate(sizes, 11, already=ten)
    assert ten == {"a": 4, "b": 4, "c": 2}
    assert eleven == {"a": 5, "b": 4, "c": 2}


@pytest.mark.parametrize(("n", "already"), [(1, {}), (13, {}), (3, {"a": 4})])
def test_impossible_sizes_are_refused(n: int, already: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"{n} items cannot be drawn from 2 strata of 12 items"):
        allocate({"a": 6, "b": 6, "c": 0}, n, already=already)


def test_each_stratum_is_in_the_draws_order() -> None:
    pots = {"x": [f"x{number}" for number in range(9)], "y": [f"y{number}" for number in range(5)]}
    chosen = draw_strata(pots, {"x": 4, "y": 2}, key=b"key")
    assert chosen == {"x": draw_order(pots["x"], key=b"key")[:4], "y": draw_order(pots["y"], key=b"key")[:2]}


@given(st.lists(st.integers(0, 30), min_size=1, max_size=4), st.sampled_from([0.0, 0.1, 0.2, 0.5, 1.0]))
@settings(max_examples=60, deadline=None)
def test_marks_keep_to_their_share_over_extensions(steps: list[int], share: float) -> None:
    earlier = before = 0
    for turn, size in enumerate(steps):
        new = [f"{turn}-{number}" for number in range(size)]
        found = marked(new, share, key=b"k", label=BLIND, earlier=earlier, earlier_marked=before)
        assert found <= set(new)
        earlier, before = earlier + size, before + len(found)
        assert before == math.ceil(Fraction(str(share)) * earlier)


def test_blind_and_double_go_by_orders_of_their_own() -> None:
    names = [f"img-{number:04d}" for number in range(40)]
    blind, double = (marked(names, 0.2, key=b"k", label=label) for label in (BLIND, DOUBLE))
    assert len(blind) == len(double) == 8
    assert blind != double
    by_hand = sorted(names, key=lambda item: hmac.new(b"k", b"blind:" + item.encode(), hashlib.sha256).hexdigest())
    assert blind == frozenset(by_hand[:8])


def test_a_later_draw_is_fresh_even_with_the_same_nonces() -> None:
    manifest, seal = hashlib.sha256(b"manifest").digest(), hashlib.sha256(b"submission").digest()
    key = draw_key(b"client-nonce-A", b"vendor-nonce-B", manifest_sha256=manifest)
    assert fresh_key(key, draw=0, seal=seal) == key
    names = [f"img-{number:04d}" for number in range(200)]
    orders = [
        draw_order(names, key=each)
        for each in (
            key,
            fresh_key(key, draw=1, seal=seal),
            fresh_key(key, draw=2, seal=seal),
            fresh_key(key, draw=1, seal=key),
        )
    ]
    assert len({tuple(order[:20]) for order in orders}) == 4
    assert fresh_key(key, draw=1, seal=seal) == hashlib.sha256(key + b"|draw 1|" + seal).digest()


def boxes(rows: list[tuple[str, str, float | None, str | None]]) -> LabelSet:
    table = pa.Table.from_pylist(
        [
            {"item": item, "label": label, "x": 0.0, "y": 0.0, "w": 1.0, "h": 1.0, "score": score, "source": source}
            for item, label, score, source in rows
        ],
        schema=SCHEMAS[Task.BOXES],
    )
    return LabelSet(STATES.empty_table(), {Task.BOXES: table})


def test_strata_of_items() -> None:
    work = boxes(
        [("a", "car", None, "ann-1"), ("a", "bus", None, "ann-2"), ("a", "car", None, "ann-1"), ("b", "car", None, None)]
    )
    drafts = boxes([("a", "car", 0.97, "m"), ("a", "car", 0.5, "m"), ("b", "car", 0.95, "m")])
    names = ["a", "b", "c"]

    def by(*keys: str) -> list[str]:
        return list(strata(names, Kind.IMAGE, keys, submission=work, drafts=drafts).values())

    assert by() == ["all", "all", "all"]
    assert by("class") == ["class bus", "class car", f"class {NONE}"]
    assert by("annotator") == ["annotator ann-1", f"annotator {NONE}", f"annotator {NONE}"]
    assert by("confidence") == ["confidence 0.50 to 0.80", "confidence 0.95 and more", f"confidence {NONE}"]
    assert by("annotator", "class")[0] == "annotator ann-1, class bus"
