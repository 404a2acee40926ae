"""Grounding DINO through transformers: where in a picture the phrases of a text are.

All prompts are one text, each ended by a full stop, as the model was trained. A box's score for a prompt is the greatest
probability of the prompt's own tokens; its prompt is that of the greatest score. Prompts that do not fit into the text
window are asked in turns.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForZeroShotObjectDetection, AutoProcessor

from contract.errors import WeightsError
from models.devices import resolve
from models.textfolder import quiet
from models.tiling import Found

KINDS: Final = frozenset({"grounding-dino", "mm-grounding-dino"})
_FAULTS: Final = (OSError, SafetensorError, ValueError, KeyError, RuntimeError)


class Grounder:
    """A Grounding DINO from a local folder: weights in safetensors alone, and no code of theirs.

    Args:
        folder: with the model and its processor.
        prompts: what to look for.
        conf: least score of a box.

    Raises:
        WeightsError: the folder holds no such model.
    """

    def __init__(self, folder: Path, prompts: Sequence[str], *, conf: float) -> None:
        self.folder = folder
        self._prompts = tuple(prompts)
        self._conf = conf
        try:
            with quiet():
                config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except (OSError, ValueError, KeyError) as error:
            raise WeightsError(f"{folder}: no model that transformers knows ({_words(error)})") from error
        if str(config.model_type) not in KINDS:
            raise WeightsError(f"{folder}: a {config.model_type} finds no phrases; give one of {', '.join(sorted(KINDS))}")
        self._window = int(config.max_text_len)
        self._model: Any = None
        self._processor: Any = None
        self._device = "cpu"

    def load(self, device: str) -> None:
        """Read the weights onto `device`: cpu, cuda, cuda:N or auto.

        Raises:
            DeviceError: cuda was asked for and is absent.
            WeightsError: weights or processor are missing or damaged, come as pickles alone, or a prompt is too long.
        """
        self._device = resolve(device)
        options = {"local_files_only": True, "trust_remote_code": False}
        try:
            with quiet():
                self._processor = AutoProcessor.from_pretrained(self.folder, **options)
                model, said = AutoModelForZeroShotObjectDetection.from_pretrained(
                    self.folder, use_safetensors=True, output_loading_info=True, dtype=torch.float32, **options
                )
        except _FAULTS as error:
            raise WeightsError(f"{self.folder}: the model cannot be loaded ({_words(error)})") from error
        if said["missing_keys"] or said["mismatched_keys"]:
            raise WeightsError(f"{self.folder}: its weights are not those of the model that its config.json describes")
        self._model = model.eval().to(self._device)
        self._turns = self._in_turns()

    def look(self, image: NDArray[np.uint8]) -> Found:
        """Return boxes of an RGB picture in its pixels, with `classes` as indices of prompts."""
        parts = [self._asked(image, turn) for turn in self._turns]
        return Found(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def _in_turns(self) -> list[list[int]]:
        """Return the prompts of each turn: as many as fit into the text window."""
        turns: list[list[int]] = []
        for number, prompt in enumerate(self._prompts):
            if turns and self._length([*turns[-1], number]) <= self._window:
                turns[-1].append(number)
                continue
            if self._length([number]) > self._window:
                raise WeightsError(
                    f"{self.folder}: prompt {prompt[:60]!r} is longer than its window; shorten it in the settings"
                )
            turns.append([number])
        return turns

    def _length(self, turn: Sequence[int]) -> int:
        return len(self._processor.tokenizer(_text([self._prompts[number] for number in turn]))["input_ids"])

    def _asked(self, image: NDArray[np.uint8], turn: Sequence[int]) -> Found:
        phrases = [_plain(self._prompts[number]) for number in turn]
        text = _text(phrases)
        asked = self._processor(images=Image.fromarray(image), text=text, return_tensors="pt").to(self._device)
        offsets = self._processor.tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
        with torch.inference_mode():
            answer = self._model(**asked)
        likely = answer.logits[0].sigmoid().double().cpu().numpy()
        shares = np.stack([likely[:, tokens].max(axis=1) for tokens in _tokens(phrases, offsets)], axis=1)
        best = shares.argmax(axis=1)
        scores = shares[np.arange(len(best)), best]
        kept = scores >= self._conf
        middle, size = np.split(answer.pred_boxes[0].double().cpu().numpy()[kept], 2, axis=1)
        scale = np.array([image.shape[1], image.shape[0]], np.float64)
        corners = np.concatenate([(middle - size / 2) * scale, (middle + size / 2) * scale], axis=1)
        return Found(corners, scores[kept], np.asarray(turn, np.int64)[best[kept]])


def _plain(prompt: str) -> str:
    """Return a prompt in small letters, without the full stops that part prompts."""
    return " ".join(prompt.casefold().replace(".", " ").split())


def _text(prompts: Sequence[str]) -> str:
    return "".join(f"{_plain(prompt)}. " for prompt in prompts).strip()


def _tokens(phrases: Sequence[str], offsets: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return the places of the tokens of each phrase, whose characters follow each other, parted by a stop and a space."""
    found, start = [], 0
    for phrase in phrases:
        end = start + len(phrase)
        found.append([place for place, (first, last) in enumerate(offsets) if first < end and last > start and last > first])
        start = end + 2
    return found


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
