"""Labelled review texts for training: reading, normal form, near-duplicate groups, and an honest split.

A test text must not be in the training set in another dress. Texts that share most of their word
4-grams (a Chinese character counts as a word) form a group, and a whole group goes to one side of the
split, chosen by the SHA-256 of its longest text. Phrases cut out of a sentence thereby stay with it; those too short for
a 4-gram are left out of the training where they stand in a text to measure on and in no longer text to train on.
"""

import csv
import re
import unicodedata
import zlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from contract.errors import FormatError
from contract.files import sha256_bytes

_WORD = re.compile(r"[\u3400-\u9fff]|[^\W_\u3400-\u9fff]+")
_SHINGLE_WORDS = 4
_GROUP_SHARE = 0.5
_NEAR_DUPLICATE_SHARE = 0.9
_LEAST_PHRASE_WORDS = 2


@dataclass(frozen=True, slots=True)
class Review:
    """One labelled text, the name of its file, and the group that it was split with."""

    text: str
    label: str
    file: str
    group: str = ""


@dataclass(frozen=True, slots=True)
class Split:
    """Texts to train on, texts to measure on, and what was left out before."""

    train: tuple[Review, ...]
    test: tuple[Review, ...]
    duplicates: int
    contradictions: int
    phrases: int = 0  # of texts to measure on, and found in no longer text to train on


def words(text: str) -> list[str]:
    """Return the words of `text` in normal form: NFKC, case folded, no punctuation, Chinese by character."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return [match.group() for match in _WORD.finditer(folded)]


def read_reviews(paths: Sequence[Path]) -> list[Review]:
    """Read CSV files with the columns text and label (UTF-8, a byte order mark is allowed).

    Raises:
        FormatError: a file cannot be read, lacks a column, or has a row without text or label.
    """
    return [review for path in paths for review in _read(path)]


def _read(path: Path) -> Iterator[Review]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if not {"text", "label"} <= set(rows.fieldnames or ()):
                raise FormatError(f"{path}: the first line must name the columns text and label")
            for number, row in enumerate(rows, start=2):
                if not (row["text"] or "").strip() or not (row["label"] or "").strip():
                    raise FormatError(f"{path}: record {number} lacks a text or a label; remove it")
                yield Review(text=row["text"].strip().lstrip("\ufeff"), label=row["label"].strip(), file=path.stem)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FormatError(f"{path}: cannot be read as a UTF-8 CSV file ({error})") from error


def split_reviews(reviews: Sequence[Review], *, test_percent: int = 10) -> Split:
    """Drop repeated and contradictory texts, then put about `test_percent` % of the groups aside for measuring.

    The same texts give the same split in every order of files and rows.
    """
    by_form: dict[str, list[Review]] = defaultdict(list)
    for review in reviews:
        by_form[" ".join(words(review.text))].append(review)
    kept: dict[str, Review] = {}
    contradictions = 0
    for form, same in by_form.items():
        if len({review.label for review in same}) > 1 or not form:
            contradictions += len(same)
        else:
            kept[form] = min(same, key=lambda review: (review.file, review.text))
    train: list[Review] = []
    test: list[Review] = []
    for form, group in _groups(sorted(kept, key=lambda form: (-len(form), form))):
        old = kept[form]
        review = Review(old.text, old.label, old.file, group)
        (test if int(sha256_bytes(group.encode())[:8], 16) % 100 < test_percent else train).append(review)
    duplicates = len(reviews) - contradictions - len(train) - len(test)
    kept_apart = without_phrases_of(train, test)
    return Split(
        train=tuple(kept_apart),
        test=tuple(test),
        duplicates=duplicates,
        contradictions=contradictions,
        phrases=len(train) - len(kept_apart),
    )


def without_phrases_of(train: Sequence[Review], aside: Sequence[Review]) -> list[Review]:
    """Return `train` without phrases of two words and more that stand in a text of `aside` and in no longer of `train`."""
    forms = [tuple(words(review.text)) for review in train]
    by_start: dict[tuple[str, ...], set[tuple[str, ...]]] = defaultdict(set)
    for form in forms:
        if len(form) >= _LEAST_PHRASE_WORDS:
            by_start[form[:_LEAST_PHRASE_WORDS]].add(form)
    held = {phrase for review in aside for phrase in _phrases_in(tuple(words(review.text)), by_start)}
    by_start = {start: found & held for start, found in by_start.items() if found & held}
    for form in forms:
        held.difference_update(phrase for phrase in _phrases_in(form, by_start) if len(phrase) < len(form))
    return [review for review, form in zip(train, forms, strict=True) if form not in held]


def _phrases_in(
    form: tuple[str, ...], by_start: Mapping[tuple[str, ...], Collection[tuple[str, ...]]]
) -> Iterator[tuple[str, ...]]:
    """Yield the phrases, given by their first words, that stand in `form`."""
    for start in range(len(form) - _LEAST_PHRASE_WORDS + 1):
        for phrase in by_start.get(form[start : start + _LEAST_PHRASE_WORDS], ()):
            if form[start : start + len(phrase)] == phrase:
                yield phrase


def put_aside(reviews: Sequence[Review], percent: int) -> tuple[list[Review], list[Review]]:
    """Return about `percent` % of `reviews` and the rest; whole groups, by other digits than chose the test."""
    aside: list[Review] = []
    rest: list[Review] = []
    for review in reviews:
        (aside if int(sha256_bytes(review.group.encode())[8:16], 16) % 100 < percent else rest).append(review)
    return aside, rest


def _shingles(form: str) -> list[int]:
    parts = form.split(" ")
    count = len(parts) - _SHINGLE_WORDS + 1
    return [zlib.crc32(" ".join(parts[start : start + _SHINGLE_WORDS]).encode()) for start in range(count)]


def _groups(forms: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield (form, form of its group's longest text), longest first, leaving near-duplicates out."""
    owner: dict[int, int] = {}
    for index, form in enumerate(forms):
        shingles = _shingles(form)
        seen = Counter(owner[shingle] for shingle in shingles if shingle in owner)
        root, shared = seen.most_common(1)[0] if seen else (index, 0)
        share = shared / len(shingles) if shingles else 0.0
        if share >= _NEAR_DUPLICATE_SHARE and len(form) >= _NEAR_DUPLICATE_SHARE * len(forms[root]):
            continue
        if share >= _GROUP_SHARE:
            yield form, forms[root]
            continue
        for shingle in shingles:
            owner.setdefault(shingle, index)
        yield form, form
