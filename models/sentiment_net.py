"""The small sentiment network: its tokenizer, its untrained weights, and the folder that it is kept in.

ModernBERT's configuration (Warner et al. 2024, arXiv:2412.13663) is used because `transformers` pools it by the mean without
code of ours. Every head of its attention begins as a shift by one or two tokens, which makes a layer a convolution at first
(as in Cordonnier et al. 2020, arXiv:1911.03584): with rotary positions a constant query and a constant key, turned against
each other by the angles of a distance, weigh the token at that distance most. So pairs of tokens are within reach from the
first step, and training moves the heads from there.
"""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import ModernBertConfig, ModernBertForSequenceClassification, PreTrainedTokenizerFast

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PAD, MASK = 0, 4

_CHINESE = re.compile(r"[\u3400-\u9fff]")
_OFFSETS = (-1, 1, -2, 2)  # of the tokens that the heads look at first, in turn
_LOGITS_APART = 4.0  # how far the token looked at stands above its neighbours at first


@dataclasses.dataclass(frozen=True, slots=True)
class TrainSettings:
    """Everything that decides the weights, besides the texts; lengths are in tokens."""

    vocabulary: int = 19_500
    alphabet: int = 3_800
    words_count: int = 3  # how often a text without Chinese counts for the merges
    hidden: int = 128
    intermediate: int = 192
    layers: int = 1
    heads: int = 4
    rotary_base: float = 100.0
    teacher_share: float = 0.6  # of the target; the rest is the label
    bag_epochs: int = 3
    epochs: int = 5
    batch: int = 128
    train_tokens: int = 128
    window_tokens: int = 256
    bag_learning_rate: float = 4e-3
    learning_rate: float = 1.2e-3
    weight_decay: float = 0.05
    warmup: float = 0.1
    dropout: float = 0.05
    merge_dropout: float = 0.05
    mask: float = 0.02
    label_smoothing: float = 0.05
    average_decay: float = 0.998
    test_percent: int = 10
    validation_percent: int = 5
    seed: int = 20_240


def build_tokenizer(texts: Sequence[str], settings: TrainSettings) -> Tokenizer:
    """Learn byte-pair merges over runs of Chinese characters, of letters, of digits, and single marks.

    Texts without Chinese count `words_count` times, so that most words of an alphabet become whole tokens.
    """
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]", fuse_unk=True))  # noqa: S106 - a token of text, no secret
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    runs = Regex(r"[\u3400-\u9fff]+|\p{N}+|(?:(?![\u3400-\u9fff])\p{L})+|[^\s]")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(runs, behavior="isolated")]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=settings.vocabulary,
        limit_alphabet=settings.alphabet,
        min_frequency=5,
        max_token_length=16,
        special_tokens=list(SPECIAL),
        show_progress=False,
    )
    weighed = [text for text in texts for _ in range(1 if _CHINESE.search(text) else settings.words_count)]
    tokenizer.train_from_iterator(weighed, trainer)
    tokenizer.decoder = decoders.Fuse()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def build_model(labels: Sequence[str], vocabulary: int, settings: TrainSettings) -> ModernBertForSequenceClassification:
    """Return the untrained model."""
    config = ModernBertConfig(
        vocab_size=vocabulary,
        hidden_size=settings.hidden,
        intermediate_size=settings.intermediate,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        max_position_embeddings=settings.window_tokens,
        global_attn_every_n_layers=1,
        attention_bias=True,
        rope_parameters={
            kind: {"rope_type": "default", "rope_theta": settings.rotary_base}
            for kind in ("full_attention", "sliding_attention")
        },
        classifier_pooling="mean",
        embedding_dropout=settings.dropout,
        classifier_dropout=settings.dropout,
        pad_token_id=PAD,
        bos_token_id=2,
        cls_token_id=2,
        eos_token_id=3,
        sep_token_id=3,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
    )
    return ModernBertForSequenceClassification(config)


@torch.no_grad()
def begin_beside(model: ModernBertForSequenceClassification, settings: TrainSettings) -> None:
    """Let the layers look at neighbouring tokens at first, and change nothing of what the model answers without them."""
    size = settings.hidden // settings.heads
    angles = settings.rotary_base ** (-torch.arange(size // 2) * 2.0 / size)
    apart = _LOGITS_APART * size**0.5 / (1 - torch.cos(angles)).sum()  # a neighbour of the token looked at is one angle off
    for layer in model.model.layers:
        torch.nn.init.normal_(layer.mlp.Wi.weight, std=settings.hidden**-0.5)
        torch.nn.init.normal_(layer.attn.Wqkv.weight[2 * settings.hidden :], std=settings.hidden**-0.5)
        for branch_end in (layer.attn.Wo.weight, layer.attn.Wo.bias, layer.mlp.Wo.weight, layer.attn.Wqkv.bias):
            torch.nn.init.zeros_(branch_end)
        query, key, _ = layer.attn.Wqkv.bias.view(3, settings.heads, 2, size // 2)
        for head in range(settings.heads):
            offset = _OFFSETS[head % len(_OFFSETS)]
            query[head, 0] = apart.sqrt()
            key[head, 0] = apart.sqrt() * torch.cos(offset * angles)
            key[head, 1] = -apart.sqrt() * torch.sin(offset * angles)


def save_model(out: Path, *, model: ModernBertForSequenceClassification, tokenizer: Tokenizer, window_tokens: int) -> None:
    """Write the folder that `AutoModelForSequenceClassification.from_pretrained` reads, weights in half precision."""
    out.mkdir(parents=True, exist_ok=True)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=window_tokens,
        pad_token="[PAD]",  # noqa: S106
        unk_token="[UNK]",  # noqa: S106
        cls_token="[CLS]",  # noqa: S106
        sep_token="[SEP]",  # noqa: S106
        mask_token="[MASK]",  # noqa: S106
    ).save_pretrained(out)
    tokenizer.save(str(out / "tokenizer.json"), pretty=False)
    model.save_pretrained(out)
    weights = out / "model.safetensors"
    halves = {name: weight.half().contiguous() for name, weight in load_file(weights).items()}
    save_file(halves, weights, metadata={"format": "pt"})
