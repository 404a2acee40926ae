"""Open-vocabulary events: which shots look like what a prompt says, by a vision-language model that the user names.

Zero-shot classification (Radford et al., 2021, arXiv 2103.00020): pictures and prompts meet in one space. A model of CLIP's
kind shares the probability of a picture among an event's own prompts and those that it is told from (softmax); one of
SigLIP's kind (Zhai et al., 2023, arXiv 2303.15343) judges each prompt by itself (sigmoid), and the best of the event's own
counts.

A shot is seen in pieces of a few seconds, each by a few frames whose probabilities are averaged; pieces in which an event is
likely enough and that touch are one event. No event goes on over a change of shot.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModel, AutoProcessor

from contract.errors import WeightsError
from contract.guideline import LooksLikeEvent
from contract.predictor import Source
from models.devices import resolve
from models.events import Event
from models.seeking import Place, find_frames
from models.shots import Shot
from models.stills import upright
from models.textfolder import quiet
from models.timeline import Timeline
from models.weights import weights_digest

PIECE_S: Final = 4.0  # seconds of a shot that are judged together
FRAMES: Final = 3  # of a piece that are looked at
BATCH: Final = 16  # pictures a forward pass
DECIMALS: Final = 4  # probabilities are rounded to this
SOFTMAX: Final = frozenset({"clip", "chinese_clip", "altclip", "clipseg", "metaclip_2", "align"})
SIGMOID: Final = frozenset({"siglip", "siglip2"})

Probabilities = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Piece:
    """Frames [start, end) of a shot, and those of them that are looked at."""

    shot: int
    start: int
    end: int
    seen: tuple[int, ...]


def pieces_of(shots: Sequence[Shot], timeline: Timeline) -> list[Piece]:
    """Return the pieces of all shots, equal within a shot but for rounding, and at most PIECE_S long."""
    pieces = []
    for number, shot in enumerate(shots):
        seconds = timeline.seconds(shot.end) - timeline.seconds(shot.start)
        count = max(1, min(shot.end - shot.start, int(np.ceil(seconds / PIECE_S - 1e-9))))
        bounds = [shot.start + round(at * (shot.end - shot.start) / count) for at in range(count + 1)]
        for start, end in itertools.pairwise(bounds):
            shares = [(2 * at + 1) / (2 * FRAMES) for at in range(FRAMES)]
            seen = sorted({min(end - 1, start + int(share * (end - start))) for share in shares})
            pieces.append(Piece(number, start, end, tuple(seen)))
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
    """A vision-language model from a local folder: weights in safetensors alone, and no code of theirs.

    Args:
        folder: with the model and its processor.

    Raises:
        WeightsError: the folder holds no such model.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            with quiet():
                config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except (OSError, ValueError, KeyError) as error:
            raise WeightsError(f"{folder}: no model that transformers knows ({_words(error)})") from error
        self._kind = str(config.model_type)
        if self._kind not in SOFTMAX | SIGMOID:
            known = ", ".join(sorted(SOFTMAX | SIGMOID))
            raise WeightsError(f"{folder}: a {self._kind} compares no pictures with prompts; give one of {known}")
        self._model: Any = None
        self._processor: Any = None
        self._device = "cpu"

    @cached_property
    def name(self) -> str:
        """What a description says of the model."""
        return f"{self._kind} {weights_digest(self.folder)[:12]}"

    def load(self, device: str) -> None:
        """Read the weights onto `device`: cpu, cuda, cuda:N or auto.

        Raises:
            DeviceError: cuda was asked for and is absent.
            WeightsError: weights or processor are missing or damaged, or come as pickles alone.
        """
        self._device = resolve(device)
        options = {"local_files_only": True, "trust_remote_code": False}
        try:
            with quiet():
                self._processor = AutoProcessor.from_pretrained(self.folder, **options)
                model, said = AutoModel.from_pretrained(
                    self.folder, use_safetensors=True, output_loading_info=True, dtype=torch.float32, **options
                )
        except (OSError, SafetensorError, ValueError, KeyError, RuntimeError) as error:
            raise WeightsError(f"{self.folder}: the model cannot be loaded ({_words(error)})") from error
        if said["missing_keys"] or said["mismatched_keys"]:
            raise WeightsError(f"{self.folder}: its weights are not those of the model that its config.json describes")
        self._model = model.eval().to(self._device)

    def probabilities(self, pictures: Sequence[Image.Image], prompts: Sequence[str]) -> Probabilities:
        """Return pictures x prompts: shares that add to 1 on each picture (softmax), or each for itself (sigmoid)."""
        parts = [np.zeros((0, len(prompts)))]
        padding = "max_length" if self._kind in SIGMOID else True  # as those models were trained
        for start in range(0, len(pictures), BATCH):
            batch = list(pictures[start : start + BATCH])
            asked = self._processor(text=list(prompts), images=batch, return_tensors="pt", padding=padding, truncation=True)
            with torch.inference_mode():
                logits = self._model(**asked.to(self._device)).logits_per_image.double()
            likely = logits.sigmoid() if self._kind in SIGMOID else logits.softmax(dim=-1)
            parts.append(likely.cpu().numpy())
        return np.concatenate(parts)

    def likely(self, pictures: Sequence[Image.Image], rule: LooksLikeEvent) -> Probabilities:
        """Return how likely the event is on each picture."""
        own = len(rule.prompts)
        shares = self.probabilities(pictures, [*rule.prompts, *rule.against])[:, :own]
        likely: Probabilities = shares.max(axis=1) if self._kind in SIGMOID else shares.sum(axis=1)
        return likely

    def find(
        self, source: Source, shots: Sequence[Shot], timeline: Timeline, rules: Sequence[LooksLikeEvent]
    ) -> list[Event]:
        """Return the events of `rules` in a video, by rule, then by start.

        Raises:
            SourceError: frames of the video cannot be decoded.
        """
        pieces = pieces_of(shots, timeline)
        sums = np.zeros((len(rules), len(pieces)))
        owner = {frame: index for index, piece in enumerate(pieces) for frame in piece.seen}
        places = [Place(frame, timeline.seconds(frame)) for frame in owner]
        found = find_frames(source, places)
        while batch := list(itertools.islice(found, BATCH)):
            pictures = [upright(each) for each in batch]
            columns = [owner[each.place.frame] for each in batch]
            for row, rule in enumerate(rules):
                np.add.at(sums[row], columns, self.likely(pictures, rule))
        counts = np.array([len(piece.seen) for piece in pieces], np.float64)
        likely = np.round(sums / np.maximum(counts, 1.0), DECIMALS)
        return [event for row, rule in enumerate(rules) for event in joined_events(pieces, likely[row], timeline, rule)]


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
