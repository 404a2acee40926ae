"""Receipts: what came in, what a job made, what was handed in; each binds counts to digests."""

import datetime
from typing import Annotated, Literal

from pydantic import Field

from contract.guideline import Strict
from contract.predictor import Description
from contract.tables import Kind

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]


class IntakeReceipt(Strict):
    """The receipt that intake writes last: a lot without one does not exist.

    `roots` are the absolute paths (or patterns) that were taken in; the digests are those of the files beside the receipt.
    """

    contract: str
    lot: str
    terms_sha256: Sha256
    guideline_sha256: Sha256
    items_by_kind: dict[Kind, Count]
    video_seconds: Annotated[float, Field(ge=0)]
    rejects_by_reason: dict[str, Count]
    manifest_sha256: Sha256
    rejects_sha256: Sha256
    texts_sha256: Sha256 | None
    roots: tuple[str, ...]
    created: datetime.datetime


class RunDocument(Strict):
    """What a pre-label run is: its inputs and models decide its id, and nothing else does."""

    run: str
    contract: str
    lot: str
    manifest_sha256: Sha256
    terms_sha256: Sha256
    guideline_sha256: Sha256
    chunks: Count
    items: Count
    descriptions: dict[Kind, Description]


class ShardReceipt(Strict):
    """A chunk that is done, bound to what made it; no time in it, so that a rerun gives the same bytes."""

    run: str
    chunk: Count
    kind: Kind
    items: Count
    labelled: Count
    empty: Count
    rejected: Count
    inputs_sha256: Sha256
    config_sha256: Sha256
    weights_sha256: Sha256 | None
    shard_sha256: Sha256


class LabelsReceipt(Strict):
    """A submission or a version of the gold, sealed by the digests of its files.

    `origins` are the files and folders that it came from, with the digest of each file.
    """

    role: Literal["submission", "gold"]
    number: Annotated[int, Field(gt=0)]
    contract: str
    lot: str
    manifest_sha256: Sha256
    terms_sha256: Sha256
    guideline_sha256: Sha256
    origins: dict[str, Sha256 | None]
    format: str
    files: dict[str, Sha256]
    items: Count
    labels: dict[str, Count]
    labels_sha256: Sha256
