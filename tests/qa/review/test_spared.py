"""What may be accepted by sample only: proven where it holds, refused where it does not, and by blind gold alone."""

import numpy as np
import pyarrow as pa
import pytest

from contract.labelset import LabelSet
from contract.tables import State, Task
from qa import defaults
from qa.rates import interval
from qa.review.spared import spared_images, spared_texts
from qa.score_boxes import score_boxes
from tests.oracles.deliveries import Row, items_of, labels_of


def texts(count: int, wrong_under: float) -> tuple[LabelSet, LabelSet]:
    """Drafts whose confidence falls from 1 to 0, wrong in every second text under `wrong_under`."""
    items = list(items_of(0, count, 0))
    scores = np.linspace(1, 0, count)
    wrong = [score < wrong_under and place % 2 == 0 for place, score in enumerate(scores)]
    drafts: list[Row] = [
        {"item": item, "label": "positive", "score": float(score)} for item, score in zip(items, scores, strict=True)
    ]
    gold: list[Row] = [
        {"item": item, "label": "negative" if bad else "positive"} for item, bad in zip(items, wrong, strict=True)
    ]
    kinds = items_of(0, count, 0)
    return labels_of({Task.SENTIMENTS: drafts}, kinds), labels_of({Task.SENTIMENTS: gold}, kinds)


def test_sure_texts_are_spared_as_far_as_they_are_proven() -> None:
    drafts, gold = texts(1000, 0.4)
    blind = frozenset(drafts.states["item"].to_pylist())
    found = spared_texts(drafts, gold, defaults.TEXT, blind=blind)
    assert found.threshold is not None
    assert found.lower is not None
    assert 0.3 < found.threshold <= 0.45
    assert found.lower >= 0.9
    scores = dict(zip(*(drafts.table(Task.SENTIMENTS)[name].to_pylist() for name in ("item", "score")), strict=True))
    assert found.items == {item for item, score in scores.items() if score >= found.threshold}
    assert found.checked == 1000


def test_nothing_is_spared_without_blind_gold_or_where_the_surest_are_wrong() -> None:
    drafts, gold = texts(200, 0.4)
    unseen = spared_texts(drafts, gold, defaults.TEXT, blind=frozenset())
    assert (unseen.threshold, unseen.items, unseen.reason) == (None, frozenset(), "no item of the gold is known to be blind")
    drafts, gold = texts(200, 2.0)
    found = spared_texts(drafts, gold, defaults.TEXT, blind=frozenset(drafts.states["item"].to_pylist()))
    assert not found.items
    assert found.reason == "not even the surest texts are proven to be right often enough"


def images(count: int, wrong_under: float) -> tuple[LabelSet, LabelSet]:
    drafts: list[Row] = []
    gold: list[Row] = []
    for place, (item, score) in enumerate(zip(items_of(count, 0, 0), np.linspace(1, 0, count), strict=True)):
        if place == 0:
            continue  # an empty draft
        for side in range(2):
            box: Row = {"item": item, "label": "a", "x": 50.0 * side, "y": 0.0, "w": 10.0, "h": 10.0}
            shift = 30.0 if score < wrong_under and side == place % 2 else 0.0
            drafts.append({**box, "score": min(float(score) + 0.1 * side, 1.0)})
            gold.append({**box, "y": shift})
    return labels_of({Task.BOXES: drafts}, items_of(count, 0, 0)), labels_of({Task.BOXES: gold}, items_of(count, 0, 0))


def test_images_are_spared_by_the_contracts_own_figure_and_by_their_least_sure_box() -> None:
    drafts, gold = images(400, 0.5)
    blind = frozenset(drafts.states["item"].to_pylist())
    found = spared_images(drafts, gold, defaults.IMAGE, blind=blind)
    assert found.threshold is not None
    assert found.lower is not None
    assert 0.35 < found.threshold <= 0.55
    table = drafts.table(Task.BOXES)
    least: dict[str, float] = {}
    for item, score in zip(table["item"].to_pylist(), table["score"].to_pylist(), strict=True):
        least[item] = min(score, least.get(item, 1.0))
    assert found.items == {item for item, score in least.items() if score >= found.threshold}
    assert "i000.png" not in found.items  # an empty draft has no score that could be high
    kept = pa.array(sorted(found.items))

    def part(labels: LabelSet) -> LabelSet:
        tables = {task: table.filter(pa.compute.is_in(table["item"], kept)) for task, table in labels.tables.items()}
        return LabelSet(labels.states.filter(pa.compute.is_in(labels.states["item"], kept)), tables)

    counts = score_boxes(part(drafts), part(gold), defaults.IMAGE).items
    tp, fp, fn = (counts[name].to_numpy() for name in ("tp", "fp", "fn"))
    again = interval(2 * tp, 2 * tp + fp + fn, bound=defaults.IMAGE.bound, lot_items=None, is_f1=True)
    assert found.lower == pytest.approx(again.lower)
    assert found.lower >= 0.9


def test_images_whose_gold_is_wanting_are_not_spared() -> None:
    drafts, gold = images(400, 0.5)
    one = frozenset(["i001.png"])
    found = spared_images(drafts, gold, defaults.IMAGE, blind=one)
    assert (found.items, found.checked, found.reason) == (frozenset(), 1, "fewer than two images have gold")
    drafts, gold = images(200, 2.0)
    found = spared_images(drafts, gold, defaults.IMAGE, blind=frozenset(drafts.states["item"].to_pylist()))
    assert found.reason == "not even the surest images are proven to be right often enough"
    assert State.LABELLED.value in drafts.states["state"].to_pylist()
