"""A sample of a lot as a document: which items, from which stratum, which of them blind, and all that repeats the draw."""

from typing import Annotated

from pydantic import Field

from contract.acceptance import Stratum
from contract.guideline import Strict
from contract.receipts import Count, Sha256
from contract.tables import Kind

Hex = Annotated[str, Field(pattern=r"^([0-9a-f]{2})+$")]


class StratumCount(Strict):
    """How many items of a stratum the lot holds, and how many of them the sample."""

    kind: Kind
    stratum: str
    items: Count
    drawn: Count


class SampledItem(Strict):
    """An item of the sample: `blind` gold is made without sight of any draft, `double` gold by two people."""

    item: str
    kind: Kind
    stratum: str
    blind: bool
    double: bool


class Sample(Strict):
    """A sample, or its extension, which holds all items of the sample that it extends and the next ones of the draw.

    `draw` counts the lot's fresh draws from 0. The nonces are there for whoever wants to repeat the draw; where the terms
    check every item there are none. Items stand in the order of the draw, kind by kind.
    """

    number: Annotated[int, Field(gt=0)]
    extends: int | None
    contract: str
    lot: str
    draw: Count
    submission: Annotated[int, Field(gt=0)]
    seal: Sha256
    manifest_sha256: Sha256
    nonces: dict[str, Hex]
    key: Sha256
    stratify: tuple[Stratum, ...]
    strata: tuple[StratumCount, ...]
    items: tuple[SampledItem, ...]

    @property
    def counts(self) -> dict[Kind, int]:
        """Kind -> items in the sample."""
        return {kind: sum(each.kind is kind for each in self.items) for kind in Kind if self.of(kind)}

    def of(self, kind: Kind) -> list[str]:
        """Return the items of `kind` in the order of the draw."""
        return [each.item for each in self.items if each.kind is kind]
