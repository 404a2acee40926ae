"""The video predictor: shots, keyframes and events of each video in one pass of decoding."""

import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Protocol, runtime_checkable

import av.error
import cv2
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contract.answers import build_answer, labelled, rejected
from contract.errors import InputError, SourceError
from contract.guideline import DetectionEvent, Guideline, LooksLikeEvent, SilenceEvent
from contract.predictor import Description, Predictor, Source
from contract.tables import Kind, Task
from contract.terms import KeyframeRule, Terms
from models.analysis import Analysis, RangePool, Reading, analyse
from models.detections import Picture, Sampler
from models.events import Material, find_events, in_order
from models.frames import MAX_SECONDS, Frame, Timeline
from models.keyframes import pick_keyframes
from models.looks import Looker, looker_named
from models.preview import preview_labels
from models.registry import ModelEntry, build_predictor, default_model
from models.revisit import Revisit
from models.shotfinders import ShotFinder, Way, finder_name, open_finder
from models.shots import shots_between
from models.sound import listen
from models.timeline import told

VERSION: Final = "6"  # of the algorithm: raised whenever the same video may get other labels

Labels = Mapping[Task, list[dict[str, Any]]]


class VideoSettings(BaseModel):
    """What an entry of the models file may set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    detector: str | None = None  # for the events over objects, where the terms name none
    workers: Annotated[int, Field(ge=1, le=64)] | None = None  # videos decoded at a time; None: one a core, at most 4
    batch: Annotated[int, Field(ge=1, le=256)] = 16  # sampled pictures a call of the detector
    longest_side: Annotated[int, Field(ge=32)] = 1280  # sampled pictures are shrunk to this
    max_seconds: Annotated[float, Field(gt=0)] = MAX_SECONDS  # longer videos are rejected
    decoder: Literal["cpu", "gpu"] = "cpu"  # gpu: of videos that no detector looks at; needs CUDA and torchcodec
    preview: bool = False  # only the encoder's keyframes are decoded: shots are approximate, and there are no events
    shots: Way = "learned"  # what finds changes of shot
    shot_weights: Path | None = None  # of its network; None: the bundled ones
    looker: str | None = (
        None  # the vision-language model that events by prompts need: a name of the models file, or a folder
    )
    resume_folder: Path | None = None  # where what is done of a long video outlives an interruption
    spread: bool = False  # long videos are decoded by all nodes of the Ray cluster, which see the files under the same paths


@runtime_checkable
class Detector(Protocol):
    """A predictor that also takes decoded pictures, RGB and H x W x 3."""

    def detect(self, images: Sequence[Picture]) -> list[list[dict[str, Any]]]:
        """Return for each picture its boxes: label, x, y, w, h, score."""
        ...


class VideoPredictor:
    """Labels videos; a file that is broken, empty or has no picture is a rejected row with a reason.

    Shots are found by a small network that comes along, events over objects by a detector on frames sampled by the terms.
    Answers do not depend on the number of workers.
    """

    def __init__(
        self,
        name: str = "shots",
        *,
        terms: Terms | None = None,
        settings: VideoSettings | None = None,
        detector: Predictor | None = None,
        models_file: Path | None = None,
    ) -> None:
        """Prepare, without loading.

        Args:
            name: of the model.
            terms: say the events, the keyframes and the sampling.
            settings: of the models file.
            detector: takes the place of the one that terms or settings name.
            models_file: where detector and looker are found by their names, if another than configs/models.yaml.

        Raises:
            InputError: a detector or looker that the events need is unknown, a prompt is longer than the looker reads, or
                a preview is to find events.
            WeightsError: those of the looker are absent, or of another kind of model.
        """
        self._name = name
        self._settings = settings or VideoSettings()
        self._guideline = terms.guideline if terms else Guideline(version="none")
        if self._settings.preview and self._guideline.events:
            raise InputError(
                f"model {name!r}: a preview finds no events; take one of the two out of models.yaml or the terms"
            )
        self._keyframes = terms.prelabel.keyframes if terms else KeyframeRule()
        self._sampling = terms.prelabel.event_frames_per_second if terms else 0.0
        rules = [event for event in self._guideline.events if isinstance(event, DetectionEvent)]
        self._classes = {label for rule in rules for label in rule.labels}
        self._listens = any(isinstance(event, SilenceEvent) for event in self._guideline.events)
        self._detector = None
        if self._classes:
            chosen = (terms.prelabel.detector if terms else None) or self._settings.detector
            name_of = chosen or default_model(Kind.IMAGE)
            origin = models_file if chosen else None
            self._detector = detector or build_predictor(name_of, Kind.IMAGE, terms=terms, models_file=origin)
        looks = [event for event in self._guideline.events if isinstance(event, LooksLikeEvent)]
        self._looker: Looker | None = None
        if looks:
            if self._settings.looker is None:
                raise InputError(
                    f"event {looks[0].name!r} needs a vision-language model; name it as settings.looker of {name!r} in "
                    "models.yaml"
                )
            self._looker = looker_named(self._settings.looker, looks, models_file=models_file)
        self._detecting = threading.Lock()
        self._finder: ShotFinder | None = None
        self._device = "cpu"  # where videos are decoded
        self._elsewhere: RangePool | None = None

    @property
    def spreads(self) -> bool:
        """Whether ranges of long videos are to be decoded by other machines as well, where there are any."""
        return self._settings.spread

    def spread_over(self, pool: RangePool) -> None:
        """Have them decoded by `pool` from now on; labels stay what they are."""
        self._elsewhere = pool

    @cached_property
    def _finder_name(self) -> str:
        return finder_name(self._settings.shots, self._settings.shot_weights)

    def describe(self) -> Description:
        """Tell the events that it looks for, the detector behind them and the sampling."""
        behind = self._detector.describe() if self._detector else None
        return Description(
            name=self._name,
            version=VERSION,
            kind=Kind.VIDEO,
            classes=self._guideline.event_names,
            weights_sha256=behind.weights_sha256 if behind else None,
            runtime=f"av {av.__version__}" + (f" + {behind.runtime}" if behind else ""),
            precision=behind.precision if behind else "float32",
            settings={
                "keyframes": self._keyframes.model_dump_json(exclude_none=True),
                "shots": self._finder_name,
                "detector": behind.source if behind else None,
                "event_frames_per_second": self._sampling if behind else None,
                "longest_side": self._settings.longest_side if behind else None,
                "batch": self._settings.batch if behind else None,
                "looker": self._looker.name if self._looker else None,
                "preview": self._settings.preview,
                "decoder": self._settings.decoder,
            },
        )

    def load(self, device: str) -> None:
        """Load the network of the shots, and the detector, if the events need one, onto `device`.

        Raises:
            WeightsError: those of the shots are absent or of another network.
            DeviceError: CUDA was asked for and is absent, or what a GPU needs to decode videos is.
        """
        if self._settings.decoder == "gpu":
            from models.framesgpu import check_gpu_decoding  # torch takes seconds, and nothing else here needs it

            self._device = check_gpu_decoding(device)
        self._finder = open_finder(self._settings.shots, self._settings.shot_weights, device=device)
        if self._looker is not None:
            self._looker.load(device)
        if self._detector is not None:
            self._detector.load(device)

    def predict(self, sources: Sequence[Source]) -> pa.Table:
        """Label `sources`, several at a time; one row a source in the same order."""
        if not sources:
            return build_answer(Kind.VIDEO, [])
        if self._finder is None:  # small enough not to ask for a call of load
            self._finder = open_finder(self._settings.shots, self._settings.shot_weights, device="cpu")
        cores = os.cpu_count() or 1
        workers = min(self._settings.workers or min(4, cores), len(sources))
        reading = Reading(
            threads=min(max(1, cores // workers), 4),
            max_seconds=self._settings.max_seconds,
            ahead=cores + 1,
            share=max(1, cores // workers),
            resume_folder=self._settings.resume_folder,
            elsewhere=self._elsewhere,
        )
        with (
            ThreadPoolExecutor(cores, thread_name_prefix="range") as ranges,
            ThreadPoolExecutor(workers, thread_name_prefix="video") as videos,
        ):
            rows = list(videos.map(lambda source: self._row(source, ranges, reading), sources))
        return build_answer(Kind.VIDEO, rows)

    def _row(self, source: Source, pool: Executor, reading: Reading) -> dict[str, Any]:
        try:
            labels, missing = self._labels(source, pool, reading)
            return labelled(source.item, Kind.VIDEO, labels, reason=missing)
        except SourceError as error:
            return rejected(source.item, Kind.VIDEO, str(error))
        except (av.error.FFmpegError, cv2.error, ValueError) as error:
            return rejected(source.item, Kind.VIDEO, f"cannot be decoded ({' '.join(str(error).split())})")

    def _labels(self, source: Source, pool: Executor, reading: Reading) -> tuple[Labels, str | None]:
        """Return the labels, and what could not be looked at."""
        if self._settings.preview:
            return preview_labels(source, self._keyframes, reading)
        if self._device != "cpu" and self._detector is None:
            from models.framesgpu import analyse_on_gpu

            return self._assembled(source, analyse_on_gpu(source, self._device, reading), Sampler(0.0, set())), None
        sampler = Sampler(self._sampling if self._detector else 0.0, self._classes)
        last: list[Frame] = []

        def see(frame: Frame) -> None:
            last[:] = [frame]
            if sampler.wants(frame):
                sampler.add(frame.time_s, frame.rgb(longest=self._settings.longest_side))
                if sampler.waiting == self._settings.batch:
                    sampler.answer(self._detect(sampler.pictures))

        found = analyse(source, pool, reading, see=see if self._detector else None)
        if last and sampler.lacks(last[0]):
            sampler.add(last[0].time_s, last[0].rgb(longest=self._settings.longest_side))
        if sampler.waiting:
            sampler.answer(self._detect(sampler.pictures))
        return self._assembled(source, found, sampler), told(found.gaps)

    def _assembled(self, source: Source, found: Analysis, sampler: Sampler) -> Labels:
        features, timeline = found.features, found.timeline
        end = timeline.seconds(timeline.frames)
        assert self._finder is not None  # noqa: S101  nothing is predicted before it is loaded
        shots = shots_between(self._finder.transitions(features, rate=timeline.rate), features.frames)
        sound = listen(source, origin_s=found.origin_s, seconds=end) if self._listens else None
        cuts = [shot.start for shot in shots[1:]]
        sides = {"longest_side": self._settings.longest_side, "batch": self._settings.batch}
        looking = Revisit(source, timeline, self._detect, classes=sampler.classes, **sides)
        events = find_events(
            Material(features, timeline, sampler.samples(end), sound, cuts), self._guideline, looking=looking
        )
        if self._looker is not None:
            with self._detecting:
                events = in_order([*events, *self._looker.find(source, shots, timeline)])
        return {
            Task.SHOTS: [{**_span(timeline, shot.start, shot.end), "transition": shot.transition} for shot in shots],
            Task.KEYFRAMES: [
                {"frame": key.frame, "time_s": timeline.seconds(key.frame), "score": key.score}
                for key in pick_keyframes(features, shots, timeline, self._keyframes)
            ],
            Task.EVENTS: [
                {"label": event.label, **_span(timeline, event.start, event.end), "score": event.score} for event in events
            ],
        }

    def _detect(self, pictures: Sequence[Picture]) -> list[list[dict[str, Any]]]:
        """Ask the detector, one thread at a time; one that takes no pictures is handed PNG files."""
        with self._detecting:
            if isinstance(self._detector, Detector):
                return self._detector.detect(pictures)
            assert self._detector is not None  # noqa: S101  only then is anything sampled
            files = [cv2.imencode(".png", picture[:, :, ::-1])[1].tobytes() for picture in pictures]
            sources = [Source(str(at), Kind.IMAGE, f"{at}.png", data) for at, data in enumerate(files)]
            boxes: list[list[dict[str, Any]]] = self._detector.predict(sources)[Task.BOXES.value].to_pylist()
            return boxes


def _span(timeline: Timeline, start: int, end: int) -> dict[str, Any]:
    seconds = {"start_s": timeline.seconds(start), "end_s": timeline.seconds(end)}
    return {"start_frame": start, "end_frame": end, **seconds}


def from_entry(entry: ModelEntry, *, terms: Terms | None = None) -> VideoPredictor:
    """Return the video predictor of a models file's entry.

    Raises:
        InputError: the entry has weights, its settings are wrong, or the detector is unknown.
    """
    if entry.path is not None or entry.hub is not None:
        raise InputError(
            f"model {entry.name!r}: a video model has no path; name the shots' weights as settings.shot_weights"
        )
    try:
        settings = VideoSettings.model_validate(entry.settings)
    except ValidationError as error:
        problems = "; ".join(f"settings.{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise InputError(f"model {entry.name!r}: {problems}; correct models.yaml") from error
    return VideoPredictor(entry.name, terms=terms, settings=settings, models_file=entry.models_file)
