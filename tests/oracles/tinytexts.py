"""Tiny random text classifiers of several architectures, with a tokenizer of a dozen words, and what they say by hand."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForSequenceClassification,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
)
from transformers.utils.logging import disable_progress_bar

from contract.guideline import Guideline, LabelDefinition

WORDS: Final = ("good", "bad", "room", "food", "很", "好", "差", "不", "房", "间", ",", "!")
VOCABULARY: Final = {word: index for index, word in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS))}
THREE: Final = {0: "NEGATIVE", 1: "NEUTRAL", 2: "POSITIVE"}

Make = Callable[[dict[int, str]], Any]


def guideline(**names: Sequence[str]) -> Guideline:
    """Return a guideline of sentiments with what models call them; each is defined by its own name."""
    sentiments = tuple(LabelDefinition(name=name, definition=name, model_names=tuple(told)) for name, told in names.items())
    return Guideline(version="1", sentiments=sentiments)


def save_tokenizer(folder: Path) -> None:
    """Write a tokenizer of `WORDS` that also takes pairs."""
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    tokenizer = Tokenizer(models.WordLevel(VOCABULARY, unk_token=names["unk_token"]))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)


def _sizes(labels: dict[int, str], *, positions: int = 32, layers: int = 1) -> dict[str, Any]:
    return {
        "vocab_size": len(VOCABULARY),
        "hidden_size": 16,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "max_position_embeddings": positions,
        "pad_token_id": 0,
        "id2label": labels,
        "initializer_range": 0.6,
    }


def bert(labels: dict[int, str]) -> Any:
    """Return a BERT of two layers."""
    return BertForSequenceClassification(BertConfig(**_sizes(labels, layers=2)))


def distilbert(labels: dict[int, str]) -> Any:
    """Return a DistilBERT of one layer."""
    config = DistilBertConfig(
        vocab_size=len(VOCABULARY),
        dim=16,
        n_layers=1,
        n_heads=2,
        hidden_dim=24,
        max_position_embeddings=32,
        id2label=labels,
        initializer_range=0.6,
    )
    return DistilBertForSequenceClassification(config)


def roberta(labels: dict[int, str]) -> Any:
    """Return a RoBERTa of one layer, whose positions begin after the padding index."""
    return RobertaForSequenceClassification(RobertaConfig(type_vocab_size=1, **_sizes(labels, positions=33)))


def xlmroberta(labels: dict[int, str]) -> Any:
    """Return an XLM-RoBERTa of one layer."""
    return XLMRobertaForSequenceClassification(XLMRobertaConfig(type_vocab_size=1, **_sizes(labels, positions=33)))


def modernbert(labels: dict[int, str]) -> Any:
    """Return a ModernBERT of two layers, one of them with local attention, pooled by the mean."""
    config = ModernBertConfig(
        **_sizes(labels, layers=2),
        global_attn_every_n_layers=2,
        local_attention=8,
        classifier_pooling="mean",
        bos_token_id=2,
        cls_token_id=2,
        eos_token_id=3,
        sep_token_id=3,
    )
    return ModernBertForSequenceClassification(config)


ARCHITECTURES: Final[Mapping[str, Make]] = MappingProxyType(
    {"bert": bert, "distilbert": distilbert, "roberta": roberta, "xlm-roberta": xlmroberta, "modernbert": modernbert}
)


def save(folder: Path, make: Make, labels: dict[int, str] | None = None) -> Path:
    """Write a model of random weights, the same each time, with its tokenizer."""
    torch.manual_seed(3)
    disable_progress_bar()
    make(THREE if labels is None else labels).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def logits_by_hand(folder: Path, tokens: Sequence[str], second: Sequence[str] = ()) -> list[float]:
    """Return the model's logits of one run of tokens, or of a pair: no tokenizer, no padding, no windows of ours."""
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    first = [2, *[VOCABULARY[token] for token in tokens], 3]
    behind = [*[VOCABULARY[token] for token in second], 3] if second else []
    named = {"input_ids": torch.tensor([first + behind])}
    if second and model.config.model_type == "bert":
        named["token_type_ids"] = torch.tensor([[0] * len(first) + [1] * len(behind)])
    with torch.no_grad():
        found: list[float] = model(**named).logits.double()[0].tolist()
    return found
