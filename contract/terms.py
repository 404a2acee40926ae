"""Contract terms: one YAML that both parties can read, validated whole."""

import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from contract.acceptance import Acceptance
from contract.errors import TermsError
from contract.files import sha256_json
from contract.guideline import Guideline, Name, Strict


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
    """When the work is due: working days after the start."""

    start: datetime.date
    working_days: Annotated[int, Field(gt=0)]
    holidays: tuple[datetime.date, ...] = ()


class Limits(Strict):
    """Sizes beyond which an item is rejected at intake."""

    max_image_pixels: Annotated[int, Field(gt=0)] = 100_000_000
    max_file_bytes: Annotated[int, Field(gt=0)] = 20_000_000_000
    max_video_seconds: Annotated[float, Field(gt=0)] = 14_400
    max_text_characters: Annotated[int, Field(gt=0)] = 100_000


class Prelabel(Strict):
    """Which models make the drafts, by their names in configs/models.yaml or by path."""

    detector: Name | None = None
    sentiment: Name | None = None
    video: Name | None = None
    min_score: Annotated[float, Field(ge=0, le=1)] = 0.25
    nms_iou: Annotated[float, Field(gt=0, le=1)] = 0.7
    max_boxes: Annotated[int, Field(gt=0)] = 300
    event_frames_per_second: Annotated[float, Field(gt=0)] = 2.0


Format = Literal["coco", "labelstudio", "cvat", "yolo", "xanylabeling", "jsonl"]


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

    @model_validator(mode="after")
    def _ordered_kinds_have_labels_and_a_profile(self) -> "Terms":
        problems = []
        ordered = (
            ("image", self.volumes.images, self.guideline.classes, "guideline.classes", self.acceptance.image),
            ("text", self.volumes.texts, self.guideline.sentiments, "guideline.sentiments", self.acceptance.text),
            ("video", self.volumes.video_hours, (True,), "", self.acceptance.video),
        )
        for kind, volume, labels, where, profile in ordered:
            if volume and not labels:
                problems.append(f"volumes order {kind} items but {where} is empty")
            if volume and profile is None:
                problems.append(f"volumes order {kind} items but acceptance.{kind} is null, so no verdict could be reached")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def sha256(self) -> str:
        """The terms' digest: of their canonical JSON, whatever the layout of the YAML."""
        return sha256_json(self.model_dump(mode="json"))


def parse_terms(document: Any, *, origin: str) -> Terms:
    """Validate a contract that was read from `origin`.

    Raises:
        TermsError: names every wrong, unknown or open field at once.
    """
    try:
        return Terms.model_validate(document)
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in problem['loc']) or 'contract'}: {problem['msg']}" for problem in error.errors()
        ]
        raise TermsError(f"{origin}: {len(lines)} problem(s) in the terms: " + "; ".join(lines)) from error


def load_terms(path: Path) -> Terms:
    """Read and validate the contract at `path`.

    Raises:
        TermsError: the file is absent, not YAML, or not valid terms.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TermsError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TermsError(f"{path}: not a YAML document ({' '.join(str(error).split())})") from error
    return parse_terms(document, origin=str(path))
