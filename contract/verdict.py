"""The verdict: what the contract's own terms say of a submission, with every figure it stands on."""

from collections.abc import Mapping
from enum import Enum

from pydantic import Field

from contract.acceptance import Rule
from contract.inspection import Level, Severity
from contract.scores import Document
from contract.tables import Kind


class Outcome(str, Enum):
    """ACCEPT: proven good. REJECT: proven bad. EXTEND: the sample proves neither."""

    ACCEPT = "ACCEPT"
    REJECT = "REJECT"
    EXTEND = "EXTEND"


class CountingPlan(Document):
    """A single sampling plan by AQL: of n items, up to `accept` nonconforming ones pass."""

    aql: float = Field(description="per cent of nonconforming items")
    level: Level
    severity: Severity
    letter: str = Field(description="code letter of the plan's row")
    n: int
    accept: int
    reject: int


class ItemCount(Document):
    """What a rule that counts items saw; with the threshold, all that its outcome follows from."""

    checked: int
    nonconforming: int
    lot_items: int | None = Field(description="size of the lot, where the finite lot was taken into account")
    confidence: float
    plan: CountingPlan | None = Field(description="of rule aql")


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
    counted: ItemCount | None = Field(default=None, description="under the rules aql and e_process")


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
    sample: int | None = Field(default=None, description="the sample that was checked; null where no draw is on record")
    sample_sha256: str | None = None


class Verdict(Document):
    """ACCEPT only if every criterion is met: an intersection-union test keeps the client's risk at each criterion's own."""

    verdict: Outcome
    rule: Rule = Field(description="the rule that judged; under tightened severity it may be stricter than the terms'")
    severity: Severity = "normal"
    reasons: tuple[str, ...]
    reasons_zh: tuple[str, ...]
    criteria: tuple[Criterion, ...]
    pins: Pins
    report: str | None = Field(default=None, description="path of the report, once it is written")
