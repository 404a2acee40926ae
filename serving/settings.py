"""The base of every group of settings, and the numbers that they use."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

MIB: Final = 1 << 20

Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0)]


class Settings(BaseModel):
    """Frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
