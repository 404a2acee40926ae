"""`goldgate bias`: what became of the drafts, for people and for scripts."""

from contract.quality import Bias, BiasOfDrafts, Portion, SeedsCaught
from contract.scores import Interval, Score
from contract.tables import KIND_OF_TASK, Task
from contract.workfolder import numbers
from goldgate.console import EXIT_DONE, emit_json, emit_text
from goldgate.draft_bias import Choice, bias_in_lot
from goldgate.judging import score_task
from goldgate.stages import Stage
from prelabel.handoff import Sealed, read_sealed
from prelabel.plan import count_by_kind
from prelabel.run import read_intake_receipt, read_manifest
from qa.report.figures import share


def tell_bias(stage: Stage, submission: int | None, gold: int | None, choice: Choice, *, as_json: bool) -> int:
    """Print what became of the drafts of a lot in a submission."""
    handed_in = read_sealed(stage.lot, "submission", submission)
    truth = read_sealed(stage.lot, "gold", gold) if gold is not None or numbers(stage.lot.gold) else None
    found = bias_in_lot(stage, handed_in, truth, _scores(stage, handed_in, truth), choice=choice)
    if as_json:
        emit_json(found.model_dump(mode="json"))
    else:
        emit_text("\n".join(describe_bias(found)))
    return EXIT_DONE


def _scores(stage: Stage, handed_in: Sealed, truth: Sealed | None) -> dict[Task, Score]:
    if truth is None:
        return {}
    counts = count_by_kind(read_manifest(stage.lot, read_intake_receipt(stage.lot)))
    tasks = [task for task in sorted(truth.labels.tables) if counts.get(KIND_OF_TASK[task])]
    return {task: score_task(task, handed_in.labels, truth.labels, terms=stage.terms) for task in tasks}


def describe_bias(found: BiasOfDrafts) -> list[str]:
    """Return what was found as lines for people."""
    planted = f", with the wrong drafts of seeds {found.planted}" if found.planted is not None else ""
    against = f"gold {found.gold}, {found.blind_items} items of it blind" if found.gold is not None else "no gold"
    lines = [f"drafts of run {found.run}{planted}; submission {found.submission}; {against}"]
    for task in found.tasks:
        lines += _task(task)
    return lines + [_seeds(each) for each in found.seeds]


def _task(of: Bias) -> list[str]:
    lines = [
        f"  {of.task.value}: {of.untouched} of {of.drafts} drafts untouched, {_limits(of.untouched_share)}; "
        f"{of.unchanged_items} of {of.items} items came back as they went out"
    ]
    if of.accuracy_untouched is not None and of.accuracy_edited is not None:
        lines.append(
            f"    right by the gold: untouched {_portion(of.accuracy_untouched)}; edited {_portion(of.accuracy_edited)}"
        )
    if of.against_blind is not None and of.against_corrected is not None:
        blind, corrected = _limits(of.against_blind), _limits(of.against_corrected)
        lines.append(f"    against blind gold {blind}; against corrected gold {corrected}")
        warning = ": the gold follows the drafts" if of.anchored else ""
        lines.append(f"    difference {share(of.difference)}, at least {share(of.difference_lower)}{warning}")
    return lines + [f"    {name}: undefined ({why})" for name, why in of.reasons.items()]


def _limits(interval: Interval) -> str:
    return f"{share(interval.estimate)} [{share(interval.lower)}, {share(interval.upper)}]"


def _portion(of: Portion) -> str:
    return f"{of.right} of {of.labels}, {_limits(of.accuracy)}"


def _seeds(of: SeedsCaught) -> str:
    kind = of.kind.replace("_", " ")
    return f"  wrong drafts of {of.task.value}, {kind}: {of.caught} of {of.seeded} corrected, {_limits(of.share)}"
