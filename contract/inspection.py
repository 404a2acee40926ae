"""Words of lot-by-lot inspection: the preferred AQLs, levels and severities (ISO 2859-1, GB/T 2828.1)."""

from typing import Annotated, Final, Literal, get_args

from pydantic import Field, field_validator

from contract.guideline import Strict

Level = Literal["S-1", "S-2", "S-3", "S-4", "I", "II", "III"]
Severity = Literal["normal", "tightened", "reduced"]

LEVELS: Final[tuple[Level, ...]] = get_args(Level)
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)

# Acceptance quality limits in per cent of nonconforming items; above 10 the standards count nonconformities instead.
AQLS: Final = (0.010, 0.015, 0.025, 0.040, 0.065, 0.10, 0.15, 0.25, 0.40, 0.65, 1.0, 1.5, 2.5, 4.0, 6.5, 10.0)


class AqlSampling(Strict):
    """Single sampling by an AQL; the plan follows from it and from the lot's size."""

    limit: Annotated[float, Field(description="per cent of nonconforming items, one of AQLS")]
    level: Level
    severity: Severity = Field(description="of a first submission")

    @field_validator("limit")
    @classmethod
    def _limit_is_preferred(cls, value: float) -> float:
        if value not in AQLS:
            raise ValueError(f"must be one of {', '.join(f'{limit:g}' for limit in AQLS)}, but is {value:g}")
        return value

    @field_validator("severity")
    @classmethod
    def _reduced_is_earned(cls, value: Severity) -> Severity:
        if value == "reduced":
            raise ValueError("must be 'normal' or 'tightened'; reduced inspection follows from a series of good lots")
        return value

    @property
    def conforming_share(self) -> float:
        """The share of conforming items that the limit stands for."""
        return 1 - self.limit / 100
