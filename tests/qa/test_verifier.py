import ast
import datetime
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.acceptance import BoxBound, ImageProfile, SentimentBound, TextProfile, VideoBound, VideoProfile
from contract.files import json_bytes, parquet_bytes, sha256_file, write_together
from contract.labelset import LabelSet
from contract.scores import Score
from contract.tables import Kind, State, Task
from contract.terms import load_terms
from contract.verdict import Pins
from goldgate.reporting import report_files
from qa import bounds, defaults
from qa.accept import judge
from qa.report.dossier import evidence_tables
from qa.report.page import ReportInput
from qa.score import score_boxes, score_events, score_keyframes, score_sentiments, score_shots
from qa.verifier import limits
from qa.verifier.findings import Findings
from qa.verifier.report import RECOMPUTE, main, verify
from tests.oracles.deliveries import SENTIMENTS, delivery, items_of, labels_of

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)
Profiles = tuple[ImageProfile, TextProfile, VideoProfile]
DEFAULT: Profiles = (defaults.IMAGE, defaults.TEXT, defaults.VIDEO)


def scores_of(labels: LabelSet, gold: LabelSet, profiles: Profiles = DEFAULT, lot: int | None = None) -> dict[Task, Score]:
    image, text, video = profiles
    return {
        Task.BOXES: score_boxes(labels, gold, image, lot_items=lot),
        Task.SENTIMENTS: score_sentiments(labels, gold, text, label_order=SENTIMENTS, lot_items=lot),
        Task.SHOTS: score_shots(labels, gold, video, lot_items=lot),
        Task.KEYFRAMES: score_keyframes(labels, gold, video, lot_items=lot),
        Task.EVENTS: score_events(labels, gold, video, lot_items=lot),
    }


def write(folder: Path, labels: LabelSet, gold: LabelSet, scores: dict[Task, Score]) -> Path:
    """Write a report with a verdict, as `accept` does."""
    terms = load_terms(ROOT / "configs" / "demo.yaml")
    pins = Pins(
        contract="C",
        lot="l",
        submission=1,
        gold=1,
        terms_sha256="",
        guideline_sha256="",
        manifest_sha256="",
        submission_sha256={},
        gold_sha256={},
    )
    verdict = judge(terms, scores, lot_items={Kind.IMAGE: 500, Kind.TEXT: 500, Kind.VIDEO: 500}, pins=pins)
    report = ReportInput(
        created=NOW, software={"goldgate": "9"}, scores=scores, labels=labels, gold=gold, terms=terms, verdict=verdict
    )
    document = {task.value: score.model_dump(mode="json") for task, score in scores.items()}
    write_together(folder, report_files(document, report))
    return folder


def recomputed(folder: Path, labels: LabelSet, gold: LabelSet, scores: dict[Task, Score]) -> Findings:
    """Verify score and evidence alone: drawing the page takes long and changes no figure."""
    files = {"score.json": json_bytes({task.value: score.model_dump(mode="json") for task, score in scores.items()})}
    tables = evidence_tables(scores, labels=labels, gold=gold)
    write_together(folder, files | {name: parquet_bytes(table) for name, table in tables.items()})
    findings = verify(folder)
    findings.disagreements.remove("report.html: the file is not there")
    return findings


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    labels, gold = delivery(1)
    return write(tmp_path_factory.mktemp("report") / "1", labels, gold, scores_of(labels, gold))


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "copy"))


def pin_again(folder: Path) -> None:
    """Put the digests of the files as they are now into page and twin, as a forger would."""
    page, twin = folder / "report.html", folder / "report.json"
    document = json.loads(twin.read_bytes())
    text = page.read_text(encoding="utf-8")
    for name, digest in document["files"].items():
        if name != page.name:
            document["files"][name] = sha256_file(folder / name)
            text = text.replace(f'data-file="{name}">{digest}', f'data-file="{name}">{document["files"][name]}')
    page.write_text(text, encoding="utf-8")
    document["files"][page.name] = sha256_file(page)
    twin.write_bytes(json_bytes(document))


def test_what_was_written_agrees_and_what_is_left_out_is_said(original: Path) -> None:
    findings = verify(original)
    assert findings.disagreements == []
    assert findings.agreed > 300
    assert {where.rpartition(": ")[2] for where in findings.not_recomputed} == {
        "boxes.contract.ignored_gold",
        "boxes.contract.ignored_labels",
        "boxes.coverage.incomplete",
        "events.coverage.incomplete",
        "keyframes.coverage.incomplete",
        "shots.coverage.incomplete",
        "sentiments.bounds.macro_f1.lower",
        "sentiments.bounds.macro_f1.upper",
    }


def profiles(method: str, binomial: str, *, finite: bool = False, confidence: float = 0.95, **image: Any) -> Profiles:
    boxes = BoxBound(method=method, confidence=confidence, cluster="image")
    texts = SentimentBound(method=binomial, confidence=confidence, finite_lot=finite)
    videos = VideoBound(method=method, confidence=confidence, cluster="video")
    return (
        defaults.IMAGE.model_copy(update={"bound": boxes, **image}),
        defaults.TEXT.model_copy(update={"bound": texts}),
        defaults.VIDEO.model_copy(update={"bound": videos}),
    )


CASES: dict[str, tuple[Profiles, int | None]] = {
    "finite lot": (profiles("korn_graubard", "clopper_pearson", finite=True), 300),
    "census": (profiles("korn_graubard", "clopper_pearson", finite=True), 4),
    "wilson, 99 %": (profiles("korn_graubard", "wilson", confidence=0.99), None),
    "jeffreys, 80 %": (profiles("korn_graubard", "jeffreys", confidence=0.8), None),
    "bootstrap": (profiles("cluster_bootstrap", "clopper_pearson"), None),
    "small boxes left out": (profiles("korn_graubard", "jeffreys", min_side_px=20), None),
    "any class, greedily": (profiles("korn_graubard", "jeffreys", class_aware=False, matching="greedy_iou"), None),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", [2, 3])
def test_every_reading_agrees(case: str, seed: int, tmp_path: Path) -> None:
    chosen, lot = CASES[case]
    labels, gold = delivery(seed, images=25, texts=30, videos=4)
    findings = recomputed(tmp_path, labels, gold, scores_of(labels, gold, chosen, lot))
    assert findings.disagreements == []
    assert ("score.json: boxes.bounds.f1.lower" in findings.not_recomputed) == (case == "bootstrap")


def test_lots_with_nothing_one_item_and_gaps_agree(tmp_path: Path) -> None:
    items = items_of(3, 3, 2)
    nothing = labels_of({task: [] for task in Task}, items)
    empty = dict.fromkeys(items, State.EMPTY)
    missing = labels_of({}, items, dict.fromkeys(items, State.MISSING))
    labels, gold = delivery(5, images=1, texts=1, videos=1)
    cases = [(nothing, nothing), (labels_of({}, items, empty), gold), (missing, delivery(6, images=3, texts=3, videos=2)[1])]
    for number, (one, other) in enumerate([*cases, (labels, gold), (gold, gold)]):
        findings = recomputed(tmp_path / str(number), one, other, scores_of(one, other))
        assert findings.disagreements == [], number


def test_labels_without_an_order_agree(tmp_path: Path) -> None:
    labels, gold = delivery(7)
    scores = scores_of(labels, gold)
    scores[Task.SENTIMENTS] = score_sentiments(labels, gold, defaults.TEXT)
    assert recomputed(tmp_path, labels, gold, scores).disagreements == []


def numbers_in(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(document, dict | list):
        entries = document.items() if isinstance(document, dict) else enumerate(document)
        for key, value in entries:
            yield from numbers_in(value, (*path, key))
    elif isinstance(document, int | float):
        yield path


SETTINGS = {"reading", "lot_items", "coco", "coco_curves", "without_gold", "ignored_gold", "ignored_labels"}


def test_any_changed_number_of_the_score_is_named_by_its_path(original: Path) -> None:
    document = json.loads((original / "score.json").read_bytes())
    changed = 0
    for task, said in document.items():
        ours = RECOMPUTE[task](original, said)
        for path in numbers_in(said):
            if SETTINGS & set(path) or (path[:2] == ("bounds", "macro_f1") and path[-1] in {"lower", "upper"}):
                continue
            copy = json.loads(json.dumps(said))
            place = copy
            for key in path[:-1]:
                place = place[key]
            old = place[path[-1]]
            place[path[-1]] = not old if isinstance(old, bool) else old + (1 if isinstance(old, int) else 1e-6)
            findings = Findings()
            findings.compare(copy, ours, task)
            (line,) = findings.disagreements
            assert line.startswith(task)
            assert str(path[-1]) in line
            changed += 1
    assert changed > 250


def test_a_changed_digit_is_found_even_where_the_digests_were_forged(folder: Path) -> None:
    path = folder / "score.json"
    document = json.loads(path.read_bytes())
    document["boxes"]["contract"]["tp"] += 1
    document["boxes"]["contract"]["f1"] += 0.001
    path.write_bytes(json_bytes(document))
    found = verify(folder).disagreements
    assert [line for line in found if line.startswith("score.json: its SHA-256")]
    pin_again(folder)
    found = verify(folder).disagreements
    assert [line.partition(" is ")[0] for line in found] == [
        "score.json: boxes.contract.f1",
        "score.json: boxes.contract.tp",
    ]


PARQUETS = [
    *("matches.parquet", "defects.parquet", "boxes-items.parquet", "sentiments-pairs.parquet"),
    *(f"{task}-{part}.parquet" for task in ("shots", "keyframes", "events") for part in ("matches", "items")),
]


@pytest.mark.parametrize("name", PARQUETS)
@pytest.mark.parametrize("row", [0, 4])
def test_a_removed_row_is_found_and_its_file_is_named(folder: Path, name: str, row: int) -> None:
    table = pq.read_table(folder / name)
    pq.write_table(table.take([place for place in range(table.num_rows) if place != row]), folder / name)
    assert any(line.startswith(f"{name}: its SHA-256") for line in verify(folder).disagreements)
    pin_again(folder)
    found = verify(folder).disagreements
    assert found
    task = "boxes" if name in PARQUETS[:3] else name.partition("-")[0]
    assert all(task in line for line in found)


def test_a_swapped_or_edited_page_is_found(original: Path, folder: Path, tmp_path: Path) -> None:
    labels, gold = delivery(8)
    other = write(tmp_path / "other", labels, gold, scores_of(labels, gold))
    shutil.copy(other / "report.html", folder / "report.html")
    found = verify(folder).disagreements
    assert "report.html: its SHA-256 is not the one in report.json: one of the two was changed or swapped" in found
    assert "score.json: its SHA-256 is not the one in report.html: one of the two was changed or swapped" in found
    page = (original / "report.html").read_text(encoding="utf-8")
    (folder / "report.html").write_text(page.replace("REJECT", "ACCEPT", 1), encoding="utf-8")
    (line,) = verify(folder).disagreements
    assert line.startswith("report.html: its SHA-256")


def test_missing_unreadable_and_added_files_are_named(folder: Path) -> None:
    (folder / "matches.parquet").unlink()
    (folder / "shots-items.parquet").write_bytes(b"PAR1")
    shutil.copy(folder / "defects.parquet", folder / "extra.parquet")
    found = "\n".join(verify(folder).disagreements)
    for words in ("matches.parquet: the file is not there", "shots-items.parquet: cannot be read", "extra.parquet: neither"):
        assert words in found
    (folder / "score.json").write_text('{"boxes": [1]}')
    assert "not written as goldgate writes it" in "\n".join(verify(folder).disagreements)
    (folder / "report.html").unlink()
    (folder / "score.json").write_text("{")
    found = "\n".join(verify(folder).disagreements)
    assert "report.html: the file is not there" in found
    assert "score.json: not a JSON document" in found


def test_a_verdict_must_follow_from_its_limits(folder: Path) -> None:
    path = folder / "verdict.json"
    truth = json.loads(path.read_bytes())
    assert {criterion["outcome"] for criterion in truth["criteria"]} >= {"EXTEND"}

    def lines(**changes: Any) -> str:
        first = {**truth["criteria"][0], **changes.pop("first", {})}
        path.write_bytes(json_bytes({**truth, "criteria": [first, *truth["criteria"][1:]], **changes}))
        pin_again(folder)
        return "\n".join(verify(folder).disagreements)

    assert lines() == ""
    name = truth["criteria"][0]["name"]
    assert f"verdict.json: {name}.lower_bound is 0.99" in lines(first={"lower_bound": 0.99})
    assert f"verdict.json: {name} is ACCEPT, but its lower_bound" in lines(first={"outcome": "ACCEPT", "threshold": 0.999})
    assert f"verdict.json: {name} is REJECT, but its upper_bound" in lines(first={"outcome": "REJECT", "threshold": 0.1})
    assert "verdict.json: says ACCEPT, but a criterion says" in lines(verdict="ACCEPT")
    (folder.parent.parent / "verdicts").mkdir()
    (folder.parent.parent / "verdicts" / f"{folder.name}.json").write_bytes(json_bytes(truth))
    assert "verdict.json: differs from" in lines(rule="point")


def test_it_needs_neither_goldgate_nor_numpy(original: Path, tmp_path: Path) -> None:
    modules = list((ROOT / "qa" / "verifier").glob("*.py"))
    names = set()
    for path in modules:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add((node.module or "").partition(".")[0])
    assert len(modules) >= 5
    assert names - set(sys.stdlib_module_names) == {"pyarrow"}
    shutil.copytree(ROOT / "qa" / "verifier", tmp_path / "verifier")

    def alone() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", "verifier", str(tmp_path / "1")]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S603

    shutil.copytree(original, tmp_path / "1")
    done = alone()
    assert (done.returncode, done.stderr) == (0, "")
    assert "all agree" in done.stdout
    score = tmp_path / "1" / "score.json"
    score.write_text(score.read_text(encoding="utf-8").replace('"tp": ', '"tp": 1', 1), encoding="utf-8")
    assert alone().returncode == 2


def test_the_folder_must_be_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["/nowhere"]) == main([]) == 2
    assert "usage" in capsys.readouterr().err


ONE_SIDED = {(29, 29): 0.901855, (90, 100): 0.836282, (184, 200): 0.881028, (461, 500): 0.899350, (3840, 4000): 0.954523}
LOTS = {(47, 50, 100): 88, (95, 100, 200): 183, (118, 125, 500): 452, (190, 200, 1000): 921, (463, 500, 5000): 4525}


def test_limits_are_those_published() -> None:
    for (correct, n), lower in ONE_SIDED.items():
        assert limits.binomial_limits(correct, n, 0.95)[0] == pytest.approx(lower, abs=1e-6)
    assert limits.wilson_limits(184, 200, 0.95)[0] == pytest.approx(0.882554, abs=1e-6)
    assert limits.jeffreys_limits(184, 200, 0.975) == pytest.approx((0.876320, 0.951648), abs=1e-6)
    for (correct, n, lot), lower in LOTS.items():
        assert limits.lot_limits(correct, n, lot, 0.95)[0] == lower
    # the chance of 38 good ones, were 39 of 40 good, is 1/20: a tie does not exceed 5 %
    assert limits.lot_limits(38, 38, 40, 0.95) == bounds.finite_lot(38, 38, lot=40, confidence=0.95) == (40, 40)
    y = [9, 10, 3, 0, 8, 20, 5, 1, 7, 12, 4, 6, 10, 2, 15, 9, 8, 5, 11, 3]
    x = [10, 10, 5, 2, 8, 22, 5, 4, 7, 12, 8, 6, 10, 2, 20, 9, 9, 5, 11, 3]
    pairs = list(zip(y, x, strict=True))
    found = limits.korn_graubard(pairs, confidence=0.95, sampled=20, lot=None, is_f1=False)
    assert found is not None
    assert found[0] == pytest.approx(0.794781, abs=1e-6)


@settings(max_examples=60)
@given(st.integers(1, 20_000), st.floats(0, 1), st.floats(0.55, 0.999), st.integers(0, 300))
def test_limits_are_those_of_the_engine(n: int, share: float, confidence: float, more: int) -> None:
    correct = round(share * n)
    for ours, theirs in (
        (limits.binomial_limits, bounds.clopper_pearson),
        (limits.wilson_limits, bounds.wilson),
        (limits.jeffreys_limits, bounds.jeffreys),
    ):
        assert ours(correct, n, confidence) == pytest.approx(theirs(correct, n, confidence=confidence), rel=1e-9, abs=1e-12)
    small = min(n, 200)
    right = round(share * small)
    expected = bounds.finite_lot(right, small, lot=small + more, confidence=confidence)
    assert limits.lot_limits(right, small, small + more, confidence) == expected


@given(st.floats(1, 1e7), st.floats(0.55, 0.999))
def test_student_is_that_of_scipy(freedom: float, share: float) -> None:
    from scipy import special

    # the logarithms of the gamma function lose digits as the freedom grows; a limit moves by less than 1e-10 for it
    assert limits.t_quantile(freedom, share) == pytest.approx(float(special.stdtrit(freedom, share)), rel=1e-7)
