"""`goldgate lot series`: what the switching rules of ISO 2859-1 / GB/T 2828.1 make of a contract's lots in turn."""

import datetime
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from contract.errors import InputError
from contract.life.events import Judged, Resolved, Sealed
from contract.terms import Terms, load_terms
from contract.verdict import Criterion, Outcome, Verdict
from contract.workfolder import lot_names
from goldgate import lotlife
from goldgate.console import EXIT_DONE, emit_json, emit_text
from goldgate.lotverdict import read_verdict
from goldgate.stages import Stage, open_stage
from qa.conformity import Counted
from qa.counting import result_by_plan
from qa.sampling.switching import SCORE_FOR_REDUCED, LotResult, Switching, after

_NAMES: Final = {"normal": "正常检验", "tightened": "加严检验", "reduced": "放宽检验", "discontinued": "停止检验"}


@dataclass(frozen=True)
class Step:
    """One lot of a series: how it was inspected, what came of it, and where the series then stands."""

    lot: str
    time: datetime.datetime
    inspected: str
    accepted: bool
    next_inspection: str
    score: int
    reduced_may_be_agreed: bool


def series_of(contract: Path, work: Path) -> dict[str, list[Step]]:
    """Return criterion -> its lots in the order of their verdicts, original inspections alone.

    Raises:
        InputError: the terms do not judge by AQL.
        StageError: a verdict was changed since it was written.
    """
    terms = load_terms(contract)
    if terms.acceptance.sampling.aql is None:
        raise InputError(f"{contract}: rule {terms.acceptance.rule} knows no switching rules; only rule aql does")
    stages = [open_stage(contract, name, work) for name in lot_names(work, terms.contract)]
    decided = [entry for stage in stages if (entry := _decided(stage)) is not None]
    found: dict[str, list[Step]] = {}
    states: dict[str, Switching] = {}
    for time, lot, verdict in sorted(decided, key=lambda entry: entry[:2]):
        for criterion, result in _results(verdict):
            state = after(states.get(criterion.name, _start(terms)), result)
            states[criterion.name] = state
            found.setdefault(criterion.name, []).append(
                Step(
                    lot=lot,
                    time=time,
                    inspected=verdict.severity,
                    accepted=result.accepted,
                    next_inspection=state.inspection,
                    score=state.score,
                    reduced_may_be_agreed=state.inspection == "normal" and state.score >= SCORE_FOR_REDUCED,
                )
            )
    return found


def _start(terms: Terms) -> Switching:
    aql = terms.acceptance.sampling.aql
    return Switching(aql.severity if aql else "normal")


def _decided(stage: Stage) -> tuple[datetime.datetime, str, Verdict] | None:
    """Return when the first delivery of a lot was accepted or rejected, and by which verdict, after any dispute."""
    history = lotlife.history_of(stage)
    round_, last = 0, None
    for event, _ in history.events:
        if isinstance(event, Sealed):
            round_ = event.round
        elif round_ == 0 and isinstance(event, Judged):
            last = (event.time, event.verdict, event.outcome)
        elif round_ == 0 and isinstance(event, Resolved) and event.new_verdict is not None:
            last = (event.time, event.new_verdict, event.outcome)
    if last is None or last[2] is Outcome.EXTEND:
        return None
    return last[0], stage.lot_name, read_verdict(stage, history, last[1])


def _results(verdict: Verdict) -> Iterator[tuple[Criterion, LotResult]]:
    for criterion in verdict.criteria:
        seen = criterion.counted
        if seen is not None and seen.plan is not None and criterion.outcome is not Outcome.EXTEND:
            yield criterion, result_by_plan(Counted(seen.checked, seen.nonconforming), seen.plan)


def print_series(contract: Path, work: Path, *, as_json: bool) -> int:
    """Print the series in Chinese and English, or as a document."""
    found = series_of(contract, work)
    if as_json:
        emit_json({name: [_document(step) for step in steps] for name, steps in found.items()})
    elif found:
        emit_text("\n".join([*_chinese(found), "", *_english(found)]))
    else:
        emit_text("尚无已判定的批。\nNo lot has been decided yet.")
    return EXIT_DONE


def _document(step: Step) -> dict[str, Any]:
    return asdict(step) | {"time": step.time.isoformat(timespec="seconds")}


def _english(found: dict[str, list[Step]]) -> Iterator[str]:
    for name, steps in found.items():
        last = steps[-1]
        calls = f"the next lot comes under {last.next_inspection} inspection"
        if last.next_inspection == "discontinued":
            calls = "inspection is discontinued until the vendor has improved"
        yield f"{name}: by the switching rules {calls} (switching score {last.score})."
        for step in steps:
            outcome = "accepted" if step.accepted else "rejected"
            yield f"  {step.lot}: {step.inspected} inspection, {outcome}; then {step.next_inspection}, score {step.score}"
        if last.reduced_may_be_agreed:
            yield "  Reduced inspection may be agreed on, if production is steady."


def _chinese(found: dict[str, list[Step]]) -> Iterator[str]:
    for name, steps in found.items():
        last = steps[-1]
        calls = f"下一批应采用{_NAMES[last.next_inspection]}"
        if last.next_inspection == "discontinued":
            calls = "在乙方改进之前停止检验"
        yield f"{name}: 按转移规则, {calls} (转移得分 {last.score})。"
        for step in steps:
            outcome = "接收" if step.accepted else "拒收"
            yield f"  {step.lot}: {_NAMES[step.inspected]}, {outcome}; 其后{_NAMES[step.next_inspection]}, 得分 {step.score}"
        if last.reduced_may_be_agreed:
            yield "  生产稳定时, 双方可约定采用放宽检验。"
