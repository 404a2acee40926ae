import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa.sampling.planner import Aim, Options, Procedure, as_document, options
from qa.sampling.plans import two_point_plan
from qa.sampling.sequential import course, sprt, sprt_lines
from qa.words.planwords import options_in_words

AIM = Aim(threshold=0.9, good=0.95)


def procedure(found: Options, name: str) -> Procedure:
    (only,) = [each for each in found.procedures if each.name == name]
    return only


def test_options_of_the_reference() -> None:
    found = options(AIM)
    assert found.proving == {0: 29, 1: 46, 2: 61, 3: 76, 5: 103, 10: 167}
    assert found.estimating == 457
    single = procedure(found, "lower_bound")
    assert (single.detail, single.most) == ("n=298, c=21", 298)
    ratio = procedure(found, "sprt")
    assert ratio.most is None
    assert ratio.accept_at_good == pytest.approx(0.9605, abs=5.1e-5)
    assert ratio.accept_at_threshold == pytest.approx(0.0491, abs=5.1e-5)
    assert (round(ratio.mean_at_good), round(ratio.mean_at_threshold)) == (163, 140)
    evidence = procedure(found, "e_process")
    assert evidence.accept_at_threshold <= 0.05
    assert evidence.mean_at_good < single.mean_at_good < evidence.mean_at_threshold
    assert [each.name for each in found.procedures] == ["lower_bound", "looks", "sprt", "e_process"]


def test_a_lot_shortens_proofs_and_brings_its_aql_plan() -> None:
    found = options(Aim(threshold=0.9, good=0.95, lot=500))
    assert found.proving[5] == 96
    plan = procedure(found, "aql")
    assert plan.detail == "AQL 4 %, H, n=50, Ac=5"
    assert plan.accept_at_threshold > 0.05
    words = options_in_words(options(Aim(threshold=0.9, good=0.95, lot=5000)))
    assert "more risk to the client and the vendor than aimed at" in words.en
    assert "甲方与乙方风险超出目标" in words.zh


def test_work_better_than_every_aql_has_no_plan() -> None:
    found = options(Aim(threshold=0.99, good=0.99995, lot=500))
    assert "aql" not in {each.name for each in found.procedures}


@given(st.floats(0.6, 0.95), st.floats(0.2, 0.9), st.sampled_from([0.8, 0.9, 0.95]), st.sampled_from([0.8, 0.95]))
@settings(max_examples=25, deadline=None)
def test_every_procedure_keeps_what_it_promises(threshold: float, step: float, confidence: float, vendor: float) -> None:
    aim = Aim(threshold, threshold + step * (1 - threshold), confidence, vendor)
    found = options(aim)
    for each in found.procedures:
        if each.name in {"lower_bound", "looks", "e_process"}:
            assert each.accept_at_threshold <= 1 - confidence + 1e-9
        if each.most is not None:
            assert max(each.mean_at_good, each.mean_at_threshold) <= each.most + 1e-6
    single = procedure(found, "lower_bound")
    assert single.accept_at_good >= vendor
    expected = two_point_plan(1 - aim.good, 1 - threshold, alpha=1 - vendor, beta=1 - confidence)
    assert single.detail == f"n={expected.n}, c={expected.accept}"


def test_a_ratio_test_is_decided_within_its_lines() -> None:
    for threshold, good in ((0.9, 0.95), (0.9, 0.92), (0.8, 0.99)):
        single = procedure(options(Aim(threshold, good)), "lower_bound")
        lines = sprt_lines(sprt(1 - good, 1 - threshold, alpha=0.05, beta=0.05), 12 * (single.most or 0))
        assert course(lines, np.array([1 - good, 1 - (good + threshold) / 2])).undecided == pytest.approx([0, 0], abs=1e-6)


def test_words_and_document_hold_every_procedure() -> None:
    found = options(AIM)
    document, words = as_document(found), options_in_words(found)
    assert [entry["name"] for entry in document["procedures"]] == [each.name for each in found.procedures]
    for each in found.procedures:
        assert each.detail in words.zh
        assert each.detail in words.en


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"good": 0.9}, "better than the threshold"),
        ({"good": 0.9001}, "further apart"),
        ({"good": 0.904}, "further apart"),
        ({"confidence": 0.4}, "between 0.5 and 1"),
        ({"lot": 1}, "2 items or more"),
    ],
)
def test_aims_that_cannot_be_reached_are_refused(changes: dict[str, float], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        options(Aim(**{"threshold": 0.9, "good": 0.95, **changes}))  # type: ignore[arg-type]
