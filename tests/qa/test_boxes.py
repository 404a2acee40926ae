"""The compiled reading of boxes beside the plain one."""

import resource
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from contract.acceptance import ImageProfile
from qa import defaults
from qa.pairing.boxes import BoxColumns, Reading, ordered_by_content, overlapping, read_boxes
from qa.pairing.defects import find_defects
from qa.pairing.iou import TIE, pairs_by_tensors
from qa.pairing.matching import pairs_within
from qa.pairing.overlaps import Grouped, overlapping_pairs
from tests.oracles import plainboxes
from tests.oracles.overlaps import iou_of_pairs


def columns(image: Any, label: Any, boxes: Any, crowd: Any = None) -> BoxColumns:
    sides = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    count = len(sides)
    return BoxColumns(
        image=np.array(image, dtype=np.int64),
        label=np.array(label, dtype=np.int64),
        boxes=sides,
        area=sides[:, 2] * sides[:, 3],
        crowd=np.zeros(count, dtype=np.bool_) if crowd is None else np.array(crowd, dtype=np.bool_),
        row=np.arange(count),
    )


def profile(**changes: Any) -> ImageProfile:
    return defaults.IMAGE.model_copy(update=changes)


def read(gold: BoxColumns, labels: BoxColumns, reading: ImageProfile = defaults.IMAGE) -> plainboxes.Found:
    """Return what the compiled reading finds, in the plain one's form."""
    found = read_boxes(ordered_by_content(gold), ordered_by_content(labels), profile=reading)
    one, other = found.matched.gold, found.matched.label
    rows = zip(found.gold.row[one].tolist(), found.labels.row[other].tolist(), found.matched.iou.tolist(), strict=True)
    defects = {
        defect.kind: sorted(zip(at(found.gold, defect.gold), at(found.labels, defect.label), strict=True))
        for defect in find_defects(found, reading)
    }
    return plainboxes.Found(sorted(rows), defects, (found.ignored_gold, found.ignored_labels))


def at(of: BoxColumns, index: NDArray[np.int64]) -> list[int]:
    return [int(of.row[place]) if place >= 0 else -1 for place in index.tolist()]


def drawn(generator: np.random.Generator, images: int, count: int, *, crowds: float = 0.1) -> tuple[BoxColumns, BoxColumns]:
    """Return boxes without ties: gold at random, labels near gold or anywhere, classes often confused."""
    gold_boxes = generator.uniform(1, 60, size=(count, 4))
    image, label = generator.integers(0, images, count), generator.integers(0, 3, count)
    near = generator.integers(0, count, count)
    boxes = gold_boxes[near] * generator.uniform(0.9, 1.1, size=(count, 4))
    away = generator.random(count) < 0.2
    boxes[away] = generator.uniform(1, 60, size=(int(away.sum()), 4))
    classes = np.where(generator.random(count) < 0.8, label[near], generator.integers(0, 3, count))
    crowd = generator.random(count) < crowds
    return columns(image, label, gold_boxes, crowd), columns(image[near], classes, boxes)


READINGS = st.fixed_dictionaries(
    {
        "iou": st.sampled_from([0.05, 0.3, 0.5, 0.75]),
        "class_aware": st.booleans(),
        "crowd": st.sampled_from(["ignore", "count"]),
        "min_side_px": st.sampled_from([0, 5]),
    }
)


@given(st.integers(0, 2**32 - 1), st.sampled_from([(1, 6), (3, 40), (2, 90), (40, 60)]), READINGS)
@settings(deadline=None)
def test_without_ties_matches_and_defects_are_those_of_the_plain_reading(
    seed: int, size: tuple[int, int], reading: dict[str, Any]
) -> None:
    gold, labels = drawn(np.random.default_rng(seed), *size)
    assert read(gold, labels, profile(**reading)) == plainboxes.read(gold, labels, profile(**reading))


SIDE = st.sampled_from([0.0, 1.0, 2.0, 3.0, 1e-300, 1e160])
PLACE = st.integers(-2, 4).map(float) | st.sampled_from([1e15, -1e300])
ODD_BOX = st.tuples(st.integers(0, 1), st.integers(0, 1), st.tuples(PLACE, PLACE, SIDE, SIDE), st.booleans())
ODD_BOXES = st.lists(ODD_BOX, max_size=10)


def odd_columns(rows: list[Any]) -> BoxColumns:
    image, label, boxes, crowd = zip(*rows, strict=True) if rows else ((), (), (), ())
    return columns(image, label, boxes, crowd)


@given(ODD_BOXES, ODD_BOXES, READINGS)
@settings(deadline=None)
@pytest.mark.filterwarnings("ignore:overflow|invalid:RuntimeWarning")
def test_ties_huge_and_empty_boxes_and_empty_sides(gold: list[Any], labels: list[Any], reading: dict[str, Any]) -> None:
    theirs, ours = odd_columns(gold), odd_columns([(*row[:3], False) for row in labels])
    found, plain = read(theirs, ours, profile(**reading)), plainboxes.read(theirs, ours, profile(**reading))
    assert found.ignored[0] == plain.ignored[0]
    assert len(found.matches) == len(plain.matches)
    assert sum(row[2] for row in found.matches) == pytest.approx(sum(row[2] for row in plain.matches))


@given(ODD_BOXES)
@settings(deadline=None)
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_the_order_by_content_is_that_of_a_sort_over_all_keys(rows: list[Any]) -> None:
    one, other = ordered_by_content(odd_columns(rows)), plainboxes.in_order(odd_columns(rows))
    assert np.array_equal(one.row, other.row)


def test_many_boxes_of_an_image_are_sorted_as_few_are() -> None:
    generator = np.random.default_rng(1)
    of = columns(generator.integers(0, 3, 900), generator.integers(0, 2, 900), generator.integers(0, 3, (900, 4)))
    assert np.array_equal(ordered_by_content(of).row, plainboxes.in_order(of).row)


@given(ODD_BOXES, ODD_BOXES, st.booleans(), st.sampled_from([1e-9, 0.1, 0.5]))
@settings(deadline=None)
@pytest.mark.filterwarnings("ignore:overflow|invalid:RuntimeWarning")
def test_loops_arrays_and_tensors_find_the_same_pairs_to_the_bit(
    gold: list[Any], labels: list[Any], by_class: bool, floor: float
) -> None:
    theirs, ours = ordered_by_content(odd_columns(gold)), ordered_by_content(odd_columns(labels))
    one, other = (
        Grouped(side.image * 2 + side.label if by_class else side.image, side.boxes, by_class) for side in (theirs, ours)
    )
    loops = overlapping_pairs(one, other, floor)
    tensors = pairs_by_tensors(one, other, floor, place="cpu")
    left, right = pairs_within(one.group, other.group)
    iou = iou_of_pairs(theirs.boxes[left], ours.boxes[right])
    arrays = left[iou >= floor], right[iou >= floor], iou[iou >= floor]
    for found in (loops, tensors):
        for here, there in zip(found, arrays, strict=True):
            assert np.array_equal(here, there)


def same(one: Reading, other: Reading) -> bool:
    fields = ("gold", "label", "iou")
    return all(np.array_equal(getattr(one.matched, name), getattr(other.matched, name)) for name in fields)


@pytest.mark.parametrize("cores", [1, 3])
def test_neither_threads_nor_cuts_matter(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    gold, labels = drawn(np.random.default_rng(5), 50, 800)
    whole = read_boxes(ordered_by_content(gold), ordered_by_content(labels), profile=defaults.IMAGE)
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    monkeypatch.setattr("qa.pairing.boxes._PAIRS_AT_ONCE", 100)
    monkeypatch.setattr("qa.pairing.boxes._BOXES_AT_ONCE", 30)
    again = read_boxes(ordered_by_content(gold), ordered_by_content(labels), profile=defaults.IMAGE)
    assert same(whole, again)


def test_two_thousand_boxes_upon_two_thousand_are_solved_in_bounded_memory() -> None:
    generator = np.random.default_rng(2)
    count = 2000
    boxes = np.array([100.0, 100.0, 400.0, 400.0]) + generator.uniform(0, 40, size=(count, 4))
    jittered = np.array([100.0, 100.0, 400.0, 400.0]) + generator.uniform(0, 40, size=(count, 4))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    gold, labels = (ordered_by_content(columns([0] * count, [0] * count, sides)) for sides in (boxes, jittered))
    found = read_boxes(gold, labels, profile=defaults.IMAGE)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20  # KiB, hence 1 GiB
    assert found.matched.gold.size == count
    pairs = overlapping(gold, labels, floor=0.5, by_class=True)
    best = plainboxes.assign(pairs.gold, pairs.label, pairs.iou)
    assert found.matched.iou.sum() == pytest.approx(pairs.iou[best].sum(), abs=count * 2.0**-40)


def test_an_iou_on_the_threshold_counts_whatever_the_rounding() -> None:
    one, other = columns([0], [0], [(0.1, 0, 0.3, 3)]), columns([0], [0], [(0.2, 0, 0.3, 3)])
    assert iou_of_pairs(one.boxes, other.boxes)[0] == pytest.approx(0.5, abs=TIE)
    assert len(read(one, other).matches) == 1


def test_only_crowds_leave_nothing_to_count() -> None:
    gold = columns([0, 0], [0, 0], [(0, 0, 10, 10), (20, 0, 10, 10)], [True, True])
    labels = columns([0, 0], [0, 0], [(1, 1, 4, 4), (40, 0, 10, 10)])
    found = read(gold, labels)
    assert found.matches == []
    assert found.ignored == (2, 1)
    assert found.defects["spurious"] == [(-1, 1)]
    assert found.defects["missed"] == []
