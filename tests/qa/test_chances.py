import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contract.ruleterms import applied
from contract.terms import Terms, load_terms, parse_terms
from contract.yamlfile import parse_yaml
from qa.sampling.chances import Chances, as_document, chances_of, joint_chances
from qa.sampling.eprocess import e_lines
from qa.sampling.plans import chance_to_accept, errors_allowed
from qa.sampling.sequential import course
from qa.words.chancewords import captions, chances_in_words, few_shares, risk
from tests.contract.test_ruleterms import AQL, counting

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
MODEL = parse_yaml((CONFIGS / "model_contract.yaml").read_text(encoding="utf-8"))


def of_texts(document: dict[str, Any], **sampling: Any) -> Terms:
    """The terms with texts alone."""
    whole = copy.deepcopy(document)
    whole["acceptance"] |= {"image": None, "video": None}
    whole["acceptance"]["text"]["metrics"] |= {"macro_f1": None}
    whole["acceptance"]["sampling"] |= sampling
    whole["volumes"] = {"images": 0, "texts": 50_000, "video_hours": 0}
    return parse_terms(whole, origin="x")


def only(found: list[Chances]) -> Chances:
    (each,) = found
    return each


def test_every_demand_has_its_chances_and_floors_are_one() -> None:
    document = copy.deepcopy(MODEL)
    document["acceptance"]["image"]["metrics"] |= {"class_recall_min": 0.8, "conforming": 0.7}
    found = chances_of(parse_terms(document, origin="x"))
    assert [each.name for each in found] == [
        "image.f1", "image.conforming", "image.class_recall.*", "text.accuracy", "text.macro_f1", "video.keyframe_f1",
        "video.event_f1", "video.shot_f1",
    ]  # fmt: skip
    assert {each.severity for each in found} == {"normal"}


def test_the_lower_bound_of_the_model_contract() -> None:
    each = only(chances_of(of_texts(MODEL)))
    first, last = each.branches
    assert (first.label, last.label, each.most) == ("n=200", "n=200→500", 500)
    assert first.curve.at(0.9)[0] == pytest.approx(0.0320, abs=5.1e-5)
    assert first.curve.at(0.95)[0] == pytest.approx(0.7965, abs=5.1e-5)
    assert each.client_risk > 0.05 > first.curve.at(0.9)[0]
    assert "looked at twice" in chances_in_words([each]).en
    assert "再看一次" in chances_in_words([each]).zh


def test_one_look_does_not_leak() -> None:
    each = only(chances_of(of_texts(MODEL, min_items=500)))
    assert each.client_risk == pytest.approx(0.0393, abs=5.1e-5)
    assert "looked at twice" not in chances_in_words([each]).en


def test_the_point_rule_is_a_coin_toss_that_resubmissions_win() -> None:
    document = copy.deepcopy(MODEL)
    document["acceptance"]["rule"] = "point"
    document["acceptance"]["rework"]["severity_after_reject"] = "same"
    each = only(chances_of(of_texts(document)))
    assert each.client_risk == pytest.approx(0.5592, abs=5.1e-5)
    assert each.repeated_client_risk == pytest.approx(0.914, abs=5.1e-4)  # three submissions
    document["acceptance"]["rework"]["severity_after_reject"] = "tightened"
    strict = only(chances_of(of_texts(document)))
    again = only(chances_of(of_texts(document), severity="tightened"))
    assert again.rule == "lower_bound"
    assert strict.repeated_client_risk == pytest.approx(1 - (1 - 0.5592) * (1 - again.client_risk) ** 2, abs=1e-4)


def test_without_fresh_samples_rework_is_not_reckoned() -> None:
    document = copy.deepcopy(MODEL)
    document["acceptance"]["rework"]["fresh_sample"] = False
    assert only(chances_of(of_texts(document))).repeated_client_risk is None


def test_a_plan_by_aql() -> None:
    each = only(chances_of(of_texts(counting("aql", 0.9, aql=AQL | {"limit": 10}))))
    assert each.plan is not None
    assert (each.plan.letter, each.plan.n, each.plan.accept) == ("K", 125, 21)  # N leads there
    assert each.final.at(0.85)[0] == pytest.approx(0.76, abs=0.005)
    assert each.vendor_at == 0.9
    assert each.vendor_risk == pytest.approx(1 - chance_to_accept(125, 21, share=0.9), abs=1e-9)
    assert each.client_risk == pytest.approx(0.1, abs=1e-9)
    assert each.client_at < 0.85
    words = chances_in_words([each])
    assert "3,200: n=125 Ac=21" in words.en
    assert "3,200: n=125 Ac=21" in words.zh
    tightened = only(chances_of(of_texts(counting("aql", 0.9, aql=AQL | {"limit": 10})), severity="tightened"))
    assert tightened.plan is not None
    assert tightened.plan.accept == 18


def test_an_e_process() -> None:
    each = only(chances_of(of_texts(counting("e_process", 0.9, min_items=30, extend_to=500))))
    walked = course(e_lines(0.9, confidence=0.95, most=500), np.array([0.1, 0.05]))
    assert each.client_risk == pytest.approx(walked.accepted[0], abs=1e-12)
    assert 1 - each.vendor_risk == pytest.approx(walked.accepted[1], abs=1e-12)
    assert each.client_risk <= 0.05


def test_the_bound_of_the_terms_decides() -> None:
    exact, short = (
        only(chances_of(of_texts({**MODEL, "acceptance": {**MODEL["acceptance"], "text": {**text, "bound": bound}}})))
        for text in [MODEL["acceptance"]["text"]]
        for bound in [{**text["bound"], "method": method} for method in ("clopper_pearson", "wilson")]
    )
    assert short.client_risk > exact.client_risk
    allowed = errors_allowed("lower_bound", 200, threshold=0.9)
    assert exact.branches[0].curve.at(0.9)[0] == pytest.approx(chance_to_accept(200, allowed, share=0.9))


def test_all_demands_at_once() -> None:
    found = chances_of(load_terms(CONFIGS / "demo.yaml"))
    low, high = joint_chances(found)
    assert low == pytest.approx(max(0.0, 1 - sum(each.vendor_risk for each in found)))
    assert high == pytest.approx(1 - max(each.vendor_risk for each in found))
    words = chances_in_words(found)
    assert "intersection-union" in words.en
    assert f"{risk(1 - low)}" in words.en
    assert "intersection-union" not in chances_in_words(found[:1]).en
    assert "all demands" not in captions(found[:1]).en


def test_words_hold_every_demand_in_both_languages() -> None:
    found = chances_of(load_terms(CONFIGS / "model_contract.yaml"))
    words = chances_in_words(found)
    for text in (words.zh, words.en):
        for each in found:
            assert f"{each.name} >= {each.threshold:g}" in text
            for at in few_shares(each):
                assert f"{at:.4g}: " in text


def test_a_risk_is_never_rounded_to_nothing() -> None:
    assert risk(1e-7) == "<0.0001"
    assert risk(0.0) == "0.0000"
    assert risk(0.25) == "0.2500"


def test_the_document_holds_the_points() -> None:
    terms = of_texts(MODEL)
    document = as_document(chances_of(terms))
    (demand,) = document["demands"]
    assert demand["name"] == "text.accuracy"
    for curve in demand["curves"]:
        total = np.array(curve["accept"]) + np.array(curve["reject"]) + np.array(curve["extend"])
        assert total == pytest.approx(np.ones(len(curve["share"])), abs=3e-6)
    assert document == as_document(chances_of(applied(terms, "normal"), severity=None))
