"""Terms: what stands in configs/ is valid, and whatever is wrong or open is named."""

import copy
import datetime
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import TermsError
from contract.guideline import EventRule, Strict
from contract.ruleterms import items_to_prove
from contract.terms import Deadline, Terms, load_terms, parse_terms
from contract.yamlfile import parse_yaml

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
DEMO = parse_yaml((CONFIGS / "demo.yaml").read_text(encoding="utf-8"))


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the demo's terms with the value at `path` put in; ... takes it out."""
    document: dict[str, Any] = copy.deepcopy(DEMO)
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    at: Any = document
    for part in parents:
        at = at[part]
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return document


def refusal(document: Any) -> str:
    with pytest.raises(TermsError) as caught:
        parse_terms(document, origin="terms.yaml")
    message = str(caught.value)
    assert message.startswith("terms.yaml: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", ["model_contract", "demo"])
def test_contracts_of_the_project_are_valid(name: str) -> None:
    terms = load_terms(CONFIGS / f"{name}.yaml")
    assert terms.acceptance.image is not None
    assert terms.acceptance.image.iou == 0.5
    assert terms.acceptance.text is not None
    assert terms.acceptance.text.metrics.accuracy == 0.9


def test_model_contract_orders_what_the_paper_orders() -> None:
    volumes = load_terms(CONFIGS / "model_contract.yaml").volumes
    assert (volumes.images, volumes.texts, volumes.video_hours) == (100_000, 50_000, 100)


def test_the_example_of_events_orders_every_rule_once() -> None:
    events = load_terms(CONFIGS / "video_events.yaml").guideline.events
    rules = [event.rule for event in events]
    assert sorted(rules) == sorted(set(rules))
    assert set(rules) == {rule for model in get_args(get_args(EventRule)[0]) for rule in rules_of(model)}


def rules_of(model: type[Strict]) -> tuple[str, ...]:
    return get_args(model.model_fields["rule"].annotation)


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("demo", "a47df27be4fb8ec3eb17cd4530f8afe45b6b37a175344e88faa43d8e9af5770f"),
        ("model_contract", "9b575bccd95366b90f4e4510a6a3288f3d6a4ed1ba78d14c0cb3fda176d27685"),
    ],
)
def test_guidelines_signed_before_keep_their_digest(name: str, digest: str) -> None:
    assert load_terms(CONFIGS / f"{name}.yaml").guideline.sha256 == digest


def event_of(rule: str, **changes: Any) -> dict[str, Any]:
    """Return the demo's terms with one event, an example of `rule` with fields changed; ... takes a field out."""
    example = parse_yaml((CONFIGS / "video_events.yaml").read_text(encoding="utf-8"))["guideline"]
    chosen = next(event for event in example["events"] if event["rule"] == rule)
    document = changed("guideline.events", [{k: v for k, v in (chosen | changes).items() if v is not ...}])
    document["guideline"]["classes"] += example["classes"]
    return document


@pytest.mark.parametrize(
    ("rule", "changes", "told"),
    [
        ("enters", {"region": [[0, 0], [1, 1]]}, "guideline.events[0].region: has 2 points, and a region needs 3 at least"),
        ("enters", {"region": [[0, 0], [1, 1], [1, 0], [0, 1]]}, "its edges 1 and 3 meet"),
        ("leaves", {"region": [[0, 0], [1, 0], [1, 1], [0, 0]]}, "names the point (0, 0) twice"),
        ("dwell", {"region": [[0, 0], [0.5, 0.5], [1, 1]]}, "crosses or touches itself"),
        ("dwell", {"region": [[0, 0], [0.5, 1.5], [1, 0]]}, "region[1][1] must be less than or equal to 1"),
        ("dwell", {"region": [[0, 0], [0.5], [1, 0]]}, "region[1][1] is left open"),
        ("dwell", {"region": ...}, "guideline.events[0].region is left open"),
        ("enters", {"anchor": "top"}, "guideline.events[0].anchor must be 'center' or 'bottom_center'"),
        ("enters", {"label": "persn"}, "is about class 'persn', which is not in classes"),
        ("count_over", {"label": "persn"}, "is about class 'persn', which is not in classes"),
        ("count_over", {"count": 1.5}, "guideline.events[0].count must be a whole number"),
        ("count_under", {"count": 0}, "count_under 0 never happens"),
        ("count_under", {"anchor": ...}, "region and anchor are given together or not at all"),
        ("co_occurrence", {"labels": ["person", "person"]}, "both classes are 'person'"),
        ("co_occurrence", {"labels": ["person", "cra"]}, "is about class 'cra', which is not in classes"),
        ("co_occurrence", {"labels": ["person"]}, "guideline.events[0].labels"),
        ("flash", {"min_rise": 0}, "guideline.events[0].min_rise must be greater than 0"),
        ("flash", {"min_seconds": 1.0}, "guideline.events[0].min_seconds is not a field of the terms"),
        ("silence", {"below_dbfs": 3}, "guideline.events[0].below_dbfs must be less than 0"),
        ("silence", {"min_seconds": ...}, "guideline.events[0].min_seconds is left open"),
    ],
)
def test_problem_of_an_event_is_told_in_words(rule: str, changes: dict[str, Any], told: str) -> None:
    assert parse_terms(event_of(rule), origin="terms.yaml").guideline.events[0].rule == rule
    message = refusal(event_of(rule, **changes))
    assert told in message
    assert "1 problem " in message


def open_fields(document: Any, path: str) -> list[str]:
    if not isinstance(document, dict):
        return [path]
    return [path, *(found for key, value in document.items() for found in open_fields(value, f"{path}.{key}"))]


@pytest.mark.parametrize("path", open_fields(DEMO["acceptance"], "acceptance"))
def test_open_field_of_the_profile_is_named_in_full(path: str) -> None:
    message = refusal(changed(path, ...))
    assert f" {path} is left open" in message
    assert "1 problem" in message


def test_all_problems_are_told_at_once() -> None:
    document = changed("acceptance.image.iou", ...)
    document["volumes"]["images"] = -1
    document["titel"] = document.pop("title")
    message = refusal(document)
    assert "4 problems" in message
    for part in ("acceptance.image.iou is left open", "volumes.images", "title is left open", "did you mean 'title'?"):
        assert part in message


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (
            "acceptance.image.metrics.f1_score",
            0.9,
            "metrics.f1_score is not a field of the terms; did you mean 'f1'?",
        ),
        ("guideline.events.0.lable", "star", "guideline.events[0].lable is not a field of the terms; did you mean 'label'?"),
        ("guideline.events.0.rule", "apears", "guideline.events[0].rule is 'apears', but may be present"),
        ("guideline.events.0.rule", ..., "guideline.events[0].rule is left open"),
        ("guideline.events.0.label", "stra", "event 'star_present' is about class 'stra', which is not in classes"),
        ("contract", 2025, "contract must be text; write it in quotes"),
        ("volumes.images", "60", "volumes.images must be a whole number without quotes"),
        ("volumes.images", True, "volumes.images must be a whole number"),
        ("volumes.video_hours", float("nan"), "volumes.video_hours must be a finite number"),
        ("deadline.start", "soon", "deadline.start must be a date such as"),
        ("deadline.working_days", 0, "deadline.working_days must be greater than 0"),
        ("formats", [], "formats"),
        ("formats", ["coco", "coco"], "formats names one format twice"),
        ("formats", ["cocoo"], "formats[0] must be 'coco'"),
        ("acceptance.text.bound.finite_lot", "yes", "acceptance.text.bound.finite_lot must be true or false"),
        ("acceptance.text.metrics.accuracy", 90, "acceptance.text.metrics.accuracy must be less than 1"),
        ("acceptance.image", None, "volumes.images orders image items but acceptance.image is null"),
        ("acceptance.video", None, "volumes.video_hours orders video items but acceptance.video is null"),
        ("acceptance.sampling.extend_to", 5, "acceptance.sampling: extend_to is 5, less than min_items, which is 30"),
        ("guideline.sentiments", [], "acceptance.text demands labels but guideline.sentiments is empty"),
        ("guideline.classes.1.name", "circle", "classes names 'circle' twice"),
        ("guideline.classes.1.model_names", ["circle"], "gives the model name 'circle' to both 'circle' and 'square'"),
        ("guideline.events", [], "acceptance.video.metrics.event_f1 demands events but guideline.events is empty"),
        ("deadline.makeup_workdays", ["2025-09-06", "2025-09-06"], ""),
    ],
)
def test_problem_is_told_in_words(path: str, value: Any, told: str) -> None:
    if not told:
        parse_terms(changed(path, value), origin="terms.yaml")
        return
    assert told in refusal(changed(path, value))


def test_profile_that_demands_nothing_is_refused() -> None:
    metrics = {"keyframe_f1": None, "event_f1": None, "shot_f1": None}
    assert "acceptance.video.metrics: every threshold is null" in refusal(changed("acceptance.video.metrics", metrics))


@pytest.mark.parametrize("document", [None, [], [1], "terms", 7])
def test_document_that_is_no_mapping(document: Any) -> None:
    assert "must be a mapping" in refusal(document)


@pytest.mark.parametrize(
    ("extend_to", "draw", "needed"), [(28, "commit_reveal", 29), (29, "commit_reveal", None), (28, "full", None)]
)
def test_sample_that_could_never_prove_the_threshold(extend_to: int, draw: str, needed: int | None) -> None:
    document = changed("acceptance.sampling", {"mode": "lower_bound", "min_items": 20, "extend_to": extend_to, "draw": draw})
    document["volumes"]["video_hours"] = 0
    document["acceptance"]["video"] = None
    if needed is None:
        parse_terms(document, origin="terms.yaml")
    else:
        message = refusal(document)
        assert (
            f"acceptance.image.metrics.f1 of 0.9 at confidence 0.95 cannot be proven on fewer than {needed} items" in message
        )
        assert "acceptance.text.metrics.accuracy" in message
    document["acceptance"]["rule"] = "point"
    parse_terms(document, origin="terms.yaml")


@given(st.floats(0.5, 0.999), st.floats(0.51, 0.999))
def test_items_to_prove_is_the_smallest_sample(threshold: float, confidence: float) -> None:
    n = items_to_prove(threshold, confidence)
    tail = 1 - confidence
    assert threshold**n <= tail * (1 + 1e-6)
    assert n == 1 or threshold ** (n - 1) > tail * (1 - 1e-6)


def test_items_to_prove_known_values() -> None:
    # The rule of three's exact form: 29 for 0.90, 59 for 0.95, 299 for 0.99 at 95 %.
    assert [items_to_prove(p, 0.95) for p in (0.9, 0.95, 0.99)] == [29, 59, 299]
    assert items_to_prove(0.9, 0.95, method="wilson") == 25


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "the document is empty"),
        ("- a\n- b\n", "the document is a list"),
        ("contract: A\ncontract: B\n", "key 'contract' stands in line 1 and in line 2"),
        ("guideline:\n  version: x\n  version: y\n", "key 'version' stands in line 2 and in line 3"),
        ("contract: [\n", "not a YAML document"),
        ("a: 1\n---\nb: 2\n", "not a YAML document"),
        ("a: !!python/object/apply:os.system [ls]\n", "not a YAML document"),
    ],
)
def test_file_that_is_no_contract(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "terms.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TermsError, match=r"terms\.yaml: ") as caught:
        load_terms(path)
    assert told in str(caught.value)


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(TermsError, match="cannot be read"):
        load_terms(tmp_path / "absent.yaml")
    path = tmp_path / "latin.yaml"
    path.write_bytes("title: Übung".encode("latin-1"))
    with pytest.raises(TermsError, match="UTF-8"):
        load_terms(path)


def test_words_of_yaml_stay_words() -> None:
    document = parse_yaml("a: no\nb: 2025-01-01\nc: 12:30\nd: 010\ne: off\nf: true\ng: 1e-3\nh: 1_000\ni: ~\nj: 0.5\n")
    assert document == {
        "a": "no", "b": "2025-01-01", "c": "12:30", "d": "010", "e": "off", "f": True, "g": 0.001, "h": 1000,
        "i": None, "j": 0.5,
    }  # fmt: skip


def test_class_called_no_and_version_like_a_date_are_taken_as_words() -> None:
    document = parse_yaml("guideline: {version: 2025-01-01, classes: [{name: no, definition: Norwegian}]}")
    merged = {**DEMO, "guideline": {**DEMO["guideline"], "version": document["guideline"]["version"]}}
    assert parse_terms(merged, origin="x").guideline.version == "2025-01-01"
    assert document["guideline"]["classes"][0]["name"] == "no"


def test_digest_does_not_depend_on_layout(tmp_path: Path) -> None:
    terms = load_terms(CONFIGS / "demo.yaml")
    shuffled = parse_terms(dict(reversed(list(DEMO.items()))), origin="x")
    assert shuffled.sha256 == terms.sha256
    assert Terms.model_validate_json(terms.model_dump_json()).sha256 == terms.sha256
    other = parse_terms(changed("acceptance.image.iou", 0.6), origin="x")
    assert other.sha256 != terms.sha256
    assert other.guideline.sha256 == terms.guideline.sha256


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ({"rule": "interval"}, "prelabel.keyframes: seconds is left open, which belongs to the rule 'interval'"),
        ({"rule": "novelty", "most": 3}, "prelabel.keyframes: novelty is left open"),
        ({"seconds": 5.0}, "prelabel.keyframes: seconds goes with the rule 'interval'"),
        ({"rule": "interval", "seconds": 5.0, "novelty": 0.1}, "novelty goes with the rule 'novelty'"),
        ({"rule": "shot", "most": 2}, "most goes with the rules 'interval' and 'novelty'"),
        ({"rule": "novelty", "novelty": 1.5}, "prelabel.keyframes.novelty must be less than or equal to 1"),
        ({"rule": "second", "seconds": 5.0}, "prelabel.keyframes.rule must be 'shot', 'interval' or 'novelty'"),
    ],
)
def test_a_rule_of_keyframes_with_foreign_or_open_fields_is_refused(rule: dict[str, Any], problem: str) -> None:
    with pytest.raises(TermsError) as caught:
        parse_terms(changed("prelabel.keyframes", rule), origin="x")
    assert problem in str(caught.value)


def test_one_keyframe_a_shot_leaves_the_digest_as_it_was_and_another_rule_does_not() -> None:
    terms = parse_terms(DEMO, origin="x")
    said = parse_terms(changed("prelabel.keyframes", {"rule": "shot"}), origin="x")
    assert said.sha256 == terms.sha256
    assert "keyframes" not in terms.model_dump()["prelabel"]
    other = parse_terms(changed("prelabel.keyframes", {"rule": "interval", "seconds": 10}), origin="x")
    assert other.sha256 != terms.sha256
    assert Terms.model_validate_json(other.model_dump_json()) == other


def test_training_is_forbidden_unless_the_terms_allow_it_and_digests_of_before_stand() -> None:
    terms = parse_terms(DEMO, origin="x")
    assert terms.training == "forbidden"
    assert "training" not in terms.model_dump()
    assert parse_terms(DEMO | {"training": "forbidden"}, origin="x").sha256 == terms.sha256
    allowing = parse_terms(DEMO | {"training": "allowed"}, origin="x")
    assert allowing.sha256 != terms.sha256
    assert Terms.model_validate_json(allowing.model_dump_json()) == allowing
    for wrong in (True, "yes", None):
        with pytest.raises(TermsError, match="training"):
            parse_terms(DEMO | {"training": wrong}, origin="x")


def test_pickles_are_forbidden_unless_the_terms_allow_them_and_digests_of_before_stand() -> None:
    terms = parse_terms(DEMO, origin="x")
    assert terms.prelabel.pickles == "forbidden"
    assert "pickles" not in terms.model_dump()["prelabel"]
    allowing = parse_terms(DEMO | {"prelabel": {**DEMO.get("prelabel", {}), "pickles": "allowed"}}, origin="x")
    assert allowing.sha256 != terms.sha256
    assert Terms.model_validate_json(allowing.model_dump_json()) == allowing
    with pytest.raises(TermsError, match="pickles"):
        parse_terms(DEMO | {"prelabel": {"pickles": True}}, origin="x")


@given(
    st.dates(datetime.date(2024, 1, 1), datetime.date(2027, 12, 31)),
    st.integers(1, 80),
    st.sets(st.dates(datetime.date(2024, 1, 1), datetime.date(2028, 12, 31)), max_size=20),
)
def test_due_date_agrees_with_numpy(start: datetime.date, days: int, holidays: set[datetime.date]) -> None:
    deadline = Deadline(start=start, working_days=days, holidays=tuple(sorted(holidays)))
    # busday_offset counts from the last working day at or before the start, so that the start itself never counts.
    expected = np.busday_offset(
        np.datetime64(start), days, roll="backward", holidays=[np.datetime64(day) for day in holidays]
    )
    assert deadline.due_date() == expected.astype(datetime.date)


def test_makeup_workday_counts_and_may_not_be_a_holiday() -> None:
    friday, saturday, monday = datetime.date(2025, 9, 5), datetime.date(2025, 9, 6), datetime.date(2025, 9, 8)
    assert Deadline(start=friday, working_days=1).due_date() == monday
    assert Deadline(start=friday, working_days=1, makeup_workdays=(saturday,)).due_date() == saturday
    with pytest.raises(ValueError, match="both in holidays and in makeup_workdays"):
        Deadline(start=friday, working_days=1, makeup_workdays=(saturday,), holidays=(saturday,))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: &a [*a]\n", "an alias stands for a value; write the value itself (line 1, column 8)"),
        ("a: &a 1\nb: *a\n", "an alias stands for a value; write the value itself (line 2, column 4)"),
        ("a: " + "[" * 3000 + "\n", "it is nested too deeply"),
        ("a: " + "9" * 5001 + "\n", "value has 5001 digits"),
        ("? [1, 2]\n: 3\n", "unhashable key"),
        ('"two\\nlines": 3\n', "'two\\nlines' is not a field of the terms"),
    ],
)
def test_yaml_that_would_break_a_reader_is_refused(text: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "contract.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TermsError) as caught:
        load_terms(path)
    assert problem in str(caught.value)
    assert str(caught.value).isprintable()
