"""Kinds of transition and the reading by whole changes of shot, beside plain loops that try every choice."""

import json
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import InputError, LabelsError
from contract.files import parquet_bytes
from contract.labelset import LabelSet
from contract.scores import ShotScore
from contract.tables import Task
from goldgate.judging import describe_score, score_files, shots_profile
from qa import changes as changes_of
from qa import defaults
from qa.changes import Length, score_changes
from qa.report.evidence import kind_confusion
from qa.score import score_shots
from tests.oracles.labelsets import label_set, shot
from tests.oracles.matching import best_matching

Rows = list[dict[str, Any]]
Match = Literal["start", "transition"]
Change = tuple[str, int, int]  # kind, first changed frame, first frame of the new shot

KINDS = ("cut", "dissolve", "fade", "wipe")


def videos(rows: Rows, items: str = "vw") -> LabelSet:
    return label_set(Task.SHOTS, rows, dict.fromkeys(items, "labelled"))


def scored(gold: Rows, labels: Rows, *, match: Match = "start", tolerance: int = 2, items: str = "vw") -> ShotScore:
    profile = defaults.VIDEO.model_copy(update={"shot_tolerance_frames": tolerance, "shot_match": match})
    return score_shots(videos(labels, items), videos(gold, items), profile)


def shots_of(item: str, changes: list[Change], end: int = 100) -> Rows:
    """Return the shots between `changes`, which ascend."""
    rows, begin, how = [], 0, "start"
    for kind, first, start in changes:
        rows.append(shot(item, begin, first, how))
        begin, how = start, kind
    return [*rows, shot(item, begin, end, how)]


GOLD = shots_of("v", [("cut", 20, 20), ("dissolve", 40, 60), ("fade", 80, 88)])


@pytest.mark.parametrize(
    ("start", "by_start", "by_transition"),
    [(60, 1, 1), (62, 1, 1), (63, 0, 0), (58, 1, 1), (57, 0, 1), (40, 0, 1), (38, 0, 1), (37, 0, 0)],
)
def test_a_start_within_a_gradual_change_is_found_by_the_reading_of_transitions(
    start: int, by_start: int, by_transition: int
) -> None:
    labels = shots_of("v", [("cut", start, start)])
    assert scored(GOLD, labels, items="v").tp == by_start
    found = scored(GOLD, labels, match="transition", items="v")
    assert found.tp == by_transition
    if by_transition:
        assert found.mean_offset_frames == max(0, start - 60, 40 - start)


def test_each_change_is_found_once() -> None:
    labels = shots_of("v", [("cut", frame, frame) for frame in (42, 50, 58)])
    score = scored(GOLD, labels, match="transition", items="v")
    assert (score.tp, score.fp, score.fn) == (1, 2, 2)


def test_a_cut_has_no_length_even_where_the_gold_leaves_a_hole() -> None:
    gold = [shot("v", 0, 10, "start"), shot("v", 30, 50, "cut")]
    labels = shots_of("v", [("cut", 15, 15)])
    assert scored(gold, labels, match="transition", items="v").tp == 0
    assert scored([{**row, "transition": "fade"} for row in gold], labels, match="transition", items="v").tp == 1


def test_a_video_that_fades_in_changes_from_its_first_frame_on() -> None:
    gold = [shot("v", 12, 50, "fade")]
    assert scored(gold, shots_of("v", [("fade", 3, 3)]), match="transition", items="v").tp == 1


def test_kinds_are_counted_over_what_is_matched() -> None:
    labels = shots_of("v", [("dissolve", 20, 21), ("dissolve", 41, 60), ("cut", 70, 70)])
    score = scored(GOLD, labels, items="v")
    assert score.kinds.labels == ("cut", "dissolve", "fade")
    assert score.kinds.rows == ((0, 1, 0), (0, 1, 0), (0, 0, 0))
    assert score.kinds.missed == (0, 0, 1)
    assert score.kinds.spurious == (1, 0, 0)
    assert score.kinds_right == 0.5
    named = {rates.label: (rates.tp, rates.fp, rates.fn) for rates in score.per_kind}
    assert named == {"cut": (0, 1, 1), "dissolve": (1, 1, 0), "fade": (0, 0, 1)}
    found = {rates.label: (rates.tp, rates.fp, rates.fn) for rates in score.per_class}
    assert found == {"cut": (1, 1, 0), "dissolve": (1, 0, 0), "fade": (0, 0, 1)}
    matrix = kind_confusion(score.kinds)
    assert matrix.rows == matrix.columns == ("cut", "dissolve", "fade", None)
    assert matrix.counts == ((0, 1, 0, 0), (0, 1, 0, 0), (0, 0, 0, 1), (1, 0, 0, 0))


def test_false_cuts_go_by_the_length_of_the_gold() -> None:
    gold = [*shots_of("v", [], end=25 * 400), *shots_of("w", [], end=25 * 200)]
    labels = [*shots_of("v", [("cut", 90, 90), ("cut", 900, 900)], end=25 * 400), *shots_of("w", [("fade", 5, 9)])]
    score = scored(gold, labels)
    assert score.seconds == 600
    assert score.false_per_10_min == 3
    assert score.items["seconds"].to_pylist() == [400, 200]


def test_without_a_length_or_a_match_figures_are_undefined_with_reasons() -> None:
    score = scored(shots_of("v", []), shots_of("v", [("cut", 9, 9)]))
    assert (score.seconds, score.false_per_10_min, score.kinds_right) == (None, None, None)
    assert "1 videos" in score.reasons["seconds"]
    assert score.reasons["false_per_10_min"] == score.reasons["seconds"]
    assert score.reasons["kinds_right"] == "no pair matches"
    nothing = scored([], [], items="")
    assert nothing.kinds.labels == ()
    assert nothing.per_kind == ()
    assert nothing.reasons["false_per_10_min"] == "the videos have no length"


def test_files_are_scored_by_what_the_command_line_says(tmp_path: Path) -> None:
    gold, labels = tmp_path / "gold.parquet", tmp_path / "labels.parquet"
    gold.write_bytes(parquet_bytes(videos(GOLD, "v").table(Task.SHOTS)))
    labels.write_bytes(parquet_bytes(videos(shots_of("v", [("cut", 23, 23), ("dissolve", 50, 50)]), "v").table(Task.SHOTS)))
    profile = shots_profile("shots", None, tolerance=3, match="transition")
    score = score_files(Task.SHOTS, labels, gold, contract=profile, out=tmp_path / "out")
    assert (score.reading["shot_tolerance_frames"], score.reading["shot_match"]) == (3, "transition")
    assert score_files(Task.SHOTS, labels, gold, contract=None, out=None).model_dump()["tp"] == 0
    lines = "\n".join(describe_score(score))
    assert "TP 2, FP 0, FN 1" in lines
    assert "kind named right in 1.0000" in lines
    assert "dissolve F1 1.0000" in lines
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    for words in ("转场种类", "Kinds of transition", "叠化 dissolve", "False cuts in 10 minutes", "首个变化帧", "3 帧"):
        assert words in page
    written = json.loads((tmp_path / "out" / "score.json").read_text(encoding="utf-8"))
    assert written["kinds"]["rows"] == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_terms_that_do_not_speak_of_whole_changes_keep_their_digest() -> None:
    assert "shot_match" not in defaults.VIDEO.model_dump(mode="json")
    changed = defaults.VIDEO.model_copy(update={"shot_match": "transition"})
    assert changed.model_dump(mode="json")["shot_match"] == "transition"
    assert scored(GOLD, GOLD).reading["shot_match"] == "start"


def test_the_command_line_says_nothing_or_what_can_be(tmp_path: Path) -> None:
    assert shots_profile("shots", None, tolerance=None, match=None) is None
    for task, contract, match in (
        ("boxes", None, "start"),
        ("shots", tmp_path / "c.yaml", "start"),
        ("shots", None, "middle"),
    ):
        with pytest.raises(InputError, match="--shot-match"):
            shots_profile(task, contract, tolerance=1, match=match)


@st.composite
def changes(draw: st.DrawFn) -> list[Change]:
    """Changes that ascend and do not overlap, some at the same frame as the one before ends."""
    found, frame = [], 1
    for _ in range(draw(st.integers(0, 5))):
        first = frame + draw(st.integers(0, 4))
        kind = draw(st.sampled_from(KINDS))
        frame = first if kind == "cut" else first + draw(st.integers(0, 5))
        found.append((kind, first, frame))
        frame += draw(st.integers(0, 1))
    return found


def oracle(
    gold: dict[str, list[Change]], labels: dict[str, list[Change]], match: Match, tolerance: int
) -> tuple[int, float]:
    """Return the size of the best matching and its least sum of offsets, of all that can be chosen."""
    edges = {}
    numbered = [[(item, change) for item, each in side.items() for change in each] for side in (gold, labels)]
    for i, (item, (_, first, start)) in enumerate(numbered[0]):
        for j, (other, (_, _, found)) in enumerate(numbered[1]):
            span = (start, start) if match == "start" else (first, start)
            offset = next(reach for reach in range(100) if span[0] - reach <= found <= span[1] + reach)
            if item == other and offset <= tolerance:
                edges[i, j] = 1 - offset / 100
    size, quality = best_matching(edges)
    return size, (size - quality) * 100


@given(
    gold=st.fixed_dictionaries({"v": changes(), "w": changes()}),
    labels=st.fixed_dictionaries({"v": changes(), "w": changes()}),
    match=st.sampled_from(["start", "transition"]),
    tolerance=st.integers(0, 3),
    turned=st.booleans(),
)
@settings(deadline=None, max_examples=100)
def test_counts_are_those_of_every_choice_tried_and_add_over_videos(
    gold: dict[str, list[Change]], labels: dict[str, list[Change]], match: Match, tolerance: int, *, turned: bool
) -> None:
    sides = [[row for item, each in side.items() for row in shots_of(item, each)] for side in (gold, labels)]
    score = scored(*sides, match=match, tolerance=tolerance)
    size, offsets = oracle(gold, labels, match, tolerance)
    total = [sum(map(len, side.values())) for side in (gold, labels)]
    assert (score.tp, score.fp, score.fn) == (size, total[1] - size, total[0] - size)
    qualities = [quality for quality in score.matches["quality"].to_pylist() if quality is not None]
    assert sum(qualities) == pytest.approx(offsets)

    pairs = Counter((row["label"], row["label_kind"]) for row in score.matches.to_pylist() if row["quality"] is not None)
    right = sum(count for (one, other), count in pairs.items() if one == other)
    assert score.kinds_right == (right / size if size else None)
    kinds_of = [Counter(kind for each in side.values() for kind, _, _ in each) for side in (gold, labels)]
    assert {row.label for row in score.per_kind} == set(kinds_of[0]) | set(kinds_of[1])
    for row in score.per_kind:
        found = pairs[row.label, row.label]
        assert (row.tp, row.fp, row.fn) == (found, kinds_of[1][row.label] - found, kinds_of[0][row.label] - found)
        assert (row.f1 is None) == (not row.tp + row.fp + row.fn)

    if turned:
        again = scored(sides[0][::-1], sides[1][::-1], match=match, tolerance=tolerance)
        assert again.model_dump_json() == score.model_dump_json()
    parts = [
        scored(
            *([row for row in side if row["item"] == item] for side in sides), match=match, tolerance=tolerance, items=item
        )
        for item in "vw"
    ]
    assert sum(part.tp for part in parts) == score.tp
    assert sum(part.seconds or 0 for part in parts) == pytest.approx(score.seconds)
    summed: Counter[tuple[str, str]] = Counter()
    for part in parts:
        for kind, counts in zip(part.kinds.labels, part.kinds.rows, strict=True):
            summed.update({(kind, other): count for other, count in zip(part.kinds.labels, counts, strict=True)})
    assert +summed == pairs


LENGTHS = {"v": Length(100, 25.0), "w": Length(100, 25.0)}


@given(
    gold=st.fixed_dictionaries({"v": changes(), "w": changes()}),
    labels=st.fixed_dictionaries({"v": changes()}),
    tolerance=st.integers(0, 3),
)
@settings(deadline=None, max_examples=50)
def test_lists_of_changes_are_scored_as_tables_of_shots_are(
    gold: dict[str, list[Change]], labels: dict[str, list[Change]], tolerance: int
) -> None:
    found, truth = (
        {item: [changes_of.Change(*one) for one in each[::-1]] for item, each in side.items()} for side in (labels, gold)
    )
    score = score_changes(found, truth, LENGTHS, tolerance=tolerance)
    labels = {**labels, "w": []}
    tables = [[row for item, each in side.items() for row in shots_of(item, each)] for side in (gold, labels)]
    plain = scored(*tables, match="transition", tolerance=tolerance)
    assert score.model_dump_json() == plain.model_dump_json()


def test_a_list_of_changes_needs_the_length_of_its_video() -> None:
    with pytest.raises(LabelsError, match="'x' has no length"):
        score_changes({"x": [changes_of.Change("cut", 3, 3)]}, {}, LENGTHS)
