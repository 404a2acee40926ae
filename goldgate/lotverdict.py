"""What the life of a lot adds to its verdict: the sample that counts, the gold it lacks, the rework and the dispute."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from contract.errors import StageError
from contract.files import read_json, sha256_file
from contract.inspection import Severity
from contract.labelchanges import changed_items
from contract.labelset import LabelSet
from contract.life.events import Judged, Resolved, Sealed
from contract.life.files import History
from contract.life.rules import blocked, refusal
from contract.life.state import UNDER_JUDGEMENT, Standing, rules_of
from contract.sample import Sample
from contract.scores import Score
from contract.tables import Kind, State, Task
from contract.verdict import Pins, Verdict
from goldgate import lotlife
from goldgate.sampling_lot import read_sample
from goldgate.stages import Stage
from prelabel.handoff import Sealed as SealedLabels
from prelabel.handoff import read_sealed
from qa.rework import rework_rates, wrong_items
from qa.words import lifewords
from qa.words.sentences import Sentence

_SPEAKS = (State.LABELLED.value, State.EMPTY.value, State.EXCUSED.value)
Scorer = Callable[[LabelSet, LabelSet], Mapping[Task, Score]]


@dataclass(frozen=True)
class Inquiry:
    """What a verdict is reached on: the gold of the sample, and the sample where one was drawn.

    The tables of `gold` are whole, so that row numbers are those of the sealed files; its states are the sample's alone.
    """

    submission: SealedLabels
    sealed_gold: SealedLabels
    gold: LabelSet
    sample: Sample | None
    history: History
    moves: bool
    missing: Mapping[Kind, Sequence[str]]
    outside: int

    @property
    def draw_is_due(self) -> bool:
        """Whether both parties have committed themselves to a draw that did not take place."""
        return self.moves and self.sample is None and len(self.history.life.bound) == 2

    def severity(self, stage: Stage) -> Severity | None:
        """Return how strictly the submission is judged: tightened in a round of rework, where the terms say so."""
        rounds = [
            event.round
            for event, _ in self.history.events
            if isinstance(event, Sealed) and event.submission == self.submission.number
        ]
        return lotlife.severity_of(stage, max(rounds, default=0))

    def pins(self, pins: Pins, stage: Stage) -> Pins:
        """Return `pins` with the sample."""
        if self.sample is None:
            return pins
        path = stage.lot.samples / f"{self.sample.number}.json"
        return pins.model_copy(update={"sample": self.sample.number, "sample_sha256": sha256_file(path)})


def inquire(stage: Stage, submission: SealedLabels, gold: SealedLabels, *, ruling: bool = False) -> Inquiry:
    """Return what `submission` is judged on, if it may be; `ruling` says that an arbiter has ruled on a dispute.

    Raises:
        StageError: the lot's state allows no verdict, or submission or gold are not on record.
    """
    history, rules = lotlife.history_of(stage), rules_of(stage.terms)
    life = history.life
    why = blocked("resolved" if ruling else "judged", life, rules)
    for name, number, known in (("submission", submission.number, life.submissions), ("gold", gold.number, life.golds)):
        if why is None and number not in known:
            why = f"{name} {number} was not sealed on record; import it again"
    if why:
        raise StageError(refusal(stage.lot_name, life, rules, why))
    drawn = lotlife.sample_of(history, submission.number)
    sample = None if drawn is None else read_sample(stage, history, drawn)
    moves = ruling or (submission.number == life.submission and life.phase in UNDER_JUDGEMENT)
    if sample is None:
        return Inquiry(submission, gold, gold.labels, None, history, moves, {}, 0)
    states = gold.labels.states
    mine = pc.is_in(states["item"], value_set=pa.array([each.item for each in sample.items], pa.string()))
    restricted = LabelSet(states.filter(mine), gold.labels.tables)
    spoken = {row["item"] for row in restricted.states.to_pylist() if row["state"] in _SPEAKS}
    missing = {kind: [item for item in sample.of(kind) if item not in spoken] for kind in sample.counts}
    left = {kind: items for kind, items in missing.items() if items}
    return Inquiry(submission, gold, restricted, sample, history, moves, left, states.num_rows - restricted.states.num_rows)


def with_life(
    verdict: Verdict, inquiry: Inquiry, stage: Stage, *, score: Scorer, remarks: Sequence[Sentence] = ()
) -> Verdict:
    """Return `verdict` with what the life of the lot says of it.

    Args:
        verdict: by the figures alone.
        inquiry: what it was reached on.
        stage: the lot.
        score: scores a submission against gold.
        remarks: more to say.
    """
    told = list(remarks)
    sample = inquiry.sample
    if sample is not None:
        told.append(lifewords.sampled_on_record(sample.number, items=len(sample.items), outside=inquiry.outside))
    elif stage.terms.acceptance.sampling.draw != "full":
        told.append(lifewords.not_drawn())
    if not inquiry.moves:
        standing = inquiry.history.life.standing
        told.append(lifewords.on_record_only(standing.number if standing else None))
    told += _of_rework(inquiry, stage, score)
    counts = sample.counts if sample else {}
    missing = [lifewords.missing_gold(kind, sampled=counts[kind], missing=items) for kind, items in inquiry.missing.items()]
    if inquiry.draw_is_due:
        kinds = set(lotlife.items_of(stage)["kind"].to_pylist())
        missing += [lifewords.undrawn(kind) for kind in Kind if kind.value in kinds]
    return lifewords.amended(verdict, told, missing=missing)


def _of_rework(inquiry: Inquiry, stage: Stage, score: Scorer) -> list[Sentence]:
    """Return what round k mended, from both golds: that of the verdict that rejected the lot, and the present one."""
    life = inquiry.history.life
    rejection = _rejection(inquiry)
    if rejection is None:
        return []
    before = read_sealed(stage.lot, "submission", rejection.submission)
    old_gold = read_sealed(stage.lot, "gold", rejection.gold).labels
    states = old_gold.states
    if rejection.sample is not None:
        drawn = read_sample(stage, inquiry.history, rejection.sample)
        names = pa.array([each.item for each in drawn.items], pa.string())
        states = states.filter(pc.is_in(states["item"], value_set=names))
    golds = (LabelSet(states, old_gold.tables), inquiry.gold)
    rates = rework_rates(
        lotlife.items_of(stage)["item"].to_pylist(),
        states["item"].to_pylist(),
        changed=changed_items(before.labels, inquiry.submission.labels),
        wrong_before=set().union(*(wrong_items(score(before.labels, gold)) for gold in golds)),
        wrong_now=set().union(*(wrong_items(score(inquiry.submission.labels, gold)) for gold in golds)),
    )
    return lifewords.reworked(life.round, rates, rounds=stage.terms.acceptance.rework.max_rounds)


def _rejection(inquiry: Inquiry) -> Standing | None:
    """Return the verdict that the present round of rework answers, if the submission is of such a round."""
    life = inquiry.history.life
    if life.round == 0 or inquiry.submission.number != life.submission:
        return None
    earlier = [standing for standing in life.judged if standing.submission != life.submission]
    return earlier[-1] if earlier else None


def record_verdict(stage: Stage, number: int, verdict: Verdict) -> None:
    """Write down a verdict that was kept as file `number`."""
    details = {
        "verdict": number,
        "submission": verdict.pins.submission,
        "gold": verdict.pins.gold,
        "sample": verdict.pins.sample,
        "outcome": verdict.verdict.value,
        "verdict_sha256": sha256_file(verdict_path(stage, number)),
    }
    lotlife.record(stage, "judged", "client", details)


def verdict_path(stage: Stage, number: int) -> Path:
    """Return where verdict `number` lies."""
    return stage.lot.verdicts / f"{number}.json"


def read_verdict(stage: Stage, history: History, number: int) -> Verdict:
    """Return verdict `number` if its file is the one that was written.

    Raises:
        StageError: it is not on record, or was changed.
    """
    digests: dict[int, str] = {}
    for event, _ in history.events:
        if isinstance(event, Judged):
            digests[event.verdict] = event.verdict_sha256
        elif isinstance(event, Resolved) and event.new_verdict is not None:
            digests[event.new_verdict] = event.verdict_sha256
    path = verdict_path(stage, number)
    if number not in digests:
        raise StageError(f"lot {stage.lot_name!r} has no verdict {number} on record; reach one by 'goldgate accept'")
    if not path.exists() or sha256_file(path) != digests[number]:
        raise StageError(f"{path}: missing or changed since it was written; put back the file as it was written")
    try:
        return Verdict.model_validate(read_json(path))
    except ValidationError as error:
        raise StageError(f"{path}: not a verdict; put back the file as it was written") from error
