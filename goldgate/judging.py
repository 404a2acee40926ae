"""`goldgate score` and `goldgate accept`: figures, verdict, evidence and report."""

import datetime
import importlib.metadata
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

import pyarrow as pa

from contract.acceptance import ImageProfile, TextProfile, VideoProfile
from contract.errors import InputError, StageError
from contract.files import read_parquet, sha256_file, write_json, write_together
from contract.formats.loose import read_pair
from contract.labelset import LabelSet
from contract.reading import profile_reading, reading
from contract.ruleterms import applied
from contract.scores import BoxScore, Coverage, Score, SentimentScore, ShotScore
from contract.tables import KIND_OF_TASK, Task
from contract.terms import Terms, load_terms
from contract.validate import validate_names
from contract.verdict import Outcome, Pins, Verdict
from contract.workfolder import next_number
from goldgate.console import EXIT_DONE, emit_json, emit_text
from goldgate.lotverdict import Inquiry, inquire, record_verdict, verdict_path, with_life
from goldgate.report_quality import quality_of
from goldgate.reporting import REPORT_PAGE, report_files
from goldgate.stages import Stage, shown
from prelabel.handoff import Sealed, read_sealed, unlabelled_items
from prelabel.plan import count_by_kind
from prelabel.run import read_intake_receipt, read_manifest, read_texts
from qa import defaults
from qa.accept import judge
from qa.pairing.iou import Device
from qa.report.figures import plain, share
from qa.report.page import ReportInput
from qa.score import score_boxes, score_events, score_keyframes, score_sentiments, score_shots
from qa.words.sentences import Sentence
from qa.words.wording import Words

EXIT_OF: Final = {Outcome.ACCEPT: EXIT_DONE, Outcome.REJECT: 3, Outcome.EXTEND: 4}
_SOFTWARE: Final = ("goldgate", "numpy", "scipy", "pyarrow")


def score_task(
    task: Task,
    labels: LabelSet,
    gold: LabelSet,
    *,
    terms: Terms | None,
    lot_items: int | None = None,
    device: Device = "cpu",
) -> Score:
    """Score one task by the terms' profile, or by the default reading where there are no terms.

    Raises:
        StageError: the terms have no profile for this kind.
    """
    if task is Task.BOXES:
        image = defaults.IMAGE if terms is None else terms.acceptance.image
        return score_boxes(labels, gold, _present(image, task), device=device, lot_items=lot_items)
    if task is Task.SENTIMENTS:
        text = defaults.TEXT if terms is None else terms.acceptance.text
        order = () if terms is None else terms.guideline.sentiment_names
        return score_sentiments(labels, gold, _present(text, task), label_order=order, lot_items=lot_items)
    video = _present(defaults.VIDEO if terms is None else terms.acceptance.video, task)
    return _score_video(task, labels, gold, video, lot_items=lot_items)


def _score_video(
    task: Task, labels: LabelSet, gold: LabelSet, profile: VideoProfile, *, lot_items: int | None = None
) -> Score:
    scorer = {Task.SHOTS: score_shots, Task.KEYFRAMES: score_keyframes, Task.EVENTS: score_events}[task]
    return cast(Score, scorer(labels, gold, profile, lot_items=lot_items))


def _present(profile: Any, task: Task) -> Any:
    if profile is None:
        raise StageError(
            f"the terms have no acceptance profile for {KIND_OF_TASK[task].value} items, so {task.value} have no reading"
        )
    return profile


def score_files(
    task: Task,
    labels: Path,
    gold: Path,
    *,
    contract: Path | VideoProfile | None,
    out: Path | None,
    device: str = "cpu",
) -> Score:
    """Score two files; with `out`, write score, evidence and report there.

    Labels of videos may be scored by a profile alone, and anything by the default reading, where there is no contract.
    """
    terms = load_terms(contract) if isinstance(contract, Path) else None
    profile = contract if isinstance(contract, VideoProfile) else None
    ours, theirs = read_pair(labels, gold, task)
    if terms is not None:
        validate_names(ours, guideline=terms.guideline, origin=str(labels))
        validate_names(theirs, guideline=terms.guideline, origin=str(gold))
    if profile is not None:
        score = _score_video(task, ours, theirs, profile)
    else:
        score = score_task(task, ours, theirs, terms=terms, device=cast(Device, device))
    if out is not None:
        report = ReportInput(
            created=_now(),
            software=_software(),
            scores={task: score},
            labels=ours,
            gold=theirs,
            terms=terms,
            reading=_reading(terms) or _profile_reading(profile or defaults.OF_KIND[KIND_OF_TASK[task]]),
            sources={str(path): sha256_file(path) for path in (labels, gold) if path.is_file()},
        )
        write_together(out, report_files(score.model_dump(mode="json"), report))
    return score


def shots_profile(task: str, contract: Path | None, *, tolerance: int | None, match: str | None) -> VideoProfile | None:
    """Return the default profile with what the command line says of shots; None where it says nothing.

    Raises:
        InputError: it is not for shots, or a contract is there, which says both itself; or `match` is unknown.
    """
    given = {"shot_tolerance_frames": tolerance, "shot_match": match}
    changes = {name: value for name, value in given.items() if value is not None}
    if not changes:
        return None
    if task != Task.SHOTS.value or contract is not None:
        raise InputError("--tolerance and --shot-match are for shots without a contract, whose terms state both")
    if match not in (None, "start", "transition"):
        raise InputError(f"--shot-match {match}: neither start nor transition; give one of them")
    return defaults.VIDEO.model_copy(update=changes)


def emit_score(score: Score, out: Path | None, *, as_json: bool) -> int:
    """Print a score: for scripts, or for people."""
    if as_json:
        emit_json(score.model_dump(mode="json"))
    else:
        emit_text("\n".join(describe_score(score)) + (f"\nreport: {shown(out / REPORT_PAGE)}" if out else ""))
    return EXIT_DONE


def describe_score(score: Score) -> list[str]:
    """Return the main figures as lines for people."""
    if isinstance(score, SentimentScore):
        return [
            f"{score.task.value}: {score.correct} of {score.n} right, accuracy {share(score.accuracy)}, "
            f"lower bound {share(score.lower_bound)}, macro F1 {share(score.macro_f1)}, kappa {share(score.kappa)}",
            f"  majority: always the commonest label of the gold would score {share(score.majority_share)}{_trap(score)}",
            *_partly(score.coverage),
        ]
    rates = score.contract if isinstance(score, BoxScore) else score
    lines = [
        f"{score.task.value}: TP {rates.tp}, FP {rates.fp}, FN {rates.fn}; precision {share(rates.precision)}, "
        f"recall {share(rates.recall)}, F1 {share(rates.f1)}, lower bound {share(rates.lower_bound)}"
    ]
    if isinstance(score, BoxScore):
        lines.append("  defects: " + ", ".join(f"{count} {name}" for name, count in score.defects.model_dump().items()))
        ap = f"AP {share(score.coco.AP)}, AP50 {share(score.coco.AP50)}" if score.coco else f"none: {score.coco_reason}"
        lines.append(f"  COCO: {ap}")
    if isinstance(score, ShotScore):
        kinds = ", ".join(f"{rates.label} F1 {share(rates.f1)}" for rates in score.per_kind)
        lines.append(f"  kind named right in {share(score.kinds_right)} of those matched" + (f"; {kinds}" if kinds else ""))
        lines.append(f"  false cuts in 10 minutes: {plain(score.false_per_10_min)}")
    return lines + _partly(score.coverage)


def _partly(coverage: Coverage) -> list[str]:
    """Return what the figures do not stand on, or stand on although it was not handed in."""
    lines = []
    if coverage.without_gold:
        lines.append(f"  of what the gold covers: {coverage.items} items; {coverage.without_gold} others have no gold")
    if coverage.incomplete:
        first = ", ".join(coverage.incomplete[:3]) + (", ..." if len(coverage.incomplete) > 3 else "")
        lines.append(f"  {len(coverage.incomplete)} items of the gold were not labelled and count as wrong: {first}")
    if coverage.excused:
        lines.append(f"  {len(coverage.excused)} items are excused by the gold and not counted")
    return lines


def _trap(score: SentimentScore) -> str:
    if score.majority_trap:
        return "; BEWARE: the submission gives one label to every text, so that its accuracy says nothing of quality"
    if score.is_no_better_than_majority:
        return "; BEWARE: the submission is no better than that"
    return ""


def accept_submission(stage: Stage, submission: int | None, gold: int | None, *, device: str, as_json: bool) -> int:
    """Judge a submission, keep verdict, score and report, and print the verdict; the exit status is the outcome's."""
    verdict, report = run_accept(stage, submission, gold, device=device)
    if as_json:
        document = verdict.model_dump(mode="json")
        order = ("verdict", "reasons", "criteria", "report", "reasons_zh", "rule", "severity", "pins")
        emit_json({key: document[key] for key in order})
    else:
        emit_text("\n".join(describe_verdict(verdict)) + f"\nreport: {shown(report)}")
    return EXIT_OF[verdict.verdict]


def describe_verdict(verdict: Verdict) -> list[str]:
    """Return the verdict as lines for people."""
    pins = verdict.pins
    lines = [f"{verdict.verdict.value}: submission {pins.submission} of lot {pins.lot}, against gold {pins.gold}"]
    for each in verdict.criteria:
        estimate, lower, upper = (
            share(value, each.threshold) for value in (each.estimate, each.lower_bound, each.upper_bound)
        )
        lines.append(f"  {each.outcome.value:<7} {each.name}: {estimate} [{lower}, {upper}] against {each.threshold:g}")
    return lines + [f"  {reason}" for reason in verdict.reasons]


def run_accept(
    stage: Stage, submission: int | None, gold: int | None, *, device: str = "cpu", notice: Words | None = None
) -> tuple[Verdict, Path]:
    """Judge a submission against gold, write it down in the lot's life; return the verdict and the path of its report."""
    handed_in, truth = read_sealed(stage.lot, "submission", submission), read_sealed(stage.lot, "gold", gold)
    number, verdict = keep_verdict(stage, inquire(stage, handed_in, truth), device=device, notice=notice)
    record_verdict(stage, number, verdict)
    return verdict, stage.lot.scores / str(number) / REPORT_PAGE


def keep_verdict(
    stage: Stage, inquiry: Inquiry, *, device: str = "cpu", notice: Words | None = None, remarks: Sequence[Sentence] = ()
) -> tuple[int, Verdict]:
    """Score and judge what `inquiry` says, keep score, report and verdict, and return the verdict and its number."""
    items = read_manifest(stage.lot, read_intake_receipt(stage.lot))
    handed_in, truth = inquiry.submission, inquiry.gold
    counts, severity = count_by_kind(items), inquiry.severity(stage)
    terms = applied(stage.terms, severity)

    def score(labels: LabelSet, gold: LabelSet) -> dict[Task, Score]:
        return {
            task: score_task(
                task,
                labels,
                gold,
                terms=terms,
                lot_items=counts.get(KIND_OF_TASK[task]),
                device=cast(Device, device),
            )
            for task in sorted(gold.tables)
            if counts.get(KIND_OF_TASK[task])
        }

    scores = score(handed_in.labels, truth)
    number = next_number(stage.lot.scores)
    folder = stage.lot.scores / str(number)
    pins = inquiry.pins(_pins(stage, handed_in, inquiry.sealed_gold), stage)
    unlabelled = unlabelled_items(items, handed_in.labels, inquiry.sealed_gold.labels)
    verdict = judge(stage.terms, scores, pins=pins, lot_items=counts, unlabelled=unlabelled, severity=severity)
    verdict = with_life(verdict, inquiry, stage, score=score, remarks=remarks)
    verdict = verdict.model_copy(update={"report": str(folder / REPORT_PAGE)})
    document = {task.value: score.model_dump(mode="json") for task, score in scores.items()}
    report = ReportInput(
        created=_now(),
        software=_software(),
        scores=scores,
        labels=handed_in.labels,
        gold=truth,
        terms=stage.terms,
        verdict=verdict,
        reading=_reading(stage.terms),
        manifest=items,
        rejects=_rejects(stage),
        texts=read_texts(stage.lot),
        notice=notice,
        quality=quality_of(stage, handed_in, inquiry.sealed_gold, scores),
    )
    write_together(folder, report_files(document, report))
    write_json(verdict_path(stage, number), verdict.model_dump(mode="json"))
    return number, verdict


def _pins(stage: Stage, handed_in: Sealed, truth: Sealed) -> Pins:
    receipt = handed_in.receipt
    return Pins(
        contract=stage.terms.contract,
        lot=stage.lot_name,
        submission=handed_in.number,
        gold=truth.number,
        terms_sha256=stage.terms.sha256,
        guideline_sha256=stage.terms.guideline.sha256,
        manifest_sha256=receipt.manifest_sha256,
        submission_sha256=receipt.files,
        gold_sha256=truth.receipt.files,
    )


def _rejects(stage: Stage) -> pa.Table | None:

    return read_parquet(stage.lot.rejects) if stage.lot.rejects.exists() else None


def _reading(terms: Terms | None) -> Words | None:
    return None if terms is None else Words(zh=reading(terms, "zh"), en=reading(terms, "en"))


def _profile_reading(profile: ImageProfile | TextProfile | VideoProfile) -> Words:
    return Words(zh=profile_reading(profile, "zh"), en=profile_reading(profile, "en"))


def _software() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in _SOFTWARE}}


def _now() -> datetime.datetime:
    return datetime.datetime.now(tz=datetime.timezone.utc)
