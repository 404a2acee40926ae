import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from contract.acceptance import TextProfile
from contract.errors import LabelsError
from contract.labelset import LabelSet
from contract.scores import SentimentScore
from contract.tables import Task
from qa import defaults
from qa.bounds import clopper_pearson
from qa.score import score_sentiments
from tests.oracles.labelsets import label_set

ORDER = ("negative", "neutral", "positive")
ORACLE = [[85, 5, 2], [6, 52, 7], [1, 4, 38]]
Labels = dict[str, str]


def texts(labels: Labels, states: Labels | None = None) -> LabelSet:
    rows = [{"item": item, "label": label} for item, label in labels.items()]
    return label_set(Task.SENTIMENTS, rows, dict.fromkeys(labels, "labelled") if states is None else states)


def of_table(table: list[list[int]], **more: Any) -> SentimentScore:
    gold: Labels = {}
    labels: Labels = {}
    for row, counts in zip(ORDER, table, strict=True):
        for column, count in zip(ORDER, counts, strict=True):
            for _ in range(count):
                item = f"t{len(gold):04d}"
                gold[item], labels[item] = row, column
    return score_sentiments(texts(labels), texts(gold), more.pop("profile", defaults.TEXT), label_order=ORDER, **more)


def finite(method: str = "clopper_pearson") -> TextProfile:
    bound = defaults.TEXT.bound.model_copy(update={"finite_lot": True, "method": method})
    return defaults.TEXT.model_copy(update={"bound": bound})


def test_the_table_of_the_reference() -> None:
    score = of_table(ORACLE)
    assert (score.n, score.correct, score.accuracy) == (200, 175, 0.875)
    expected = {
        "macro_f1": 0.864585,
        "weighted_f1": 0.874810,
        "balanced_accuracy": 0.869211,
        "mcc": 0.804812,
        "kappa": 0.804305,
        "kappa_linear": 0.834466,
        "kappa_quadratic": 0.865053,
        "alpha_nominal": 0.804733,
        "alpha_ordinal": 0.869497,
        "alpha_interval": 0.865369,
    }
    assert {name: getattr(score, name) for name in expected} == pytest.approx(expected, abs=1e-6)
    assert [part.f1 for part in score.per_class] == pytest.approx([0.923913, 0.825397, 0.844444], abs=1e-6)
    assert score.confusion.labels == ORDER
    assert [list(row) for row in score.confusion.rows] == ORACLE
    assert score.lower_bound == clopper_pearson(175, 200, confidence=0.95)[0]
    assert not score.majority_trap


def test_the_majority_trap() -> None:
    score = of_table([[905, 0, 0], [60, 0, 0], [35, 0, 0]])
    assert score.accuracy == 0.905
    assert score.macro_f1 == pytest.approx(0.316710, abs=1e-6)
    assert score.kappa == pytest.approx(0)
    assert score.alpha_nominal == pytest.approx(-0.037307, abs=1e-6)
    assert score.majority_trap
    assert score.majority_share == 0.905
    assert score.mcc is None
    assert score.reasons["mcc"] == "one side uses one label only"


def test_the_documents_shape() -> None:
    document = json.loads(of_table(ORACLE).model_dump_json())
    assert {"n", "correct", "accuracy", "lower_bound", "macro_f1", "kappa", "confusion"} <= set(document)
    assert set(document["confusion"]) == {"labels", "rows", "missing"}
    assert "pairs" not in document


def test_a_finite_lot_gives_the_hypergeometric_limit() -> None:
    score = of_table([[188, 0, 0], [12, 0, 0], [0, 0, 0]], lot_items=1000, profile=finite())
    assert score.lower_bound == 909 / 1000
    assert score.bounds["accuracy"].method == "hypergeometric"
    assert of_table(ORACLE, lot_items=1000).bounds["accuracy"].lot_items is None
    whole = of_table(ORACLE, lot_items=200, profile=finite())
    assert whole.lower_bound == whole.upper_bound == whole.accuracy


def test_a_text_without_a_label_is_an_error_and_one_that_the_gold_excuses_is_not_counted() -> None:
    gold = {"a": "positive", "b": "negative", "d": "positive"}
    labels = {"a": "positive", "d": "positive", "x": "positive"}
    states = {"a": "labelled", "c": "labelled", "d": "labelled", "x": "labelled"}
    truth = texts(gold, {**dict.fromkeys(gold, "labelled"), "c": "excused"})
    score = score_sentiments(texts(labels, states), truth, defaults.TEXT, label_order=ORDER)
    assert (score.n, score.correct) == (3, 2)
    assert score.confusion.missing == (1, 0, 0)
    assert score.coverage.incomplete == ("b",)
    assert score.coverage.excused == ("c",)
    assert score.coverage.without_gold == 1
    assert score.per_class[0].recall == 0
    assert score.pairs.to_pylist()[1] == {"item": "b", "gold_label": "negative", "label": None}


def test_without_an_order_ordered_figures_are_undefined_with_a_reason() -> None:
    score = score_sentiments(texts({"a": "x", "b": "y"}), texts({"a": "x", "b": "y"}), defaults.TEXT)
    assert score.kappa == 1
    for name in ("kappa_linear", "kappa_quadratic", "alpha_ordinal", "alpha_interval"):
        assert getattr(score, name) is None
        assert score.reasons[name] == "the order of the labels is not given"


def test_nothing_to_count() -> None:
    score = score_sentiments(texts({}), texts({}), defaults.TEXT)
    for name in ("accuracy", "lower_bound", "macro_f1", "kappa", "mcc", "majority_share"):
        assert getattr(score, name) is None
        assert score.reasons[name] == "there is no text to count"
    assert not score.majority_trap


def test_a_text_labelled_twice_is_refused() -> None:
    gold = texts({"a": "x"})
    table = gold.table(Task.SENTIMENTS)
    twice = LabelSet(gold.states, {Task.SENTIMENTS: table.take([0, 0])})
    with pytest.raises(LabelsError, match="submission labels text 'a' twice"):
        score_sentiments(twice, gold, defaults.TEXT)


PAIRS = st.lists(st.tuples(st.sampled_from("xyz"), st.sampled_from("xyzw")), min_size=1, max_size=30)


@given(PAIRS, st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=30)
def test_figures_equal_sklearns_and_no_order_matters(pairs: list[tuple[str, str]], seed: int) -> None:
    gold = {f"t{index}": one for index, (one, _) in enumerate(pairs)}
    labels = {f"t{index}": other for index, (_, other) in enumerate(pairs)}
    score = score_sentiments(texts(labels), texts(gold), defaults.TEXT)
    truth, answered = [list(side) for side in zip(*pairs, strict=True)]
    assert score.accuracy == pytest.approx(accuracy_score(truth, answered))
    assert score.macro_f1 == pytest.approx(f1_score(truth, answered, average="macro"))
    assert score.weighted_f1 == pytest.approx(f1_score(truth, answered, average="weighted"))
    if set(answered) <= set(truth) and len(set(truth)) > 1:  # else sklearn warns; the definition is the same
        assert score.balanced_accuracy == pytest.approx(balanced_accuracy_score(truth, answered))
    order = np.random.default_rng(seed).permutation(list(gold)).tolist()
    again = score_sentiments(
        texts({item: labels[item] for item in order}), texts({item: gold[item] for item in order}), defaults.TEXT
    )
    assert again.model_dump_json() == score.model_dump_json()
    assert again.pairs.equals(score.pairs)


@given(PAIRS)
@settings(deadline=None, max_examples=25)
def test_limits_of_macro_f1_lie_about_what_is_likely(pairs: list[tuple[str, str]]) -> None:
    gold = {f"t{index}": one for index, (one, _) in enumerate(pairs)}
    labels = {f"t{index}": other for index, (_, other) in enumerate(pairs)}
    bound = score_sentiments(texts(labels), texts(gold), defaults.TEXT).bounds["macro_f1"]
    assert bound.lower is not None
    assert bound.upper is not None
    assert 0 <= bound.lower < bound.upper <= 1


def test_a_perfect_macro_f1_is_not_certain() -> None:
    few = of_table([[10, 0, 0], [0, 10, 0], [0, 0, 10]]).bounds["macro_f1"]
    many = of_table([[100, 0, 0], [0, 100, 0], [0, 0, 100]]).bounds["macro_f1"]
    assert few.estimate == many.estimate == 1
    assert few.lower is not None
    assert many.lower is not None
    assert few.lower < 0.95 < many.lower < 1


@pytest.mark.slow
def test_false_acceptance_by_macro_f1_stays_near_its_nominal_level() -> None:
    generator = np.random.default_rng(11)
    right = 0.9
    matrix = np.full((3, 3), (1 - right) / 2) + np.eye(3) * (right - (1 - right) / 2)
    true = 0.9  # balanced rows and columns: every F1 equals the recall
    accepted = 0
    for _ in range(200):
        table = [generator.multinomial(50, row).tolist() for row in matrix]
        bound = of_table(table).bounds["macro_f1"]
        accepted += bound.lower is not None and bound.lower >= true
    assert accepted / 200 < 0.10
