"""The demo's story: three kinds of items, drafts through Ray Serve, a lot each for two simulated vendors, three verdicts."""

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from contract.errors import GoldgateError
from contract.files import write_bytes, write_json
from contract.formats import jsonl
from contract.formats.labelstudio import tasks as labelstudio
from contract.labelchanges import only_items
from contract.labelset import LabelSet
from contract.tables import Kind, Task
from contract.terms import load_terms
from contract.verdict import Outcome
from goldgate import auditing
from goldgate.checking import describe_receipt
from goldgate.console import EXIT_DONE, emit_text, say
from goldgate.demo.material import Material, make_material
from goldgate.demo.vendors import BAD, GOOD, Vendor, simulate
from goldgate.exchange import bring_in, lot_view
from goldgate.judging import describe_score, describe_verdict, run_accept, score_task
from goldgate.lotlife import history_of
from goldgate.prelabelling import emit_summary, run_prelabel
from goldgate.sampling_lot import commit, draw, extend
from goldgate.settling import settle
from goldgate.stages import Stage, open_stage, shown, sign
from goldgate.wiring import Where
from models.registry import default_models_file
from prelabel.handoff import Sealed, read_drafts
from prelabel.intake import take_in
from qa.words.wording import Words

_LOTS: Final = ("lot-1", "lot-2")  # the same raw data, one for each vendor
_SIDES: Final = ("client", "vendor")
_FIRST_SAMPLE: Final[Mapping[Kind | None, int]] = {Kind.IMAGE: 10, Kind.TEXT: 20, Kind.VIDEO: 3}
_EXTENDED_SAMPLE: Final[Mapping[Kind | None, int]] = {Kind.IMAGE: 80, Kind.TEXT: 90, Kind.VIDEO: 16}
_NOTICE: Final = Words(
    zh="演示: 数据为渲染与自编, 标注方为程序模拟, 不代表任何真实供应商。",
    en="Demo: the data are rendered and made up, and the vendor is simulated by a program; nobody real is meant.",
)


def tell(work: Path, *, address: str = "ray") -> int:
    """Run the whole flow on made material in `work`/_demo, a name no contract can have, and print where the reports are.

    Raises:
        GoldgateError: a verdict is not the one that the story tells.
    """
    started = time.monotonic()
    home = work / "_demo"
    shutil.rmtree(home, ignore_errors=True)
    contract = default_models_file().with_name("demo.yaml")
    terms = load_terms(contract)
    _chapter("1. Raw data: rendered scenes, written reviews, rendered clips")
    material = make_material(home / "raw", terms.guideline)
    folders = [str(folder) for folder in (material.images, material.texts, material.videos)]
    stage, second = (_take_in(contract, home, folders, name) for name in _LOTS)
    _chapter(f"2. Drafts ({'Ray Serve' if address == 'ray' else address})")
    emit_summary(run_prelabel(stage, [], Where(address=address)), as_json=False)
    drafts = read_drafts(stage.lot)[1]
    emit_text(_quality_of_drafts(stage, drafts, material.truth))
    _chapter("3. Review: drafts to Label Studio, corrected by two simulated vendors, and back")
    for of, vendor in ((stage, GOOD), (second, BAD)):
        _commit(of, home)
        _hand_in(of, home, vendor, drafts, material)
    _chapter("4. Samples that neither party could choose, their gold, and the verdicts")
    sizes = (_FIRST_SAMPLE, _EXTENDED_SAMPLE)
    first = _checked(stage, home, material, sizes[0])
    plot: Sequence[tuple[str, Outcome, str]] = (
        (GOOD.name, Outcome.EXTEND, _judge(first, GOOD.name, Outcome.EXTEND)),
        (GOOD.name, Outcome.ACCEPT, _judge(_checked(stage, home, material, sizes[1]), GOOD.name, Outcome.ACCEPT)),
        (BAD.name, Outcome.REJECT, _judge(_checked(second, home, material, sizes[1]), BAD.name, Outcome.REJECT)),
    )
    _chapter("5. What is owed: accepted quantity times price, each line with its verdict")
    settle(contract, home / "work", final=False, as_json=False)
    emit_text(f"\nThe demo took {time.monotonic() - started:.0f} s. Reports:")
    emit_text("\n".join(f"  {name:<9} {expected.value:<7} {page}" for name, expected, page in plot))
    return EXIT_DONE


def _take_in(contract: Path, home: Path, folders: Sequence[str], name: str) -> Stage:
    stage = open_stage(contract, name, home / "work")
    receipt = take_in(folders, lot=stage.lot, terms=stage.terms, lot_name=name)
    sign(stage, contract)
    auditing.intake(stage.lot, receipt)
    emit_text(describe_receipt(stage, receipt))
    return stage


def _chapter(title: str) -> None:
    say(f"\n== {title}")


def _quality_of_drafts(stage: Stage, drafts: LabelSet, truth: LabelSet) -> str:
    lines = ["against the truth, which only a demo knows:"]
    for task in Task:
        lines += describe_score(score_task(task, drafts, truth, terms=stage.terms))
    return "\n".join(lines)


def _hand_in(stage: Stage, home: Path, vendor: Vendor, drafts: LabelSet, material: Material) -> Sealed:
    """Export the drafts' items as Label Studio tasks, annotated by `vendor`, and import them as a submission."""
    view = lot_view(stage)
    work = simulate(vendor, drafts, material.truth, view.items, stage.terms.guideline)
    folder = home / "review" / vendor.name
    for path in labelstudio.write(folder, work, view):
        if path.suffix == ".json":
            _annotate(path, vendor)
    sealed = bring_in(stage, "labelstudio", [folder], role="submission")
    counts = ", ".join(f"{count} {name}" for name, count in sealed.receipt.labels.items())
    emit_text(f"submission {sealed.number} ({vendor.name} vendor, simulated): {sealed.receipt.items} items, {counts}")
    return sealed


def _annotate(path: Path, vendor: Vendor) -> None:
    """Turn the predictions of a Label Studio file into annotations, as pressing Submit does."""
    tasks: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    for number, task in enumerate(tasks, start=1):
        regions = task.pop("predictions")[0]["result"]
        task["annotations"] = [{"id": number, "completed_by": vendor.name, "was_cancelled": False, "result": regions}]
    write_json(path, tasks)


def _nonces(stage: Stage, home: Path) -> dict[str, Path]:
    return {side: home / "nonces" / f"{stage.lot_name}-{side}" for side in _SIDES}


def _commit(stage: Stage, home: Path) -> None:
    """Let both parties publish the digest of a nonce, before the submission is sealed."""
    for side, path in _nonces(stage, home).items():
        write_bytes(path, f"the demo {side}'s nonce for {stage.lot_name}".encode())
        _, published = commit(stage, side, path)
        emit_text(f"{stage.lot_name}: the {side} committed to {published[:16]}")


def _checked(stage: Stage, home: Path, material: Material, sizes: Mapping[Kind | None, int]) -> Stage:
    """Draw the sample, or extend the one that is there, and seal the truth of its items as gold."""
    drawn = history_of(stage).life.sample is not None
    sample = extend(stage, sizes) if drawn else draw(stage, _nonces(stage, home), sizes)
    folder = home / "gold" / stage.lot_name / str(sample.number)
    jsonl.write(folder, only_items(material.truth, [each.item for each in sample.items]), lot_view(stage))
    sealed = bring_in(stage, "jsonl", [folder], role="gold")
    counts = ", ".join(f"{size} {kind.value} items" for kind, size in sample.counts.items())
    emit_text(f"{stage.lot_name}: sample {sample.number} and gold {sealed.number}: {counts}")
    return stage


def _judge(stage: Stage, name: str, expected: Outcome) -> str:
    verdict, page = run_accept(stage, None, None, notice=_NOTICE)
    emit_text("\n".join(describe_verdict(verdict)))
    if verdict.verdict is not expected:
        raise GoldgateError(
            f"the demo expected {expected.value} for the {name} vendor but the verdict is {verdict.verdict.value}"
        )
    return shown(page)
