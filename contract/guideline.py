"""The guideline (annex 1 of the contract): classes, sentiment labels and event rules, versioned by hash."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, model_validator

from contract.files import sha256_json

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


class SignalEvent(Strict):
    """An event over the picture itself."""

    name: Name
    definition: str = Field(min_length=1)
    rule: Literal["black", "freeze"]
    min_seconds: PositiveFloat


EventRule = Annotated[ObjectEvent | SignalEvent, Field(discriminator="rule")]


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
            f"event {event.name!r} is about class {event.label!r}, which is not in classes"
            for event in self.events
            if isinstance(event, ObjectEvent) and event.label not in known
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
