"""Vision-language models from a local folder: how much views of a video are like prompts, as logits.

A view is what such a model sees at once: one picture for models of pictures (Radford et al., 2021, arXiv 2103.00020; Zhai et
al., 2023, arXiv 2303.15343), a few frames in their order for models of video (X-CLIP: Ni et al., 2022, arXiv 2208.02816,
where what a prompt means also depends on the video). Prompts are encoded once, when the weights are read.
"""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoTokenizer

from contract.errors import InputError, WeightsError
from models.devices import resolve
from models.textfolder import quiet

PICTURES_AT_ONCE: Final = 16  # a forward pass, those of all its views together
SOFTMAX: Final = frozenset({"clip", "chinese_clip", "altclip", "clipseg", "metaclip_2", "align"})
SIGMOID: Final = frozenset({"siglip", "siglip2"})
VIDEO: Final = frozenset({"xclip"})
_OFFSET_POSITIONS: Final = frozenset({"altclip"})  # its text side is XLM-R, whose positions begin after the padding index
_LOCAL: Final = {"local_files_only": True, "trust_remote_code": False}

Prepared = dict[str, torch.Tensor]  # of one picture, each with a first dimension of 1
Logits = NDArray[np.float64]


class VisionLanguageModel:
    """A model of CLIP's, SigLIP's or X-CLIP's kind and the prompts that it is asked; safetensors alone, no code of theirs.

    Attributes:
        kind: its model_type.
        frames: how many frames a view has: 1 for models of pictures.
        independent: whether each prompt is judged by itself (sigmoid) rather than against the others (softmax).
    """

    def __init__(self, folder: Path, prompts: Sequence[str]) -> None:
        """Read the configuration and the tokens of `prompts`; weights are read by `load`.

        Raises:
            WeightsError: the folder holds no such model.
            InputError: a prompt is longer than the model reads.
        """
        self._folder = folder
        self._config = self._read("no model that transformers knows", AutoConfig.from_pretrained)
        self.kind = str(self._config.model_type)
        if self.kind not in SOFTMAX | SIGMOID | VIDEO:
            known = ", ".join(sorted(SOFTMAX | SIGMOID | VIDEO))
            raise WeightsError(f"{folder}: a {self.kind} compares no pictures with prompts; give one of {known}")
        self.independent = self.kind in SIGMOID
        self.frames = int(self._config.vision_config.num_frames) if self.kind in VIDEO else 1
        tokenizer = self._read("its tokenizer cannot be read", AutoTokenizer.from_pretrained)
        self._tokens = self._tokenised(tokenizer, prompts)
        self._model: Any = None
        self._pictures: Any = None
        self._device = "cpu"
        self._said: torch.Tensor | None = None  # features of the prompts

    def _read(self, what_is_wrong: str, reader: Any, **options: Any) -> Any:
        try:
            with quiet():
                return reader(self._folder, **_LOCAL, **options)
        except (OSError, SafetensorError, ValueError, KeyError, RuntimeError, ImportError) as error:
            words = " ".join(str(error).split())[:160]
            raise WeightsError(f"{self._folder}: {what_is_wrong} ({words})") from error

    def _tokenised(self, tokenizer: Any, prompts: Sequence[str]) -> Any:
        window = self._window(tokenizer)
        with quiet():
            for prompt in prompts:
                length = len(tokenizer(prompt)["input_ids"])
                if length > window:
                    raise InputError(
                        f"the prompt {prompt!r} has {length} tokens, more than the {window} that the model in "
                        f"{self._folder} reads; shorten it"
                    )
            # Padded as those models were trained; the others do not mind.
            padding = {"padding": "max_length", "max_length": window} if self.independent else {"padding": True}
            return tokenizer(list(prompts), return_tensors="pt", **padding)

    def _window(self, tokenizer: Any) -> int:
        text = self._config.text_config
        positions = int(text.max_position_embeddings)
        if self.kind in _OFFSET_POSITIONS:
            positions -= int(text.pad_token_id) + 1
        return min(positions, int(tokenizer.model_max_length))

    def load(self, device: str) -> None:
        """Read the weights onto `device` (cpu, cuda, cuda:N or auto) and encode the prompts.

        Raises:
            DeviceError: cuda was asked for and is absent.
            WeightsError: weights or processor are missing or damaged, or come as pickles alone.
        """
        self._device = resolve(device)
        wrong = "the model cannot be loaded"
        self._pictures = self._read(wrong, AutoImageProcessor.from_pretrained)
        options = {"use_safetensors": True, "output_loading_info": True, "dtype": torch.float32}
        model, said = self._read(wrong, AutoModel.from_pretrained, **options)
        if said["missing_keys"] or said["mismatched_keys"]:
            raise WeightsError(f"{self._folder}: its weights are not those of the model that its config.json describes")
        self._model = model.eval().to(self._device)
        self._said = self._encoded()

    def _encoded(self) -> torch.Tensor:
        """Return the features of the prompts: prompts x dimensions, of length 1 but where the video has a say in them."""
        taken = inspect.signature(self._model.get_text_features).parameters
        tokens = {name: values.to(self._device) for name, values in self._tokens.items() if name in taken}
        with torch.inference_mode():
            found = _features(self._model.get_text_features(**tokens))
        return found if self.kind in VIDEO else _unit(found)

    def prepare(self, picture: Image.Image) -> Prepared:
        """Return what the model wants to see of a picture, so that the picture itself need not be kept."""
        asked = dict(self._pictures(images=[picture], return_tensors="pt"))
        if self.kind in VIDEO:  # some processors of videos take the picture for a video of one frame
            asked = {"pixel_values": asked["pixel_values"].flatten(0, -4)}
        return asked

    def logits(self, views: Sequence[Sequence[Prepared]]) -> Logits:
        """Return views x prompts, for softmax over prompts or for sigmoid.

        Args:
            views: each `frames` prepared pictures in their order.
        """
        parts = [np.zeros((0, len(self._tokens["input_ids"])))]
        step = max(1, PICTURES_AT_ONCE // self.frames)
        for start in range(0, len(views), step):
            pictures = [picture for view in views[start : start + step] for picture in view]
            asked = {name: torch.cat([each[name] for each in pictures]).to(self._device) for name in pictures[0]}
            with torch.inference_mode():
                found = self._of_videos(asked) if self.kind in VIDEO else self._of_pictures(asked)
            parts.append(found.double().cpu().numpy())
        return np.concatenate(parts)

    def _of_pictures(self, asked: Prepared) -> torch.Tensor:
        assert self._said is not None  # noqa: S101  loaded by now
        likeness = _unit(_features(self._model.get_image_features(**asked))) @ self._said.T
        scale: torch.Tensor = 1 / self._model.temperature if self.kind == "align" else self._model.logit_scale.exp()
        bias: torch.Tensor | float = self._model.logit_bias if self.independent else 0.0
        return likeness * scale + bias

    def _of_videos(self, asked: Prepared) -> torch.Tensor:
        """X-CLIP: frames tell each other what they show, and the mean of their patches what the prompts mean here."""
        assert self._said is not None  # noqa: S101  loaded by now
        model, said = self._model, self._said
        seen = model.vision_model(pixel_values=asked["pixel_values"])
        frames = model.visual_projection(seen.pooler_output)
        videos = len(frames) // self.frames
        clips = model.mit(frames.view(videos, self.frames, -1)).pooler_output
        patches = model.prompts_visual_layernorm(seen.last_hidden_state[:, 1:]) @ model.prompts_visual_projection
        around = patches.view(videos, self.frames, *patches.shape[1:]).mean(dim=1)
        prompts = said.expand(videos, -1, -1)
        prompts = prompts + model.prompts_generator(prompts, around)
        scale: torch.Tensor = model.logit_scale.exp()
        return torch.einsum("vd,vpd->vp", _unit(clips), _unit(prompts)) * scale


def _features(found: Any) -> torch.Tensor:
    """Return the features in what a model of transformers answers: the tensor itself before version 5."""
    features: torch.Tensor = getattr(found, "pooler_output", found)
    return features


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    lengths: torch.Tensor = vectors.norm(p=2, dim=-1, keepdim=True)
    return vectors / lengths
