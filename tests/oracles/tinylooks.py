"""Vision-language models of every kind with random weights, as they come from a hub; and X-CLIP by hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoTokenizer,
    CLIPImageProcessor,
    PreTrainedTokenizerFast,
    Siglip2ImageProcessor,
    VideoMAEImageProcessor,
)

WORDS = ("a", "photo", "of", "red", "green", "sea", "street", "<unk>", "<pad>", "<s>", "</s>")
WINDOW = 12
TEXT = {
    "vocab_size": len(WORDS),
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": WINDOW,
    "bos_token_id": 9,
    "eos_token_id": 10,
    "pad_token_id": 8,
}
SEEN = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
PICTURE = {"image_size": 32, "patch_size": 8}
FRAMES = 4  # of a view of the model of video
BLOCKS = {
    "image_size": 32,
    "kernel_sizes": [3],
    "in_channels": [32],
    "out_channels": [8],
    "strides": [1],
    "num_block_repeats": [1],
    "expand_ratios": [1],
    "hidden_dim": 16,
    "width_coefficient": 1.0,
    "depth_coefficient": 1.0,
}
MIT = {"mit_hidden_size": 8, "mit_intermediate_size": 12, "mit_num_hidden_layers": 1, "mit_num_attention_heads": 2}
# model_type -> what its class is called in transformers, and its configuration.
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "clip": ("CLIP", {"text_config": TEXT, "vision_config": {**SEEN, **PICTURE}, "projection_dim": 8}),
    "metaclip_2": ("MetaClip2", {"text_config": TEXT, "vision_config": {**SEEN, **PICTURE}, "projection_dim": 8}),
    "clipseg": ("CLIPSeg", {"text_config": TEXT, "vision_config": {**SEEN, **PICTURE}, "projection_dim": 8}),
    "chinese_clip": ("ChineseCLIP", {"text_config": TEXT, "vision_config": {**SEEN, **PICTURE}, "projection_dim": 8}),
    "altclip": (
        "AltCLIP",
        {
            "text_config": {**TEXT, "max_position_embeddings": WINDOW + 9, "project_dim": 8},
            "vision_config": {**SEEN, **PICTURE},
            "projection_dim": 8,
        },
    ),
    "align": ("Align", {"text_config": TEXT, "vision_config": BLOCKS, "projection_dim": 8}),
    "siglip": ("Siglip", {"text_config": TEXT, "vision_config": {**SEEN, **PICTURE}}),
    "siglip2": (
        "Siglip2",
        {"text_config": {**TEXT, "projection_size": 16}, "vision_config": {**SEEN, "patch_size": 8, "num_patches": 16}},
    ),
    "xclip": (
        "XCLIP",
        {
            "text_config": TEXT,
            "vision_config": {**SEEN, **PICTURE, **MIT, "num_frames": FRAMES},
            "projection_dim": 8,
            "prompt_num_attention_heads": 2,
            "prompt_alpha": 0.7,
        },
    ),
}


def tokenizer() -> PreTrainedTokenizerFast:
    """Return one that knows WORDS, each a token, and puts the last of them at the end."""
    words = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token=WORDS[-4]))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 10)])
    special = dict(zip(("unk_token", "pad_token", "bos_token", "eos_token"), WORDS[-4:], strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=WINDOW, **special)


def picture_processor(kind: str) -> Any:
    """Return how pictures become pixels, without anything cut off."""
    size = {"height": 32, "width": 32}
    if kind == "siglip2":
        return Siglip2ImageProcessor(patch_size=8, max_num_patches=16)
    if kind == "xclip":  # which its checkpoints come with
        return VideoMAEImageProcessor(size=size, do_center_crop=False)
    return CLIPImageProcessor(size=size, do_center_crop=False)


def put(kind: str, folder: Path) -> Path:
    """Write a model of `kind` into `folder`; the same kind has the same weights."""
    torch.manual_seed(5)
    name, fields = KINDS[kind]
    model = getattr(transformers, f"{name}Model")(getattr(transformers, f"{name}Config")(**fields))
    for values in model.parameters():
        if values.dim() < 2:  # biases and the like, which are all alike at first and would hide what is left out
            values.data += 0.1 * torch.randn_like(values)
    for named, value in (("logit_scale", 3.0), ("logit_bias", -1.0), ("temperature", 0.1)):
        if hasattr(model, named):
            getattr(model, named).data.fill_(value)
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    picture_processor(kind).save_pretrained(folder)
    return folder


def as_one(kind: str, folder: Path, view: Sequence[Image.Image], prompts: Sequence[str]) -> NDArray[np.float64]:
    """Oracle: the logits of one view by the model's own forward pass over view and prompts together."""
    model = getattr(transformers, f"{KINDS[kind][0]}Model").from_pretrained(folder).eval()
    padding: dict[str, Any] = {"padding": True}
    if kind.startswith("siglip"):
        padding = {"padding": "max_length", "max_length": WINDOW}
    text = AutoTokenizer.from_pretrained(folder)(list(prompts), return_tensors="pt", return_token_type_ids=False, **padding)
    seen = picture_processor(kind)(images=list(view), return_tensors="pt")
    with torch.no_grad():
        found = model(**text, **seen)
    return np.asarray((found.logits_per_video if kind == "xclip" else found.logits_per_image)[0].numpy(), np.float64)


class XclipByHand:
    """X-CLIP after its two towers, in NumPy from the weights' names: frames that tell each other, and prompts of a video."""

    def __init__(self, folder: Path) -> None:
        self.model = transformers.XCLIPModel.from_pretrained(folder).eval()
        self.weights = {name: values.numpy().astype(np.float64) for name, values in self.model.state_dict().items()}

    def logits(self, view: Sequence[Image.Image], prompts: Sequence[str]) -> NDArray[np.float64]:
        """Return the logits of `prompts` on one view."""
        of, weights = self.model, self.weights
        pixels = picture_processor("xclip")(images=list(view), return_tensors="pt")["pixel_values"][0]
        with torch.no_grad():
            seen = of.vision_model(pixel_values=pixels)
            said = [
                of.text_model(**tokenizer()(prompt, return_tensors="pt", return_token_type_ids=False)) for prompt in prompts
            ]
        frames = seen.pooler_output.numpy() @ weights["visual_projection.weight"].T
        clip = (self._block(frames + weights["mit.position_embedding"][0]) + frames).mean(axis=0)
        every = [self._norm("prompts_visual_layernorm", each[1:].numpy()) for each in seen.last_hidden_state]
        patches = np.mean(every, axis=0)
        around = self._norm("prompts_generator.layernorm", patches @ weights["prompts_visual_projection"])
        found = []
        for each in said:
            prompt = each.pooler_output[0].numpy() @ weights["text_projection.weight"].T
            moved = prompt
            for layer in range(of.config.prompt_layers):
                moved = self._generated(f"prompts_generator.decoder.{layer}", moved, around)
            prompt = prompt + weights["prompts_generator.alpha"] * moved
            cosine = float(clip @ prompt / np.linalg.norm(clip) / np.linalg.norm(prompt))
            found.append(np.exp(weights["logit_scale"]) * cosine)
        return np.array(found)

    def _generated(self, at: str, prompt: Any, around: Any) -> Any:
        queries = self.weights[f"{at}.cross_attn.q_proj.weight"] @ self._norm(f"{at}.norm1", prompt)
        keys, values = (around @ self.weights[f"{at}.cross_attn.{name}_proj.weight"].T for name in "kv")
        heard = self._attended(queries[None], keys, values)[0]
        prompt = prompt + self._linear(f"{at}.cross_attn.proj", heard)
        inner = self._linear(f"{at}.mlp.0", self._norm(f"{at}.norm3", prompt))
        return prompt + self._linear(f"{at}.mlp.3", _quick_gelu(inner))

    def _block(self, frames: Any) -> Any:
        """The one layer of the transformer over frames."""
        at = "mit.encoder.layers.0"
        normed = self._norm(f"{at}.layer_norm1", frames)
        queries, keys, values = (self._linear(f"{at}.self_attn.{name}_proj", normed) for name in "qkv")
        frames = frames + self._linear(f"{at}.self_attn.out_proj", self._attended(queries, keys, values))
        inner = _quick_gelu(self._linear(f"{at}.mlp.fc1", self._norm(f"{at}.layer_norm2", frames)))
        return frames + self._linear(f"{at}.mlp.fc2", inner)

    def _attended(self, queries: Any, keys: Any, values: Any, heads: int = 2) -> Any:
        width = queries.shape[1] // heads
        parts = []
        for head in range(heads):
            own = slice(head * width, (head + 1) * width)
            shares = np.exp(queries[:, own] @ keys[:, own].T / np.sqrt(width))
            parts.append(shares / shares.sum(axis=1, keepdims=True) @ values[:, own])
        return np.concatenate(parts, axis=1)

    def _norm(self, at: str, values: Any) -> Any:
        values = np.asarray(values, np.float64)
        centred = values - values.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)
        return scaled * self.weights[f"{at}.weight"] + self.weights[f"{at}.bias"]

    def _linear(self, at: str, values: Any) -> Any:
        return values @ self.weights[f"{at}.weight"].T + self.weights[f"{at}.bias"]


def _quick_gelu(values: Any) -> Any:
    return values / (1 + np.exp(-1.702 * values))
