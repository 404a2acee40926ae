"""Groups by leaders, against a slow reading of their rule."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.tables import Kind
from qa.duplicates.groups import NO_FRAME, Member, Picture, group_table, picture_members, text_members
from qa.duplicates.similartexts import likeness, runs_of

PICTURES = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([0, 1, 3, 7, 255, 511]), st.sampled_from([0.0, 0.02, 0.04, 0.5])),
    max_size=10,
)


@settings(max_examples=100)
@given(PICTURES)
def test_pictures_go_to_the_nearest_leader_before_them(rows: list[tuple[int, int, float]]) -> None:
    pictures = [
        Picture((f"i{n}", NO_FRAME), bits, np.full(3, colour, np.float32), size)
        for n, (size, bits, colour) in enumerate(rows)
    ]
    leaders: list[Picture] = []
    wanted: list[Member] = []
    for picture in sorted(pictures, key=lambda each: (-each.pixels, each.place)):
        near = []
        for number, leader in enumerate(leaders):
            apart = (picture.bits ^ leader.bits).bit_count()
            colours = float(np.abs(picture.colours - leader.colours).mean())
            if apart <= 2 and colours <= 0.03:
                near.append((apart, colours, number))
        if near:
            apart, _, number = min(near)
            wanted.append(Member(picture.place, leaders[number].place, apart))
        else:
            leaders.append(picture)
    assert picture_members(pictures, radius=2, colours=0.03) == wanted
    assert picture_members(pictures[::-1], radius=2, colours=0.03) == wanted


def test_a_chain_of_small_steps_joins_nothing_that_is_far_apart() -> None:
    pictures = [Picture((f"i{n}", NO_FRAME), (1 << (3 * n)) - 1, np.zeros(3, np.float32), 1) for n in range(5)]
    members = picture_members(pictures, radius=3)
    bits = {picture.place: picture.bits for picture in pictures}
    assert {member.representative[0] for member in members} == {"i0", "i2"}
    assert all((bits[member.place] ^ bits[member.representative]).bit_count() <= 3 for member in members)


def test_plain_pictures_of_two_colours_have_one_hash_and_are_no_copies() -> None:
    colours = [np.full(192, value, np.float32) for value in (0.1, 0.11, 0.9)]
    members = picture_members([Picture((f"i{n}", NO_FRAME), 0, each, 1) for n, each in enumerate(colours)])
    assert members == [Member(("i1", NO_FRAME), ("i0", NO_FRAME), 0.0)]


@settings(max_examples=60)
@given(st.dictionaries(st.text("xyz", min_size=1, max_size=2), st.text("ab好", max_size=8), max_size=9))
def test_texts_go_to_the_most_alike_leader_before_them(texts: dict[str, str]) -> None:
    runs = {item: runs_of(text) for item, text in texts.items()}
    leaders: list[str] = []
    wanted = {}
    for item in sorted(runs, key=lambda each: (-len(runs[each]), each)):
        near = [(likeness(runs[item], runs[other]), -number) for number, other in enumerate(leaders)]
        best = max(near, default=(0.0, 0))
        if best[0] >= 0.6 - 1e-9:
            wanted[item] = leaders[-best[1]]
        else:
            leaders.append(item)
    found = text_members(texts, share=0.6)
    assert {member.place[0]: member.representative[0] for member in found} == wanted


def test_groups_are_in_order_and_begin_with_their_representative() -> None:
    members = [Member((item, 0), (leader, 7), 0.0) for item, leader in (("d", "b"), ("f", "a"), ("c", "a"))]
    rows = group_table(Kind.VIDEO, members, first=4).to_pylist()
    assert [(row["group"], row["item"], row["representative"]) for row in rows] == [
        (4, "a", "a"),
        (4, "c", "a"),
        (4, "f", "a"),
        (5, "b", "b"),
        (5, "d", "b"),
    ]
    assert {row["apart"] for row in rows} == {0.0}


def test_nothing_makes_no_groups() -> None:
    assert group_table(Kind.IMAGE, []).num_rows == 0
    assert picture_members([]) == text_members({}) == []


@pytest.mark.parametrize("share", [0.9])
def test_a_review_sent_twice_with_other_signs_is_one(share: float) -> None:
    texts = {
        "a": "The room was clean, the staff were friendly and breakfast was served until noon every day of our stay.",
        "b": "The room was clean - the staff were friendly and breakfast was served until noon every day of our stay!!",
        "c": "The room was dirty, nobody answered the phone and breakfast was over at eight on each day of our stay.",
    }
    assert [member.place[0] for member in text_members(texts, share=share)] == ["b"]
