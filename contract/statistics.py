"""The statistics of a delivery: what was ordered, came in and is delivered, and how good it was found to be."""

from collections.abc import Mapping
from typing import Literal

from pydantic import AwareDatetime, Field

from contract.scores import Document
from contract.tables import Kind, Task
from contract.verdict import Criterion, Outcome

Counts = Mapping[str, Mapping[str, int]]


class SourceCount(Document):
    """Who or what made labels of one task; people stand under pseudonyms."""

    task: Task
    name: str
    kind: Literal["annotator", "model"]
    labels: int
    scored: int = Field(description="labels on items that were checked against gold")
    right: int = Field(description="of them, those that gold agrees with")


class ClassCount(Document):
    """One class of one task: what is delivered, and what the check against gold found; null where gold has none of it."""

    task: Task
    label: str
    labels: int
    tp: int | None
    fp: int | None
    fn: int | None
    precision: float | None
    recall: float | None
    f1: float | None


class LotStatistics(Document):
    """A delivered lot under the verdict that stands for it."""

    lot: str
    submission: int
    gold: int
    verdict: int
    verdict_sha256: str
    outcome: Outcome
    rule: str
    judged: AwareDatetime
    criteria: tuple[Criterion, ...]
    items: Counts = Field(description="kind -> state -> items")
    labels: Counts = Field(description='task -> label -> labels; "" where labels have no name')
    video_hours: Mapping[str, float] = Field(description="state -> hours of the videos in it")
    classes: tuple[ClassCount, ...]
    defects: Mapping[str, int] = Field(description="of the boxes that were checked")
    sources: tuple[SourceCount, ...]
    models: Mapping[str, str] = Field(description="kind -> name@version of what made the drafts")
    rejected: Mapping[str, int] = Field(description="reason -> items that intake refused")


class Volume(Document):
    """One kind: ordered by the terms, received in all lots so far, delivered in this package (labelled or empty)."""

    kind: Kind
    unit: Literal["items", "hours"]
    ordered: float
    received: float
    delivered: float
    excused: float


class Statistics(Document):
    """The whole delivery."""

    contract: str
    title: str
    client: str
    vendor: str = Field(description="its name as the terms have it; its annotators stand under pseudonyms")
    purpose: str
    package: int
    created: AwareDatetime
    terms_sha256: str
    guideline_version: str
    guideline_sha256: str
    volumes: tuple[Volume, ...]
    lots: tuple[LotStatistics, ...]
