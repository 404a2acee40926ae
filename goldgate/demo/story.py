"""The demo's story: a lot of three kinds, drafts through Ray Serve, two simulated vendors, and three verdicts."""

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from contract.errors import GoldgateError
from contract.files import write_json
from contract.formats import jsonl, labelstudio
from contract.labelset import LabelSet
from contract.tables import Kind, Task
from contract.terms import load_terms
from contract.verdict import Outcome
from goldgate.checking import describe_receipt
from goldgate.console import EXIT_DONE, emit_text, say
from goldgate.demo.material import Material, make_material
from goldgate.demo.vendors import BAD, GOOD, Vendor, simulate
from goldgate.exchange import bring_in, lot_view
from goldgate.judging import describe_score, describe_verdict, run_accept, score_task
from goldgate.prelabelling import emit_summary, run_prelabel
from goldgate.stages import Stage, open_stage, shown, sign
from goldgate.wiring import Where
from models.registry import default_models_file
from prelabel.handoff import Sealed, read_drafts
from prelabel.intake import take_in
from prelabel.run import read_intake_receipt
from qa.sampling import commitment, draw_key, draw_order
from qa.wording import Words

_LOT: Final = "lot-1"
_NONCES: Final = (b"demo client nonce", b"demo vendor nonce")
_FIRST_SAMPLE: Final = {Kind.IMAGE: 10, Kind.TEXT: 20, Kind.VIDEO: 3}
_EXTENDED_SAMPLE: Final = {Kind.IMAGE: 80, Kind.TEXT: 90, Kind.VIDEO: 16}
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
    stage = open_stage(contract, _LOT, home / "work")
    folders = [str(folder) for folder in (material.images, material.texts, material.videos)]
    receipt = take_in(folders, lot=stage.lot, terms=terms, lot_name=_LOT)
    sign(stage, contract)
    emit_text(describe_receipt(stage, receipt))
    _chapter(f"2. Drafts ({'Ray Serve' if address == 'ray' else address})")
    emit_summary(run_prelabel(stage, [], Where(address=address)), as_json=False)
    drafts = read_drafts(stage.lot)[1]
    emit_text(_quality_of_drafts(stage, drafts, material.truth))
    _chapter("3. Review: drafts to Label Studio, corrected by two simulated vendors, and back")
    submissions = {vendor.name: _hand_in(stage, home, vendor, drafts, material) for vendor in (GOOD, BAD)}
    _chapter("4. Gold: a sample that neither party could choose")
    first, extended = _draw_gold(stage, home, material)
    _chapter("5. Verdicts")
    plot: Sequence[tuple[str, Sealed, Outcome]] = (
        (GOOD.name, first, Outcome.EXTEND),
        (GOOD.name, extended, Outcome.ACCEPT),
        (BAD.name, extended, Outcome.REJECT),
    )
    pages = [_judge(stage, name, submissions[name], gold, expected) for name, gold, expected in plot]
    emit_text(f"\nThe demo took {time.monotonic() - started:.0f} s. Reports:")
    emit_text(
        "\n".join(f"  {name:<9} {expected.value:<7} {page}" for (name, _, expected), page in zip(plot, pages, strict=True))
    )
    return EXIT_DONE


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


def _draw_gold(stage: Stage, home: Path, material: Material) -> tuple[Sealed, Sealed]:
    """Seal the truth of a first, small sample and of its extension, drawn by commit and reveal."""
    manifest = read_intake_receipt(stage.lot).manifest_sha256
    emit_text(f"commitments: client {commitment(_NONCES[0])[:16]}, vendor {commitment(_NONCES[1])[:16]}")
    key = draw_key(*_NONCES, manifest_sha256=bytes.fromhex(manifest))
    drawn: list[Sealed] = []
    for sizes in (_FIRST_SAMPLE, _EXTENDED_SAMPLE):
        folder = home / "gold" / str(len(drawn) + 1)
        jsonl.write(folder, _sample(material.truth, sizes, key), lot_view(stage))
        sealed = bring_in(stage, "jsonl", [folder], role="gold")
        emit_text(f"gold {sealed.number}: " + ", ".join(f"{size} {kind.value} items" for kind, size in sizes.items()))
        drawn.append(sealed)
    return drawn[0], drawn[1]


def _sample(truth: LabelSet, sizes: Mapping[Kind, int], key: bytes) -> LabelSet:
    chosen: list[str] = []
    for kind, size in sizes.items():
        items = truth.states.filter(pc.equal(truth.states["kind"], kind.value))["item"].to_pylist()
        chosen += draw_order(items, key=key)[:size]
    wanted = pa.array(chosen)
    keep = {task: table.filter(pc.is_in(table["item"], wanted)) for task, table in truth.tables.items()}
    return LabelSet(truth.states.filter(pc.is_in(truth.states["item"], wanted)), keep)


def _judge(stage: Stage, name: str, submission: Sealed, gold: Sealed, expected: Outcome) -> str:
    verdict, page = run_accept(stage, submission.number, gold.number, notice=_NOTICE)
    emit_text("\n".join(describe_verdict(verdict)))
    if verdict.verdict is not expected:
        raise GoldgateError(
            f"the demo expected {expected.value} for the {name} vendor but the verdict is {verdict.verdict.value}"
        )
    return shown(page)
