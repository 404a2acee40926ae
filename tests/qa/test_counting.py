"""Verdicts by the rules that count items: a plan by AQL, and the e-process; and what a severity changes."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import TermsError
from contract.inspection import AQLS, AqlSampling, Severity
from contract.ruleterms import applied
from contract.scores import Score
from contract.tables import Kind, Task
from contract.terms import Terms, parse_terms
from contract.verdict import CountingPlan, Criterion, Outcome, Verdict
from qa.accept import judge
from qa.bounds import clopper_pearson
from qa.conformity import Counted, conforming_interval, counted
from qa.counting import outcome_by_plan, plan_for, result_by_plan
from qa.sampling.eprocess import log_e, log_e_against
from qa.sampling.switching import result_of
from qa.score import score_boxes, score_keyframes
from qa.verifier.counts import unfounded_count
from tests.oracles.labelsets import box, keyframe, label_set
from tests.qa.test_accept import document, of_texts, pins, texts

ACCEPT, REJECT, EXTEND = Outcome.ACCEPT, Outcome.REJECT, Outcome.EXTEND
NO_METRIC = {"f1": None, "precision": None, "recall": None, "class_recall_min": None}
NO_VIDEO = {"keyframe_f1": None, "event_f1": None, "shot_f1": None}


def terms(rule: str, share: float, *, aql: dict[str, Any] | None = None, finite_lot: bool = True, **more: Any) -> Terms:
    whole = document(rule=rule, **more)
    acceptance = whole["acceptance"]
    mode = rule if rule in {"aql", "e_process"} else "lower_bound"
    acceptance["sampling"] |= {"mode": mode} | ({"aql": aql} if aql else {})
    acceptance["image"]["metrics"] = {**NO_METRIC, "conforming": share}
    acceptance["text"]["metrics"]["accuracy"] = share
    acceptance["text"]["bound"]["finite_lot"] = finite_lot
    acceptance["video"]["metrics"] = {**NO_VIDEO, "keyframe_conforming": share}
    return parse_terms(whole, origin="test")


def by_aql(limit: float = 6.5, level: str = "II", severity: str = "normal") -> Terms:
    return terms("aql", 1 - limit / 100, aql={"limit": limit, "level": level, "severity": severity})


def only(found: Verdict) -> Criterion:
    (criterion,) = found.criteria
    assert criterion.outcome is found.verdict
    return criterion


def judged(of: Terms, *, right: int, wrong: int, lot: int, severity: Severity | None = None) -> Verdict:
    scores: Mapping[Task, Score] = {Task.SENTIMENTS: texts(applied(of, severity), right=right, wrong=wrong)}
    return judge(of, scores, lot_items={Kind.TEXT: lot}, pins=pins(), severity=severity)


@pytest.mark.parametrize(
    ("right", "wrong", "outcome"),
    [
        (111, 14, ACCEPT),  # K: 125, 14 pass
        (110, 15, REJECT),
        (100, 14, EXTEND),  # 114 of 125 checked
        (124, 0, EXTEND),
        (10, 15, REJECT),  # as many as reject, whatever follows
    ],
)
def test_a_plan_by_aql(right: int, wrong: int, outcome: Outcome) -> None:
    found = judged(by_aql(), right=right, wrong=wrong, lot=3_200)
    criterion = only(found)
    assert found.verdict is outcome
    assert (found.rule, found.severity) == ("aql", "normal")
    assert criterion.threshold == pytest.approx(0.935)
    assert criterion.counted is not None
    assert criterion.counted.plan == CountingPlan(
        aql=6.5, level="II", severity="normal", letter="K", n=125, accept=14, reject=15
    )
    assert "14 of 125" in found.reasons[0]
    assert "Ac=14，Re=15" in found.reasons_zh[0]
    assert any("does not prove that the AQL is kept" in reason for reason in found.reasons)


def test_the_severity_chooses_the_table() -> None:
    assert [
        judged(by_aql(), right=112, wrong=13, lot=3_200, severity=severity).verdict
        for severity in (None, "normal", "tightened")
    ] == [ACCEPT, ACCEPT, REJECT]  # K: 14, tightened 12
    first = by_aql(severity="tightened")
    assert judged(first, right=112, wrong=13, lot=3_200).severity == "tightened"
    assert judged(first, right=112, wrong=13, lot=3_200).verdict is REJECT
    reduced = only(judged(by_aql(), right=42, wrong=8, lot=3_200, severity="reduced"))
    assert reduced.outcome is ACCEPT  # 50, 8
    assert reduced.counted is not None
    assert reduced.counted.plan is not None
    assert reduced.counted.plan.severity == "reduced"


def test_a_small_lot_is_inspected_whole() -> None:
    of = by_aql(limit=0.65)
    assert judged(of, right=12, wrong=0, lot=13).verdict is EXTEND
    assert judged(of, right=13, wrong=0, lot=13).verdict is ACCEPT
    assert judged(of, right=1, wrong=0, lot=1).verdict is ACCEPT
    assert judged(of, right=0, wrong=1, lot=1).verdict is REJECT


PLANS = st.tuples(st.integers(1, 12), st.integers(0, 4)).map(
    lambda pair: CountingPlan(
        aql=1.0, level="II", severity="normal", letter="A", n=pair[0], accept=pair[1], reject=pair[1] + 1
    )
)


@given(PLANS, st.integers(0, 20), st.data())
@settings(deadline=None)
def test_what_a_plan_makes_of_any_count(plan: CountingPlan, checked: int, data: st.DataObject) -> None:
    nonconforming = data.draw(st.integers(0, checked))
    outcome = outcome_by_plan(Counted(checked, nonconforming), plan)
    if checked < plan.n:
        assert outcome is (REJECT if nonconforming > plan.accept else EXTEND)
        return
    generator = np.random.default_rng(checked)
    items = np.arange(checked) < nonconforming
    drawn = np.array([generator.permutation(items)[: plan.n].sum() for _ in range(400)])
    share = float((drawn <= plan.accept).mean())
    if checked == plan.n:
        assert outcome is (ACCEPT if nonconforming <= plan.accept else REJECT)
    elif abs(share - 0.5) > 0.15:
        assert outcome is (ACCEPT if share > 0.5 else REJECT)
    if nonconforming <= plan.accept:
        assert outcome is ACCEPT


@given(st.integers(2, 20_000), st.sampled_from(AQLS), st.sampled_from(["normal", "tightened"]), st.floats(0, 0.1), st.data())
@settings(deadline=None)
def test_results_for_the_switching_rules_are_those_of_the_tables(
    lot: int, limit: float, severity: Any, share: float, data: st.DataObject
) -> None:
    by = plan_for(AqlSampling(limit=limit, level="II", severity=severity), lot)
    nonconforming = min(by.n, data.draw(st.integers(0, by.accept + 2)) + int(share * 5))
    found = result_by_plan(Counted(by.n, nonconforming), by)
    expected = result_of(lot, nonconforming, aql=limit, level="II", inspection=severity)
    assert (found.accepted, found.accept_number, found.consent) == (expected.accepted, expected.accept_number, False)
    if severity == "normal":
        assert found.passes_tighter == expected.passes_tighter


def test_a_lot_that_is_not_decided_has_no_result() -> None:
    by = plan_for(AqlSampling(limit=1.0, level="II", severity="normal"), 500)
    with pytest.raises(ValueError, match="not decided"):
        result_by_plan(Counted(49, 0), by)
    assert not result_by_plan(Counted(20, 2), by).accepted  # 2 of 50 reject already


def test_a_plan_for_a_lot_of_one() -> None:
    plan = plan_for(AqlSampling(limit=1.0, level="II", severity="normal"), 1)
    assert (plan.n, plan.accept) == (1, 0)


@pytest.mark.parametrize(
    ("right", "wrong", "outcome"),
    [
        (43, 0, ACCEPT),
        (42, 0, EXTEND),
        (65, 1, ACCEPT),
        (190, 10, EXTEND),
        (202, 10, ACCEPT),
        (30, 20, REJECT),
        (15, 0, EXTEND),
    ],
)
def test_an_e_process(right: int, wrong: int, outcome: Outcome) -> None:
    found = judged(terms("e_process", 0.9, finite_lot=False), right=right, wrong=wrong, lot=50_000)
    criterion = only(found)
    assert found.verdict is outcome
    assert found.rule == "e_process"
    assert criterion.counted is not None
    assert (criterion.counted.lot_items, criterion.counted.plan) == (None, None)
    assert criterion.lower_bound == clopper_pearson(right, right + wrong, confidence=0.95)[0]
    said = "at least 20" if right + wrong < 20 else "where 20 decides"
    assert said in found.reasons[0]


def test_the_evidence_is_written_in_both_languages() -> None:
    found = judged(terms("e_process", 0.9, finite_lot=False), right=190, wrong=10, lot=50_000)
    assert "is 10.8685 and" in found.reasons[0]
    assert "证据值为 10.8685" in found.reasons_zh[0]


def test_an_e_process_decides_a_lot_that_is_checked_whole() -> None:
    of = terms("e_process", 0.9)
    assert judged(of, right=54, wrong=6, lot=60).verdict is ACCEPT
    assert judged(of, right=53, wrong=7, lot=60).verdict is REJECT
    assert judged(of, right=45, wrong=5, lot=60).verdict is EXTEND


def test_an_exhausted_e_process_says_so() -> None:
    of = terms("e_process", 0.9, finite_lot=False)
    found = judged(of, right=455, wrong=45, lot=50_000)
    assert found.verdict is EXTEND
    assert any("has reached the 500 texts" in reason for reason in found.reasons)


def test_tightened_evidence_must_be_twice_as_strong() -> None:
    of = terms("e_process", 0.9, finite_lot=False)
    assert judged(of, right=43, wrong=0, lot=9_999, severity="tightened").verdict is EXTEND
    strict = judged(of, right=60, wrong=0, lot=9_999, severity="tightened")
    assert (strict.verdict, strict.severity) == (ACCEPT, "tightened")
    assert "where 40 decides" in strict.reasons[0]


def test_tightened_bounds_and_points() -> None:
    bound = terms("lower_bound", 0.9)
    assert judged(bound, right=188, wrong=12, lot=50_000).verdict is ACCEPT
    strict = judged(bound, right=188, wrong=12, lot=50_000, severity="tightened")
    assert (strict.verdict, strict.rule, strict.severity) == (EXTEND, "lower_bound", "tightened")
    assert judged(bound, right=190, wrong=10, lot=50_000, severity="tightened").verdict is ACCEPT
    point = terms("point", 0.9)
    assert judged(point, right=180, wrong=20, lot=50_000).verdict is ACCEPT
    strict = judged(point, right=180, wrong=20, lot=50_000, severity="tightened")
    assert (strict.verdict, strict.rule) == (EXTEND, "lower_bound")
    with pytest.raises(TermsError, match="knows no reduced inspection"):
        judged(point, right=180, wrong=20, lot=50_000, severity="reduced")


def test_scores_of_another_severity_are_not_judged() -> None:
    of = terms("lower_bound", 0.9)
    with pytest.raises(ValueError, match=r"scored at confidence 0\.95, but is judged at 0\.975"):
        judge(
            of,
            {Task.SENTIMENTS: texts(of, right=40, wrong=0)},
            lot_items={Kind.TEXT: 900},
            pins=pins(),
            severity="tightened",
        )


@pytest.mark.parametrize("rule", ["aql", "e_process"])
def test_what_was_not_checked_never_passes(rule: str) -> None:
    of = by_aql() if rule == "aql" else terms("e_process", 0.9)
    found = judge(of, {}, lot_items={Kind.TEXT: 50, Kind.IMAGE: 9, Kind.VIDEO: 3}, pins=pins())
    assert found.verdict is EXTEND
    assert [criterion.outcome for criterion in found.criteria] == [EXTEND] * 3
    assert [criterion.name for criterion in found.criteria] == [
        "image.conforming",
        "text.accuracy",
        "video.keyframe_conforming",
    ]


def images(of: Terms, *, perfect: int, missed: int, spurious: int, unlabelled: int, empty: int = 0) -> Score:
    """Images of one box each; `empty` ones have no gold and, like the unlabelled, no box of the submission."""
    profile = of.acceptance.image
    assert profile is not None
    count = perfect + missed + spurious
    names = [f"i{index:03}" for index in range(count)]
    empties = [f"e{index:03}" for index in range(empty + unlabelled)]
    gold = [box(name, "car", (0, 0, 10, 10)) for name in names]
    given = [box(name, "car", (0, 0, 10, 10)) for name in names if name not in names[perfect : perfect + missed]]
    given += [box(name, "car", (500, 0, 510, 10)) for name in names[perfect + missed :]]
    truth = dict.fromkeys(names, "labelled") | dict.fromkeys(empties, "empty")
    ours = dict.fromkeys(names, "labelled") | dict.fromkeys(empties[:empty], "empty")
    return score_boxes(label_set(Task.BOXES, given, ours), label_set(Task.BOXES, gold, truth), profile, lot_items=1000)


def test_an_image_conforms_if_it_has_no_defect_and_was_labelled() -> None:
    of = terms("e_process", 0.9)
    score = images(of, perfect=30, missed=2, spurious=3, unlabelled=4, empty=5)
    assert counted(Task.BOXES, {Task.BOXES: score}) == Counted(44, 9)
    found = judge(of, {Task.BOXES: score}, lot_items={Kind.IMAGE: 1000}, pins=pins())
    assert found.criteria[0].counted is not None
    assert found.criteria[0].counted.nonconforming == 9
    assert found.criteria[0].units == 44


def test_a_share_of_images_without_defect_under_the_lower_bound() -> None:
    of = terms("lower_bound", 0.9)
    for perfect, missed, outcome in ((60, 0, ACCEPT), (60, 3, EXTEND), (20, 20, REJECT)):
        score = images(of, perfect=perfect, missed=missed, spurious=0, unlabelled=0)
        found = judge(of, {Task.BOXES: score}, lot_items={Kind.IMAGE: 1000}, pins=pins())
        assert only(found).outcome is outcome
        assert only(found).counted is None


def test_videos_conform_by_task() -> None:
    of = terms("e_process", 0.9)
    profile = of.acceptance.video
    assert profile is not None
    names = [f"v{index}" for index in range(30)]
    states = dict.fromkeys(names, "labelled")
    gold = label_set(Task.KEYFRAMES, [keyframe(item=name, time_s=1.0) for name in names], states)
    given = label_set(Task.KEYFRAMES, [keyframe(item=name, time_s=9.0 if name == "v7" else 1.0) for name in names], states)
    scores = {Task.KEYFRAMES: score_keyframes(given, gold, profile, lot_items=30)}
    assert counted(Task.KEYFRAMES, scores) == Counted(30, 1)
    found = judge(of, scores, lot_items={Kind.VIDEO: 30}, pins=pins())
    assert only(found).outcome is ACCEPT  # the whole lot was checked: 29 of 30


def test_a_share_of_nothing_has_no_limits() -> None:
    empty = conforming_interval(Counted(0, 0), confidence=0.95, lot=None)
    assert empty is not None
    assert (empty.estimate, empty.lower, empty.upper) == (None, None, None)
    assert conforming_interval(None, confidence=0.95, lot=None) is None
    whole = conforming_interval(Counted(10, 1), confidence=0.95, lot=10)
    assert whole is not None
    assert (whole.lower, whole.upper) == (0.9, 0.9)


@given(
    st.integers(0, 60),
    st.integers(0, 20),
    st.none() | st.integers(0, 40),
    st.sampled_from([0.5, 0.8, 0.9]),
    st.sampled_from([0.8, 0.95]),
)
@settings(deadline=None)
def test_the_verifier_finds_the_same_evidence(
    right: int, wrong: int, more: int | None, threshold: float, confidence: float
) -> None:
    lot = None if more is None else right + wrong + more
    if not right + wrong:
        return
    favour = log_e(right, wrong, threshold=threshold, lot=lot)
    against = log_e_against(right, wrong, threshold=threshold, lot=lot)
    wanted = -math.log(1 - confidence)
    if min(abs(favour - wanted), abs(against - wanted)) < 1e-6:
        return
    for outcome, founded in (("ACCEPT", favour >= wanted), ("REJECT", against >= wanted), ("EXTEND", True)):
        criterion = {
            "outcome": outcome,
            "threshold": threshold,
            "estimate": right / (right + wrong),
            "counted": {
                "checked": right + wrong, "nonconforming": wrong, "lot_items": lot, "confidence": confidence, "plan": None
            },
        }  # fmt: skip
        assert (not list(unfounded_count(criterion, {}))) == founded


@given(PLANS, st.integers(1, 25), st.data())
@settings(deadline=None)
def test_the_verifier_finds_the_same_outcome_by_a_plan(plan: CountingPlan, checked: int, data: st.DataObject) -> None:
    wrong = data.draw(st.integers(0, checked))
    right = outcome_by_plan(Counted(checked, wrong), plan)
    for outcome in Outcome:
        criterion = {
            "outcome": outcome.value,
            "threshold": 0.99,
            "estimate": 1 - wrong / checked,
            "counted": {"checked": checked, "nonconforming": wrong, "lot_items": None, "confidence": 0.95}
            | {"plan": plan.model_dump(mode="json")},
        }
        assert (not list(unfounded_count(criterion, {}))) == (outcome is right)


def test_the_verifier_compares_counts_with_the_score() -> None:
    of = by_aql()
    verdict = of_texts(of, right=111, wrong=14)
    criterion = only(verdict).model_dump(mode="json")
    score = texts(of, right=111, wrong=14).model_dump(mode="json")
    assert not list(unfounded_count(criterion, score))
    criterion["counted"]["nonconforming"] = 13
    assert any("but the score has 14" in line for line in unfounded_count(criterion, score))
