"""YOLO-World and YOLOE through Ultralytics, with prompts that are encoded here, from local weights alone.

Ultralytics encodes prompts with packages and weights that it would fetch by itself. Here the text encoder is named beside
the detector: for YOLO-World a folder of transformers' CLIP (the released weights go with openai/clip-vit-base-patch32), for
YOLOE the TorchScript file that Ultralytics publishes (mobileclip_blt.ts) and a folder with CLIP's tokenizer. Both give
vectors of length 1, and the detector keeps no encoder afterwards.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from transformers import AutoTokenizer, CLIPTextModelWithProjection

from contract.errors import WeightsError
from models.checkpoints import refuse_foreign
from models.devices import resolve
from models.textfolder import quiet
from models.tiling import Found
from models.yolo import quiet_ultralytics

if TYPE_CHECKING:
    from models.openvocab import Settings

_CONTEXT: Final = 77  # tokens of CLIP's text window
_FAULTS: Final = (OSError, SafetensorError, ValueError, KeyError, RuntimeError)


def encode_prompts(prompts: Sequence[str], encoder: Path, tokenizer: Path | None = None) -> torch.Tensor:
    """Return a vector of length 1 for each prompt, float32 of shape (prompts, dimensions), on the CPU.

    Args:
        prompts: cut after what the encoder's window holds.
        encoder: a folder of CLIP's text or whole model in safetensors, or a TorchScript file (.ts) from tokens to vectors.
        tokenizer: a folder; that of the encoder if None.

    Raises:
        WeightsError: encoder or tokenizer are missing or damaged.
    """
    folder = encoder if tokenizer is None else tokenizer
    if encoder.suffix == ".ts" and tokenizer is None:
        raise WeightsError(f"{encoder}: a TorchScript encoder has no tokenizer; name CLIP's as settings.tokenizer")
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        with quiet(), torch.inference_mode():
            tokens = AutoTokenizer.from_pretrained(folder, **options)
            if encoder.suffix == ".ts":
                script: Any = torch.jit.load(str(encoder), map_location="cpu")  # type: ignore[no-untyped-call]
                asked = _tokens(tokens, prompts, _CONTEXT)
                vectors = script((asked["input_ids"] * asked["attention_mask"]).int())  # CLIP's own tokens end in zeros
            else:
                model = CLIPTextModelWithProjection.from_pretrained(encoder, use_safetensors=True, **options).eval()
                vectors = model(**_tokens(tokens, prompts, model.config.max_position_embeddings)).text_embeds
    except _FAULTS as error:
        words = " ".join(str(error).split())[:160]
        raise WeightsError(f"{encoder}: the text encoder cannot be loaded ({words})") from error
    return torch.nn.functional.normalize(vectors.float(), dim=-1)


def _tokens(tokenizer: Any, prompts: Sequence[str], most: int) -> Any:
    return tokenizer(list(prompts), padding="max_length", truncation=True, max_length=most, return_tensors="pt")


class PromptYolo:
    """YOLO-World or YOLOE from a checkpoint of Ultralytics' layers alone.

    Args:
        path: the .pt file.
        prompts: what to look for.
        settings: of the model's entry.

    Raises:
        WeightsError: no text encoder is named.
    """

    def __init__(self, path: Path, prompts: Sequence[str], settings: "Settings") -> None:
        if settings.text_encoder is None:
            raise WeightsError(f"{path}: a YOLO by prompts needs its text encoder; name it as settings.text_encoder")
        self.path = path
        self._prompts = tuple(prompts)
        self._settings = settings
        self._encoder = settings.text_encoder
        self._model: Any = None
        self._device = "cpu"

    def load(self, device: str) -> None:
        """Read the weights onto `device`: cpu, cuda, cuda:N or auto.

        Raises:
            DeviceError: cuda was asked for and is absent.
            WeightsError: weights or encoder are missing, unsafe, damaged or do not fit each other.
        """
        self._device = resolve(device)
        refuse_foreign(self.path)
        module = quiet_ultralytics()
        from ultralytics.nn.tasks import WorldModel, YOLOEModel

        model = module.YOLO(str(self.path))
        net = model.model
        if not isinstance(net, WorldModel | YOLOEModel):
            raise WeightsError(
                f"{self.path}: it is neither YOLO-World nor YOLOE; its classes are fixed, name it as ultralytics"
            )
        vectors = encode_prompts(self._prompts, self._encoder, self._settings.tokenizer)
        self._check(net, vectors)
        net.float().eval()
        with torch.inference_mode(False), torch.no_grad():
            if isinstance(net, WorldModel):
                net.txt_feats = vectors[None].clone()
                net.model[-1].nc = len(self._prompts)
                net.names = dict(enumerate(self._prompts))
            else:
                net.set_classes(list(self._prompts), net.model[-1].get_tpe(vectors[None].clone()))
        model.predictor = None
        self._model = model

    def _check(self, net: Any, vectors: torch.Tensor) -> None:
        if hasattr(net.model[-1], "lrpc"):
            raise WeightsError(
                f"{self.path}: is a YOLOE without prompts, whose classes are fixed; take the one with prompts"
            )
        wanted = int(net.txt_feats.shape[-1]) if hasattr(net, "txt_feats") else int(net.model[-1].embed)
        if vectors.shape[-1] != wanted:
            raise WeightsError(
                f"{self._encoder}: gives vectors of {vectors.shape[-1]} numbers and {self.path} takes {wanted}; "
                "name the encoder that it was trained with"
            )

    def look(self, image: NDArray[np.uint8]) -> Found:
        """Return boxes of an RGB picture in its pixels, with `classes` as indices of prompts."""
        used = self._settings
        (result,) = self._model.predict(
            [np.ascontiguousarray(image[..., ::-1])],
            conf=max(used.conf, 1e-6),  # its default would take the place of zero
            iou=used.iou,
            max_det=used.max_det,
            imgsz=used.imgsz,
            device=self._device,
            rect=False,
            verbose=False,
            save=False,
        )
        rows = result.boxes.data.cpu().numpy().astype(np.float64)
        return Found(rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64))
