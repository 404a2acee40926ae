"""Train a small bilingual sentiment classifier from scratch.

With little data these things carry it: a linear teacher's soft labels (models/teacher.py); embeddings learnt first alone
as an averaged bag (fastText, Joulin et al. 2016, arXiv:1607.01759), to which layers are then added so that they change
nothing at first (models/sentiment_net.py); byte-pair merges that reach across Chinese words ("不好吃" is one token), some of
them dropped at random in training (BPE-dropout, Provilkov et al. 2020, arXiv:1910.13267), so that two runs do not give the
same weights to the bit; tokens masked at random; and averaged weights.
"""

import dataclasses
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch.nn import functional
from transformers import ModernBertForSequenceClassification

from contract.errors import FormatError
from contract.files import write_bytes
from contract.predictor import Source
from contract.tables import Kind, Task
from models.calibrating import Abstain, calibrate_folder, error_on
from models.review_texts import Review, put_aside, read_reviews, split_reviews, without_phrases_of, words
from models.sentiment import SentimentClassifier
from models.sentiment_net import MASK, PAD, SPECIAL, TrainSettings, begin_beside, build_model, build_tokenizer, save_model
from models.teacher import Floats, soft_targets

_MIN_SENTENCE_WORDS = 8

Tell = Callable[[str], None]


def train_sentiment(
    out: Path,
    *,
    texts: Sequence[Path],
    settings: TrainSettings | None = None,
    abstain: Abstain | None = None,
    tell: Tell | None = None,
) -> dict[str, Any]:
    """Train on CSV files with the columns text and label, and put a loadable model folder at `out`.

    The folder holds config.json, tokenizer.json, tokenizer_config.json, model.safetensors (stored in half
    precision, loaded as float32), calibration.json, fitted to texts that no weight has seen, and card.md. Returned is what
    the card says: how the texts were split, and accuracy (per file) and calibration error on those put aside to measure on,
    of the weights as stored. `abstain` chooses the confidence below which people look first.

    Raises:
        FormatError: a file cannot be read, or the texts have fewer than two labels.
        StorageError: `out` cannot be written.
    """
    chosen = settings or TrainSettings()
    report = tell or (lambda line: None)
    started = time.monotonic()
    split = split_reviews(read_reviews(texts), test_percent=chosen.test_percent)
    validation, rest = put_aside(split.train, chosen.validation_percent)
    train = without_phrases_of(rest, validation)
    labels = sorted({review.label for review in train})
    if len(labels) < 2:
        raise FormatError(f"{', '.join(map(str, texts))}: training needs texts of at least two labels, found {labels}")
    if not validation:
        raise FormatError(f"{', '.join(map(str, texts))}: no text is left to calibrate on; give more texts")
    report(f"{len(train)} texts to train on, {len(validation)} to calibrate on, {len(split.test)} to measure on")
    lesson = _Lesson([review.text for review in train], targets_of(train, labels, settings=chosen, tell=report))
    torch.manual_seed(chosen.seed)
    tokenizer = build_tokenizer(lesson.texts, chosen)
    model = build_model(labels, tokenizer.get_vocab_size(), chosen)
    _fit(model, tokenizer, lesson, settings=chosen, tell=report)
    save_model(out, model=model, tokenizer=tokenizer, window_tokens=chosen.window_tokens)
    fitted = calibrate_folder(out, validation, abstain=abstain)
    measured = {
        "settings": dataclasses.asdict(chosen),
        "files": [path.name for path in texts],
        "texts": {
            "train": len(train),
            "validation": len(validation),
            "test": len(split.test),
            "duplicates_left_out": split.duplicates,
            "contradictions_left_out": split.contradictions,
            "phrases_left_out": split.phrases + len(rest) - len(train),
        },
        "accuracy": measure(out, split.test),
        "calibration": {
            **{key: fitted[key] for key in ("temperature", "abstain_below", "ece_before", "ece_after")},
            "ece_test_before": error_on(out, split.test, calibrated=False),
            "ece_test": error_on(out, split.test),
        },
        "seconds": round(time.monotonic() - started),
    }
    write_bytes(out / "card.md", _card(measured).encode())
    return measured


def targets_of(
    train: Sequence[Review], labels: Sequence[str], *, settings: TrainSettings, tell: Tell | None = None
) -> Floats:
    """Return what the network is to answer, (texts, labels): the teacher's answers mixed with the smoothed labels."""
    hard = np.full((len(train), len(labels)), settings.label_smoothing / len(labels))
    hard[np.arange(len(train)), [labels.index(review.label) for review in train]] += 1 - settings.label_smoothing
    if not settings.teacher_share:
        return hard
    soft = soft_targets(train, labels=labels, tell=tell)
    return settings.teacher_share * soft + (1 - settings.teacher_share) * hard


def _figure(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"


def _card(measured: Mapping[str, Any]) -> str:
    """Return the page that lies beside the weights: what they were trained on, how, and what they measured."""
    counts, calibration = measured["texts"], measured["calibration"]
    before, after = (_figure(calibration[key]) for key in ("ece_test_before", "ece_test"))
    rows = "\n".join(f"| {name} | {row['texts']} | {row['accuracy']:.3f} |" for name, row in measured["accuracy"].items())
    settings = ", ".join(f"{name} {value}" for name, value in measured["settings"].items())
    files = " ".join(f"--data {name}" for name in measured["files"])
    return f"""# Card: a small sentiment classifier

A ModernBERT with mean pooling and its tokenizer, trained from scratch. Licence: AGPL-3.0-or-later.

- Command: `goldgate models train sentiment {files} --out DIR`, {measured["seconds"]} s.
- Settings: {settings}.
- Split: {counts["train"]} texts to train on, {counts["validation"]} to calibrate on, {counts["test"]} put aside to
  measure on. Texts that share half of their word
  4-grams (Chinese by character) stand on one side together, chosen by the SHA-256 of the longest.
  Left out before: {counts["duplicates_left_out"]} repeated or nearly repeated texts, {counts["contradictions_left_out"]}
  that stand under two labels or hold no word, {counts["phrases_left_out"]} phrases of texts put aside.
- Calibration: temperature {calibration["temperature"]:.3f}; expected calibration error (15 bins of equal width) on the texts
  to measure on {before} before, {after} after.

Accuracy on the texts put aside, weights as stored. "Whole sentences" have at least {_MIN_SENTENCE_WORDS} words and are
not cut out of another text.

| file | texts | accuracy |
| --- | --- | --- |
{rows}
"""


def _encode(tokenizer: Tokenizer, texts: Sequence[str], longest: int) -> list[list[int]]:
    return [encoding.ids[:longest] for encoding in tokenizer.encode_batch_fast(list(texts))]


def _batches(lengths: Sequence[int], size: int, order: random.Random) -> Iterator[list[int]]:
    """Yield shuffled batches whose members are of like length, so that little is spent on padding."""
    indices = list(range(len(lengths)))
    order.shuffle(indices)
    pool = size * 40
    batches = []
    for start in range(0, len(indices), pool):
        alike = sorted(indices[start : start + pool], key=lambda index: lengths[index])
        batches += [alike[at : at + size] for at in range(0, len(alike), size)]
    order.shuffle(batches)
    yield from batches


def _padded(rows: Sequence[Sequence[int]], mask: float, generator: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (tokens, attention mask), both of shape (rows, longest row), with a share of tokens masked."""
    tokens = np.full((len(rows), max(map(len, rows))), PAD, dtype=np.int64)
    for index, row in enumerate(rows):
        tokens[index, : len(row)] = row
    attention = tokens != PAD
    tokens[(tokens >= len(SPECIAL)) & (generator.random(tokens.shape) < mask)] = MASK
    return torch.from_numpy(tokens), torch.from_numpy(attention.astype(np.int64))


@dataclasses.dataclass(frozen=True, slots=True)
class _Lesson:
    """Texts, and what to answer to each."""

    texts: list[str]
    targets: Floats


@dataclasses.dataclass(frozen=True, slots=True)
class _Stage:
    name: str
    epochs: int
    learning_rate: float


def _optimizer(model: torch.nn.Module, learning_rate: float, weight_decay: float) -> torch.optim.AdamW:
    vectors = [weight for weight in model.parameters() if weight.ndim < 2]
    matrices = [weight for weight in model.parameters() if weight.ndim >= 2]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.98), fused=True)


def _rate(step: int, steps: int, warmup: float) -> float:
    """Return the share of the full learning rate: a linear rise, then a cosine fall to nothing."""
    rise = max(1, round(steps * warmup))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def _fit(
    model: ModernBertForSequenceClassification,
    tokenizer: Tokenizer,
    lesson: _Lesson,
    *,
    settings: TrainSettings,
    tell: Tell,
) -> None:
    """Train `model` in place: embeddings and head alone, then all of it; it ends in evaluation mode."""
    layers = model.model.layers
    model.model.layers = torch.nn.ModuleList()
    bag = _Stage("bag", settings.bag_epochs, settings.bag_learning_rate)
    _run_stage(bag, model, tokenizer, lesson, settings=settings, tell=tell)
    model.model.layers = layers
    begin_beside(model, settings)
    whole = _Stage("whole", settings.epochs, settings.learning_rate)
    _run_stage(whole, model, tokenizer, lesson, settings=settings, tell=tell)
    model.eval()


def _run_stage(
    stage: _Stage,
    model: ModernBertForSequenceClassification,
    tokenizer: Tokenizer,
    lesson: _Lesson,
    *,
    settings: TrainSettings,
    tell: Tell,
) -> None:
    """Train what `model` now is; it ends with the averaged weights."""
    order, noise = random.Random(settings.seed), np.random.default_rng(settings.seed)  # noqa: S311 - no secret
    targets = torch.from_numpy(lesson.targets.astype(np.float32))
    steps = stage.epochs * math.ceil(len(lesson.texts) / settings.batch)
    optimizer = _optimizer(model, stage.learning_rate, settings.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps, settings.warmup))
    moving = torch.optim.swa_utils.get_ema_multi_avg_fn(settings.average_decay)  # type: ignore[no-untyped-call]
    average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=moving)
    model.train()
    for epoch in range(stage.epochs):
        started, losses = time.monotonic(), []
        tokenizer.model.dropout = settings.merge_dropout  # every epoch sees the texts cut another way
        rows = _encode(tokenizer, lesson.texts, settings.train_tokens)
        tokenizer.model.dropout = None
        for batch in _batches([len(row) for row in rows], settings.batch, order):
            tokens, attention = _padded([rows[index] for index in batch], settings.mask, noise)
            logits = model(input_ids=tokens, attention_mask=attention).logits
            loss = functional.cross_entropy(logits, targets[batch])
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            average.update_parameters(model)
            losses.append(loss.item())
        seconds = time.monotonic() - started
        tell(f"{stage.name}, epoch {epoch + 1} of {stage.epochs}: loss {np.mean(losses):.4f}, {seconds:.0f} s")
    model.load_state_dict(average.module.state_dict())


def measure(folder: Path, reviews: Sequence[Review]) -> dict[str, dict[str, float | int]]:
    """Return texts and accuracy per file, and per file for whole sentences alone (its texts that no other holds)."""
    sources = [Source(str(index), Kind.TEXT, "", review.text.encode()) for index, review in enumerate(reviews)]
    found = SentimentClassifier(folder).predict(sources)[Task.SENTIMENTS.value].to_pylist()
    answers = [labels[0]["label"] if labels else None for labels in found]
    right: dict[str, list[bool]] = {}
    for review, label in zip(reviews, answers, strict=True):
        right.setdefault(review.file, []).append(review.label == label)
        form = words(review.text)
        if len(form) >= _MIN_SENTENCE_WORDS and " ".join(form) == review.group:
            right.setdefault(f"{review.file}, whole sentences", []).append(review.label == label)
    return {name: {"texts": len(marks), "accuracy": float(np.mean(marks))} for name, marks in sorted(right.items())}
