"""`goldgate export` and `goldgate import`: drafts out to review, corrected work back in."""

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

import pyarrow as pa
import pyarrow.compute as pc

from contract.errors import FormatError, InputError, LabelsError
from contract.files import sha256_file, storage_errors
from contract.formats.lotview import LotView
from contract.formats.registry import Exchange, exchange
from contract.labelchanges import only_items, replace_items, without_items
from contract.labelset import LabelSet, merge
from contract.receipts import RunDocument
from contract.tables import KIND_OF_TASK, STATES, Kind, State, Task
from contract.validate import validate_labels
from goldgate import auditing, lotlife
from goldgate.console import EXIT_DONE, emit_json, emit_text
from goldgate.lotduplicates import require_duplicates, with_copies
from goldgate.reviewqueue import Order, Queue, queue_in_lot
from goldgate.sampling_lot import read_sample
from goldgate.seeds import read_planted
from goldgate.stages import Stage, shown
from prelabel.handoff import Role, Sealed, read_drafts, read_sealed, seal
from prelabel.run import read_intake_receipt, read_manifest, read_texts


def lot_view(stage: Stage, *, model_version: str | None = None) -> LotView:
    """Return the lot as exchange formats see it."""
    items = read_manifest(stage.lot, read_intake_receipt(stage.lot))
    return LotView(items, stage.terms.guideline, read_texts(stage.lot), model_version)


_MOST_PATHS: Final = 12  # that are named one by one
_NOTHING: Final[tuple[LabelSet, str | None]] = (LabelSet(STATES.empty_table()), None)


@dataclass(frozen=True)
class Portion:
    """Sample `number`, as the gold's makers see it: the items that are to be made blind without labels, or those alone."""

    number: int
    blind_only: bool


def portion_of(sample: int | None, *, blind: bool) -> Portion | None:
    """Return what --sample and --blind ask for.

    Raises:
        InputError: --blind without --sample.
    """
    if blind and sample is None:
        raise InputError("--blind goes with --sample N, whose items say which of them are blind")
    return None if sample is None else Portion(sample, blind)


def _portion(stage: Stage, labels: LabelSet, portion: Portion) -> LabelSet:
    sample = read_sample(stage, lotlife.history_of(stage), portion.number)
    blind = {each.item for each in sample.items if each.blind}
    shown = set() if portion.blind_only else {each.item for each in sample.items} - blind
    unlabelled = [
        {"item": each.item, "kind": each.kind.value, "state": State.MISSING.value} for each in sample.items if each.blind
    ]
    part = only_items(labels, shown)
    tables = {task: part.table(task) for task in Task if KIND_OF_TASK[task] in sample.counts}
    return LabelSet(pa.concat_tables([part.states, pa.Table.from_pylist(unlabelled, schema=STATES)]), tables)


@dataclass(frozen=True)
class Asked:
    """What people are to see: which labels, a sample of them or all in the order of a review queue."""

    from_: str
    portion: Portion | None = None
    order: Order | None = None
    skip_duplicates: bool = False


@dataclass(frozen=True)
class Outgoing:
    """Labels on their way out, the lot as formats see it, the queue that they are in, and duplicates left out, by kind."""

    labels: LabelSet
    view: LotView
    queue: Queue | None = None
    skipped: Mapping[str, int] | None = None

    def sentences(self) -> list[str]:
        """Return what there is to say of duplicates and the queue."""
        lines = []
        if self.skipped is not None:
            counts = ", ".join(f"{count} {kind}" for kind, count in self.skipped.items()) or "no"
            lines.append(f"left out: {counts} items that nearly equal others; they stay in the lot, as drafts")
        return lines if self.queue is None else [*lines, self.queue.sentences()]


def outgoing(stage: Stage, asked: Asked) -> Outgoing:
    """Return what `asked` asks for.

    Raises:
        InputError: it names no labels, or an order of what are no drafts or of a sample.
    """
    if asked.skip_duplicates and asked.portion is not None:
        raise InputError("--skip-duplicates goes with the whole lot: a sample's items are all to be labelled")
    order = asked.order if asked.order and asked.order.mix.weights else None
    run = None if order is None else _run_to_order(stage, asked)
    labels, version = labels_to_show(stage, asked.from_, asked.portion)
    view = lot_view(stage, model_version=version)
    labels, skipped = _without_duplicates(stage, labels, asked)
    if order is None:
        return Outgoing(labels, view, skipped=skipped)
    queue = queue_in_lot(stage, order, run=run).among(labels)
    view = replace(view, ranks=queue.ranks, by_sample=queue.by_sample)
    return Outgoing(queue.sorted(labels), view, queue, skipped)


def _without_duplicates(stage: Stage, labels: LabelSet, asked: Asked) -> tuple[LabelSet, dict[str, int] | None]:
    """Return the labels of all but near-duplicates whose representative is among them, and kind -> how many those were."""
    if not asked.skip_duplicates:
        return labels, None
    named = set(labels.states["item"].to_pylist())
    leaders = require_duplicates(stage).representatives
    left = {item for item, leader in leaders.items() if item in named and leader in named}
    counts = Counter(row["kind"] for row in labels.states.to_pylist() if row["item"] in left)
    return without_items(labels, left), dict(sorted(counts.items()))


def _run_to_order(stage: Stage, asked: Asked) -> str | None:
    word, _, which = asked.from_.partition(":")
    if word not in ("drafts", "seeds"):
        raise InputError(
            f"--order goes with drafts, not with --from {asked.from_}: a queue is of what a model was unsure of"
        )
    if asked.portion is not None:
        raise InputError("--order goes with the whole lot: the order of a sample would tell its items' drafts")
    return read_planted(stage, int(which)).document.run if word == "seeds" and which.isdigit() else which or None


def export_labels(stage: Stage, format_name: str, out: Path, asked: Asked, *, as_json: bool) -> int:
    """Write labels of the lot, or of a sample of it, into `out` and print where."""
    chosen = exchange(format_name)
    if chosen.many and out.is_dir() and any(out.iterdir()):
        raise FormatError(f"{out}: holds files already, and label files among them would count; name an empty folder")
    going = outgoing(stage, asked)
    labels, left = _carried(going.labels, chosen)
    paths = written_whole(lambda folder: chosen.write(folder, labels, going.view), out)
    counts = {task.value: table.num_rows for task, table in sorted(labels.tables.items())}
    # A format with a file an item would be read through once more for its digests.
    digests = {path.name: sha256_file(path) for path in paths} if len(paths) <= _MOST_PATHS else {}
    auditing.of_lot(stage.lot, "export", f"{asked.from_} as {format_name}", digests=digests, counts=counts)
    if as_json:
        document = {
            "format": format_name,
            "from": asked.from_,
            "items": labels.states.num_rows,
            "labels": counts,
            "left_out": left,
        }
        more: dict[str, Any] = {} if going.queue is None else {"queue": going.queue.document()}
        more |= {} if going.skipped is None else {"duplicates_left_out": going.skipped}
        emit_json({**document, **more, "files": [str(path) for path in paths]})
    else:
        written = ", ".join(f"{count} {name}" for name, count in counts.items())
        places = [shown(path) for path in paths] if len(paths) <= _MOST_PATHS else [f"{len(paths)} files below {shown(out)}"]
        emit_text(f"{labels.states.num_rows} items ({written}) in {', '.join(places)}")
        if left:
            items = ", ".join(f"{count} {kind}" for kind, count in left.items())
            emit_text(f"left out: {items} items, for which {format_name} has no place")
        for sentence in going.sentences():
            emit_text(sentence)
    return EXIT_DONE


def labels_to_show(stage: Stage, from_: str, portion: Portion | None) -> tuple[LabelSet, str | None]:
    """Return the labels that --from names, of the whole lot or of a portion, and which models made them.

    Raises:
        InputError: `from_` names none, or they are not there.
    """
    # Whoever makes blind gold is shown no draft, so that there need be none.
    labels, version = _NOTHING if portion and portion.blind_only else _labels_of(stage, from_)
    return (labels if portion is None else _portion(stage, labels, portion)), version


def _carried(labels: LabelSet, form: Exchange) -> tuple[LabelSet, dict[str, int]]:
    """Return what `form` has a place for, and kind -> items of what it has not."""
    kinds = labels.states["kind"].to_pylist()
    left = dict(sorted(Counter(kind for kind in kinds if Kind(kind) not in form.kinds).items()))
    if not left:
        return labels, left
    if len(left) == len(set(kinds)):
        raise FormatError(f"format {form.name!r} has no place for {' or '.join(left)} items, and there are no others")
    states = labels.states.filter(pc.is_in(labels.states["kind"], pa.array([kind.value for kind in form.kinds])))
    tables = {task: table for task, table in labels.tables.items() if KIND_OF_TASK[task] in form.kinds}
    return LabelSet(states, tables), left


def written_whole(write: Callable[[Path], list[Path]], out: Path) -> list[Path]:
    """Let `write` fill a folder beside `out` first, so that a full disk leaves nothing half-written in it.

    Returns:
        The paths that `write` returned, as they are below `out`.
    """
    if out.exists() and not out.is_dir():
        raise FormatError(f"{out}: is a file; name a folder to write into")
    with storage_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".goldgate-") as folder:
            moved = []
            for path in write(Path(folder)):
                target = out / path.relative_to(folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                moved.append(path.replace(target))
    return moved


def _labels_of(stage: Stage, from_: str) -> tuple[LabelSet, str | None]:
    word, _, which = from_.partition(":")
    if word == "drafts":
        document, labels = read_drafts(stage.lot, which or None)
        return labels, _version(document)
    if word == "seeds" and which.isdigit():
        planted = read_planted(stage, int(which))
        return planted.drafts, _version(planted.document)
    if word not in ("submission", "gold") or (which and not which.isdigit()):
        raise InputError(f"--from {from_!r}: write drafts[:RUN], submission[:N] or gold[:V]")
    return read_sealed(stage.lot, cast(Role, word), int(which) if which else None).labels, None


def _version(document: RunDocument) -> str:
    return " ".join(description.source for _, description in sorted(document.descriptions.items()))


@dataclass(frozen=True)
class Base:
    """The earlier submission or gold whose labels an import takes along; with `replace` the file's items oust theirs."""

    number: int
    replace: bool


def base_of(add_to: int | None, replace: int | None) -> Base | None:
    """Return what --add-to and --replace ask for.

    Raises:
        InputError: both were given.
    """
    if add_to is not None and replace is not None:
        raise InputError("give --add-to or --replace, not both")
    number = replace if add_to is None else add_to
    return None if number is None else Base(number, replace is not None)


@dataclass(frozen=True)
class Manner:
    """As what labels come in, on top of which earlier ones, and whether near-duplicates get a representative's labels."""

    role: str
    base: Base | None = None
    copy_duplicates: bool = False


def import_labels(stage: Stage, format_name: str, paths: Sequence[Path], manner: Manner, *, as_json: bool) -> int:
    """Bring `paths` into the lot as the next submission or gold and print its number."""
    role = manner.role
    if role not in ("submission", "gold"):
        raise InputError(f"--as {role!r}: write submission or gold")
    if manner.copy_duplicates and role == "gold":
        raise InputError("--copy-duplicates goes with a submission: gold is what somebody has looked at")
    copied: dict[str, int] = {}
    sealed = bring_in(
        stage,
        format_name,
        paths,
        role=cast(Role, role),
        base=manner.base,
        copied=copied if manner.copy_duplicates else None,
    )
    receipt = sealed.receipt
    if as_json:
        more = {"copied_to_duplicates": copied} if manner.copy_duplicates else {}
        emit_json({**receipt.model_dump(mode="json"), **more})
    else:
        counts = ", ".join(f"{count} {name}" for name, count in receipt.labels.items())
        emit_text(f"{role} {sealed.number}: {receipt.items} items, {counts}; sealed as {receipt.labels_sha256[:12]}")
        if manner.copy_duplicates:
            counts = ", ".join(f"{count} {kind}" for kind, count in copied.items()) or "no"
            emit_text(f"  of them {counts} near-duplicates, which got their representatives' labels")
    return EXIT_DONE


def bring_in(
    stage: Stage,
    format_name: str,
    paths: Sequence[Path],
    *,
    role: Role,
    base: Base | None = None,
    copied: dict[str, int] | None = None,
) -> Sealed:
    """Read `paths` in `format_name` and seal them together as the next submission or gold of the lot.

    Review tools keep one project for each kind of item, so that one submission may come in several files; `base` takes
    along all labels of an earlier submission or gold, whose own number stays as it is. Each step goes into the lot's life:
    a submission that fails the automatic checks is returned, which uses no round of rework. Where `copied` is given,
    near-duplicates that the file does not speak of get their representatives' labels and are counted there by kind.

    Raises:
        LabelsError, FormatError: the labels do not fit; nothing is sealed.
        StageError: the lot's state allows no such step; nothing is sealed.
    """
    chosen, view = exchange(format_name), lot_view(stage)
    earlier = None if base is None else read_sealed(stage.lot, role, base.number).labels
    for path in paths:
        if not path.exists():
            raise FormatError(f"{path}: no such file or folder")
    error = lotlife.refused(stage, "sealed" if role == "submission" else "gold")
    try:
        new = merge([chosen.read(path, view) for path in paths])
        if copied is not None:
            new, counts = with_copies(stage, new)
            copied |= counts
        labels = new if earlier is None else _joined(earlier, new, replace=base is not None and base.replace)
        if error is not None:
            # What is wrong with the labels comes first: it holds whatever the state of the lot.
            validate_labels(labels, items=view.items, guideline=stage.terms.guideline, origin=", ".join(map(str, paths)))
            raise error
        sealed = seal(stage.lot, labels, terms=stage.terms, role=role, origins=paths, format_name=format_name)
    except (LabelsError, FormatError) as problem:
        if role == "submission" and error is None:
            lotlife.record(stage, "returned", "goldgate", {"reason": str(problem)})
        raise
    (lotlife.record_submission if role == "submission" else lotlife.record_gold)(stage, sealed)
    return sealed


def _joined(earlier: LabelSet, new: LabelSet, *, replace: bool) -> LabelSet:
    return replace_items(earlier, new) if replace else merge([earlier, new])
