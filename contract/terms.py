"""Contract terms: one YAML that both parties can read, validated whole."""

import datetime
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from contract.acceptance import Acceptance
from contract.clocks import Clocks
from contract.errors import TermsError
from contract.files import sha256_json
from contract.guideline import Guideline, Name, Strict
from contract.settlement import Settlement
from contract.tables import Kind
from contract.termsproblems import terms_problems
from contract.yamlfile import parse_yaml, problem_in_words


class Party(Strict):
    """A party of the contract and whom to ask there."""

    name: Name
    contact: str | None = None
    email: str | None = None


class Parties(Strict):
    """甲方 and 乙方."""

    client: Party
    vendor: Party


class Volumes(Strict):
    """What was ordered; 0 where a kind is not."""

    images: Annotated[int, Field(ge=0)]
    texts: Annotated[int, Field(ge=0)]
    video_hours: Annotated[float, Field(ge=0)]


class Deadline(Strict):
    """When the work is due: working days after the start.

    The day of the start does not count (PRC Civil Code, article 201). Working days are Monday to Friday, less
    `holidays`, plus the weekend days in `makeup_workdays` that are worked in exchange.
    """

    start: datetime.date
    working_days: Annotated[int, Field(gt=0, le=10_000)]
    holidays: tuple[datetime.date, ...] = ()
    makeup_workdays: tuple[datetime.date, ...] = ()

    @model_validator(mode="after")
    def _a_day_is_worked_or_free(self) -> "Deadline":
        both = sorted(set(self.holidays) & set(self.makeup_workdays))
        if both:
            raise ValueError(f"{both[0]} stands both in holidays and in makeup_workdays")
        return self

    def is_workday(self, day: datetime.date) -> bool:
        """Return whether `day` counts."""
        return day in self.makeup_workdays or (day.weekday() < 5 and day not in self.holidays)

    def due_date(self) -> datetime.date:
        """Return the last day on which delivery is in time: the `working_days`-th working day after `start`."""
        day, left = self.start, self.working_days
        while left:
            day += datetime.timedelta(days=1)
            left -= self.is_workday(day)
        return day


def _is_forbidden(word: str) -> bool:
    return word == "forbidden"


class Limits(Strict):
    """Sizes beyond which an item is rejected at intake."""

    max_image_pixels: Annotated[int, Field(gt=0)] = 100_000_000
    max_file_bytes: Annotated[int, Field(gt=0)] = 20_000_000_000
    max_video_seconds: Annotated[float, Field(gt=0)] = 14_400
    max_text_characters: Annotated[int, Field(gt=0)] = 100_000


class KeyframeRule(Strict):
    """How many keyframes the drafts have: one a shot, one in so many seconds of it, or one for each new sight in it.

    `novelty` is how far two pictures differ, as a share of full range (models/keyframes.py); `most` counts within one shot.
    """

    rule: Literal["shot", "interval", "novelty"] = "shot"
    seconds: Annotated[float, Field(gt=0)] | None = None
    novelty: Annotated[float, Field(gt=0, le=1)] | None = None
    most: Annotated[int, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _fields_belong_to_the_rule(self) -> "KeyframeRule":
        for field, rule in (("seconds", "interval"), ("novelty", "novelty")):
            given = getattr(self, field) is not None
            if given != (self.rule == rule):
                raise ValueError(f"{field} {'goes with' if given else 'is left open, which belongs to'} the rule {rule!r}")
        if self.rule == "shot" and self.most is not None:
            raise ValueError("most goes with the rules 'interval' and 'novelty'; the rule 'shot' gives one a shot")
        return self


def _is_one_a_shot(rule: KeyframeRule) -> bool:
    return rule.rule == "shot"


class Tiles(Strict):
    """How large images are cut for a detector, and what overlaps is merged (models/tiling.py).

    `side` is of a tile, in pixels, `overlap` the share of it that neighbours have in common; `whole` says whether the image
    is looked at as one, too. Boxes of a class that overlap to `at` or more, over their union (iou) or over the smaller one
    (ios), are one: the surest is widened to the others (join), or they are dropped.
    """

    side: Annotated[int, Field(gt=0)]
    overlap: Annotated[float, Field(ge=0, lt=1)] = 0.2
    whole: bool = True
    merge: Literal["join", "drop"] = "join"
    by: Literal["ios", "iou"] = "ios"
    at: Annotated[float, Field(gt=0, le=1)] = 0.5


def _is_none(value: object) -> bool:
    return value is None


class Prelabel(Strict):
    """Which models make the drafts, by their names in configs/models.yaml or by path."""

    detector: Name | None = None
    sentiment: Name | None = None
    video: Name | None = None
    min_score: Annotated[float, Field(ge=0, le=1)] = 0.25
    nms_iou: Annotated[float, Field(gt=0, le=1)] = 0.7
    max_boxes: Annotated[int, Field(gt=0)] = 300
    event_frames_per_second: Annotated[float, Field(gt=0)] = 2.0
    # May a transformers model's weights be a pickle where there are no safetensors? Even then they are read by torch's
    # restricted unpickler. This and the next are left out of the canonical JSON where they say nothing new, so that terms of
    # before keep their digest.
    pickles: Annotated[Literal["allowed", "forbidden"], Field(exclude_if=_is_forbidden)] = "forbidden"
    keyframes: Annotated[KeyframeRule, Field(exclude_if=_is_one_a_shot)] = KeyframeRule()
    tiles: Annotated[Tiles | None, Field(exclude_if=_is_none)] = None


Format = Literal["coco", "labelstudio", "cvat", "yolo", "yolo-darknet", "voc", "xanylabeling", "jsonl", "activitynet"]


def _is_absent(value: object) -> bool:
    return value is None


class Terms(Strict):
    """The contract as the software needs it."""

    contract: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    title: str
    parties: Parties
    purpose: Annotated[str, Field(min_length=1)]
    guideline: Guideline
    volumes: Volumes
    deadline: Deadline
    formats: Annotated[tuple[Format, ...], Field(min_length=1)]
    limits: Limits = Limits()
    prelabel: Prelabel = Prelabel()
    acceptance: Acceptance
    settlement: Settlement | None = None
    # May models be trained on what the client handed over and what was made of it (clause 5.2)? Left out of the canonical
    # JSON where it is not allowed, so that terms of before keep their digest.
    training: Annotated[Literal["allowed", "forbidden"], Field(exclude_if=_is_forbidden)] = "forbidden"
    # Left out likewise where it is absent.
    clocks: Annotated[Clocks | None, Field(exclude_if=_is_absent)] = None

    @model_validator(mode="after")
    def _parts_agree(self) -> "Terms":
        problems = [*self._kind_problems(), *self._volume_problems(), *self._price_problems()]
        if len(set(self.formats)) < len(self.formats):
            problems.append("formats names one format twice")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _kind_problems(self) -> Iterator[str]:
        kinds = (
            ("image", "images", self.volumes.images, "classes", self.guideline.classes),
            ("text", "texts", self.volumes.texts, "sentiments", self.guideline.sentiments),
        )
        profiles = self.acceptance.profiles
        for kind, field, volume, where, labels in kinds:
            if kind in profiles and not labels:
                yield f"acceptance.{kind} demands labels but guideline.{where} is empty"
            elif volume and not labels:
                yield f"volumes.{field} orders {kind} items but guideline.{where} is empty"
        ordered = (*(row[:3] for row in kinds), ("video", "video_hours", math.ceil(self.volumes.video_hours)))
        for kind, field, volume in ordered:
            if volume and kind not in profiles:
                yield f"volumes.{field} orders {kind} items but acceptance.{kind} is null, so no verdict could be reached"
        video = self.acceptance.video
        if video and video.metrics.event_f1 is not None and not self.guideline.events:
            yield "acceptance.video.metrics.event_f1 demands events but guideline.events is empty"

    def _volume_problems(self) -> Iterator[str]:
        sampling = self.acceptance.sampling
        needed = sampling.min_items if sampling.draw == "commit_reveal" else 1
        for field, volume in (("images", self.volumes.images), ("texts", self.volumes.texts)):
            if 0 < volume < needed:
                yield f"acceptance.sampling.min_items is {needed}, more than the {volume} items of volumes.{field}"
        if not (self.volumes.images or self.volumes.texts or self.volumes.video_hours):
            yield "volumes orders nothing; give images, texts or video_hours"

    def _price_problems(self) -> Iterator[str]:
        volumes = self.volumes
        ordered = (
            (Kind.IMAGE, "image", "images", volumes.images),
            (Kind.TEXT, "text", "texts", volumes.texts),
            (Kind.VIDEO, "video_hour", "video_hours", volumes.video_hours),
        )
        for kind, price, field, volume in ordered:
            if self.settlement and volume and self.settlement.unit_price.of(kind) is None:
                yield f"volumes.{field} orders {kind.value} items but settlement.unit_price.{price} is left open"

    @property
    def sha256(self) -> str:
        """The terms' digest: of their canonical JSON, whatever the layout of the YAML."""
        return sha256_json(self.model_dump(mode="json"))


def parse_terms(document: Any, *, origin: str) -> Terms:
    """Validate a contract that was read from `origin`.

    Words, numbers and truth values must be of their own kind: "0.5" is no number and 1 is no truth value.

    Raises:
        TermsError: names every wrong, unknown or open field at once.
    """
    if not isinstance(document, Mapping):
        what = "empty" if document is None else f"a {type(document).__name__}"
        raise TermsError(
            f"{origin}: the terms must be a mapping of fields such as 'contract: ...', but the document is {what}"
        )
    try:
        # Through JSON, where strict still lets a list be a tuple and a text be a date.
        return Terms.model_validate_json(json.dumps(document, default=str), strict=True)
    except ValidationError as error:
        problems = terms_problems(error, Terms)
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise TermsError(f"{origin}: {count} in the terms: " + "; ".join(problems)) from error


def load_terms(path: Path) -> Terms:
    """Read and validate the contract at `path`.

    Raises:
        TermsError: the file is absent, not YAML, or not valid terms.
    """
    try:
        document = parse_yaml(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise TermsError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise TermsError(f"{path}: not a text in UTF-8 (byte {error.start}); save it as UTF-8") from error
    except yaml.YAMLError as error:
        raise TermsError(f"{path}: not a YAML document: {problem_in_words(error)}") from error
    return parse_terms(document, origin=str(path))
