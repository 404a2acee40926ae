import json
from collections.abc import Mapping
from typing import Any

import pytest

from contract.scores import Score, SentimentScore
from contract.tables import Kind, Task
from contract.terms import Terms, parse_terms
from contract.verdict import Criterion, Outcome, Pins, Verdict
from qa.accept import judge
from qa.score import score_boxes, score_keyframes, score_sentiments
from tests.oracles.labelsets import box, keyframe, label_set

ACCEPT, REJECT, EXTEND = Outcome.ACCEPT, Outcome.REJECT, Outcome.EXTEND


def document(**acceptance: Any) -> dict[str, Any]:
    def named(*names: str) -> list[dict[str, Any]]:
        return [{"name": name, "definition": f"what {name} means"} for name in names]

    bound = {"method": "korn_graubard", "confidence": 0.95}
    return {
        "contract": "C-1",
        "title": "A contract",
        "parties": {"client": {"name": "A"}, "vendor": {"name": "B"}},
        "purpose": "tests",
        "guideline": {"version": "1", "classes": named("car", "dog"), "sentiments": named("negative", "positive")},
        "volumes": {"images": 1, "texts": 1, "video_hours": 1},
        "deadline": {"start": "2026-01-05", "working_days": 5},
        "formats": ["coco"],
        "acceptance": {
            "image": {
                "matching": "hungarian",
                "iou": 0.5,
                "class_aware": True,
                "crowd": "ignore",
                "min_side_px": 0,
                "metrics": {"f1": 0.9, "precision": None, "recall": None, "class_recall_min": None},
                "bound": {**bound, "cluster": "image"},
            },
            "text": {
                "metrics": {"accuracy": 0.9, "macro_f1": None, "class_recall_min": None},
                "bound": {"method": "clopper_pearson", "confidence": 0.95, "finite_lot": True},
            },
            "video": {
                "keyframe_tolerance_s": 0.5,
                "shot_tolerance_frames": 2,
                "event_tiou": 0.5,
                "metrics": {"keyframe_f1": 0.85, "event_f1": None, "shot_f1": None},
                "bound": {**bound, "cluster": "video"},
            },
            "rule": "lower_bound",
            "sampling": {"mode": "lower_bound", "min_items": 20, "extend_to": 500, "draw": "full"},
            "gold": {"blind_share": 0.2, "double_label_share": 0.1, "dispute_workdays": 5, "arbiter": "third party"},
            "rework": {"max_rounds": 2, "workdays": 5, "fresh_sample": True, "severity_after_reject": "same"},
            "deemed_acceptance_workdays": 10,
            **acceptance,
        },
    }


def terms(*, floor: float | None = None, macro_f1: float | None = None, **acceptance: Any) -> Terms:
    whole = document(**acceptance)
    whole["acceptance"]["text"]["metrics"] |= {"class_recall_min": floor, "macro_f1": macro_f1}
    whole["acceptance"]["image"]["metrics"]["class_recall_min"] = floor
    return parse_terms(whole, origin="test")


def pins() -> Pins:
    return Pins(
        contract="C-1",
        lot="lot-1",
        submission=1,
        gold=1,
        terms_sha256="a" * 64,
        guideline_sha256="b" * 64,
        manifest_sha256="c" * 64,
        submission_sha256={"items.parquet": "d" * 64},
        gold_sha256={"items.parquet": "e" * 64},
    )


def verdict(of: Terms, scores: Mapping[Task, Score], lot: Mapping[Kind, int]) -> Verdict:
    return judge(of, scores, lot_items=lot, pins=pins())


def texts(of: Terms, *, right: int, wrong: int, missing: int = 0, label: str = "positive", more: int = 0) -> SentimentScore:
    """Texts of one label, of which some are right; `more` right texts of the other label."""
    other = "negative" if label == "positive" else "positive"
    count = right + wrong + missing
    gold = {f"t{index:04d}": label for index in range(count)} | {f"u{index:04d}": other for index in range(more)}
    given = {item: gold[item] for item in gold}
    for index in range(right, right + wrong):
        given[f"t{index:04d}"] = other
    for index in range(right + wrong, count):
        del given[f"t{index:04d}"]
    profile = of.acceptance.text
    assert profile is not None
    labels, truth = (
        label_set(
            Task.SENTIMENTS,
            [{"item": item, "label": value} for item, value in side.items()],
            dict.fromkeys(side, "labelled"),
        )
        for side in (given, gold)
    )
    return score_sentiments(labels, truth, profile, label_order=of.guideline.sentiment_names)


def of_texts(of: Terms, **counts: Any) -> Verdict:
    return verdict(of, {Task.SENTIMENTS: texts(of, **counts)}, {Kind.TEXT: 50_000})


def only(found: Verdict) -> Criterion:
    (criterion,) = found.criteria
    return criterion


@pytest.mark.parametrize(
    ("right", "wrong", "outcome"),
    [(188, 12, ACCEPT), (187, 13, EXTEND), (173, 27, EXTEND), (172, 28, REJECT), (29, 0, ACCEPT), (28, 0, EXTEND)],
)
def test_three_outcomes_at_their_exact_limits(right: int, wrong: int, outcome: Outcome) -> None:
    found = of_texts(terms(), right=right, wrong=wrong)
    assert found.verdict is outcome
    criterion = only(found)
    assert (criterion.name, criterion.kind, criterion.threshold) == ("text.accuracy", Kind.TEXT, 0.9)
    assert criterion.outcome is outcome
    assert criterion.estimate == right / (right + wrong)


@pytest.mark.parametrize(("right", "outcome"), [(180, ACCEPT), (179, REJECT)])
def test_the_point_rule_judges_by_the_estimate_and_warns(right: int, outcome: Outcome) -> None:
    found = of_texts(terms(rule="point"), right=right, wrong=200 - right)
    assert found.verdict is outcome
    assert any("about half the time" in reason for reason in found.reasons)


@pytest.mark.parametrize("rule", ["lower_bound", "point"])
def test_a_sample_below_the_minimum_is_extended_whatever_it_shows(rule: str) -> None:
    of = terms(rule=rule)
    for right, wrong in ((19, 0), (0, 19)):
        found = of_texts(of, right=right, wrong=wrong)
        assert found.verdict is EXTEND
        assert "at least 20" in found.reasons[0]


def test_the_minimum_is_no_more_than_the_lot_holds() -> None:
    of = terms()
    profile = of.acceptance.text
    assert profile is not None
    gold = label_set(
        Task.SENTIMENTS,
        [{"item": f"t{n}", "label": "positive"} for n in range(10)],
        {f"t{n}": "labelled" for n in range(10)},
    )
    score = score_sentiments(gold, gold, profile, lot_items=10)
    assert verdict(of, {Task.SENTIMENTS: score}, {Kind.TEXT: 10}).verdict is ACCEPT
    assert verdict(of, {Task.SENTIMENTS: score}, {Kind.TEXT: 11}).verdict is EXTEND


def test_a_kind_without_gold_is_extended() -> None:
    found = verdict(terms(), {}, {Kind.TEXT: 10})
    assert found.verdict is EXTEND
    assert "no gold" in found.reasons[0]
    assert only(found).estimate is None


def test_kinds_that_are_not_in_the_lot_are_named_and_not_judged() -> None:
    found = of_texts(terms(), right=200, wrong=0)
    assert [criterion.kind for criterion in found.criteria] == [Kind.TEXT]
    assert "This lot holds no images; they are not judged here." in found.reasons
    assert "This lot holds no videos; they are not judged here." in found.reasons


def test_an_empty_lot_is_never_accepted() -> None:
    found = verdict(terms(), {}, {})
    assert found.verdict is EXTEND
    assert found.criteria == ()


def test_one_rejection_rejects_and_leads_the_reasons() -> None:
    of = terms()
    score = texts(of, right=200, wrong=0)
    profile = of.acceptance.image
    assert profile is not None
    states = {f"i{n}": "labelled" for n in range(40)}
    gold = label_set(Task.BOXES, [box(item, "car", (0, 0, 9, 9)) for item in states], states)
    labels = label_set(Task.BOXES, [box(item, "dog", (0, 0, 9, 9)) for item in states], states)
    scores: dict[Task, Score] = {Task.SENTIMENTS: score, Task.BOXES: score_boxes(labels, gold, profile)}
    found = verdict(of, scores, {Kind.TEXT: 500, Kind.IMAGE: 500})
    assert found.verdict is REJECT
    assert [criterion.outcome for criterion in found.criteria] == [REJECT, ACCEPT]
    assert found.reasons[0].startswith("image.f1 is 0.0000")
    assert found.reasons_zh[0].startswith("image.f1 为 0.0000")
    assert len(found.reasons) == len(found.reasons_zh)


def test_one_extension_extends_what_else_would_be_accepted() -> None:
    found = of_texts(terms(macro_f1=0.99), right=100, wrong=0, more=100)
    assert [criterion.outcome for criterion in found.criteria] == [ACCEPT, EXTEND]
    assert found.verdict is EXTEND


def test_an_undefined_figure_is_never_accepted() -> None:
    of = terms()
    profile = of.acceptance.video
    assert profile is not None
    states = {f"v{n}": "labelled" for n in range(30)}
    nothing = label_set(Task.KEYFRAMES, [], states)
    found = verdict(of, {Task.KEYFRAMES: score_keyframes(nothing, nothing, profile)}, {Kind.VIDEO: 30})
    assert found.verdict is EXTEND
    assert "undefined" in found.reasons[0]


def test_one_video_shows_no_spread() -> None:
    of = terms(sampling={"mode": "lower_bound", "min_items": 1, "extend_to": 5, "draw": "full"})
    profile = of.acceptance.video
    assert profile is not None
    gold = label_set(Task.KEYFRAMES, [keyframe("v", 1.0), keyframe("v", 9.0)], {"v": "labelled"})
    labels = label_set(Task.KEYFRAMES, [keyframe("v", 1.0)], {"v": "labelled"})
    found = verdict(of, {Task.KEYFRAMES: score_keyframes(labels, gold, profile)}, {Kind.VIDEO: 5})
    assert found.verdict is EXTEND
    assert "one video alone does not show" in found.reasons[0]


@pytest.mark.parametrize(("missing", "outcome"), [(21, REJECT), (19, EXTEND), (3, ACCEPT)])
def test_missing_labels_count_as_errors_and_reject_when_they_alone_sink_it(missing: int, outcome: Outcome) -> None:
    found = of_texts(terms(), right=200 - missing, wrong=0, missing=missing)
    assert found.verdict is outcome
    assert any(f"{missing} texts have no label" in reason for reason in found.reasons)
    if outcome is REJECT:
        assert "could be 0.8950 at best" in found.reasons[0]


def test_missing_boxes_reject_when_they_alone_sink_it() -> None:
    of = terms()
    profile = of.acceptance.image
    assert profile is not None
    states = {f"i{n:02d}": "labelled" for n in range(40)}
    gold = label_set(Task.BOXES, [box(item, "car", (0, 0, 9, 9)) for item in states], states)
    for kept, outcome in ((32, REJECT), (34, EXTEND)):  # best F1: 64/72 = .889, 68/74 = .919
        some = dict(list(states.items())[:kept])
        labels = label_set(Task.BOXES, [box(item, "car", (0, 0, 9, 9)) for item in some], some)
        found = verdict(of, {Task.BOXES: score_boxes(labels, gold, profile)}, {Kind.IMAGE: 4000})
        assert found.verdict is outcome


def test_a_vendor_cannot_excuse_its_own_items() -> None:
    of = terms()
    profile = of.acceptance.text
    assert profile is not None
    items = [f"t{n:02d}" for n in range(40)]
    rows = [{"item": item, "label": "positive"} for item in items]
    gold = label_set(Task.SENTIMENTS, rows, dict.fromkeys(items, "labelled"))
    excusing = {item: "excused" if item < "t10" else "labelled" for item in items}
    score = score_sentiments(label_set(Task.SENTIMENTS, rows[10:], excusing), gold, profile)
    assert (score.n, score.correct, len(score.coverage.incomplete)) == (40, 30, 10)
    assert verdict(of, {Task.SENTIMENTS: score}, {Kind.TEXT: 400}).verdict is REJECT


def test_an_incomplete_lot_is_not_accepted_however_good_the_sample() -> None:
    of = terms()
    scores = {Task.SENTIMENTS: perfect_texts(of, 60)}
    whole = judge(of, scores, lot_items={Kind.TEXT: 400}, pins=pins())
    part = judge(of, scores, lot_items={Kind.TEXT: 400}, pins=pins(), unlabelled={Kind.TEXT: ["t390", "t391"]})
    assert whole.verdict is ACCEPT
    assert part.verdict is EXTEND
    (complete,) = [criterion for criterion in part.criteria if criterion.name == "text.complete"]
    assert complete.estimate == 398 / 400
    assert complete.outcome is EXTEND
    assert any("t390, t391" in reason for reason in part.reasons)


def perfect_texts(of: Terms, count: int) -> SentimentScore:
    assert of.acceptance.text is not None
    items = [f"t{n:03d}" for n in range(count)]
    rows = [{"item": item, "label": "positive" if n % 2 else "negative"} for n, item in enumerate(items)]
    both = label_set(Task.SENTIMENTS, rows, dict.fromkeys(items, "labelled"))
    return score_sentiments(both, both, of.acceptance.text)


def test_excused_items_are_named() -> None:
    of = terms()
    profile = of.acceptance.text
    assert profile is not None
    items = [f"t{n:02d}" for n in range(40)]
    rows = [{"item": item, "label": "positive"} for item in items]
    gold = label_set(Task.SENTIMENTS, rows[1:], {**dict.fromkeys(items, "labelled"), "t00": "excused"})
    labels = label_set(Task.SENTIMENTS, rows, dict.fromkeys(items, "labelled"))
    found = verdict(of, {Task.SENTIMENTS: score_sentiments(labels, gold, profile)}, {Kind.TEXT: 400})
    assert found.verdict is ACCEPT
    assert "1 texts are excused and were not counted: t00." in found.reasons


def floors(found: Verdict) -> dict[str, Outcome]:
    return {c.name.rsplit(".", 1)[1]: c.outcome for c in found.criteria if "class_recall" in c.name}


def test_a_floor_on_classes_is_one_criterion_a_class() -> None:
    found = of_texts(terms(floor=0.8), right=200, wrong=0, more=100)
    assert floors(found) == {"negative": ACCEPT, "positive": ACCEPT}
    bad = of_texts(terms(floor=0.8), right=20, wrong=40, more=1000)
    assert floors(bad) == {"negative": ACCEPT, "positive": REJECT}
    assert bad.verdict is REJECT


def test_a_class_too_rare_to_prove_is_noted_and_does_not_block() -> None:
    found = of_texts(terms(floor=0.8), right=13, wrong=0, more=200)
    assert floors(found) == {"negative": ACCEPT}
    assert found.verdict is ACCEPT
    assert any("text.class_recall.positive is not provable" in reason for reason in found.reasons)


def test_a_rare_class_below_its_floor_asks_for_more() -> None:
    found = of_texts(terms(floor=0.8), right=10, wrong=3, more=300)
    assert floors(found) == {"negative": ACCEPT, "positive": EXTEND}
    assert found.verdict is EXTEND


def test_a_rare_class_that_is_plainly_bad_is_rejected() -> None:
    found = of_texts(terms(floor=0.8), right=0, wrong=5, more=300)
    assert floors(found)["positive"] is REJECT


def test_a_class_without_gold_is_noted() -> None:
    found = of_texts(terms(floor=0.8), right=200, wrong=0)
    assert floors(found) == {"positive": ACCEPT}
    assert any("text.class_recall.negative is not provable: the sample holds 0 units" in r for r in found.reasons)


def test_a_sample_at_its_largest_says_what_is_left_to_do() -> None:
    found = of_texts(terms(), right=455, wrong=45)
    assert found.verdict is EXTEND
    assert any("reached the 500 texts" in reason for reason in found.reasons)


def test_the_documents_shape_and_pins() -> None:
    found = of_texts(terms(), right=200, wrong=0)
    whole = json.loads(found.model_dump_json())
    assert whole["verdict"] == "ACCEPT"
    assert {"verdict", "reasons", "criteria", "report"} <= set(whole)
    assert {"name", "estimate", "lower_bound", "upper_bound", "threshold", "outcome"} <= set(whole["criteria"][0])
    assert whole["pins"]["manifest_sha256"] == "c" * 64
    assert Verdict.model_validate(whole) == found
