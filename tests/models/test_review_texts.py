"""Reading, normal form, near-duplicates and the split of review texts."""

import random
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import pytest

from contract.errors import FormatError
from models.review_texts import Review, read_reviews, split_reviews, without_phrases_of, words


def review(text: str, label: str = "positive", file: str = "f") -> Review:
    return Review(text, label, file)


def many(count: int) -> list[Review]:
    return [review(" ".join(f"w{index * 31 + place}" for place in range(6))) for index in range(count)]


def test_words_are_folded_and_chinese_is_cut_by_character() -> None:
    assert words("It's 24小时 ＯＫ，很好！") == ["it", "s", "24", "小", "时", "ok", "很", "好"]


def test_reads_quoted_text_and_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('\ufefftext,label\n"很好, 真的",positive\n差,negative\n', encoding="utf-8")
    assert read_reviews([path]) == [review("很好, 真的", "positive", "a"), review("差", "negative", "a")]


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"text;label\n", "text and label"), (b"text,label\nx,\n", "record 2"), (b"text,label\n\xff,positive\n", "UTF-8")],
)
def test_wrong_files_are_refused_by_name(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=told) as caught:
        read_reviews([path])
    assert str(path) in str(caught.value)


def test_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"absent\.csv"):
        read_reviews([tmp_path / "absent.csv"])


def test_repeated_texts_count_once_and_contradictions_not_at_all() -> None:
    split = split_reviews(
        [review("Good!"), review("good"), review("bad", "negative"), review("Bad", "positive"), review("...")]
    )
    assert len(split.train) + len(split.test) == 1
    assert (split.duplicates, split.contradictions) == (1, 3)


def test_nearly_the_same_long_text_is_left_out() -> None:
    long = [f"w{index}" for index in range(40)]
    split = split_reviews([review(" ".join(long)), review(" ".join([*long[:-1], "other"]))])
    assert split.duplicates == 1


def test_a_phrase_stays_on_the_side_of_its_sentence() -> None:
    sentences = [[f"s{index}w{place}" for place in range(20)] for index in range(100)]
    phrases = [review(" ".join(words_[at : at + 7])) for words_ in sentences for at in (0, 5, 11)]
    split = split_reviews([*phrases, *(review(" ".join(words_)) for words_ in sentences)], test_percent=30)
    sides = [{text.text.split("w")[0] for text in side} for side in (split.train, split.test)]
    assert not sides[0] & sides[1]
    assert len(split.train) + len(split.test) == 400


def test_split_has_about_the_share_that_was_asked_for() -> None:
    split = split_reviews(many(2000), test_percent=10)
    assert 150 <= len(split.test) <= 250


@hypothesis.given(st.integers(), st.lists(st.text("ab好坏 ,", max_size=12), max_size=30))
def test_split_balances_and_does_not_depend_on_order(seed: int, texts: list[str]) -> None:
    reviews = [review(text, "positive" if "a" in text else "negative") for text in texts]
    split = split_reviews(reviews, test_percent=50)
    left_out = split.duplicates + split.contradictions + split.phrases
    assert len(split.train) + len(split.test) + left_out == len(reviews)
    shuffled = list(reviews)
    random.Random(seed).shuffle(shuffled)  # noqa: S311
    assert split_reviews(shuffled, test_percent=50) == split


def test_short_phrases_of_texts_put_aside_are_not_trained_on() -> None:
    split = split_reviews([*many(400), *(review(" ".join(whole.text.split()[1:4])) for whole in many(400))], test_percent=30)
    assert split.phrases >= 60
    trained = {text.text for text in split.train}
    for whole in split.test:
        assert " ".join(whole.text.split()[1:4]) not in trained


@hypothesis.given(*[st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=6), max_size=12)] * 2)
def test_phrases_left_out_are_those_that_a_plain_search_finds(train: list[list[str]], aside: list[list[str]]) -> None:
    def stands_in(part: list[str], whole: list[str]) -> bool:
        return any(whole[at : at + len(part)] == part for at in range(len(whole) - len(part) + 1))

    expected = [
        form
        for form in train
        if len(form) < 2
        or not any(stands_in(form, whole) for whole in aside)
        or any(len(form) < len(whole) and stands_in(form, whole) for whole in train)
    ]
    kept = without_phrases_of([review(" ".join(form)) for form in train], [review(" ".join(form)) for form in aside])
    assert [text.text.split() for text in kept] == expected
