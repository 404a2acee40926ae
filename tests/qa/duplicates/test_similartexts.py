"""Texts that share most runs, against all pairs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa.duplicates.similartexts import SimilarTexts, likeness, runs_of

TEXTS = st.lists(st.text("ab好 !", max_size=9), max_size=10)


@settings(max_examples=100)
@given(TEXTS, st.sampled_from([0.1, 0.5, 2 / 3, 0.8, 0.9, 1.0]))
def test_near_texts_are_those_of_all_pairs(texts: list[str], share: float) -> None:
    runs = [runs_of(text) for text in texts]
    index = SimilarTexts(share, runs)
    for number, own in enumerate(runs):
        wanted = [(other, likeness(own, runs[other])) for other in range(number)]
        assert index.near(own) == [pair for pair in wanted if pair[1] >= share - 1e-9]
        index.add(own)


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("Abcd", {"abc", "bcd"}),
        ("ＡＢＣ d!", {"abc", "bcd"}),
        ("很 好。", {"很好"}),
        ("!!!", {"!!!"}),
        ("", {""}),
        ("房间很干净", {"房间很", "间很干", "很干净"}),
    ],
)
def test_runs_are_of_letters_alone_in_normal_form(text: str, runs: set[str]) -> None:
    assert runs_of(text) == runs


def test_likeness_is_shared_over_all() -> None:
    assert likeness(runs_of("abcde"), runs_of("abcdf")) == pytest.approx(2 / 4)
    assert likeness(runs_of("!!!"), runs_of("???")) == 0


@pytest.mark.parametrize("share", [0, 1.1, -1])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        SimilarTexts(share, [])
