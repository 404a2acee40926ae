"""Boxes of classes that no model was trained for, by prompts: YOLO-World and YOLOE, or Grounding DINO.

Each class of the guideline becomes one or more prompts, made from its name, the words that models use for it, and its
definition. A model says where in a picture each prompt is; boxes of a class that overlap are one, whatever prompt found
them.

Sources: Cheng et al. 2024, "YOLO-World" (arXiv:2401.17270); Wang et al. 2025, "YOLOE" (arXiv:2503.07465); Liu et al. 2023,
"Grounding DINO" (arXiv:2303.05499).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contract.answers import build_answer, labelled, rejected
from contract.errors import InputError, SourceError, TermsError
from contract.files import sha256_json
from contract.guideline import Guideline
from contract.predictor import Description, Source
from contract.tables import Kind, Task
from contract.terms import Terms
from models.content import read_content
from models.images import MAX_PIXELS, decode_image
from models.registry import ModelEntry, weights_of
from models.tiling import Found, merged

TEMPLATES: Final = ("{name}",)
_NAMED: Final = 400  # characters of prompts in a description

Picture = NDArray[np.uint8]
Box = dict[str, Any]


class Settings(BaseModel):
    """What may stand under `settings` of such a model's entry."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    conf: float = Field(default=0.25, ge=0, le=1)  # least score of a box
    iou: float = Field(default=0.7, gt=0, le=1)  # from which boxes of a class are one
    max_det: int = Field(default=300, gt=0)  # boxes an image
    imgsz: int = Field(default=640, gt=0)  # side that YOLO sees
    templates: tuple[str, ...] = Field(default=TEMPLATES, min_length=1)  # {name} and {definition} stand for those of a class
    prompts: dict[str, tuple[str, ...]] = {}  # class -> prompts in the place of those
    text_encoder: Path | None = None  # of YOLO: a folder of CLIP's, or a TorchScript file
    tokenizer: Path | None = None  # of a TorchScript encoder: a folder
    max_pixels: int = Field(default=MAX_PIXELS, gt=0)


class Prompts(NamedTuple):
    """What a model is asked: prompts, and of each the index of its class in `classes`."""

    classes: tuple[str, ...]
    texts: tuple[str, ...]
    owner: tuple[int, ...]


def prompts_of(guideline: Guideline | None, settings: Settings, *, origin: str) -> Prompts:
    """Return the prompts of the guideline's classes: by the templates for the name and each of model_names, each once.

    Raises:
        TermsError: there are no classes to ask for.
        InputError: the settings have prompts of a class that the guideline has not, or none for one.
    """
    if guideline is None or not guideline.classes:
        raise TermsError(f"{origin}: a model of open vocabulary has no classes of its own; list some in guideline.classes")
    foreign = [name for name in settings.prompts if name not in guideline.class_names]
    if foreign or not all(settings.prompts.values()):
        what = f"the guideline has no class {foreign[0]!r}" if foreign else "a class has an empty list"
        raise InputError(f"settings.prompts of model {origin!r} are wrong: {what}")
    texts: dict[str, int] = {}
    for number, each in enumerate(guideline.classes):
        made = [
            template.replace("{name}", name).replace("{definition}", each.definition)
            for name in (each.name, *each.model_names)
            for template in settings.templates
        ]
        for text in settings.prompts.get(each.name, tuple(made)):
            texts.setdefault(" ".join(text.split()), number)
    return Prompts(guideline.class_names, tuple(texts), tuple(texts.values()))


class Looking(Protocol):
    """A model that is asked where prompts are."""

    def load(self, device: str) -> None:
        """Read the weights onto `device` and take in the prompts."""
        ...

    def look(self, image: Picture) -> Found:
        """Return boxes of an RGB picture in its pixels, with `classes` as indices of prompts."""
        ...


class OpenVocabularyDetector:
    """A detector by prompts behind the predictor's protocol; see `contract.predictor.Predictor`."""

    def __init__(self, entry: ModelEntry, settings: Settings, guideline: Guideline | None) -> None:
        self._entry = entry
        self._settings = settings
        self._prompts = prompts_of(guideline, settings, origin=entry.name)
        self._weights = weights_of(entry)
        self._model: Looking = _looking(self._weights.path, self._prompts.texts, settings)
        self._loaded = False

    def describe(self) -> Description:
        """Tell what the detector is; other prompts make another version, since they make other labels."""
        used, prompts = self._settings, self._prompts
        asked = sha256_json([list(prompts.texts), list(prompts.owner), str(used.text_encoder)])[:6]
        return Description(
            name=self._entry.name,
            version=f"{self._weights.sha256[:12]}-p{asked}",
            kind=Kind.IMAGE,
            classes=prompts.classes,
            weights_sha256=self._weights.sha256,
            runtime="torch",
            precision="fp32",
            settings={
                "conf": used.conf,
                "iou": used.iou,
                "max_det": used.max_det,
                "imgsz": used.imgsz,
                "prompts": " | ".join(prompts.texts)[:_NAMED],
            },
        )

    def load(self, device: str) -> None:
        """Read the weights onto `device`: cpu, cuda, cuda:N or auto.

        Raises:
            DeviceError: cuda was asked for and is absent.
            WeightsError: weights are missing, damaged, unsafe or of another kind.
        """
        self._weights = weights_of(self._entry)
        self._model.load(device)
        self._loaded = True

    def detect(self, images: Sequence[Picture]) -> list[list[Box]]:
        """Return the boxes of each RGB picture (height, width, 3): dicts of label, x, y, w, h (pixels) and score."""
        if not self._loaded:
            raise InputError(f"model {self._entry.name!r} is not loaded; call load(device) first")
        return [self._of_image(image) for image in images]

    def predict(self, sources: Sequence[Source]) -> pa.Table:
        """Label `sources`: one row each, in order; what cannot be decoded is a rejected row with the reason."""
        rows = []
        for source in sources:
            try:
                image = decode_image(read_content(source), max_pixels=self._settings.max_pixels)
            except SourceError as error:
                rows.append(rejected(source.item, Kind.IMAGE, str(error)))
                continue
            rows.append(labelled(source.item, Kind.IMAGE, {Task.BOXES: self.detect([image])[0]}))
        return build_answer(Kind.IMAGE, rows)

    def _of_image(self, image: Picture) -> list[Box]:
        height, width = image.shape[:2]
        found = self._model.look(image)
        corners = np.clip(found.corners, 0, [width, height, width, height])
        owner = np.array(self._prompts.owner, np.int64)
        sides = corners[:, 2:] - corners[:, :2]
        kept = np.flatnonzero((found.scores >= self._settings.conf) & (sides > 0).all(axis=1))
        of_classes = Found(corners[kept], found.scores[kept], owner[found.classes[kept]])
        boxes = merged(of_classes, at=self._settings.iou)
        rows = zip(*(part[: self._settings.max_det].tolist() for part in boxes), strict=True)
        return [
            {"label": self._prompts.classes[name], "x": x1, "y": y1, "w": x2 - x1, "h": y2 - y1, "score": score}
            for (x1, y1, x2, y2), score, name in rows
        ]


def _looking(path: Path, prompts: Sequence[str], settings: Settings) -> Looking:
    if path.is_dir():
        from models.grounding import Grounder

        return Grounder(path, prompts, conf=settings.conf)
    from models.promptyolo import PromptYolo

    return PromptYolo(path, prompts, settings)


def _settings(entry: ModelEntry, terms: Terms | None) -> Settings:
    agreed: dict[str, Any] = {}
    if terms is not None:
        prelabel = terms.prelabel
        agreed = {"conf": prelabel.min_score, "iou": prelabel.nms_iou, "max_det": prelabel.max_boxes}
        agreed["max_pixels"] = terms.limits.max_image_pixels
    given: Mapping[str, Any] = entry.settings
    try:
        return Settings.model_validate({**agreed, **given})
    except ValidationError as error:
        words = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise InputError(f"settings of model {entry.name!r} are wrong: {words}") from error


def from_entry(entry: ModelEntry, *, terms: Terms | None = None) -> OpenVocabularyDetector:
    """Return the detector of `entry`, not loaded yet.

    Raises:
        InputError: its settings are wrong.
        TermsError: there are no classes to ask for.
        WeightsError: its weights are absent or differ from their pin.
    """
    return OpenVocabularyDetector(entry, _settings(entry, terms), terms.guideline if terms else None)
