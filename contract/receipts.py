"""What came in, signed off: counts and digests of a lot at intake."""

import datetime
from typing import Annotated

from pydantic import Field

from contract.guideline import Strict
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
