"""The events of a lot's life: who did what when, each bound to the event before it by that one's digest.

An event names documents (a receipt, a sample, a verdict) by number and by the SHA-256 of their file, so that a document
that was put in the place of another is found.
"""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, TypeAdapter

from contract.guideline import Strict
from contract.receipts import Count, Sha256
from contract.tables import Kind
from contract.verdict import Outcome

Number = Annotated[int, Field(gt=0)]
Side = Literal["client", "vendor"]
Items = Annotated[tuple[str, ...], Field(min_length=1)]


class _Event(Strict):
    """What every event says; `previous_sha256` is null for the first alone."""

    number: Number
    time: AwareDatetime
    who: Literal["client", "vendor", "arbiter", "goldgate"]
    previous_sha256: Sha256 | None


class Committed(_Event):
    """A party published the SHA-256 of its nonce."""

    event: Literal["committed"] = "committed"
    party: Side
    commitment: Sha256


class Sealed(_Event):
    """A submission was sealed; `seal` is the digest over its files."""

    event: Literal["sealed"] = "sealed"
    submission: Number
    seal: Sha256
    receipt_sha256: Sha256
    round: Count


class Checked(_Event):
    """The automatic checks of a sealed submission: schema and duplicates hold; complete if nothing is unlabelled."""

    event: Literal["checked"] = "checked"
    submission: Number
    unlabelled: dict[Kind, Annotated[int, Field(gt=0)]]


class Returned(_Event):
    """A file failed the automatic checks before it could be sealed; it uses no round of rework."""

    event: Literal["returned"] = "returned"
    reason: str


class GoldSealed(_Event):
    """A version of the gold was sealed."""

    event: Literal["gold"] = "gold"
    gold: Number
    seal: Sha256
    receipt_sha256: Sha256


class Drawn(_Event):
    """A sample was drawn, with both nonces revealed (or the whole lot taken, where the terms say so)."""

    event: Literal["drawn"] = "drawn"
    sample: Number
    submission: Number
    items: dict[Kind, Count]
    sample_sha256: Sha256


class Extended(_Event):
    """The sample in force was extended by the next items of its draw."""

    event: Literal["extended"] = "extended"
    sample: Number
    extends: Number
    items: dict[Kind, Count]
    sample_sha256: Sha256


class Judged(_Event):
    """A verdict was reached; `sample` is null where no draw was on record."""

    event: Literal["judged"] = "judged"
    verdict: Number
    submission: Number
    gold: Number
    sample: Number | None
    outcome: Outcome
    verdict_sha256: Sha256


class Disputed(_Event):
    """The vendor contests the gold of some items."""

    event: Literal["disputed"] = "disputed"
    verdict: Number
    items: Items
    reason: str


class Resolved(_Event):
    """The arbiter ruled: the gold stands (`new_verdict` is null), or it has a new version and the lot a new verdict."""

    event: Literal["resolved"] = "resolved"
    verdict: Number
    gold: Number
    new_verdict: Number | None
    outcome: Outcome
    verdict_sha256: Sha256


class Settled(_Event):
    """The lot was paid for in a statement."""

    event: Literal["settled"] = "settled"
    verdict: Number
    statement: Number
    statement_sha256: Sha256


Event = Annotated[
    Committed | Sealed | Checked | Returned | GoldSealed | Drawn | Extended | Judged | Disputed | Resolved | Settled,
    Field(discriminator="event"),
]
EVENT: TypeAdapter[Event] = TypeAdapter(Event)
