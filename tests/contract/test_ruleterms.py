"""The rules of the verdict in the terms: each fits the metrics and the sample, or the contract is refused."""

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import TermsError
from contract.reading import reading
from contract.ruleterms import applied, first_severity, items_to_prove, tightened_confidence
from contract.terms import Terms, load_terms, parse_terms
from contract.yamlfile import parse_yaml

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
DEMO = parse_yaml((CONFIGS / "demo.yaml").read_text(encoding="utf-8"))
AQL = {"limit": 6.5, "level": "II", "severity": "normal"}
NOTHING_BUT = {
    "image": {"f1": None, "precision": None, "recall": None, "class_recall_min": None},
    "text": {"macro_f1": None, "class_recall_min": None},
    "video": {"keyframe_f1": None, "event_f1": None, "shot_f1": None},
}


def counting(rule: str, share: float, **sampling: Any) -> dict[str, Any]:
    """The demo's terms under a rule that counts items, each demanded to conform with `share`."""
    document: dict[str, Any] = copy.deepcopy(DEMO)
    acceptance = document["acceptance"]
    acceptance["rule"] = rule
    acceptance["image"]["metrics"] = {**NOTHING_BUT["image"], "conforming": share}
    acceptance["text"]["metrics"] = {**NOTHING_BUT["text"], "accuracy": share}
    acceptance["video"]["metrics"] = {**NOTHING_BUT["video"], "event_conforming": share}
    acceptance["sampling"] |= {"mode": rule, **sampling}
    return document


def refusal(document: dict[str, Any]) -> str:
    with pytest.raises(TermsError) as caught:
        parse_terms(document, origin="terms.yaml")
    return str(caught.value)


def terms_by_aql(**changes: Any) -> Terms:
    return parse_terms(counting("aql", 0.935, aql={**AQL, **changes}), origin="x")


def test_counting_rules_are_valid_where_every_metric_is_a_share_of_items() -> None:
    terms = terms_by_aql()
    assert terms.acceptance.sampling.aql is not None
    assert terms.acceptance.sampling.aql.conforming_share == pytest.approx(0.935)
    assert Terms.model_validate_json(terms.model_dump_json()) == terms
    assert parse_terms(counting("e_process", 0.9), origin="x").acceptance.rule == "e_process"


def test_an_open_or_idle_aql_is_refused() -> None:
    message = refusal(counting("aql", 0.935))
    assert "acceptance.sampling.aql is left open; rule aql needs it" in message
    assert "acceptance.sampling.aql decides nothing under rule e_process" in refusal(counting("e_process", 0.9, aql=AQL))
    document = copy.deepcopy(DEMO)
    document["acceptance"]["sampling"]["aql"] = AQL
    assert "decides nothing under rule lower_bound" in refusal(document)


@pytest.mark.parametrize("part", ["limit", "level", "severity"])
def test_every_part_of_the_aql_must_be_settled(part: str) -> None:
    document = counting("aql", 0.935, aql={name: value for name, value in AQL.items() if name != part})
    assert f"acceptance.sampling.aql.{part} is left open" in refusal(document)


@pytest.mark.parametrize(
    ("aql", "told"),
    [
        ({"limit": 5.0}, "acceptance.sampling.aql.limit: must be one of 0.01, "),
        ({"level": "IV"}, "acceptance.sampling.aql.level must be 'S-1'"),
        ({"severity": "reduced"}, "acceptance.sampling.aql.severity: must be 'normal' or 'tightened'"),
    ],
)
def test_an_aql_outside_the_standard_is_refused(aql: dict[str, Any], told: str) -> None:
    assert told in refusal(counting("aql", 0.935, aql=AQL | aql))


def test_mode_and_rule_must_agree() -> None:
    document = counting("e_process", 0.9)
    document["acceptance"]["sampling"]["mode"] = "lower_bound"
    assert "acceptance.sampling.mode is lower_bound, but acceptance.rule e_process needs e_process" in refusal(document)
    document = copy.deepcopy(DEMO)
    document["acceptance"]["sampling"]["mode"] = "aql"
    assert "acceptance.rule lower_bound needs lower_bound" in refusal(document)


@pytest.mark.parametrize(
    ("kind", "metric"),
    [
        ("image", "f1"),
        ("image", "class_recall_min"),
        ("text", "macro_f1"),
        ("text", "class_recall_min"),
        ("video", "event_f1"),
    ],
)
def test_a_metric_that_is_no_share_of_items_is_named(kind: str, metric: str) -> None:
    document = counting("e_process", 0.9)
    document["acceptance"][kind]["metrics"][metric] = 0.8
    message = refusal(document)
    assert f"acceptance.{kind}.metrics.{metric} is no share of {kind} items that are right or wrong as a whole" in message
    assert "conforming" in message or "metrics.accuracy" in message


def test_threshold_and_limit_must_say_the_same() -> None:
    document = counting("aql", 0.9, aql=AQL)
    assert "acceptance.text.metrics.accuracy is 0.9, but acceptance.sampling.aql.limit of 6.5 % stands for 0.935" in refusal(
        document
    )
    parse_terms(counting("aql", 0.9, aql=AQL | {"limit": 10}), origin="x")


def test_a_sample_that_could_never_convince_the_e_process_is_refused() -> None:
    message = refusal(counting("e_process", 0.9, min_items=30, extend_to=42))
    assert "cannot be proven on fewer than 43 items" in message
    parse_terms(counting("e_process", 0.9, min_items=30, extend_to=43), origin="x")
    # an AQL plan takes as many as it says
    parse_terms(counting("aql", 0.99, aql=AQL | {"limit": 1.0}, min_items=1, extend_to=1), origin="x")


def test_conforming_shares_are_proven_exactly_whatever_bounds_ratios() -> None:
    document = copy.deepcopy(DEMO)
    document["acceptance"]["image"]["metrics"] = {**NOTHING_BUT["image"], "conforming": 0.98}
    assert "image.metrics.conforming of 0.98 at confidence 0.95 cannot be proven on fewer than 149" in refusal(document)


@given(st.floats(0.05, 0.99), st.floats(0.51, 0.999))
def test_the_e_process_needs_no_fewer_items_than_the_exact_bound(threshold: float, confidence: float) -> None:
    assert items_to_prove(threshold, confidence, method="e_process") >= items_to_prove(threshold, confidence)


def test_tightened_inspection_halves_the_clients_risk() -> None:
    terms = load_terms(CONFIGS / "demo.yaml")
    strict = applied(terms, "tightened")
    assert tightened_confidence(0.95) == pytest.approx(0.975)
    for before, after in zip(terms.acceptance.profiles.values(), strict.acceptance.profiles.values(), strict=True):
        assert after.bound.confidence == (1 + before.bound.confidence) / 2
        assert after.bound.method == before.bound.method
    assert applied(terms, None) is applied(terms, "normal") is terms
    with pytest.raises(TermsError, match="knows no reduced inspection"):
        applied(terms, "reduced")


def test_tightened_inspection_under_the_other_rules() -> None:
    by_point = parse_terms({**DEMO, "acceptance": {**DEMO["acceptance"], "rule": "point"}}, origin="x")
    strict = applied(by_point, "tightened").acceptance
    assert (strict.rule, strict.profiles) == ("lower_bound", by_point.acceptance.profiles)
    by_aql = terms_by_aql(severity="tightened")
    assert first_severity(by_aql) == "tightened"
    for severity in ("normal", "tightened", "reduced"):
        found = applied(by_aql, severity).acceptance.sampling.aql
        assert found is not None
        assert found.severity == severity


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_reading_says_the_rule_and_what_tightened_means(language: Any) -> None:
    words = reading(terms_by_aql(), language)
    for part in ("GB/T 2828.1", "6.5 %", "II", "Ac", "ACCEPT", "REJECT", "EXTEND"):
        assert part in words
    assert ("加严检验的抽样方案" if language == "zh" else "the plan of tightened inspection") in words
    evidence = reading(parse_terms(counting("e_process", 0.9), origin="x"), language)
    assert " 20 " in evidence
    assert "0.05" in evidence
    assert "0.975" in evidence
    for other in (terms_by_aql(limit=6.5, level="I"), terms_by_aql(severity="tightened")):
        changed = set(reading(other, language).splitlines()) - set(words.splitlines())
        assert len(changed) >= 2
    assert ("各项要求须分别全部达到" if language == "zh" else "All demands must be met") in words
