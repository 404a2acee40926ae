"""Sentiment of texts by any sequence classifier that `transformers` reads from a local folder.

Weights are safetensors unless the terms allow pickles, and no code comes with them; nothing is downloaded.

Labels are joined by name: a model label means the guideline label that is called so or lists it under
`model_names` (upper and lower case count as equal where no exact name fits). Several model labels may mean one
guideline label: their probabilities add. Model labels that mean none are left out before the softmax, so that the
rest share the whole probability. Guideline labels that the model cannot give have probability 0, but for a third one
that a neutral band gives (models/textlabels.py). A model of natural language inference takes any labels
(models/zeroshot.py).

A text longer than the window is read in windows that overlap by the stride; its probabilities are the mean over its
windows, weighted by the tokens of each, so that a token in an overlap counts in both.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import torch
import transformers
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contract.errors import InputError, SourceError, WeightsError
from contract.guideline import Guideline
from contract.predictor import Description, Source
from contract.tables import Kind
from contract.terms import Terms
from models.content import read_content
from models.devices import resolve
from models.registry import ModelEntry, cache_folder, weights_of
from models.textanswers import answer_texts
from models.textbatches import Encoder, Padding, Window, arrays, batched, through, tokenised
from models.textfolder import longest_window, read_config, read_model, read_tokenizer
from models.textlabels import Array, Band, Calibration, Head, LabelHead, map_labels, read_calibration, told
from models.textruntime import Engine, TorchEngine, cpu_has_bfloat16, open_cuda, open_openvino, openvino_is_there
from models.zeroshot import HYPOTHESIS, EntailmentHead, is_inference

Precision = Literal["float32", "float16", "bfloat16"]


class SentimentSettings(BaseModel):
    """Settings of a sentiment model in models.yaml; lengths are in tokens, special tokens included."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    window_tokens: int | None = Field(default=None, ge=8)
    stride_tokens: int | None = Field(default=None, ge=0)  # none given: an eighth of the window
    batch_tokens: int | None = Field(default=None, ge=8)  # with padding; none given: what suits the device
    precision: Precision | None = None  # none given: bfloat16 on CUDA, float32 on the CPU
    runtime: Literal["auto", "torch", "openvino"] = "auto"  # of the CPU; auto is openvino where it is there and agrees
    packed: bool = True  # on CUDA, windows without padding, where the model answers so as with it
    temperature: float | None = Field(default=None, gt=0)  # this and the next over what calibration.json says
    neutral_band: Band | Literal["off"] | None = None
    zero_shot: bool | None = None  # none given: where the model's labels are those of inference
    hypothesis: str = HYPOTHESIS
    entailment: str | None = None


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
        pickles: bool = False,
    ) -> None:
        """Check the folder and join its labels with the guideline's; weights are read by `load`.

        Raises:
            WeightsError: the folder is no sequence classifier in safetensors (or a pickle where `pickles` allows it), or its
                labels do not fit.
            TermsError: the guideline must say what the model's numbered labels mean.
        """
        self._folder, self._name, self._digest = folder, name, digest
        self._settings = settings or SentimentSettings()
        self._pickles = pickles
        config = read_config(folder, pickles=pickles)
        labels = [str(config.id2label[index]) for index in range(config.num_labels)]
        self._calibration = _calibrated(read_calibration(folder), self._settings)
        self._head: Head
        self._told: Mapping[str, Any]
        zero_shot = self._settings.zero_shot
        if is_inference(labels) if zero_shot is None else zero_shot:
            self._head, self._told = self._by_entailment(labels, guideline)
        else:
            self._head, self._told = self._by_name(labels, guideline)
        self.padding = Padding()
        self._engine: Engine | None = None
        self._runtime = f"transformers {transformers.__version__}, torch {torch.__version__}"
        self._precision: str = self._settings.precision or "float32"

    def _by_name(self, labels: Sequence[str], guideline: Guideline | None) -> tuple[Head, Mapping[str, Any]]:
        joined = map_labels(labels, guideline, origin=str(self._folder))
        head = LabelHead(labels, joined, self._calibration)
        found = told(self._calibration)
        lacking = joined.lacking
        if head.band is None:
            found.pop("neutral_band", None)
        else:
            lacking = ()
        named = {"lacking_labels": lacking, "model_labels_left_out": joined.left_out}
        return head, {**found, **{key: ", ".join(names) for key, names in named.items() if names}}

    def _by_entailment(self, labels: Sequence[str], guideline: Guideline | None) -> tuple[Head, Mapping[str, Any]]:
        head = EntailmentHead(
            labels,
            guideline,
            self._calibration,
            template=self._settings.hypothesis,
            entailment=self._settings.entailment,
            origin=str(self._folder),
        )
        found = told(self._calibration)
        found.pop("neutral_band", None)
        return head, {**found, "zero_shot": True, "hypotheses": " | ".join(head.hypotheses)}

    @property
    def calls_at_once(self) -> int:
        """How many threads may call this classifier at the same time."""
        return 1 if self._engine is None else self._engine.at_once

    def describe(self) -> Description:
        """Tell what this predictor is; settings name the labels that the model lacks and those left out."""
        used = self._settings
        batch = used.batch_tokens or (self._engine.batch_tokens if self._engine else None)
        return Description(
            name=self._name,
            version=(self._digest or "unpinned")[:12],
            kind=Kind.TEXT,
            classes=self._head.labels,
            weights_sha256=self._digest,
            runtime=self._runtime,
            precision=self._precision,
            settings={
                "window_tokens": used.window_tokens,
                "stride_tokens": used.stride_tokens,
                "batch_tokens": batch,
                **self._told,
            },
        )

    def load(self, device: str) -> None:
        """Read tokenizer and weights onto `device`: cpu, cuda, cuda:N or auto.

        Raises:
            DeviceError: cuda was asked for and is absent.
            WeightsError: the files are damaged, incomplete, or need code of their own.
        """
        chosen = torch.device(resolve(device))
        tokenizer = read_tokenizer(self._folder)
        half = self._settings.precision or "bfloat16" if chosen.type == "cuda" else "float32"
        model = read_model(self._folder, getattr(torch, half), pickles=self._pickles)
        window = self._settings.window_tokens or longest_window(model.config, tokenizer)
        given = self._settings.stride_tokens
        stride = window // 8 if given is None else given
        hypotheses = self._head.hypotheses if isinstance(self._head, EntailmentHead) else ()
        typed = bool(hypotheses) and (getattr(model.config, "type_vocab_size", None) or 0) > 1
        try:
            self._encoder = Encoder(tokenizer, window=window, stride=stride, hypotheses=hypotheses, typed=typed)
        except ValueError as error:
            raise WeightsError(f"{self._folder}: {error}; lower stride_tokens of model {self._name!r}") from error
        engine = self._engine_of(model, chosen, typed=typed)
        self._runtime, self._precision = engine.runtime, engine.precision
        self._workers = ThreadPoolExecutor(engine.at_once, thread_name_prefix="text")
        self._ahead = ThreadPoolExecutor(engine.at_once, thread_name_prefix="tokens")
        self._engine = engine

    def _engine_of(self, model: Any, device: torch.device, *, typed: bool) -> Engine:
        used = self._settings
        if device.type != "cpu" and used.packed:
            return open_cuda(model, device, typed=typed)
        if device.type != "cpu" or used.runtime == "torch":
            return TorchEngine(model, device)
        if not openvino_is_there():
            if used.runtime == "openvino":
                raise WeightsError(f"{self._folder}: OpenVINO is not installed; install goldgate[openvino], or choose torch")
            return TorchEngine(model, device)
        half = used.precision == "bfloat16" and cpu_has_bfloat16()
        try:
            return open_openvino(
                model,
                typed=typed,
                precision="bfloat16" if half else "float32",
                cache=cache_folder() if self._digest else None,
                digest=self._digest,
            )
        except WeightsError as error:
            if used.runtime == "openvino":
                raise WeightsError(f"{self._folder}: {error}; choose runtime: torch for model {self._name!r}") from error
            return TorchEngine(model, device)

    def predict(self, sources: Sequence[Source]) -> pa.Table:
        """Label `sources`, loading onto the CPU first if `load` was not called.

        A text that is empty, not UTF-8 or cannot be opened is a rejected row.
        """
        if self._engine is None:
            self.load("cpu")
        texts: list[str] = []
        refused: dict[int, str] = {}
        for place, source in enumerate(sources):
            text, reason = read_text(source)
            texts.append(text or "")
            if text is None:
                refused[place] = reason
        shares, empty = self._shares(texts)
        return answer_texts(sources, shares, labels=self._head.labels, refused=refused, empty=empty)

    def probabilities(self, texts: Sequence[str]) -> Array:
        """Return the probabilities of the labels, (texts, labels), not rounded; NaN for a text without a token."""
        if self._engine is None:
            self.load("cpu")
        shares, empty = self._shares(texts)
        shares[empty] = np.nan
        return shares

    def _shares(self, texts: Sequence[str]) -> tuple[Array, NDArray[np.bool_]]:
        """Return probabilities, (texts, labels), and which texts have no token."""
        slots = self._head.slots
        width = len(self._head.labels) // slots
        sums = np.zeros((len(texts), slots, width))
        weights = np.zeros((len(texts), slots, 1))
        assert self._engine is not None  # noqa: S101  loaded by now
        budget = self._settings.batch_tokens or self._engine.batch_tokens
        at_once = self._engine.at_once
        batches = batched(tokenised(self._encoder, texts, self._ahead), budget=budget, workers=at_once)
        for batch, values in through(batches, self._classify, workers=self._workers, at_once=at_once):
            places = ([window.text for window in batch], [window.slot for window in batch])
            tokens = np.array([[window.weight] for window in batch], np.float64)
            np.add.at(sums, places, values * tokens)
            np.add.at(weights, places, tokens)
        empty = (weights == 0).any(axis=(1, 2))
        means = (sums / np.maximum(weights, 1)).reshape(len(texts), slots * width)
        return self._head.of_texts(means), empty

    def _classify(self, windows: Sequence[Window]) -> Array:
        assert self._engine is not None  # noqa: S101  loaded by now
        self.padding.add(windows)
        return self._head.of_windows(self._engine.logits(arrays(windows, self._encoder.padding)))


def _calibrated(found: Calibration, settings: SentimentSettings) -> Calibration:
    changes: dict[str, Any] = {}
    if settings.temperature is not None:
        changes["temperature"] = settings.temperature
    if settings.neutral_band is not None:
        changes["neutral_band"] = None if settings.neutral_band == "off" else settings.neutral_band
    return found.model_copy(update=changes)


def read_text(source: Source) -> tuple[str | None, str]:
    """Return the text of `source`, decoded from UTF-8 without its byte order mark, or None and the reason why not."""
    try:
        text = read_content(source).decode("utf-8-sig")
    except SourceError as error:
        return None, str(error)
    except UnicodeDecodeError as error:
        return None, f"the text is not UTF-8: byte {error.start} cannot be decoded"
    return (text, "") if text.strip() else (None, "the text is empty")


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
    return SentimentClassifier(
        weights.path,
        name=entry.name,
        digest=weights.sha256,
        guideline=terms.guideline if terms else None,
        settings=settings,
        pickles=terms is not None and terms.prelabel.pickles == "allowed",
    )
