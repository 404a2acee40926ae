"""Reports of verdicts by every rule: the page says the rule and its severity, and the verifier finds the same outcomes."""

import copy
import datetime
import json
from pathlib import Path
from typing import Any

import pytest

from contract.files import json_bytes, write_together
from contract.inspection import Severity
from contract.reading import reading
from contract.ruleterms import applied
from contract.tables import Kind
from contract.terms import Terms, parse_terms
from goldgate.reporting import report_files
from qa.accept import judge
from qa.report.page import ReportInput
from qa.verifier.report import verify
from qa.words.rulewords import rule_words
from qa.words.wording import Words, criterion_words
from tests.contract.test_ruleterms import AQL, DEMO, counting
from tests.oracles.deliveries import delivery
from tests.qa.test_accept import pins
from tests.qa.test_verifier import scores_of

NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)


def terms_by(rule: str) -> Terms:
    document: dict[str, Any] = copy.deepcopy(DEMO)
    document["acceptance"]["rule"] = rule
    if rule == "aql":
        document = counting("aql", 0.935, aql=AQL)
    if rule == "e_process":
        document = counting("e_process", 0.9, min_items=10)
    return parse_terms(document, origin="x")


def written(folder: Path, rule: str, severity: Severity) -> Path:
    labels, gold = delivery(3, images=60, texts=90, videos=3)
    terms = applied(terms_by(rule), severity)
    acceptance = terms.acceptance
    assert acceptance.image is not None
    assert acceptance.text is not None
    assert acceptance.video is not None
    scores = scores_of(labels, gold, (acceptance.image, acceptance.text, acceptance.video), 500)
    lot = {Kind.IMAGE: 500, Kind.TEXT: 500, Kind.VIDEO: 500}
    verdict = judge(terms_by(rule), scores, lot_items=lot, pins=pins(), severity=severity)
    report = ReportInput(
        created=NOW, software={}, scores=scores, labels=labels, gold=gold, terms=terms, verdict=verdict,
        reading=Words(zh=reading(terms_by(rule), "zh"), en=reading(terms_by(rule), "en")),
    )  # fmt: skip
    document = {task.value: score.model_dump(mode="json") for task, score in scores.items()}
    write_together(folder, report_files(document, report))
    for words in (rule_words(verdict).zh, rule_words(verdict).en):
        assert words.strip() in (folder / "report.html").read_text(encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("rule", "severity"),
    [("lower_bound", "tightened"), ("point", "tightened"), ("aql", "normal"), ("e_process", "tightened")],
)
def test_a_report_by_any_rule_is_written_and_verified(rule: str, severity: Severity, tmp_path: Path) -> None:
    folder = written(tmp_path / "1", rule, severity)
    findings = verify(folder)
    assert findings.disagreements == []
    assert not any(name.startswith("verdict.json") for name in findings.not_recomputed)
    verdict = json.loads((folder / "verdict.json").read_bytes())
    assert verdict["severity"] == severity
    assert rule_words_of(verdict["rule"]) in (folder / "report.html").read_text(encoding="utf-8")


def rule_words_of(rule: str) -> str:
    said = {
        "lower_bound": "the one-sided lower limit",
        "aql": "nonconforming items of n",
        "e_process": "sufficient evidence",
    }
    return said[rule]


def test_the_verifier_finds_an_outcome_that_its_count_does_not_carry(tmp_path: Path) -> None:
    folder = written(tmp_path / "1", "aql", "normal")
    verdict = json.loads((folder / "verdict.json").read_bytes())
    (criterion,) = [each for each in verdict["criteria"] if each["name"] == "text.accuracy"]
    assert criterion["counted"]["plan"]["n"] == 50
    criterion["outcome"] = "ACCEPT" if criterion["outcome"] == "REJECT" else "REJECT"
    (folder / "verdict.json").write_bytes(json_bytes(verdict))
    assert any("text.accuracy is" in line and "but its count says" in line for line in verify(folder).disagreements)


def test_shares_without_defects_have_names() -> None:
    for name in ("image.conforming", "video.keyframe_conforming", "video.event_conforming", "video.shot_conforming"):
        assert criterion_words(name) != Words(name, name)
