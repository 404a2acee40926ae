"""What a report says beside accuracy, computed again from its files."""

import datetime
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.files import json_bytes, write_together
from contract.labelset import LabelSet
from contract.quality import BiasOfDrafts, Consistency, Quality
from contract.scores import Score
from contract.tables import Task
from goldgate.reporting import report_files
from qa import defaults
from qa.bias import bias_of, bias_rows, handled
from qa.consistency import Profiles, agreement, completeness, gold_ceiling
from qa.report.page import ReportInput
from qa.score import score_boxes, score_events, score_keyframes, score_sentiments, score_shots
from qa.seeding import Names, caught, seed_errors
from qa.verifier.findings import Findings
from qa.verifier.quality import quality
from qa.verifier.report import verify
from tests.oracles.deliveries import CLASSES, SENTIMENTS, delivery

NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)
PROFILES = Profiles(label_order=SENTIMENTS)
PAIR = ("one", "other")


def half_of_each(drafts: LabelSet, gold: LabelSet) -> LabelSet:
    """Return the drafts, on every third item replaced by the gold, as somebody who edits leaves them."""
    items = pa.array(sorted(set(drafts.states["item"].to_pylist()))[::3])
    tables = {}
    for task in Task:
        edited = pc.is_in(gold.table(task)["item"], value_set=items)
        kept = pc.invert(pc.is_in(drafts.table(task)["item"], value_set=items))
        tables[task] = pa.concat_tables([drafts.table(task).filter(kept), gold.table(task).filter(edited)])
    return LabelSet(drafts.states, tables)


def quality_of(drafts: LabelSet, labels: LabelSet, gold: LabelSet, scores: dict[Task, Score], seeds: pa.Table) -> Quality:
    blind = frozenset(sorted(gold.states["item"].to_pylist())[::2])
    tasks, rows = [], []
    for task in Task:
        of = handled(task, drafts, labels)
        tasks.append(bias_of(task, of, scores[task], blind=blind, profiles=PROFILES))
        rows.append(bias_rows(task, of, scores[task], blind=blind))
    bias = BiasOfDrafts(
        run="r",
        submission=1,
        gold=1,
        blind_items=len(blind),
        planted=1,
        tasks=tuple(tasks),
        seeds=caught(seeds, labels, profiles=PROFILES),
        rows=pa.concat_tables(rows),
    )
    compared = tuple(agreement(task, labels, gold, names=PAIR, profiles=PROFILES) for task in Task)
    found = Consistency(
        submission=1,
        labels_sha256=None,
        agreement=compared,
        duplicates=1,
        self_consistency=compared[:2],
        completeness=completeness(gold.states, labels, gold),
    )
    return Quality(consistency=found, bias=bias, ceiling=gold_ceiling(compared[1], labels=3, confidence=0.95))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model, gold = delivery(11)
    names = Names(CLASSES, SENTIMENTS, ("event 0", "event 1"), {})
    drafts, seeds = seed_errors(model, share=0.4, secret=b"secret", names=names)
    labels = half_of_each(drafts, gold)
    scores: dict[Task, Score] = {
        Task.BOXES: score_boxes(labels, gold, defaults.IMAGE),
        Task.SENTIMENTS: score_sentiments(labels, gold, defaults.TEXT, label_order=SENTIMENTS),
        Task.SHOTS: score_shots(labels, gold, defaults.VIDEO),
        Task.KEYFRAMES: score_keyframes(labels, gold, defaults.VIDEO),
        Task.EVENTS: score_events(labels, gold, defaults.VIDEO),
    }
    report = ReportInput(
        created=NOW,
        software={},
        scores=scores,
        labels=labels,
        gold=gold,
        quality=quality_of(drafts, labels, gold, scores, seeds),
    )
    folder = tmp_path_factory.mktemp("report") / "1"
    document = {task.value: score.model_dump(mode="json") for task, score in scores.items()}
    write_together(folder, report_files(document, report))
    return folder


def test_what_was_written_agrees(original: Path) -> None:
    findings = verify(original)
    assert findings.disagreements == []
    left = {where for where in findings.not_recomputed if where.startswith("report.json: bias")}
    assert left == {"report.json: bias.blind_items", "report.json: bias.seeds[].caught"}
    assert "report.json: completeness[].labelled" in findings.not_recomputed


def numbers_in(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(document, dict | list):
        for key, value in document.items() if isinstance(document, dict) else enumerate(document):
            yield from numbers_in(value, (*path, key))
    elif isinstance(document, int | float):
        yield path


GIVEN = {"confidence", "epsilon_px", "duplicates", "submission", "gold", "planted", "blind_items", "labels_sha256"}


def test_any_changed_figure_of_the_bias_is_found(original: Path) -> None:
    twin = json.loads((original / "report.json").read_bytes())
    scores = json.loads((original / "score.json").read_bytes())
    changed = 0
    for part in ("bias", "ceiling"):
        for path in numbers_in(twin["quality"][part]):
            if GIVEN & set(path):
                continue
            copy = json.loads(json.dumps(twin))
            place = copy["quality"][part]
            for key in path[:-1]:
                place = place[key]
            old = place[path[-1]]
            place[path[-1]] = not old if isinstance(old, bool) else old + (1 if isinstance(old, int) else 1e-6)
            findings = Findings()
            quality(original, copy, scores, findings)
            assert findings.disagreements, path
            assert all(line.startswith(f"report.json: {part}") for line in findings.disagreements)
            changed += 1
    assert changed > 120


def test_changed_counts_of_agreement_and_states_are_found(original: Path) -> None:
    twin = json.loads((original / "report.json").read_bytes())
    scores = json.loads((original / "score.json").read_bytes())
    changes: tuple[Callable[[Any], None], ...] = (
        lambda found: found["completeness"][0].update(items=31),
        lambda found: found["completeness"][1].update(labelled=7),
        lambda found: found["agreement"][0]["counts"].update(matched=1),
        lambda found: found["agreement"][1]["bound"].update(lower=0.99),
        lambda found: found["self_consistency"][0]["figures"].update(f1=1.0),
    )
    for change in changes:
        copy = json.loads(json.dumps(twin))
        change(copy["quality"]["consistency"])
        findings = Findings()
        quality(original, copy, scores, findings)
        assert findings.disagreements


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_flipped_byte_is_found_and_its_file_named(original: Path, tmp_path: Path, data: st.DataObject) -> None:
    """Whatever a byte is turned into, the answer is a line that names the file, and no crash."""
    folder = tmp_path / "flipped"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(original, folder)
    path = data.draw(st.sampled_from(sorted(folder.iterdir())))
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    found = verify(folder).disagreements
    assert any(path.name in line for line in found) or _says_the_same(original / path.name, content)


def _says_the_same(before: Path, content: bytearray) -> bool:
    """Whether only the white space of the JSON twin differs, which is not pinned byte for byte."""
    return before.name == "report.json" and bool(json.loads(content) == json.loads(before.read_bytes()))


def test_a_removed_row_and_another_verdict_are_found(original: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(original, tmp_path / "copy"))
    path = folder / "bias-items.parquet"
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)
    found = verify(folder).disagreements
    assert any(line.startswith("bias-items.parquet: its SHA-256") for line in found)
    assert any(line.startswith("report.json: bias.tasks[boxes]") for line in found)
    path.unlink()
    assert "bias-items.parquet: the file is not there" in verify(folder).disagreements
    twin = json.loads((folder / "report.json").read_bytes())
    (folder / "report.json").write_bytes(json_bytes({**twin, "verdict": {"verdict": "ACCEPT"}}))
    assert "report.json: its verdict is not that of verdict.json" in "\n".join(verify(folder).disagreements)
