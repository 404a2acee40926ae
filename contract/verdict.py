"""The verdict: what the contract's own terms say of a submission, with every figure it stands on."""

from collections.abc import Mapping
from enum import Enum
from typing import Literal

from pydantic import Field

from contract.scores import Document
from contract.tables import Kind


class Outcome(str, Enum):
    """ACCEPT: proven good. REJECT: proven bad. EXTEND: the sample proves neither."""

    ACCEPT = "ACCEPT"
    REJECT = "REJECT"
    EXTEND = "EXTEND"


class Criterion(Document):
    """One demand of the contract and what the sample says of it."""

    name: str = Field(description="for example image.f1 or text.class_recall.positive")
    kind: Kind
    estimate: float | None
    lower_bound: float | None
    upper_bound: float | None
    threshold: float
    outcome: Outcome
    units: int = Field(description="units of sampling behind the figure")


class Pins(Document):
    """What exactly was judged, by whose terms: digests and numbers that make the verdict repeatable."""

    contract: str
    lot: str
    submission: int
    gold: int
    terms_sha256: str
    guideline_sha256: str
    manifest_sha256: str
    submission_sha256: Mapping[str, str] = Field(description="file name -> digest")
    gold_sha256: Mapping[str, str] = Field(description="file name -> digest")


class Verdict(Document):
    """ACCEPT only if every criterion is met: an intersection-union test keeps the client's risk at each criterion's own."""

    verdict: Outcome
    rule: Literal["lower_bound", "point"]
    reasons: tuple[str, ...]
    reasons_zh: tuple[str, ...]
    criteria: tuple[Criterion, ...]
    pins: Pins
    report: str | None = Field(default=None, description="path of the report, once it is written")
