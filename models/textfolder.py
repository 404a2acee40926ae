"""Folders of text classifiers as `transformers` writes them: safetensors unless pickles are allowed, no code, no network.

A pickle that is allowed is read by torch's restricted unpickler all the same: it builds tensors and runs nothing.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import torch
import transformers
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from contract.errors import WeightsError

_PICKLES: Final = ("*.bin", "*.pt", "*.pth", "*.ckpt")
# Their position numbers begin after the padding index, so that the table holds fewer positions than it has rows.
OFFSET_POSITIONS: Final = frozenset(
    {"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "longformer", "mpnet", "roberta-prelayernorm"}
)
_DEFAULT_WINDOW: Final = 512


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' advice and progress bars off the terminal; its failures still raise."""
    log = transformers.utils.logging
    level, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if bars:
            log.enable_progress_bar()


@contextlib.contextmanager
def _weights_errors(folder: Path) -> Iterator[None]:
    """Turn what transformers raises over a damaged or foreign folder into a WeightsError that names it."""
    try:
        yield
    except WeightsError:
        raise
    except Exception as error:  # the tokenizers and safetensors extensions raise Exception itself
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise WeightsError(f"{folder}: cannot be read as a sequence classifier ({lines[0]}); restore the folder") from error


def read_config(folder: Path, *, pickles: bool = False) -> Any:
    """Return the configuration of the classifier in `folder`.

    Raises:
        WeightsError: it is no folder of safetensors, or of `pickles` if they are allowed, with a classifier that chooses
            one label of several.
    """
    if not folder.is_dir():
        raise WeightsError(f"{folder}: no such folder; give the folder that holds config.json and model.safetensors")
    if not _has_safetensors(folder):
        found = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
        if found and not pickles:
            raise WeightsError(
                f"{folder}: {found[0]} is a pickle, which can run code; convert the weights to safetensors, or agree on "
                "'prelabel.pickles: allowed' in the terms"
            )
        if not found:
            raise WeightsError(f"{folder}: it holds no safetensors weights; restore the folder")
    with quiet(), _weights_errors(folder):
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    kind = getattr(config, "problem_type", None)
    if kind not in (None, "single_label_classification") or config.num_labels < 2:
        raise WeightsError(f"{folder}: the model does not choose one label of several; choose another model")
    return config


def read_tokenizer(folder: Path) -> Any:
    """Return the fast tokenizer in `folder`.

    Raises:
        WeightsError: it is damaged, not a fast one, or has no padding token.
    """
    with quiet(), _weights_errors(folder):
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if not tokenizer.is_fast or tokenizer.pad_token_id is None:
        raise WeightsError(
            f"{folder}: the tokenizer is not a fast one with a padding token; add tokenizer.json to the folder"
        )
    return tokenizer


def _has_safetensors(folder: Path) -> bool:
    return any(folder.glob("*.safetensors"))


def read_model(folder: Path, dtype: torch.dtype, *, pickles: bool = False) -> Any:
    """Return the classifier in `folder`, its weights as `dtype`, ready to answer; from a pickle only if they are allowed.

    Raises:
        WeightsError: its weights are damaged, incomplete, or need code of their own.
    """
    with quiet(), _weights_errors(folder):
        model, report = AutoModelForSequenceClassification.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=_has_safetensors(folder) or not pickles,
            weights_only=True,
            dtype=dtype,
            output_loading_info=True,
        )
    if report["missing_keys"]:  # transformers would fill them with random numbers
        missing = ", ".join(sorted(report["missing_keys"])[:3])
        raise WeightsError(
            f"{folder}: the weights lack {missing}, so its answers would be random; choose a fine-tuned classifier"
        )
    return model.eval()


def longest_window(config: Any, tokenizer: Any) -> int:
    """Return how many tokens the model reads at once, special tokens included: 512 at most, for speed."""
    positions = getattr(config, "max_position_embeddings", None) or _DEFAULT_WINDOW
    if config.model_type in OFFSET_POSITIONS:
        positions -= (config.pad_token_id or 0) + 1
    return int(min(positions, tokenizer.model_max_length, _DEFAULT_WINDOW))
