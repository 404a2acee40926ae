"""Boxes with classes from any Ultralytics detector: .pt, .onnx, OpenVINO folder, TensorRT engine."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contract.errors import DeviceError, InputError, WeightsError
from contract.errors import SourceError as _SourceError
from contract.predictor import Description, Source
from contract.tables import Kind
from contract.terms import Terms
from models.boxes import Boxes, as_rows, boxes_answer, clipped
from models.class_map import ClassMap, map_classes
from models.content import read_content
from models.devices import resolve
from models.engines import ENGINE, device_of, find_engine
from models.exports import Facts, read_facts
from models.images import MAX_PIXELS, decode_image, decode_within
from models.jpegs import Decoded
from models.letterbox import fit, letterboxed, unfitted
from models.openvinocore import keep
from models.registry import ModelEntry, Weights, weights_of
from models.streams import Outputs, Streams, open_streams
from models.suppression import suppressed
from models.torchbatches import TorchBatches, Wanted
from models.yolo import quiet_ultralytics

PIPELINE: Final = (
    2  # raised where the way from file to box changes, so that labels of the old and the new way differ in name
)
_NAMED: Final = 20  # dropped classes are listed up to so many
_HINTS: Final = MappingProxyType({"fp32": "f32", "bf16": "bf16"})
_DTYPES: Final = MappingProxyType({"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16})
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
    rect: bool = True  # OpenVINO and CUDA pad a picture to the next stride only; False is the square
    engine: str | None = Field(default=None, pattern=ENGINE)  # runtime-precision, as `goldgate models build` has made it
    precision: Literal["fp32", "bf16", "fp16"] | None = None  # that the weights leave open; None is the runtime's own
    plain: bool = False  # torch by Ultralytics' own prediction, on CUDA as well; a batch of 1 has rectangles
    graphs: bool = False  # torch on CUDA compiles the network into CUDA graphs
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

    An image's boxes do not depend on its neighbours in the call: every picture is padded to the same square or, by OpenVINO,
    to the rectangle that its own size calls for.
    """

    def __init__(self, entry: ModelEntry, *, terms: Terms | None = None) -> None:
        self._entry = entry
        self._guideline = terms.guideline if terms else None
        self._settings = _settings(entry, terms)
        self._weights: Weights = weights_of(entry)
        self._device = "cpu"
        self._model: Any = None
        self._streams: Streams | None = None
        self._batches: TorchBatches | None = None

    @property
    def calls_at_once(self) -> int:
        """How many threads may call this detector at the same time."""
        return 1 if self._streams is None else self._streams.count

    @cached_property
    def _facts(self) -> Facts:
        name = self._settings.engine
        return read_facts(self._weights.path if name is None else find_engine(self._weights, name, device_of(name)))

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
            "rect": used.rect,
        }
        if self._classes.dropped:
            rest = len(self._classes.dropped) - _NAMED
            more = f" and {rest} more" if rest > 0 else ""
            settings["model_classes_dropped"] = ", ".join(self._classes.dropped[:_NAMED]) + more
        if self._classes.uncovered:
            settings["guideline_classes_uncovered"] = ", ".join(self._classes.uncovered)
        return Description(
            name=self._entry.name,
            version="-".join(filter(None, [self._weights.sha256[:12], str(PIPELINE), used.engine])),
            kind=Kind.IMAGE,
            classes=self._classes.classes,
            weights_sha256=self._weights.sha256,
            runtime=self._facts.runtime,
            precision=self._precision,
            settings=settings,
        )

    @property
    def _precision(self) -> str:
        used, facts = self._settings, self._facts
        if used.half and facts.runtime == "torch":
            return "fp16"
        return (
            used.precision
            if used.precision and facts.runtime == "openvino" and facts.precision != "int8"
            else facts.precision
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
            hint = _HINTS.get(self._settings.precision or self._facts.made_for or "")
            self._streams = open_streams(self._facts.path, side=self._settings.imgsz, precision=hint)
        if self._facts.runtime == "torch" and chosen.startswith("cuda") and not self._settings.plain:
            self._batches = TorchBatches(
                self._facts.path,
                self._wanted(),
                device=chosen,
                dtype=_DTYPES[self._precision],
                graphs=self._settings.graphs,
            )
        if self._streams is not None or self._batches is not None:
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

    def _wanted(self) -> Wanted:
        used = self._settings
        return Wanted(
            conf=used.conf,
            iou=used.iou,
            max_det=used.max_det,
            classes=self._classes.labels.keys(),
            side=used.imgsz,
            rect=used.rect,
            batch=used.batch,
            threads=used.decode_threads,
            max_pixels=used.max_pixels,
        )

    def detect(self, images: Sequence[Picture]) -> list[list[Box]]:
        """Return the boxes of each RGB picture (height, width, 3): dicts of label, x, y, w, h (pixels) and score.

        Boxes lie within the picture and come by falling score.
        """
        if self._streams is not None:
            found = self._streams.together(lambda picture: self._seen(Decoded(picture, *picture.shape[:2])), images)
            return [as_rows(boxes, self._classes.labels) for boxes in found]
        if self._batches is not None:
            return [as_rows(boxes, self._classes.labels) for boxes in self._batches.see(images)]
        step = self._settings.batch
        batches = [images[start : start + step] for start in range(0, len(images), step)]
        return [as_rows(boxes, self._classes.labels) for batch in batches for boxes in self._infer(batch)]

    def predict(self, sources: Sequence[Source]) -> pa.Table:
        """Label `sources`: one row each, in order; what cannot be decoded is a rejected row with the reason."""
        items = [source.item for source in sources]
        found: list[Boxes | str] = []
        if self._streams is not None:
            found = self._streams.together(self._look, sources)
            return boxes_answer(items, found, self._classes.labels)
        if self._batches is not None:
            return boxes_answer(items, self._batches.look(sources), self._classes.labels)
        with ThreadPoolExecutor(self._settings.decode_threads) as threads:
            for pictures in self._decoded(sources, threads):
                seen = iter(self._infer([picture for picture in pictures if not isinstance(picture, str)]))
                found += [picture if isinstance(picture, str) else next(seen) for picture in pictures]
        return boxes_answer(items, found, self._classes.labels)

    def _decoded(self, sources: Sequence[Source], threads: ThreadPoolExecutor) -> Iterator[list[Picture | str]]:
        """Decode batch by batch, one batch ahead of the network, so that memory holds two batches at most."""
        step = self._settings.batch
        batches = [sources[start : start + step] for start in range(0, len(sources), step)]
        ahead: list[Future[Picture | str]] = []
        for index, batch in enumerate(batches):
            futures = ahead or [threads.submit(self._decode, source) for source in batch]
            following = batches[index + 1] if index + 1 < len(batches) else []
            pictures = [future.result() for future in futures]
            ahead = [threads.submit(self._decode, source) for source in following]
            yield pictures

    def _decode(self, source: Source) -> Picture | str:
        try:
            return decode_image(read_content(source), max_pixels=self._settings.max_pixels)
        except _SourceError as error:
            return str(error)

    def _look(self, source: Source) -> Boxes | str:
        """Return the boxes of a source by a stream, or why there are none."""
        assert self._streams is not None  # noqa: S101  only then is it called
        within = (self._streams.height, self._streams.width)
        try:
            return self._seen(decode_within(read_content(source), within=within, max_pixels=self._settings.max_pixels))
        except _SourceError as error:
            return str(error)

    def _seen(self, picture: Decoded) -> Boxes:
        """Return the boxes of one picture, by a stream."""
        streams, used = self._streams, self._settings
        assert streams is not None  # noqa: S101  only then is it called
        stride = streams.stride if used.rect else None
        place = fit(picture.height, picture.width, within=(streams.height, streams.width), stride=stride)
        rows = streams.infer(letterboxed(picture.pixels, place), self._rows if streams.cut else self._suppressed)
        corners = unfitted(rows[:, :4], place)
        return clipped(np.concatenate([corners, rows[:, 4:]], axis=1).astype(np.float64), (picture.width, picture.height))

    def _rows(self, outputs: Outputs) -> NDArray[np.float32]:
        """Return rows of x1, y1, x2, y2, score, class out of what the head says, in pixels of the network's input."""
        assert self._streams is not None  # noqa: S101  only then is it called
        used = self._settings
        found = self._streams.candidates(outputs, least=used.conf)
        return suppressed(found, iou=used.iou, max_det=used.max_det, classes=self._classes.labels.keys())

    def _suppressed(self, outputs: Outputs) -> NDArray[np.float32]:
        """Return the same out of the output of a whole network, by Ultralytics."""
        from ultralytics.utils.nms import non_max_suppression

        used = self._settings
        output = outputs[0]
        if output.shape[-1] != _END_TO_END:
            likely = output[0, 4:].max(axis=0) > used.conf  # suppression drops the others first: a hundredth is left
            likely[: _END_TO_END + 1] = True  # it takes an output of six candidates for one of six columns
            output = output[:, :, likely]
        options: dict[str, Any] = {"max_det": used.max_det, "classes": sorted(self._classes.labels)}
        (rows,) = non_max_suppression(torch.from_numpy(output.copy()), used.conf, used.iou, **options)
        found: NDArray[np.float32] = rows.numpy()
        return found

    def _infer(self, images: Sequence[Picture]) -> list[Boxes]:
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
        alone = used.plain and used.batch == 1  # which Ultralytics pads as little as it can
        results = self._model.predict(bgr, rect=used.rect and alone, verbose=False, save=False, stream=False, **options)
        return [
            clipped(result.boxes.data.cpu().numpy().astype(np.float64), (image.shape[1], image.shape[0]))
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


def from_entry(entry: ModelEntry, *, terms: Terms | None = None) -> Detector:
    """Return the detector of `entry`, not loaded yet.

    Raises:
        InputError: its settings are wrong.
        WeightsError: its weights are absent or differ from their pin.
    """
    return Detector(entry, terms=terms)
