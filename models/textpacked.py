"""A text classifier on CUDA without padding: the windows of a batch stand in one row, and none sees another.

The encoder reads all tokens as one row. Its attention is torch's of variable length (the flash kernels), told where windows
begin; position numbers begin anew with each. What comes out is put back window by window for the classifier's head, which
is the model itself with its encoder exchanged for these states. Whether a model can be run so is not known from its kind:
it is tried on batches of padded windows when it is loaded, and where it fails or answers otherwise, windows are padded.
"""

import copy
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.modeling_outputs import BaseModelOutputWithPooling

from models.textbatches import Batch
from models.textfolder import OFFSET_POSITIONS

__all__ = ["CUDA_CALLS", "Kernel", "PackedEngine", "varlen_attn"]

CUDA_CALLS: Final = 2  # one batch is on the device while the next is put together

Kernel = Callable[..., Any]  # called as torch.nn.attention.varlen.varlen_attn


class PackedEngine:
    """The torch module on its device, its encoder reading windows without padding."""

    at_once: int = CUDA_CALLS

    def __init__(self, model: Any, device: torch.device, *, batch_tokens: int, kernel: Kernel = varlen_attn) -> None:
        """Take `model` over: its attention is of variable length from here on.

        Raises:
            AttributeError: the model has no encoder of its own within.
            ValueError: its attention cannot be exchanged.
        """
        name = f"goldgate_{kernel.__name__}"
        AttentionInterface.register(name, _Packed(kernel))
        AttentionMaskInterface.register(name, _no_mask)
        model = model.to(device)
        model.set_attn_implementation(name)
        self._device = device
        self._encoder = getattr(model, model.base_model_prefix)
        self._head = _with_encoder(model, _Given(getattr(self._encoder, "pooler", None)))
        self._padding = model.config.pad_token_id or 0
        self._offset = model.config.model_type in OFFSET_POSITIONS
        self.batch_tokens = batch_tokens
        self.runtime = f"transformers {transformers.__version__}, torch {torch.__version__}, packed"
        self.precision = str(model.dtype).removeprefix("torch.")

    @torch.inference_mode()
    def logits(self, batch: Batch) -> NDArray[np.float64]:
        """Return the model's outputs, (windows, labels)."""
        real = batch.mask.astype(np.bool_)
        lengths = real.sum(axis=1)
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        rows = {"input_ids": batch.ids[real][None], "position_ids": self._positions(batch.ids)[real][None]}
        if batch.types is not None:
            rows["token_type_ids"] = batch.types[real][None]
        cuts, longest = self._moved(starts), int(lengths.max())
        states = self._encoder(
            **{name: self._moved(array) for name, array in rows.items()},
            cu_seq_lens_q=cuts,
            cu_seq_lens_k=cuts,
            max_length_q=longest,
            max_length_k=longest,
        )[0][0]
        whole = states.new_zeros((real.size, states.shape[-1]))
        whole.index_copy_(0, self._moved(np.flatnonzero(real)), states)
        given = {"input_ids": self._moved(batch.ids), "attention_mask": self._moved(batch.mask)}
        logits = self._head(**given, states=whole.view(*real.shape, -1)).logits
        outputs: NDArray[np.float64] = logits.float().cpu().double().numpy()
        return outputs

    def _positions(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        if not self._offset:
            return np.broadcast_to(np.arange(ids.shape[1]), ids.shape)
        counted = ids != self._padding  # as RoBERTa numbers them: from behind the padding index on
        numbers: NDArray[np.int64] = np.cumsum(counted, axis=1) * counted + self._padding
        return numbers

    def _moved(self, array: NDArray[Any]) -> torch.Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        if self._device.type == "cpu":
            return tensor
        return tensor.pin_memory().to(self._device, non_blocking=True)


class _Packed:
    """Attention as transformers calls it, over one row of windows."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def __call__(
        self,
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        **told: Any,
    ) -> tuple[torch.Tensor, None]:
        """Return what is attended to, (1, tokens, heads, width); query, key and value are (1, heads, tokens, width)."""
        sliding = told.get("sliding_window")  # counts the token itself
        reach = -1 if sliding is None else sliding - 1
        found = self._kernel(
            *(each[0].transpose(0, 1).contiguous() for each in (query, key, value)),
            told["cu_seq_lens_q"],
            told["cu_seq_lens_k"],
            told["max_length_q"],
            told["max_length_k"],
            scale=told.get("scaling"),
            window_size=(reach, reach),
            enable_gqa=query.shape[1] != key.shape[1],
        )
        return found[None], None


def _no_mask(*given: Any, **told: Any) -> None:
    """Where windows begin is told to the kernel; there is no mask."""


class _Given(torch.nn.Module):
    """Stands where the encoder stood and answers with the states that are handed in."""

    def __init__(self, pooler: Any) -> None:
        super().__init__()
        self._pooler = pooler

    def forward(self, *given: Any, states: torch.Tensor, **told: Any) -> BaseModelOutputWithPooling:
        """Return the states, (windows, longest window, width)."""
        pooled = None if self._pooler is None else self._pooler(states)
        return BaseModelOutputWithPooling(last_hidden_state=states, pooler_output=pooled)


def _with_encoder(model: Any, encoder: torch.nn.Module) -> Any:
    """Return `model`, sharing its weights, with another encoder."""
    head = copy.copy(model)
    head._modules = {**model._modules, model.base_model_prefix: encoder}
    return head
