"""The seam between models and everything above them: sources in, one answer table out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from contract.tables import Kind

# Stands in the reason of an item whose content could not be opened at all, which may be no fault of the item.
UNREADABLE: Final = "cannot be read ("


@dataclass(frozen=True, slots=True)
class Source:
    """One item to predict on.

    `uri` is a path or a URI that the predictor's own process opens; `data` carries the content
    instead (encoded image, UTF-8 text, video file) where the caller holds it already.
    """

    item: str
    kind: Kind
    uri: str
    data: bytes | None = None


class Description(BaseModel):
    """What a predictor is: enough to tell two runs apart and to repeat one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    kind: Kind
    classes: tuple[str, ...]
    weights_sha256: str | None
    runtime: str
    precision: str
    settings: Mapping[str, str | int | float | bool | None] = {}

    @property
    def source(self) -> str:
        """The word written into the `source` column of every label of this model."""
        return f"{self.name}@{self.version}"


@runtime_checkable
class Predictor(Protocol):
    """Anything that labels sources: a model in this process, a deployment, a server elsewhere.

    Construction is cheap and validates; `load` reads weights; `predict` answers with the table of
    `contract.answers` for its kind: one row a source, in the order of the sources, where an item that
    cannot be decoded is a rejected row with a reason and never fails its neighbours.
    """

    def describe(self) -> Description:
        """Tell what this predictor is, without loading it."""
        ...

    def load(self, device: str) -> None:
        """Read the weights onto `device`: cpu, cuda, cuda:N or auto.

        Raises:
            DeviceError: cuda was asked for and is absent.
            WeightsError: weights are missing, unsafe or changed.
        """
        ...

    def predict(self, sources: Sequence[Source]) -> pa.Table:
        """Label `sources`; the answer has one row a source in the same order."""
        ...


@runtime_checkable
class Concurrent(Protocol):
    """A predictor that several threads may call at the same time; every other one is called by one at a time."""

    @property
    def calls_at_once(self) -> int:
        """How many calls of `predict` keep it busy, once it is loaded."""
        ...


def calls_at_once(predictor: Predictor) -> int:
    """Return how many threads may call a loaded `predictor` at the same time."""
    return predictor.calls_at_once if isinstance(predictor, Concurrent) else 1
