"""The reading: every number that decides the verdict is in it, in both languages."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from contract.guideline import EventRule, Guideline
from contract.reading import profile_reading, reading
from contract.reading_events import event_in_chinese, event_in_english
from contract.tables import Kind
from contract.terms import Terms, load_terms, parse_terms
from contract.yamlfile import parse_yaml
from qa import defaults

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
Language = Literal["zh", "en"]
ALIKE = (
    ("present", "appears", "disappears"), ("count_over", "count_under"), ("enters", "leaves", "dwell"), ("black", "freeze")
)  # fmt: skip


def varied(**sections: Any) -> Terms:
    document = parse_yaml((CONFIGS / "model_contract.yaml").read_text(encoding="utf-8"))
    document["acceptance"] |= sections
    return parse_terms(document, origin="x")


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("name", ["model_contract", "demo"])
def test_reading_holds_everything_that_decides(name: str, language: Language) -> None:
    terms = load_terms(CONFIGS / f"{name}.yaml")
    words = reading(terms, language)
    assert terms.acceptance.image is not None
    assert terms.acceptance.video is not None
    facts: list[object] = [
        terms.contract, terms.sha256, terms.guideline.sha256, terms.guideline.version, terms.deadline.due_date(),
        f"{terms.volumes.images:,}", f"{terms.volumes.texts:,}", f"{terms.volumes.video_hours:g}", "1e-9", "IoU",
        terms.acceptance.sampling.min_items, terms.acceptance.sampling.extend_to, terms.acceptance.gold.arbiter,
        terms.acceptance.rework.max_rounds, terms.acceptance.deemed_acceptance_workdays, "ACCEPT", "REJECT", "EXTEND",
        terms.acceptance.video.keyframe_tolerance_s, terms.acceptance.video.event_tiou, "Clopper-Pearson", "0.95",
        *terms.guideline.class_names, *terms.guideline.sentiment_names, *terms.guideline.event_names, *terms.formats,
    ]  # fmt: skip
    for fact in facts:
        assert str(fact) in words, fact
    for profile in terms.acceptance.profiles.values():
        for threshold in profile.metrics.demanded.values():
            assert f"{threshold:g}" in words
    assert "None" not in words
    assert "{" not in words


@pytest.mark.parametrize("language", ["zh", "en"])
def test_two_terms_that_judge_differently_read_differently(language: Language) -> None:
    base = varied()
    acceptance = base.acceptance.model_dump(mode="json")
    before = set(reading(base, language).splitlines())
    changes: list[tuple[str, dict[str, Any]]] = [
        ("image", {"matching": "greedy_iou"}),
        ("image", {"class_aware": False}),
        ("image", {"crowd": "count"}),
        ("image", {"min_side_px": 7}),
        ("image", {"iou": 0.75}),
        ("image", {"bound": {"method": "cluster_bootstrap", "confidence": 0.9, "cluster": "image"}}),
        ("text", {"bound": {"method": "wilson", "confidence": 0.95, "finite_lot": False}}),
        ("video", {"shot_tolerance_frames": 9}),
        ("video", {"shot_match": "transition"}),
        ("sampling", {"draw": "full"}),
        ("gold", {"blind_share": 0.33}),
        ("rework", {"fresh_sample": False}),
        ("rework", {"severity_after_reject": "same"}),
    ]
    for section, change in changes:
        after = set(reading(varied(**{section: acceptance[section] | change}), language).splitlines())
        assert len(after - before) >= 2, (section, change)  # a sentence, and the digest of the terms
    for rule in ({"rule": "point"}, {"deemed_acceptance_workdays": 0}):
        after = set(reading(varied(**rule), language).splitlines())
        assert len(after - before) >= 2


@pytest.mark.parametrize(
    ("language", "words"), [("zh", ("不得用甲方数据", "可为上述用途")), ("en", ("No model may be", "Models may be"))]
)
def test_whether_models_may_be_trained_is_read(language: Language, words: tuple[str, str]) -> None:
    document = parse_yaml((CONFIGS / "model_contract.yaml").read_text(encoding="utf-8"))
    told = [reading(parse_terms(document | more, origin="x"), language) for more in ({}, {"training": "allowed"})]
    for own, other, text in zip(words, words[::-1], told, strict=True):
        assert own in text
        assert other not in text
        assert "5.2" in text


@pytest.mark.parametrize("language", ["zh", "en"])
def test_allowed_pickles_are_read_out(language: Language) -> None:
    document = parse_yaml((CONFIGS / "model_contract.yaml").read_text(encoding="utf-8"))
    allowing = document | {"prelabel": {**document.get("prelabel", {}), "pickles": "allowed"}}
    told = [reading(parse_terms(each, origin="x"), language) for each in (document, allowing)]
    assert ["pickle" in text for text in told] == [False, True]


@pytest.mark.parametrize("language", ["zh", "en"])
def test_kind_that_is_not_ordered_has_no_section(language: Language) -> None:
    document = parse_yaml((CONFIGS / "model_contract.yaml").read_text(encoding="utf-8"))
    document["volumes"]["video_hours"] = 0
    document["acceptance"]["video"] = None
    words = reading(parse_terms(document, origin="x"), language)
    assert "person_present" not in words


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_profile_without_a_contract_is_read_in_words(language: Language) -> None:
    facts = {
        Kind.IMAGE: ("0.5", "1e-9", "Korn-Graubard", "0.95", "crowd"),
        Kind.TEXT: ("Clopper-Pearson", "0.95"),
        Kind.VIDEO: ("0.5", "2", "Korn-Graubard"),
    }
    for kind, profile in defaults.OF_KIND.items():
        words = profile_reading(profile, language)
        assert {"zh": "没有合同", "en": "no contract"}[language] in words
        for fact in facts[kind]:
            assert fact in words.lower() or fact in words
        assert "0.9 " not in words  # a threshold that nobody demanded


EVENTS = load_terms(CONFIGS / "video_events.yaml").guideline


@pytest.mark.parametrize("event", EVENTS.events, ids=lambda event: event.name)
@pytest.mark.parametrize("tell", [event_in_english, event_in_chinese])
def test_every_number_and_choice_of_an_event_is_read(event: EventRule, tell: Callable[[EventRule], str]) -> None:
    """Whatever field of a rule changes, beside its name and definition, the sentence changes as well."""
    others: dict[str, Any] = {
        "label": "bicycle" if "car" in str(event) or "person" in str(event) else "car",
        "labels": ["bicycle", "car"], "region": [[0.2, 0.2], [0.8, 0.2], [0.5, 0.7]], "count": 9, "min_seconds": 7.25,
        "max_gap_seconds": 3.75, "min_score": 0.625, "min_rise": 17, "max_seconds": 0.875, "below_dbfs": -33.5,
    }  # fmt: skip
    document = EVENTS.model_dump(mode="json")
    at = EVENTS.events.index(event)
    before = tell(event)
    assert "{" not in before
    assert "None" not in before
    plain = document["events"][at]
    rules = [rule for pair in ALIKE if event.rule in pair for rule in pair if rule != event.rule]
    anchors = [name for name in ("center", "bottom_center") if name != plain.get("anchor") and plain.get("anchor")]
    changes = [{key: value} for key, value in others.items() if plain.get(key) is not None]
    changes += [{"rule": rule} for rule in rules] + [{"anchor": name} for name in anchors]
    assert changes
    for change in changes:
        document["events"][at] = plain | change
        changed = Guideline.model_validate(document).events[at]
        assert tell(changed) != before, change
