"""The statistics of a delivery, put together from verdicts, reports and manifests."""

import datetime
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import pyarrow as pa

from contract.files import read_json, read_parquet
from contract.labelset import LabelSet
from contract.life.state import Standing
from contract.statistics import LotStatistics, Statistics, Volume
from contract.tables import Kind, State
from contract.terms import Terms
from contract.verdict import Verdict
from contract.workfolder import lot_folder, lot_names
from goldgate.delivery_files import drafting
from goldgate.stages import Stage
from prelabel.run import read_intake_receipt, read_manifest
from qa.statistics import count_classes, count_items, count_labels, count_sources
from qa.verifier.report import scores_in

_DONE: Final = (State.LABELLED.value, State.EMPTY.value)
_EXCUSED: Final = (State.EXCUSED.value,)
_HOUR_S: Final = 3600


def lot_statistics(
    stage: Stage, standing: Standing, verdict: Verdict, labels: LabelSet, *, models: Sequence[str], report: Path
) -> LotStatistics:
    """Return the statistics of one lot.

    Args:
        stage: the lot.
        standing: the verdict's place in its life.
        verdict: it.
        labels: as they are delivered.
        models: the sources that are models.
        report: the folder of the verdict's report.
    """
    scores = scores_in(read_json(report / "score.json"))
    evidence = {path.name: read_parquet(path) for path in sorted(report.glob("*.parquet"))}
    counted = count_labels(labels)
    return LotStatistics(
        lot=stage.lot_name,
        submission=standing.submission,
        gold=standing.gold,
        verdict=standing.number,
        verdict_sha256=standing.sha256,
        outcome=verdict.verdict,
        rule=verdict.rule,
        judged=standing.time,
        criteria=verdict.criteria,
        items=count_items(labels),
        labels=counted,
        video_hours=_video_hours(read_manifest(stage.lot, read_intake_receipt(stage.lot)), labels),
        classes=tuple(count_classes(counted, scores)),
        defects=scores.get("boxes", {}).get("defects", {}),
        sources=tuple(count_sources(labels, evidence, models=models)),
        models={kind.value: source for kind, source in drafting(stage)},
        rejected=dict(sorted(read_intake_receipt(stage.lot).rejects_by_reason.items())),
    )


def statistics_of(
    terms: Terms, work: Path, lots: Sequence[LotStatistics], *, number: int, created: datetime.datetime
) -> Statistics:
    """Return the statistics of the delivery."""
    return Statistics(
        contract=terms.contract,
        title=terms.title,
        client=terms.parties.client.name,
        vendor=terms.parties.vendor.name,
        purpose=terms.purpose,
        package=number,
        created=created,
        terms_sha256=terms.sha256,
        guideline_version=terms.guideline.version,
        guideline_sha256=terms.guideline.sha256,
        volumes=tuple(_volumes(terms, work, lots)),
        lots=tuple(lots),
    )


def _volumes(terms: Terms, work: Path, lots: Sequence[LotStatistics]) -> list[Volume]:
    """Return ordered, received and delivered by kind; videos in hours."""
    ordered = {Kind.IMAGE: terms.volumes.images, Kind.TEXT: terms.volumes.texts, Kind.VIDEO: terms.volumes.video_hours}
    receipts = [read_intake_receipt(lot_folder(work, terms.contract, name)) for name in lot_names(work, terms.contract)]
    found = []
    for kind in Kind:
        if kind is Kind.VIDEO:
            received = sum(receipt.video_seconds for receipt in receipts) / _HOUR_S
            by_state = [lot.video_hours for lot in lots]
        else:
            received = sum(receipt.items_by_kind.get(kind, 0) for receipt in receipts)
            by_state = [lot.items.get(kind.value, {}) for lot in lots]
        done, excused = (sum(of.get(state, 0) for of in by_state for state in states) for states in (_DONE, _EXCUSED))
        if ordered[kind] or received:
            unit: Literal["items", "hours"] = "hours" if kind is Kind.VIDEO else "items"
            volume = Volume(kind=kind, unit=unit, ordered=ordered[kind], received=received, delivered=done, excused=excused)
            found.append(volume)
    return found


def _video_hours(items: pa.Table, labels: LabelSet) -> dict[str, float]:
    """Return state -> hours of the videos in it."""
    durations = dict(zip(items["item"].to_pylist(), items["duration_s"].to_pylist(), strict=True))
    found: Counter[str] = Counter()
    for row in labels.states.to_pylist():
        if row["kind"] == Kind.VIDEO.value:
            found[row["state"]] += durations[row["item"]] or 0
    return {state: seconds / _HOUR_S for state, seconds in sorted(found.items())}
