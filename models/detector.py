"""Boxes with classes from any Ultralytics detector: .pt, .onnx, OpenVINO folder, TensorRT engine."""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contract.answers import build_answer, labelled, rejected
from contract.errors import DeviceError, InputError, WeightsError
from contract.errors import SourceError as _SourceError
from contract.predictor import Description, Source
from contract.tables import Kind, Task
from contract.terms import Terms
from models.class_map import ClassMap, map_classes
from models.content import read_content
from models.devices import resolve
from models.exports import Facts, read_facts
from models.images import MAX_PIXELS, decode_image
from models.openvinocore import keep
from models.registry import ModelEntry, Weights, weights_of
from models.streams import Streams, open_streams
from models.yolo import quiet_ultralytics

_NAMED: Final = 20  # dropped classes are listed up to so many
_END_TO_END: Final = 6  # columns of a network that suppresses by itself: x1, y1, x2, y2, score, class

Picture = NDArray[np.uint8]
Box = dict[str, Any]


class Settings(BaseModel):
    """What may stand under `settings` of a detector's entry; the defaults are Ultralytics' own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    conf: float = Field(default=0.25, ge=0, le=1)  # least score of a box
    iou: float = Field(default=0.7, gt=0, le=1)  # of non-maximum suppression
    max_det: int = Field(default=300, gt=0)  # boxes an image
    imgsz: int | None = Field(default=None, gt=0)  # side the network sees; None is that of its training
    batch: int = Field(default=16, gt=0)  # images a forward pass
    half: bool = False  # half precision on CUDA
    decode_threads: int = Field(default=min(8, os.cpu_count() or 1), gt=0)
    max_pixels: int = Field(default=MAX_PIXELS, gt=0)


def _settings(entry: ModelEntry, terms: Terms | None) -> Settings:
    agreed: dict[str, Any] = {}
    if terms is not None:
        prelabel = terms.prelabel
        agreed = {"conf": prelabel.min_score, "iou": prelabel.nms_iou, "max_det": prelabel.max_boxes}
        agreed["max_pixels"] = terms.limits.max_image_pixels
    try:
        return Settings.model_validate({**agreed, **entry.settings})
    except ValidationError as error:
        words = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise InputError(f"settings of model {entry.name!r} are wrong: {words}") from error


class Detector:
    """A detector behind the predictor's protocol; see `contract.predictor.Predictor`.

    An image's boxes do not depend on its neighbours in the call: every picture is padded to the same square.
    """

    def __init__(self, entry: ModelEntry, *, terms: Terms | None = None) -> None:
        self._entry = entry
        self._guideline = terms.guideline if terms else None
        self._settings = _settings(entry, terms)
        self._weights: Weights = weights_of(entry)
        self._device = "cpu"
        self._model: Any = None
        self._streams: Streams | None = None

    @property
    def calls_at_once(self) -> int:
        """How many threads may call this detector at the same time."""
        return 1 if self._streams is None else self._streams.count

    @cached_property
    def _facts(self) -> Facts:
        return read_facts(self._weights.path)

    @cached_property
    def _classes(self) -> ClassMap:
        return map_classes(self._facts.names, self._guideline)

    def describe(self) -> Description:
        """Tell what this detector is; classes and what found no partner come from the weights' own names.

        Raises:
            WeightsError: the weights are damaged or unsafe.
        """
        used = self._settings
        settings: dict[str, str | int | float | bool | None] = {
            "conf": used.conf,
            "iou": used.iou,
            "max_det": used.max_det,
            "imgsz": used.imgsz,
            "batch": used.batch,
        }
        if self._classes.dropped:
            rest = len(self._classes.dropped) - _NAMED
            more = f" and {rest} more" if rest > 0 else ""
            settings["model_classes_dropped"] = ", ".join(self._classes.dropped[:_NAMED]) + more
        if self._classes.uncovered:
            settings["guideline_classes_uncovered"] = ", ".join(self._classes.uncovered)
        return Description(
            name=self._entry.name,
            version=self._weights.sha256[:12],
            kind=Kind.IMAGE,
            classes=self._classes.classes,
            weights_sha256=self._weights.sha256,
            runtime=self._facts.runtime,
            precision="fp16" if used.half and self._facts.runtime == "torch" else self._facts.precision,
            settings=settings,
        )

    def load(self, device: str) -> None:
        """Read the weights onto `device`: cpu, cuda, cuda:N or auto.

        Raises:
            DeviceError: the device is absent, or this form of weights does not run on it.
            WeightsError: the weights changed, are unsafe, or share no class with the guideline.
        """
        chosen = _device_for(self._facts, device)
        self._weights = weights_of(self._entry)
        if not self._classes.labels:
            raise WeightsError(
                f"{self._weights.path}: none of its {len(self._facts.names)} classes is in the guideline; "
                "add the model's words as model_names of the classes, or choose another detector"
            )
        module = quiet_ultralytics()
        self._device = chosen
        if self._facts.runtime == "openvino":
            self._streams = open_streams(self._facts.path, side=self._settings.imgsz)
        if self._streams is not None:
            return
        self._model = module.YOLO(str(self._facts.path), task="detect")
        self._infer([np.zeros((32, 32, 3), np.uint8)])
        if self._facts.runtime == "openvino":
            keep(self._model.predictor)
        ran_on = str(self._model.predictor.device)
        if chosen.startswith("cuda") and not ran_on.startswith("cuda"):
            self._model = None
            raise DeviceError(
                f"{self._weights.path}: {self._facts.runtime} has no CUDA here; install its GPU build or choose cpu"
            )

    def detect(self, images: Sequence[Picture]) -> list[list[Box]]:
        """Return the boxes of each RGB picture (height, width, 3): dicts of label, x, y, w, h (pixels) and score.

        Boxes lie within the picture and come by falling score.
        """
        if self._streams is not None:
            return self._streams.together(self._boxes_of, images)
        step = self._settings.batch
        return [boxes for start in range(0, len(images), step) for boxes in self._infer(images[start : start + step])]

    def predict(self, sources: Sequence[Source]) -> pa.Table:
        """Label `sources`: one row each, in order; what cannot be decoded is a rejected row with the reason."""
        if self._streams is not None:
            return build_answer(Kind.IMAGE, self._streams.together(self._row, sources))
        rows: list[dict[str, Any]] = []
        with ThreadPoolExecutor(self._settings.decode_threads) as threads:
            for batch, pictures in self._decoded(sources, threads):
                seen = iter(self.detect([picture for picture in pictures if not isinstance(picture, str)]))
                for source, picture in zip(batch, pictures, strict=True):
                    if isinstance(picture, str):
                        rows.append(rejected(source.item, Kind.IMAGE, picture))
                    else:
                        rows.append(labelled(source.item, Kind.IMAGE, {Task.BOXES: next(seen)}))
        return build_answer(Kind.IMAGE, rows)

    def _decoded(
        self, sources: Sequence[Source], threads: ThreadPoolExecutor
    ) -> Iterator[tuple[Sequence[Source], list[Picture | str]]]:
        """Decode batch by batch, one batch ahead of the network, so that memory holds two batches at most."""
        step = self._settings.batch
        batches = [sources[start : start + step] for start in range(0, len(sources), step)]
        ahead: list[Future[Picture | str]] = []
        for index, batch in enumerate(batches):
            futures = ahead or [threads.submit(self._decode, source) for source in batch]
            following = batches[index + 1] if index + 1 < len(batches) else []
            pictures = [future.result() for future in futures]
            ahead = [threads.submit(self._decode, source) for source in following]
            yield batch, pictures

    def _decode(self, source: Source) -> Picture | str:
        try:
            return decode_image(read_content(source), max_pixels=self._settings.max_pixels)
        except _SourceError as error:
            return str(error)

    def _row(self, source: Source) -> dict[str, Any]:
        picture = self._decode(source)
        if isinstance(picture, str):
            return rejected(source.item, Kind.IMAGE, picture)
        return labelled(source.item, Kind.IMAGE, {Task.BOXES: self._boxes_of(picture)})

    def _boxes_of(self, picture: Picture) -> list[Box]:
        """Return the boxes of one RGB picture, by a stream."""
        from ultralytics.data.augment import LetterBox
        from ultralytics.utils.ops import scale_boxes

        assert self._streams is not None  # noqa: S101  only then is it called
        shape = (self._streams.height, self._streams.width)
        found = self._suppressed(self._streams.forward(np.ascontiguousarray(LetterBox(shape)(image=picture))))
        scale_boxes(shape, found, picture.shape[:2])
        return _boxes(found.astype(np.float64), picture.shape[1::-1], self._classes.labels)

    def _suppressed(self, output: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return rows of x1, y1, x2, y2, score, class out of the network's output, in pixels of its input."""
        import torch
        from ultralytics.utils.nms import non_max_suppression

        used = self._settings
        if output.shape[-1] != _END_TO_END:
            likely = output[0, 4:].max(axis=0) > used.conf  # suppression drops the others first: a hundredth is left
            likely[: _END_TO_END + 1] = True  # it takes an output of six candidates for one of six columns
            output = output[:, :, likely]
        options: dict[str, Any] = {"max_det": used.max_det, "classes": sorted(self._classes.labels)}
        (rows,) = non_max_suppression(torch.from_numpy(output), used.conf, used.iou, **options)
        suppressed: NDArray[np.float32] = rows.numpy()
        return suppressed

    def _infer(self, images: Sequence[Picture]) -> list[list[Box]]:
        if self._model is None:
            raise InputError(f"model {self._entry.name!r} is not loaded; call load(device) first")
        if not images:
            return []
        used = self._settings
        options: dict[str, Any] = {"conf": used.conf, "iou": used.iou, "max_det": used.max_det, "device": self._device}
        options["classes"] = sorted(self._classes.labels)  # before max_det counts
        if used.imgsz is not None:
            options["imgsz"] = used.imgsz
        if used.half and self._device != "cpu":
            options["quantize"] = 16
        bgr = [np.ascontiguousarray(image[..., ::-1]) for image in images]
        results = self._model.predict(bgr, rect=False, verbose=False, save=False, stream=False, **options)
        return [
            _boxes(result.boxes.data.cpu().numpy().astype(np.float64), image.shape[1::-1], self._classes.labels)
            for result, image in zip(results, images, strict=True)
        ]


def _device_for(facts: Facts, device: str) -> str:
    chosen = resolve(device)
    if facts.runtime == "openvino":
        if device.startswith("cuda"):
            raise DeviceError(f"{facts.path}: OpenVINO runs on CPUs, not on {device}; choose cpu, or give .pt weights")
        return "cpu"
    if facts.runtime == "tensorrt" and chosen == "cpu":
        raise DeviceError(f"{facts.path}: a TensorRT engine needs CUDA, and the device is cpu; give .pt or .onnx weights")
    return chosen


def _boxes(rows: NDArray[np.float64], size: tuple[int, ...], labels: Mapping[int, str]) -> list[Box]:
    """Rows of x1, y1, x2, y2, score, class as clipped boxes by falling score; what has no area is left out."""
    width, height = size
    rows = rows[np.argsort(-rows[:, 4], kind="stable")]
    boxes = []
    for x1, y1, x2, y2, score, number in rows.tolist():
        left, top = min(max(x1, 0.0), width), min(max(y1, 0.0), height)
        w, h = min(max(x2, 0.0), width) - left, min(max(y2, 0.0), height) - top
        if w > 0 and h > 0:
            boxes.append({"label": labels[int(number)], "x": left, "y": top, "w": w, "h": h, "score": score})
    return boxes


def from_entry(entry: ModelEntry, *, terms: Terms | None = None) -> Detector:
    """Return the detector of `entry`, not loaded yet.

    Raises:
        InputError: its settings are wrong.
        WeightsError: its weights are absent or differ from their pin.
    """
    return Detector(entry, terms=terms)
