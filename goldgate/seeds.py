"""Deliberately wrong drafts of a lot: planted for an export, kept where only the client looks, and made again from a secret.

work/<contract>/lots/<lot>/seeds/<n>.parquet   what was changed (columns of `qa.seeding.SEEDS`)
                                 .../<n>.json  the run, the share, the secret, and the digest of the table
"""

import secrets
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pydantic import Field, ValidationError

from contract.errors import InputError, StageError
from contract.files import parquet_bytes, read_json, sha256_bytes, sha256_file, write_json, write_parquet
from contract.guideline import Strict
from contract.labelset import LabelSet
from contract.receipts import RunDocument, Sha256
from contract.workfolder import next_number, numbers
from goldgate.stages import Stage
from prelabel.handoff import read_drafts
from prelabel.run import read_intake_receipt, read_manifest
from qa.seeding import Names, seed_errors

_FEWEST_BYTES = 16


class Planting(Strict):
    """How wrong drafts were planted; whoever holds the secret can plant the same ones again."""

    number: int = Field(gt=0)
    run: str
    share: float = Field(gt=0, le=1)
    secret: str = Field(pattern=r"^([0-9a-f]{2})+$")
    items: int
    seeds_sha256: Sha256


@dataclass(frozen=True)
class Planted:
    """Drafts with wrong ones among them, as people see them."""

    planting: Planting
    document: RunDocument
    drafts: LabelSet
    seeds: pa.Table


def plant(stage: Stage, from_: str, share: float, secret_file: Path | None) -> int:
    """Plant wrong drafts, keep what was done, and return the number under which `export --from seeds:N` finds them.

    Raises:
        InputError: the share is none, the labels are no drafts, or the secret is too short.
    """
    word, _, run = from_.partition(":")
    if word != "drafts":
        raise InputError(f"--seed-errors goes with drafts, not with --from {from_!r}")
    if not 0 < share <= 1:
        raise InputError(f"--seed-errors {share:g}: write a share over 0 and at most 1, for example 0.02")
    secret = secrets.token_bytes(32) if secret_file is None else _secret(secret_file)
    document, _, seeds = _make(stage, run or None, share, secret)
    if not seeds.num_rows:
        raise InputError(f"run {document.run} has no draft that could be made wrong: no box, sentiment or event")
    folder = _folder(stage)
    number = next_number(folder)
    digest = write_parquet(folder / f"{number}.parquet", seeds)
    planting = Planting(
        number=number, run=document.run, share=share, secret=secret.hex(), items=seeds.num_rows, seeds_sha256=digest
    )
    write_json(folder / f"{number}.json", planting.model_dump(mode="json"))
    return number


def read_planted(stage: Stage, number: int) -> Planted:
    """Return the drafts of planting `number`, made again, and found to be those on record.

    Raises:
        StageError: there is no such planting, or its files were changed.
    """
    path = _folder(stage) / f"{number}.json"
    if not path.exists():
        raise StageError(f"{path}: there is no such planting; run 'goldgate export --seed-errors SHARE' first")
    planting = _planting(path)
    table = path.with_suffix(".parquet")
    if not table.exists() or sha256_file(table) != planting.seeds_sha256:
        raise StageError(f"{table}: missing or changed since it was written")
    document, drafts, seeds = _make(stage, planting.run, planting.share, bytes.fromhex(planting.secret))
    if sha256_bytes(parquet_bytes(seeds)) != planting.seeds_sha256:
        raise StageError(f"{table}: the secret does not give these changes; run or manifest were changed since")
    return Planted(planting, document, drafts, seeds)


def newest_planting(stage: Stage, run: str) -> int | None:
    """Return the number of the newest planting into the drafts of `run`; None if there is none."""
    for number in sorted(set(numbers(_folder(stage))), reverse=True):
        path = _folder(stage) / f"{number}.json"
        if path.exists() and _planting(path).run == run:
            return number
    return None


def _planting(path: Path) -> Planting:
    try:
        return Planting.model_validate(read_json(path))
    except ValidationError as error:
        raise StageError(f"{path}: not written by 'goldgate export --seed-errors'") from error


def _folder(stage: Stage) -> Path:
    return stage.lot.root / "seeds"


def _secret(path: Path) -> bytes:
    try:
        secret = path.read_bytes().strip()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if len(secret) < _FEWEST_BYTES:
        raise InputError(f"{path}: holds {len(secret)} bytes; a secret needs {_FEWEST_BYTES} or more")
    return secret


def _make(stage: Stage, run: str | None, share: float, secret: bytes) -> tuple[RunDocument, LabelSet, pa.Table]:
    document, drafts = read_drafts(stage.lot, run)
    items = read_manifest(stage.lot, read_intake_receipt(stage.lot)).select(["item", "width", "height"]).to_pylist()
    guideline = stage.terms.guideline
    names = Names(
        classes=guideline.class_names,
        sentiments=guideline.sentiment_names,
        events=guideline.event_names,
        sizes={row["item"]: (float(row["width"]), float(row["height"])) for row in items if row["width"] and row["height"]},
    )
    seeded, seeds = seed_errors(drafts, share=share, secret=secret, names=names)
    return document, seeded, seeds
