"""The guideline (annex 1 of the contract): classes, sentiment labels and event rules, versioned by hash."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, field_validator, model_validator

from contract.files import sha256_json
from contract.polygons import MOST_POINTS, polygon_problem

Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^\S(.*\S)?$")]


class Strict(BaseModel):
    """Base of every document of the contract: unknown keys, NaN and infinity are refused and values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class LabelDefinition(Strict):
    """A class or label with the words that tell an annotator when to use it."""

    name: Name
    definition: str = Field(min_length=1)
    model_names: tuple[Name, ...] = ()  # what models call it; the name itself always counts


class ObjectEvent(Strict):
    """An event over detections of one class."""

    name: Name
    definition: str = Field(min_length=1)
    rule: Literal["present", "appears", "disappears"]
    label: Name
    min_seconds: PositiveFloat
    max_gap_seconds: float = Field(ge=0)
    min_score: float = Field(ge=0, le=1)

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes that the rule is about."""
        return (self.label,)


Prompt = Annotated[str, Field(min_length=1, max_length=300)]
Share = Annotated[float, Field(ge=0, le=1)]
Region = Annotated[tuple[tuple[Share, Share], ...], Field(max_length=MOST_POINTS)]
Anchor = Literal["center", "bottom_center"]


class _Located(Strict):
    """Base of rules with a region, a polygon of x, y as shares of the upright picture; a box is where its anchor is."""

    @field_validator("region", check_fields=False)
    @classmethod
    def _region_is_a_polygon(cls, region: Region | None) -> Region | None:
        problem = polygon_problem(region) if region is not None else None
        if problem is not None:
            raise ValueError(problem)
        return region


class CountEvent(_Located):
    """More, or fewer, than `count` objects of one class are in view at once, or in a region of it."""

    name: Name
    definition: str = Field(min_length=1)
    rule: Literal["count_over", "count_under"]
    label: Name
    count: int = Field(ge=0)
    region: Region | None = None
    anchor: Anchor | None = None
    min_seconds: PositiveFloat
    max_gap_seconds: float = Field(ge=0)
    min_score: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _can_happen(self) -> "CountEvent":
        if self.rule == "count_under" and not self.count:
            raise ValueError("count_under 0 never happens; count must be at least 1")
        if (self.region is None) != (self.anchor is None):
            raise ValueError("region and anchor are given together or not at all")
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes that the rule is about."""
        return (self.label,)


class CoOccurrenceEvent(Strict):
    """Objects of two classes are in view at once."""

    name: Name
    definition: str = Field(min_length=1)
    rule: Literal["co_occurrence"]
    labels: tuple[Name, Name]
    min_seconds: PositiveFloat
    max_gap_seconds: float = Field(ge=0)
    min_score: float = Field(ge=0, le=1)

    @field_validator("labels")
    @classmethod
    def _two_classes(cls, labels: tuple[str, str]) -> tuple[str, str]:
        if labels[0] == labels[1]:
            raise ValueError(f"both classes are {labels[0]!r}; for several of one class use count_over")
        return labels


class RegionEvent(_Located):
    """One tracked object of a class enters a region, leaves it, or stays in it."""

    name: Name
    definition: str = Field(min_length=1)
    rule: Literal["enters", "leaves", "dwell"]
    label: Name
    region: Region
    anchor: Anchor
    min_seconds: PositiveFloat
    max_gap_seconds: float = Field(ge=0)
    min_score: float = Field(ge=0, le=1)

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes that the rule is about."""
        return (self.label,)


class SignalEvent(Strict):
    """An event over the picture itself."""

    name: Name
    definition: str = Field(min_length=1)
    rule: Literal["black", "freeze"]
    min_seconds: PositiveFloat


class FlashEvent(Strict):
    """The picture is brighter by `min_rise` (levels of 255, mean luma) than shortly before and shortly after."""

    name: Name
    definition: str = Field(min_length=1)
    rule: Literal["flash"]
    min_rise: float = Field(gt=0, le=255)
    max_seconds: float = Field(gt=0, le=10)


class SilenceEvent(Strict):
    """The sound stays under a level (RMS in dB of full scale); a video without sound has no silence."""

    name: Name
    definition: str = Field(min_length=1)
    rule: Literal["silence"]
    below_dbfs: float = Field(ge=-120, lt=0)
    min_seconds: PositiveFloat


class LooksLikeEvent(Strict):
    """The picture looks more like one of `prompts` than like `against`, to a vision-language model; shot by shot."""

    name: Name
    definition: str = Field(min_length=1)
    rule: Literal["looks_like"]
    prompts: Annotated[tuple[Prompt, ...], Field(min_length=1)]
    against: Annotated[tuple[Prompt, ...], Field(min_length=1)]
    min_seconds: PositiveFloat
    min_score: float = Field(gt=0, le=1)


DetectionEvent = ObjectEvent | CountEvent | CoOccurrenceEvent | RegionEvent  # needs a detector
EventRule = Annotated[
    ObjectEvent | CountEvent | CoOccurrenceEvent | RegionEvent | SignalEvent | FlashEvent | SilenceEvent | LooksLikeEvent,
    Field(discriminator="rule"),
]


class Guideline(Strict):
    """What may be labelled, and how each word is meant."""

    version: Name
    classes: tuple[LabelDefinition, ...] = ()
    sentiments: tuple[LabelDefinition, ...] = ()
    events: tuple[EventRule, ...] = ()

    @model_validator(mode="after")
    def _names_are_unique_and_known(self) -> "Guideline":
        problems = []
        for what, definitions in (("classes", self.classes), ("sentiments", self.sentiments), ("events", self.events)):
            names = [definition.name for definition in definitions]
            problems += [
                f"{what} names {name!r} twice" for name in sorted({name for name in names if names.count(name) > 1})
            ]
        known = set(self.class_names)
        problems += [
            f"event {event.name!r} is about class {label!r}, which is not in classes"
            for event in self.events
            if isinstance(event, DetectionEvent)
            for label in event.labels
            if label not in known
        ]
        problems += _shared_model_names("classes", self.classes) + _shared_model_names("sentiments", self.sentiments)
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the box classes, in the guideline's order."""
        return tuple(definition.name for definition in self.classes)

    @property
    def sentiment_names(self) -> tuple[str, ...]:
        """Names of the sentiment labels, in the guideline's order."""
        return tuple(definition.name for definition in self.sentiments)

    @property
    def event_names(self) -> tuple[str, ...]:
        """Names of the events, in the guideline's order."""
        return tuple(event.name for event in self.events)

    @property
    def sha256(self) -> str:
        """The guideline's hash: of its canonical JSON, whatever the layout of the YAML."""
        return sha256_json(self.model_dump(mode="json"))


def _shared_model_names(what: str, definitions: tuple[LabelDefinition, ...]) -> list[str]:
    """Return a problem for every model name that two definitions claim."""
    owners: dict[str, str] = {}
    problems = []
    for definition in definitions:
        for alias in dict.fromkeys((definition.name, *definition.model_names)):
            owner = owners.setdefault(alias, definition.name)
            if owner != definition.name:
                problems.append(f"{what} gives the model name {alias!r} to both {owner!r} and {definition.name!r}")
    return problems


def name_map(definitions: tuple[LabelDefinition, ...]) -> dict[str, str]:
    """Return model name -> guideline name; the guideline's own names map to themselves."""
    return {alias: definition.name for definition in definitions for alias in (definition.name, *definition.model_names)}
