import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.acceptance import ImageProfile
from contract.errors import DeviceError, LabelsError
from contract.labelset import LabelSet
from contract.scores import BoxScore
from contract.tables import Task
from qa import defaults
from qa.pairing import iou
from qa.pairing.overlaps import Grouped, overlapping_pairs
from qa.score import score_boxes
from tests.oracles import overlaps
from tests.oracles.boxes import corners, counts
from tests.oracles.labelsets import box, label_set
from tests.oracles.matching import plain_iou

Rows = list[dict[str, Any]]

SCENE_GOLD = [
    box("img1", "car", (0, 0, 100, 100)),
    box("img1", "car", (200, 0, 300, 100)),
    box("img1", "person", (50, 200, 90, 300)),
    box("img2", "person", (0, 0, 40, 100)),
    box("img2", "person", (30, 0, 70, 100)),
    box("img4", "car", (0, 0, 100, 100)),
    box("img4", "dog", (200, 200, 260, 260)),
]
SCENE_LABELS = [
    box("img1", "car", (5, 5, 105, 105)),
    box("img1", "truck", (200, 0, 300, 100)),
    box("img1", "person", (50, 200, 90, 300)),
    box("img1", "person", (52, 202, 92, 302)),
    box("img2", "person", (0, 0, 40, 100)),
    box("img2", "person", (50, 0, 90, 100)),
    box("img3", "car", (10, 10, 60, 60)),
    box("img4", "car", (0, 0, 100, 60)),
]
SCENE_STATES = {"img1": "labelled", "img2": "labelled", "img3": "empty", "img4": "labelled"}


def boxes(rows: Rows, states: dict[str, str]) -> LabelSet:
    return label_set(Task.BOXES, rows, states)


def profile(**changes: Any) -> ImageProfile:
    return defaults.IMAGE.model_copy(update=changes)


def score(gold: Rows, labels: Rows, reading: ImageProfile = defaults.IMAGE) -> BoxScore:
    states = {row["item"]: "labelled" for row in (*gold, *labels)}
    return score_boxes(boxes(labels, states), boxes(gold, states), reading)


@pytest.fixture
def scene() -> BoxScore:
    return score_boxes(boxes(SCENE_LABELS, SCENE_STATES), boxes(SCENE_GOLD, SCENE_STATES), defaults.IMAGE)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((0, 0, 10, 10), (5, 0, 15, 10), 0.333333),
        ((0, 0, 10, 10), (2, 2, 12, 12), 0.470588),
        ((0, 0, 10, 10), (10, 0, 20, 10), 0.0),
        ((0, 0, 100, 100), (10, 10, 110, 110), 0.680672),
        ((0, 0, 4, 4), (1, 1, 3, 3), 0.25),
        ((3, 3, 3, 3), (3, 3, 3, 3), 0.0),
    ],
)
def test_iou(one: tuple[float, ...], other: tuple[float, ...], expected: float) -> None:
    a, b = (np.array([[x1, y1, x2 - x1, y2 - y1]], dtype=np.float64) for x1, y1, x2, y2 in (one, other))
    alone = np.zeros(1, dtype=np.int64)
    found = overlapping_pairs(Grouped(alone, a, False), Grouped(alone, b, False), 0.0)
    assert found[2].tolist() == overlaps.iou_of_pairs(a, b).tolist() == pytest.approx([expected], abs=1e-6)
    assert plain_iou(one, other) == pytest.approx(expected, abs=1e-6)


def test_the_scene_of_the_reference(scene: BoxScore) -> None:
    contract = scene.contract
    assert (contract.tp, contract.fp, contract.fn) == (4, 4, 3)
    assert contract.precision == 0.5
    assert contract.recall == pytest.approx(0.571429, abs=1e-6)
    assert contract.f1 == pytest.approx(0.533333, abs=1e-6)
    assert contract.jaccard == pytest.approx(0.363636, abs=1e-6)
    assert contract.mean_iou == pytest.approx(0.855581, abs=1e-6)
    assert scene.matches["iou"].to_pylist() == pytest.approx([0.822323, 1, 1, 0.6], abs=1e-6)
    assert scene.defects.model_dump() == dict.fromkeys(("missed", "spurious", "wrong_class", "loose_box", "duplicate"), 1)
    assert contract.perfect_images == 0
    rows = scene.items.to_pylist()
    assert [(row["tp"], row["fp"], row["fn"]) for row in rows] == [(2, 2, 1), (1, 1, 1), (0, 1, 0), (1, 0, 1)]


def test_the_scene_of_the_reference_by_its_best_overlaps() -> None:
    def best(one: dict[str, Any]) -> float:
        near = [row for row in SCENE_LABELS if row["item"] == one["item"] and row["label"] == one["label"]]
        return max((plain_iou(corners(one), corners(other)) for other in near), default=0.0)

    overlaps_of_gold = [best(row) for row in SCENE_GOLD]
    assert sum(overlaps_of_gold) / 7 == pytest.approx(0.536522, abs=1e-6)
    assert sum(value >= 0.5 for value in overlaps_of_gold) / 7 == pytest.approx(0.571429, abs=1e-6)


def test_defects_name_their_boxes(scene: BoxScore) -> None:
    named = {row["kind"]: (row["item"], row["gold_row"], row["label_row"]) for row in scene.defect_rows.to_pylist()}
    assert named == {
        "wrong_class": ("img1", 1, 1),
        "loose_box": ("img2", 4, 5),
        "duplicate": ("img1", 2, 3),
        "missed": ("img4", 6, None),
        "spurious": ("img3", None, 6),
    }


def test_the_documents_shape(scene: BoxScore) -> None:
    document = json.loads(scene.model_dump_json())
    assert {"tp", "fp", "fn", "precision", "recall", "f1", "mean_iou", "lower_bound"} <= set(document["contract"])
    assert set(document["defects"]) == {"missed", "spurious", "wrong_class", "loose_box", "duplicate"}
    assert document["coco"] is None
    assert "no score" in document["coco_reason"]
    assert "matches" not in document
    assert BoxScore.model_validate(document).contract == scene.contract


def test_the_greedy_trap() -> None:
    gold = [box("a", "car", (0, 0, 10, 10)), box("a", "car", (3, 0, 13, 10))]
    labels = [box("a", "car", (1, 0, 11, 10)), box("a", "car", (-3, 0, 7, 10))]
    assert score(gold, labels).contract.tp == 2
    assert score(gold, labels, profile(matching="greedy_iou")).contract.tp == 1


@pytest.mark.parametrize(
    ("one", "other"), [((0, 0, 10, 10), (0, 0, 10, 5)), ((0, 0, 3, 3), (1, 0, 4, 3)), ((0.1, 0, 0.4, 3), (0.2, 0, 0.5, 3))]
)
def test_an_iou_of_exactly_the_threshold_reaches_it(one: Any, other: Any) -> None:
    assert score([box("a", "car", one)], [box("a", "car", other)]).contract.tp == 1


def test_classes_need_not_count() -> None:
    result = score(SCENE_GOLD, SCENE_LABELS, profile(class_aware=False))
    assert result.contract.tp == 5
    assert result.defects.wrong_class == 0


def test_crowds_take_what_lies_inside_and_are_not_missed() -> None:
    gold = [box("a", "car", (0, 0, 100, 100), crowd=True), box("a", "car", (200, 0, 210, 10))]
    labels = [
        box("a", "car", (10, 10, 20, 20)),
        box("a", "dog", (10, 10, 20, 20)),
        box("a", "car", (200, 0, 210, 10)),
        box("a", "car", (95, 0, 115, 10)),
    ]
    ignoring = score(gold, labels).contract
    assert (ignoring.tp, ignoring.fp, ignoring.fn) == (1, 2, 0)
    assert (ignoring.ignored_gold, ignoring.ignored_labels) == (1, 1)
    counting = score(gold, labels, profile(crowd="count")).contract
    assert (counting.tp, counting.fp, counting.fn) == (1, 3, 1)


def test_small_boxes_are_left_out_on_both_sides() -> None:
    gold = [box("a", "car", (0, 0, 4, 40)), box("a", "car", (50, 0, 90, 40))]
    labels = [box("a", "car", (0, 0, 4, 40)), box("a", "car", (50, 0, 90, 40)), box("a", "car", (0, 100, 40, 104))]
    result = score(gold, labels, profile(min_side_px=5)).contract
    assert (result.tp, result.fp, result.fn, result.ignored_gold, result.ignored_labels) == (1, 0, 0, 1, 2)


def test_only_images_with_a_gold_state_count_and_missing_ones_are_all_missed() -> None:
    gold_states = {"a": "labelled", "b": "labelled", "c": "excused", "d": "missing", "e": "labelled", "f": "empty"}
    gold = [box(item, "car", (0, 0, 10, 10)) for item in "abce"]
    labels = [box(item, "car", (0, 0, 10, 10)) for item in "acdg"]
    states = {"a": "labelled", "b": "missing", "c": "labelled", "d": "labelled", "e": "excused", "g": "labelled"}
    result = score_boxes(boxes(labels, states), boxes(gold, gold_states), defaults.IMAGE)
    assert (result.contract.tp, result.contract.fp, result.contract.fn) == (1, 0, 2)
    assert result.coverage.items == 4
    assert result.coverage.incomplete == ("b", "e", "f")  # e is excused by the submission alone
    assert result.coverage.excused == ("c",)
    assert result.coverage.without_gold == 2
    assert result.contract.perfect_images == 1


def test_nothing_on_either_side_is_undefined_with_reasons() -> None:
    states = {"a": "empty", "b": "empty"}
    result = score_boxes(boxes([], states), boxes([], states), defaults.IMAGE)
    contract = result.contract
    for name in ("precision", "recall", "f1", "jaccard", "mean_iou", "p5_iou", "share_iou_075", "lower_bound"):
        assert getattr(contract, name) is None
        assert contract.reasons[name]
    assert contract.perfect_images == 2
    assert result.coco is None


def test_no_items_at_all() -> None:
    assert score_boxes(boxes([], {}), boxes([], {}), defaults.IMAGE).contract.images == 0


def test_a_gold_without_the_table_and_a_doubled_item_are_refused() -> None:
    states = {"a": "labelled"}
    gold = boxes([box("a", "car", (0, 0, 10, 10))], states)
    with pytest.raises(LabelsError, match="holds no boxes"):
        score_boxes(gold, LabelSet(gold.states), defaults.IMAGE)
    twice = LabelSet(gold.states.take([0, 0]), gold.tables)
    with pytest.raises(LabelsError, match="gold name item 'a' twice"):
        score_boxes(gold, twice, defaults.IMAGE)


COORDINATE = st.integers(0, 6).map(float)
SIDE = st.integers(1, 5).map(float)
BOX = st.fixed_dictionaries(
    {
        "item": st.sampled_from(["a", "b", "c"]),
        "label": st.sampled_from(["car", "dog"]),
        "x": COORDINATE,
        "y": COORDINATE,
        "w": SIDE,
        "h": SIDE,
    }
)
BOXES = st.lists(BOX, max_size=9)
STATES = {"a": "labelled", "b": "labelled", "c": "labelled"}


@given(BOXES, BOXES, st.sampled_from([0.1, 0.5, 0.75]), st.booleans(), st.sampled_from([0, 2]))
@settings(deadline=None)
def test_counts_equal_every_choice_tried(gold: Rows, labels: Rows, threshold: float, aware: bool, side: int) -> None:
    reading = profile(iou=threshold, class_aware=aware, min_side_px=side)
    result = score_boxes(boxes(labels, STATES), boxes(gold, STATES), reading)
    expected, quality = counts(gold, labels, reading)
    contract = result.contract
    assert {"tp": contract.tp, "fp": contract.fp, "fn": contract.fn} == dict(expected)
    assert sum(result.matches["iou"].to_pylist()) == pytest.approx(quality)
    defects = result.defects
    assert defects.wrong_class + defects.loose_box + defects.missed == contract.fn
    assert defects.wrong_class + defects.loose_box + defects.duplicate + defects.spurious == contract.fp
    for group in (result.per_class, result.per_size):
        assert [sum(getattr(part, name) for part in group) for name in ("tp", "fp", "fn")] == [
            contract.tp,
            contract.fp,
            contract.fn,
        ]


@given(BOXES, BOXES, st.sampled_from(["hungarian", "greedy_iou"]), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_no_order_of_input_matters(gold: Rows, labels: Rows, matching: str, seed: int) -> None:
    reading = profile(matching=matching)
    generator = np.random.default_rng(seed)
    here = score_boxes(boxes(labels, STATES), boxes(gold, STATES), reading)
    shuffled = [[rows[i] for i in generator.permutation(len(rows))] for rows in (labels, gold)]
    states = {item: STATES[item] for item in generator.permutation(list(STATES)).tolist()}
    there = score_boxes(boxes(shuffled[0], states), boxes(shuffled[1], states), reading)
    assert here.model_dump_json() == there.model_dump_json()
    assert here.items.equals(there.items)


@given(BOXES, BOXES)
@settings(deadline=None)
def test_counts_add_over_any_split(gold: Rows, labels: Rows) -> None:
    whole = score_boxes(boxes(labels, STATES), boxes(gold, STATES), defaults.IMAGE)
    parts = []
    for chunk in (["a"], ["b", "c"]):
        states = {item: STATES[item] for item in chunk}
        ours, theirs = ([row for row in rows if row["item"] in chunk] for rows in (labels, gold))
        parts.append(score_boxes(boxes(ours, states), boxes(theirs, states), defaults.IMAGE))
    for name in ("tp", "fp", "fn", "images", "perfect_images"):
        assert getattr(whole.contract, name) == sum(getattr(part.contract, name) for part in parts)
    for kind in type(whole.defects).model_fields:
        assert getattr(whole.defects, kind) == sum(getattr(part.defects, kind) for part in parts)
    histogram = np.array([part.iou_histogram for part in parts]).sum(axis=0)
    assert whole.iou_histogram == tuple(histogram.tolist())


def test_slicing_the_candidates_changes_nothing(scene: BoxScore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qa.pairing.boxes._PAIRS_AT_ONCE", 2)
    again = score_boxes(boxes(SCENE_LABELS, SCENE_STATES), boxes(SCENE_GOLD, SCENE_STATES), defaults.IMAGE)
    assert again.model_dump_json() == scene.model_dump_json()
    assert again.matches.equals(scene.matches)


def test_an_absent_device_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(DeviceError, match="choose cpu or auto"):
        score_boxes(boxes([], {}), boxes([], {}), defaults.IMAGE, device="cuda")
    assert score_boxes(boxes([], {}), boxes([], {}), defaults.IMAGE, device="auto").contract.tp == 0


@given(st.lists(st.tuples(*[st.floats(0, 1e4)] * 8), max_size=50))
def test_tensors_overlap_as_arrays_do(rows: list[tuple[float, ...]]) -> None:
    import torch

    both = np.array(rows, dtype=np.float64).reshape(-1, 8)
    one, other = np.ascontiguousarray(both[:, :4]), np.ascontiguousarray(both[:, 4:])
    tensors = iou._overlap_of_tensors(torch.from_numpy(one), torch.from_numpy(other))
    assert np.array_equal(tensors, overlaps.intersection(one, other))


@pytest.mark.gpu
def test_a_device_gives_the_same_score() -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    generator = np.random.default_rng(0)
    items = [f"i{number}" for number in range(50)]

    def drawn() -> Rows:
        rows = []
        for item in items:
            for x, y, w, h in generator.uniform(1, 100, size=(30, 4)).tolist():
                rows.append({"item": item, "label": "car", "x": x, "y": y, "w": w, "h": h})
        return rows

    states = dict.fromkeys(items, "labelled")
    gold, labels = boxes(drawn(), states), boxes(drawn(), states)
    here = score_boxes(labels, gold, defaults.IMAGE)
    there = score_boxes(labels, gold, defaults.IMAGE, device="cuda")
    assert here.model_dump_json() == there.model_dump_json()
    assert here.matches.equals(there.matches)
