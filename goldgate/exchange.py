"""`goldgate export` and `goldgate import`: drafts out to review, corrected work back in."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from contract.errors import FormatError, InputError
from contract.files import storage_errors
from contract.formats.lotview import LotView
from contract.formats.registry import Exchange, exchange
from contract.labelset import LabelSet, merge
from contract.receipts import RunDocument
from goldgate.console import EXIT_DONE, emit_json, emit_text
from goldgate.stages import Stage, shown
from prelabel.handoff import Role, Sealed, read_drafts, read_sealed, seal
from prelabel.run import read_intake_receipt, read_manifest, read_texts


def lot_view(stage: Stage, *, model_version: str | None = None) -> LotView:
    """Return the lot as exchange formats see it."""
    items = read_manifest(stage.lot, read_intake_receipt(stage.lot))
    return LotView(items, stage.terms.guideline, read_texts(stage.lot), model_version)


def export_labels(stage: Stage, format_name: str, out: Path, *, from_: str, as_json: bool) -> int:
    """Write labels of the lot into `out` and print where."""
    chosen = exchange(format_name)
    labels, version = _labels_of(stage, from_)
    if out.exists() and not out.is_dir():
        raise FormatError(f"{out}: is a file; name a folder to write into")
    paths = _write_whole(chosen, out, labels, lot_view(stage, model_version=version))
    counts = {task.value: table.num_rows for task, table in sorted(labels.tables.items())}
    if as_json:
        document = {"format": format_name, "from": from_, "items": labels.states.num_rows, "labels": counts}
        emit_json({**document, "files": [str(path) for path in paths]})
    else:
        written = ", ".join(f"{count} {name}" for name, count in counts.items())
        emit_text(f"{labels.states.num_rows} items ({written}) in {', '.join(shown(path) for path in paths)}")
    return EXIT_DONE


def _write_whole(chosen: Exchange, out: Path, labels: LabelSet, view: LotView) -> list[Path]:
    """Write every file of the export beside `out` first, so that a full disk leaves nothing half-written in it."""
    with storage_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".goldgate-") as folder:
            moved = []
            for path in chosen.write(Path(folder), labels, view):
                target = out / path.relative_to(folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                moved.append(path.replace(target))
    return moved


def _labels_of(stage: Stage, from_: str) -> tuple[LabelSet, str | None]:
    word, _, which = from_.partition(":")
    if word == "drafts":
        document, labels = read_drafts(stage.lot, which or None)
        return labels, _version(document)
    if word not in ("submission", "gold") or (which and not which.isdigit()):
        raise InputError(f"--from {from_!r}: write drafts[:RUN], submission[:N] or gold[:V]")
    return read_sealed(stage.lot, cast(Role, word), int(which) if which else None).labels, None


def _version(document: RunDocument) -> str:
    return " ".join(description.source for _, description in sorted(document.descriptions.items()))


def import_labels(
    stage: Stage, format_name: str, paths: Sequence[Path], *, role: str, add_to: int | None, as_json: bool
) -> int:
    """Bring `paths` into the lot as the next submission or gold and print its number."""
    if role not in ("submission", "gold"):
        raise InputError(f"--as {role!r}: write submission or gold")
    sealed = bring_in(stage, format_name, paths, role=cast(Role, role), add_to=add_to)
    receipt = sealed.receipt
    if as_json:
        emit_json(receipt.model_dump(mode="json"))
    else:
        counts = ", ".join(f"{count} {name}" for name, count in receipt.labels.items())
        emit_text(f"{role} {sealed.number}: {receipt.items} items, {counts}; sealed as {receipt.labels_sha256[:12]}")
    return EXIT_DONE


def bring_in(stage: Stage, format_name: str, paths: Sequence[Path], *, role: Role, add_to: int | None = None) -> Sealed:
    """Read `paths` in `format_name` and seal them together as the next submission or gold of the lot.

    Review tools keep one project for each kind of item, so that one submission may come in several files; `add_to` takes
    along all labels of an earlier submission or gold, whose own number stays as it is.
    """
    chosen, view = exchange(format_name), lot_view(stage)
    parts = [] if add_to is None else [read_sealed(stage.lot, role, add_to).labels]
    for path in paths:
        if not path.exists():
            raise FormatError(f"{path}: no such file or folder")
        parts.append(chosen.read(path, view))
    return seal(stage.lot, merge(parts), terms=stage.terms, role=role, origins=paths, format_name=format_name)
