"""The files of a delivered lot: labels as tables and in the formats of the terms, its report, the media where they lie."""

import hmac
import os
import secrets
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

import pyarrow as pa

from contract.errors import DeliveryError
from contract.files import sha256_file, write_bytes
from contract.formats.registry import exchange
from contract.labelset import LabelSet, write_labels
from contract.receipts import RunDocument
from contract.tables import KIND_OF_TASK, SCHEMAS, Kind
from delivery.objects import Content
from delivery.safepath import clashes, path_problem
from goldgate import lotlife
from goldgate.exchange import lot_view
from goldgate.stages import Stage
from prelabel.handoff import Sealed

_SECRET_BYTES: Final = 32
_SHOWN_HEX: Final = 8


def write_lot(folder: Path, stage: Stage, submission: Sealed, report: Path) -> tuple[LabelSet, list[str]]:
    """Write labels and report of a lot below `folder`; return the labels as delivered, and the sources that are models.

    People stand under pseudonyms in every file of labels: an HMAC of their name under a secret of the contract.
    """
    models = models_of(stage)
    labels = with_pseudonyms(submission.labels, set(models), _secret(stage))
    write_labels(folder / "labels", labels)
    view = lot_view(stage)
    kinds = {Kind(kind) for kind in labels.states["kind"].unique().to_pylist()}
    for name in stage.terms.formats:
        form = exchange(name)
        wanted = kinds & set(form.kinds)
        if wanted:
            (folder / name).mkdir(parents=True)
            form.write(folder / name, _only(labels, wanted), view)
    write_bytes(folder / "manifest.parquet", stage.lot.manifest.read_bytes())
    for path in sorted(report.iterdir()):
        if path.is_file() and not path.name.startswith("."):
            write_bytes(folder / "report" / path.name, path.read_bytes())
    return labels, models


def models_of(stage: Stage) -> list[str]:
    """Return what made drafts of the lot, name@version each."""
    return sorted({source for _, source in drafting(stage)})


def drafting(stage: Stage) -> Iterator[tuple[Kind, str]]:
    """Yield kind and name@version of the models of every run of the lot."""
    for path in sorted(stage.lot.drafts.glob("*/run.json")):
        for kind, description in RunDocument.model_validate_json(path.read_bytes()).descriptions.items():
            yield kind, description.source


def with_pseudonyms(labels: LabelSet, models: set[str], secret: bytes) -> LabelSet:
    """Return `labels` with the names of people in `source` replaced."""
    tables = {}
    for task, table in labels.tables.items():
        names = {
            name: _pseudonym(name, secret) for name in table["source"].unique().to_pylist() if name and name not in models
        }
        shown = [names.get(name, name) for name in table["source"].to_pylist()]
        field = SCHEMAS[task].field("source")
        tables[task] = table.set_column(table.schema.get_field_index("source"), field, pa.array(shown, pa.string()))
    return LabelSet(labels.states, tables)


def _pseudonym(name: str, secret: bytes) -> str:
    return f"annotator-{hmac.digest(secret, name.encode(), 'sha256').hex()[:_SHOWN_HEX]}"


def _secret(stage: Stage) -> bytes:
    """Return the contract's secret for pseudonyms, made at the first delivery and kept by the vendor."""
    path = stage.work / stage.terms.contract / "audit" / "pseudonyms.key"
    if not path.exists():
        before = os.umask(0o077)
        try:
            write_bytes(path, secrets.token_hex(_SECRET_BYTES).encode())
        finally:
            os.umask(before)
    return path.read_bytes()


def _only(labels: LabelSet, kinds: set[Kind]) -> LabelSet:
    mask = pa.array([kind in kinds for kind in map(Kind, labels.states["kind"].to_pylist())], pa.bool_())
    tables = {task: table for task, table in labels.tables.items() if KIND_OF_TASK[task] in kinds}
    return LabelSet(labels.states.filter(mask), tables)


def staged_contents(staging: Path) -> list[Content]:
    """Return every file below `staging`."""
    paths = sorted(path for path in staging.rglob("*") if path.is_file())
    return [_content(path.relative_to(staging).as_posix(), path) for path in paths]


def _content(name: str, path: Path) -> Content:
    return Content(name, path.stat().st_size, sha256_file(path), partial(_open, path))


def _open(path: Path) -> BinaryIO:
    return path.open("rb")


def media_contents(stage: Stage) -> list[Content]:
    """Return images and videos of the lot where they lie, under the digests of its manifest; texts are in the labels.

    Raises:
        DeliveryError: one lies on another server.
    """
    rows = [row for row in lotlife.items_of(stage).to_pylist() if row["kind"] != Kind.TEXT.value]
    base = f"lots/{stage.lot_name}/media"
    wanted = [f"{base}/{row['item']}" for row in rows]
    unfit = {path for path in wanted if path_problem(path)} | set(clashes(wanted))
    found = []
    for row, path in zip(rows, wanted, strict=True):
        if "://" in row["uri"]:
            raise DeliveryError(
                f"{row['item']}: lies at {row['uri']}, not on this disk; fetch it, or deliver with --no-media"
            )
        place = path if path not in unfit else f"{base}/{row['sha256']}{Path(row['uri']).suffix}"
        found.append(Content(place, row["bytes"], row["sha256"], partial(_open, Path(row["uri"])), row["item"]))
    return _each_once(found)


def _each_once(contents: Sequence[Content]) -> list[Content]:
    return list({content.path: content for content in contents}.values())
