"""Open-vocabulary events: which shots look like what a prompt says, by a vision-language model that the user names.

Zero-shot classification (Radford et al., 2021, arXiv 2103.00020): views of the video and prompts meet in one space
(models/visionlanguage.py). A model of CLIP's or X-CLIP's kind shares the probability of a view among an event's own prompts
and those that it is told from (softmax); one of SigLIP's kind judges each prompt by itself (sigmoid), and the best of the
event's own counts.

A shot is seen in pieces of a few seconds. A model of pictures looks at a few frames of each, whose probabilities are
averaged; one of video at as many as it takes, spread evenly, at once. Pieces in which an event is likely enough and that
touch are one event. No event goes on over a change of shot.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from contract.errors import InputError
from contract.guideline import LooksLikeEvent
from contract.predictor import Source
from contract.tables import Kind
from contract.terms import Terms
from models.events import Event
from models.registry import ModelEntry, Weights, find_entry, weights_of
from models.seeking import Place, find_frames
from models.shots import Shot
from models.stills import upright
from models.timeline import Timeline
from models.visionlanguage import PICTURES_AT_ONCE, Logits, Prepared, VisionLanguageModel
from models.weights import weights_digest

PIECE_S: Final = 4.0  # seconds of a shot that are judged together
FRAMES: Final = 3  # of a piece that a model of pictures looks at
DECIMALS: Final = 4  # probabilities are rounded to this

Probabilities = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Piece:
    """Frames [start, end) of a shot, and those of them that are looked at, ascending."""

    shot: int
    start: int
    end: int
    seen: tuple[int, ...]


def pieces_of(shots: Sequence[Shot], timeline: Timeline, frames: int = FRAMES) -> list[Piece]:
    """Return the pieces of all shots, equal within a shot but for rounding, and at most PIECE_S long.

    Each is looked at in the middles of `frames` equal parts; where it has fewer frames, one counts for several.
    """
    pieces = []
    for number, shot in enumerate(shots):
        seconds = timeline.seconds(shot.end) - timeline.seconds(shot.start)
        count = max(1, min(shot.end - shot.start, int(np.ceil(seconds / PIECE_S - 1e-9))))
        bounds = [shot.start + round(at * (shot.end - shot.start) / count) for at in range(count + 1)]
        for start, end in itertools.pairwise(bounds):
            seen = tuple(start + (2 * at + 1) * (end - start) // (2 * frames) for at in range(frames))
            pieces.append(Piece(number, start, end, seen))
    return pieces


def joined_events(pieces: Sequence[Piece], likely: Probabilities, timeline: Timeline, rule: LooksLikeEvent) -> list[Event]:
    """Return the events of one rule.

    Args:
        pieces: ascending.
        likely: of the event on each piece.
        timeline: of the video.
        rule: what is likely enough, and long enough.
    """
    events: list[Event] = []
    run: list[int] = []
    for at in range(len(pieces) + 1):
        goes_on = at < len(pieces) and likely[at] >= rule.min_score
        if run and (not goes_on or pieces[at].shot != pieces[run[-1]].shot):
            start, end = pieces[run[0]].start, pieces[run[-1]].end
            if timeline.seconds(end) - timeline.seconds(start) >= rule.min_seconds - 1e-6:
                lengths = np.array([pieces[index].end - pieces[index].start for index in run], np.float64)
                score = float(np.average(likely[run], weights=lengths))
                events.append(Event(rule.name, start, end, round(score, DECIMALS)))
            run = []
        if goes_on:
            run.append(at)
    return events


class Looker:
    """Finds the events of some rules by a vision-language model."""

    def __init__(self, folder: Path, rules: Sequence[LooksLikeEvent], *, digest: str | None = None) -> None:
        """Prepare, without reading weights.

        Args:
            folder: with the model, its tokenizer and its picture processor.
            rules: of the events, each with its prompts.
            digest: of the folder, where it is known already.

        Raises:
            WeightsError: the folder holds no such model.
            InputError: a prompt is longer than the model reads.
        """
        self._folder, self._rules, self._digest = folder, tuple(rules), digest
        prompts = list(dict.fromkeys(prompt for rule in rules for prompt in (*rule.prompts, *rule.against)))
        self._columns = [[prompts.index(prompt) for prompt in (*rule.prompts, *rule.against)] for rule in rules]
        self._model = VisionLanguageModel(folder, prompts)

    @cached_property
    def name(self) -> str:
        """What a description says of the model."""
        return f"{self._model.kind} {(self._digest or weights_digest(self._folder))[:12]}"

    def load(self, device: str) -> None:
        """Read the weights onto `device` (cpu, cuda, cuda:N or auto) and encode the prompts.

        Raises:
            DeviceError: cuda was asked for and is absent.
            WeightsError: weights or processor are missing or damaged, or come as pickles alone.
        """
        self._model.load(device)

    def likely(self, logits: Logits) -> Probabilities:
        """Return rules x views: how likely each event is on each view, of the logits of views x all prompts."""
        found = np.zeros((len(self._rules), len(logits)))
        for row, (rule, columns) in enumerate(zip(self._rules, self._columns, strict=True)):
            asked = logits[:, columns]
            own = slice(len(rule.prompts))
            if self._model.independent:
                found[row] = (1.0 / (1.0 + np.exp(-asked[:, own]))).max(axis=1)
            else:
                shares = np.exp(asked - asked.max(axis=1, keepdims=True))
                found[row] = shares[:, own].sum(axis=1) / shares.sum(axis=1)
        return found

    def find(self, source: Source, shots: Sequence[Shot], timeline: Timeline) -> list[Event]:
        """Return the events of the rules in a video, by rule, then by start.

        Raises:
            SourceError: frames of the video cannot be decoded.
        """
        whole = self._model.frames > 1
        pieces = pieces_of(shots, timeline, self._model.frames if whole else FRAMES)
        views = [(at, piece.seen) for at, piece in enumerate(pieces)]
        if not whole:
            views = [(at, (frame,)) for at, seen in views for frame in dict.fromkeys(seen)]
        sums, counts = np.zeros((len(self._rules), len(pieces))), np.zeros(len(pieces))
        places = [Place(frame, timeline.seconds(frame)) for frame in dict.fromkeys(f for _, seen in views for f in seen)]
        prepared = ((found.place.frame, self._model.prepare(upright(found))) for found in find_frames(source, places))
        shown: dict[int, Prepared] = {}
        step = max(1, PICTURES_AT_ONCE // self._model.frames)
        for start in range(0, len(views), step):
            batch = views[start : start + step]
            last = batch[-1][1][-1]
            while last not in shown:
                frame, picture = next(prepared)
                shown[frame] = picture
            likely = self.likely(self._model.logits([[shown[frame] for frame in seen] for _, seen in batch]))
            for (at, _), column in zip(batch, likely.T, strict=True):
                sums[:, at] += column
                counts[at] += 1
            shown.clear()
        likely = np.round(sums / np.maximum(counts, 1.0), DECIMALS)
        return [
            event for row, rule in enumerate(self._rules) for event in joined_events(pieces, likely[row], timeline, rule)
        ]


def looker_named(name: str, rules: Sequence[LooksLikeEvent], *, models_file: Path | None = None) -> Looker:
    """Return the looker called `name`: an entry of the models file whose loader is `looks`, or a path to a folder.

    Raises:
        InputError: no such entry, it is another kind of model, or a prompt is longer than it reads.
        WeightsError: the weights are absent, not pulled yet, unsafe or changed.
    """
    weights = _weights_named(name, models_file)
    return Looker(weights.path, rules, digest=weights.sha256)


def _weights_named(name: str, models_file: Path | None) -> Weights:
    entry = find_entry(name, Kind.VIDEO, models_file=models_file)
    if entry.loader == "video" and entry.path is not None:  # no entry but a path, which says nothing of what is there
        entry = entry.model_copy(update={"loader": "looks"})
    if entry.loader != "looks":
        raise InputError(f"model {name!r} is no vision-language model; name one whose loader is looks, or its folder")
    return weights_of(entry)


def from_entry(entry: ModelEntry, *, terms: Terms | None = None) -> NoReturn:
    """Refuse to be a predictor.

    Raises:
        InputError: always; such a model answers the questions of a video model's events.
    """
    raise InputError(
        f"model {entry.name!r} compares pictures with prompts and labels nothing by itself; name it as settings.looker of a "
        "video model"
    )
