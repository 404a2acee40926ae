"""`goldgate prelabel`: the job, wired to where its models run."""

from collections.abc import Sequence

from goldgate import auditing
from goldgate.console import EXIT_DONE, emit_json, emit_text, progress_of_job
from goldgate.stages import Stage, shown
from goldgate.wiring import Where, named_models, wire
from prelabel.plan import count_by_kind
from prelabel.run import Job, JobSummary, read_intake_receipt, read_manifest, run_job


def prelabel_lot(stage: Stage, options: Sequence[str], where: Where, *, as_json: bool) -> int:
    """Label the lot and print what came of it."""
    emit_summary(run_prelabel(stage, options, where), as_json=as_json)
    return EXIT_DONE


def run_prelabel(stage: Stage, options: Sequence[str], where: Where) -> JobSummary:
    """Label the lot with the models that options, terms and models file name."""
    counts = count_by_kind(read_manifest(stage.lot, read_intake_receipt(stage.lot)))
    names = named_models(stage.terms, options, counts, models_file=where.models_file)
    due = stage.terms.deadline.due_date()
    with wire(stage.terms, names, where) as wired:
        job = Job(stage.lot, stage.terms, wired.predictors, calls_in_flight=wired.calls_in_flight, guard=wired.guard)
        with progress_of_job(f"prelabel {stage.lot_name}", due) as on_progress:
            summary = run_job(job, on_progress)
    auditing.drafts(stage.lot, summary.folder, items=summary.items, rejected=summary.rejected)
    return summary


def emit_summary(summary: JobSummary, *, as_json: bool) -> None:
    """Print a job's summary: for scripts, or for people."""
    here = summary.items - summary.resumed
    rate = here / summary.seconds if summary.seconds else 0.0
    if as_json:
        emit_json(
            {
                "run": summary.run,
                "items": summary.items,
                "labelled": summary.labelled + summary.empty,
                "empty": summary.empty,
                "rejected": summary.rejected,
                "resumed": summary.resumed,
                "seconds": round(summary.seconds, 3),
                "items_per_s": round(rate, 3),
                "drafts": str(summary.folder),
            }
        )
        return
    resumed = f" ({summary.resumed} stood from an earlier call)" if summary.resumed else ""
    counts = f"{summary.labelled} labelled + {summary.empty} empty + {summary.rejected} rejected"
    emit_text(
        f"run {summary.run}: {summary.items} items = {counts}{resumed}, {summary.seconds:.1f} s, {rate:.1f} items/s; "
        f"drafts in {shown(summary.folder)}"
    )
