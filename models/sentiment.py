"""Sentiment of texts by any sequence classifier that `transformers` reads from a local folder.

Weights are safetensors alone and no code comes with them; nothing is downloaded.

Labels are joined by name: a model label means the guideline label that is called so or lists it under
`model_names` (upper and lower case count as equal where no exact name fits). Several model labels may mean one
guideline label: their probabilities add. Model labels that mean none are left out before the softmax, so that the
rest share the whole probability. Guideline labels that the model cannot give have probability 0.

A text longer than the window is read in windows that overlap by the stride; its probabilities are the mean over its
windows, weighted by the tokens of each, so that a token in an overlap counts in both.
"""

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import torch
import transformers
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from contract.answers import build_answer, labelled, rejected
from contract.errors import InputError, SourceError, TermsError, WeightsError
from contract.guideline import Guideline, name_map
from contract.predictor import Description, Source
from contract.tables import Kind, Task
from contract.terms import Terms
from models.content import read_content
from models.devices import resolve
from models.registry import ModelEntry, weights_of

_NAMELESS = re.compile(r"LABEL_\d+", re.IGNORECASE)
_DECIMALS = 6
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
# Their position numbers begin after the padding index, so that the table holds fewer positions than it has rows.
_OFFSET_POSITIONS = frozenset(
    {"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "longformer", "mpnet", "roberta-prelayernorm"}
)
_DEFAULT_WINDOW = 512


class SentimentSettings(BaseModel):
    """Settings of a sentiment model in models.yaml; lengths are in tokens, special tokens included."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    window_tokens: int | None = Field(default=None, ge=8)
    stride_tokens: int | None = Field(default=None, ge=0)  # none given: an eighth of the window
    batch_tokens: int = Field(default=16_384, ge=8)
    precision: Literal["float32", "bfloat16"] = "float32"  # bfloat16 applies on cuda alone


class LabelMap(NamedTuple):
    """How a model's labels become the answer's: `target[i]` is where model label i goes, None where nowhere."""

    labels: tuple[str, ...]
    target: tuple[int | None, ...]
    lacking: tuple[str, ...]
    left_out: tuple[str, ...]


class _Window(NamedTuple):
    text: int
    tokens: list[int]
    weight: int


def map_labels(model_labels: Sequence[str], guideline: Guideline | None, *, origin: str) -> LabelMap:
    """Join a model's labels, in the order of its outputs, with the sentiment labels of `guideline` by name.

    Without a guideline the model's own names are the labels.

    Raises:
        TermsError: the model's labels are mere numbers (LABEL_0) that the guideline does not list.
        WeightsError: no label of the model means a label of the guideline.
    """
    if guideline is None:
        return LabelMap(tuple(model_labels), tuple(range(len(model_labels))), (), ())
    exact = name_map(guideline.sentiments)
    folded = {alias.casefold(): name for alias, name in reversed(exact.items())}
    meant = [exact.get(label, folded.get(label.casefold())) for label in model_labels]
    left_out = [label for label, name in zip(model_labels, meant, strict=True) if name is None]
    nameless = [label for label in left_out if _NAMELESS.fullmatch(label)]
    wanted = guideline.sentiment_names
    if nameless:
        raise TermsError(
            f"{origin}: the model calls its labels {', '.join(model_labels)}; say what {', '.join(nameless)} mean: "
            f"list them under model_names of {', '.join(wanted)} in guideline.sentiments"
        )
    if len(left_out) == len(meant):
        raise WeightsError(
            f"{origin}: none of the model's labels {', '.join(model_labels)} is a sentiment of the guideline "
            f"({', '.join(wanted)}); list them under model_names there, or choose another model"
        )
    target = tuple(None if name is None else wanted.index(name) for name in meant)
    lacking = tuple(name for name in wanted if name not in meant)
    return LabelMap(wanted, target, lacking, tuple(left_out))


class SentimentClassifier:
    """A Predictor of Kind.TEXT: one sentiment a text, with a probability for every label of the guideline.

    Answers do not depend on how texts are batched, beyond rounding: about 1e-6 in float32.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str = "sentiment",
        digest: str | None = None,
        guideline: Guideline | None = None,
        settings: SentimentSettings | None = None,
    ) -> None:
        """Check the folder and join its labels with the guideline's; weights are read by `load`.

        Raises:
            WeightsError: the folder is no sequence classifier in safetensors, or its labels do not fit.
            TermsError: the guideline must say what the model's numbered labels mean.
        """
        self._folder, self._name, self._digest = folder, name, digest
        self._settings = settings or SentimentSettings()
        config = _read_config(folder)
        model_labels = [str(config.id2label[index]) for index in range(config.num_labels)]
        self._map = map_labels(model_labels, guideline, origin=str(folder))
        self._precision: str = self._settings.precision
        self._device = torch.device("cpu")
        self._model: Any = None
        self._tokenizer: Any = None
        self._window, self._stride = _DEFAULT_WINDOW, 0

    def describe(self) -> Description:
        """Tell what this predictor is; settings name the labels that the model lacks and those left out."""
        mapping = {"lacking_labels": self._map.lacking, "model_labels_left_out": self._map.left_out}
        return Description(
            name=self._name,
            version=(self._digest or "unpinned")[:12],
            kind=Kind.TEXT,
            classes=self._map.labels,
            weights_sha256=self._digest,
            runtime=f"transformers {transformers.__version__}, torch {torch.__version__}",
            precision=self._precision,
            settings={
                **self._settings.model_dump(exclude={"precision"}),
                **{key: ", ".join(labels) for key, labels in mapping.items() if labels},
            },
        )

    def load(self, device: str) -> None:
        """Read tokenizer and weights onto `device`: cpu, cuda, cuda:N or auto.

        Raises:
            DeviceError: cuda was asked for and is absent.
            WeightsError: the files are damaged, incomplete, or need code of their own.
        """
        self._device = torch.device(resolve(device))
        half = self._settings.precision == "bfloat16" and self._device.type == "cuda"
        self._precision = "bfloat16" if half else "float32"
        self._tokenizer = _read_tokenizer(self._folder)
        model = _read_model(self._folder, torch.bfloat16 if half else torch.float32)
        self._window = self._settings.window_tokens or _longest_window(model.config, self._tokenizer)
        given = self._settings.stride_tokens
        self._stride = self._window // 8 if given is None else given
        if self._window - self._tokenizer.num_special_tokens_to_add() <= self._stride:
            raise WeightsError(
                f"{self._folder}: a window of {self._window} tokens leaves no room for a stride of "
                f"{self._stride}; lower stride_tokens of model {self._name!r}"
            )
        self._model = model.to(self._device).eval()

    def predict(self, sources: Sequence[Source]) -> pa.Table:
        """Label `sources`, loading onto the CPU first if `load` was not called.

        A text that is empty, not UTF-8 or cannot be opened is a rejected row.
        """
        if self._model is None:
            self.load("cpu")
        texts: dict[int, str] = {}
        rows: list[dict[str, Any]] = [{} for _ in sources]
        for index, source in enumerate(sources):
            text, reason = read_text(source)
            if text is None:
                rows[index] = rejected(source.item, Kind.TEXT, reason)
            else:
                texts[index] = text
        found = self._probabilities(list(texts.values()))
        for index, probabilities in zip(texts, found, strict=True):
            rows[index] = self._row(sources[index].item, probabilities)
        return build_answer(Kind.TEXT, rows)

    def _row(self, item: str, probabilities: torch.Tensor | None) -> dict[str, Any]:
        if probabilities is None:
            return rejected(item, Kind.TEXT, "the text is empty to the model: it holds nothing that its tokenizer keeps")
        if not bool(torch.isfinite(probabilities).all()):
            return rejected(item, Kind.TEXT, "the model gave no finite probability")
        # Threads and batches change the last bits of float32 arithmetic; rounded, equal texts get equal labels everywhere.
        rounded = [round(probability, _DECIMALS) for probability in probabilities.tolist()]
        by_label = dict(zip(self._map.labels, rounded, strict=True))
        label = max(by_label, key=by_label.__getitem__)  # of equals the first in the guideline's order
        row = {"label": label, "score": by_label[label], "probabilities": list(by_label.items())}
        return labelled(item, Kind.TEXT, {Task.SENTIMENTS: [row]})

    def _probabilities(self, texts: Sequence[str]) -> list[torch.Tensor | None]:
        """Return float64 probabilities of the labels for each text; None for a text without tokens."""
        windows = self._windows(texts)
        sums = torch.zeros(len(texts), len(self._map.labels), dtype=torch.float64)
        weights = torch.zeros(len(texts), dtype=torch.float64)
        for batch in _batches(windows, self._settings.batch_tokens):
            found = self._classify([window.tokens for window in batch])
            for window, row in zip(batch, found, strict=True):
                sums[window.text] += row * window.weight
                weights[window.text] += window.weight
        return [total / weight if weight else None for total, weight in zip(sums, weights, strict=True)]

    def _windows(self, texts: Sequence[str]) -> list[_Window]:
        if not texts:
            return []
        encoded = self._tokenizer(
            list(texts),
            truncation=True,
            max_length=self._window,
            stride=self._stride,
            return_overflowing_tokens=True,
        )
        special = self._tokenizer.num_special_tokens_to_add()
        pairs = zip(encoded["overflow_to_sample_mapping"], encoded["input_ids"], strict=True)
        return [_Window(text, tokens, len(tokens) - special) for text, tokens in pairs if len(tokens) > special]

    @torch.inference_mode()
    def _classify(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return float64 probabilities of shape (rows, labels) on the CPU."""
        longest = max(map(len, rows))
        padding = self._tokenizer.pad_token_id
        tokens = torch.tensor([[*row, *[padding] * (longest - len(row))] for row in rows])
        attention = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
        answer = self._model(input_ids=tokens.to(self._device), attention_mask=attention.to(self._device))
        kept = [index for index, label in enumerate(self._map.target) if label is not None]
        targets = torch.tensor([label for label in self._map.target if label is not None])
        shares = answer.logits.cpu().double()[:, kept].softmax(-1)
        return torch.zeros(len(rows), len(self._map.labels), dtype=torch.float64).index_add_(1, targets, shares)


def read_text(source: Source) -> tuple[str | None, str]:
    """Return the text of `source`, decoded from UTF-8 without its byte order mark, or None and the reason why not."""
    try:
        text = read_content(source).decode("utf-8-sig")
    except SourceError as error:
        return None, str(error)
    except UnicodeDecodeError as error:
        return None, f"the text is not UTF-8: byte {error.start} cannot be decoded"
    return (text, "") if text.strip() else (None, "the text is empty")


def _batches(windows: Sequence[_Window], budget: int) -> Iterator[list[_Window]]:
    """Yield windows longest first, as many at once as fit the token budget with their padding."""
    batch: list[_Window] = []
    for window in sorted(windows, key=lambda window: -len(window.tokens)):
        if batch and len(batch[0].tokens) * (len(batch) + 1) > budget:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
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


def _read_config(folder: Path) -> Any:
    if not folder.is_dir():
        raise WeightsError(f"{folder}: no such folder; give the folder that holds config.json and model.safetensors")
    if not any(folder.glob("*.safetensors")):
        pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
        if pickles:
            raise WeightsError(f"{folder}: {pickles[0]} is a pickle, which can run code; convert the weights to safetensors")
        raise WeightsError(f"{folder}: it holds no safetensors weights; restore the folder")
    with _quiet(), _weights_errors(folder):
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    kind = getattr(config, "problem_type", None)
    if kind not in (None, "single_label_classification") or config.num_labels < 2:
        raise WeightsError(f"{folder}: the model does not choose one label of several; choose another model")
    return config


def _read_tokenizer(folder: Path) -> Any:
    with _quiet(), _weights_errors(folder):
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if not tokenizer.is_fast or tokenizer.pad_token_id is None:
        raise WeightsError(
            f"{folder}: the tokenizer is not a fast one with a padding token; add tokenizer.json to the folder"
        )
    return tokenizer


def _read_model(folder: Path, dtype: torch.dtype) -> Any:
    with _quiet(), _weights_errors(folder):
        model, report = AutoModelForSequenceClassification.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=dtype,
            output_loading_info=True,
        )
    if report["missing_keys"]:  # transformers would fill them with random numbers
        missing = ", ".join(sorted(report["missing_keys"])[:3])
        raise WeightsError(
            f"{folder}: the weights lack {missing}, so its answers would be random; choose a fine-tuned classifier"
        )
    return model


def _longest_window(config: Any, tokenizer: Any) -> int:
    positions = getattr(config, "max_position_embeddings", None) or _DEFAULT_WINDOW
    if config.model_type in _OFFSET_POSITIONS:
        positions -= (config.pad_token_id or 0) + 1
    return int(min(positions, tokenizer.model_max_length, _DEFAULT_WINDOW))


def from_entry(entry: ModelEntry, *, terms: Terms | None = None) -> SentimentClassifier:
    """Return the classifier of `entry`, answering with the sentiment labels of `terms`.

    Raises:
        InputError: the entry's settings are wrong.
        WeightsError: the weights are absent, unsafe or changed.
        TermsError: the guideline must say what the model's numbered labels mean.
    """
    try:
        settings = SentimentSettings.model_validate(entry.settings)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise InputError(f"settings of model {entry.name!r} are wrong: {problems}; correct them in models.yaml") from error
    weights = weights_of(entry)
    guideline = terms.guideline if terms else None
    return SentimentClassifier(weights.path, name=entry.name, digest=weights.sha256, guideline=guideline, settings=settings)
