"""Fine-tune any text classifier on labelled texts, stopping early on texts put aside.

After every pass the mean negative log likelihood on the texts put aside decides: the weights of the best pass stay (those of
the base if no pass is better), and training ends after so many passes without a better one (Prechelt 1998). The same
texts, base and seed give the same weights on the same machine.
"""

import copy
import dataclasses
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from contract.errors import FormatError
from models.review_texts import Review
from models.textfolder import longest_window, quiet, read_config, read_model, read_tokenizer

Tell = Callable[[str], None]


@dataclasses.dataclass(frozen=True, slots=True)
class TuneSettings:
    """Everything that decides the weights, besides the base and the texts."""

    epochs: int = 8
    patience: int = 2
    batch: int = 16
    learning_rate: float = 2e-5
    weight_decay: float = 0.01
    seed: int = 20_240


@dataclasses.dataclass(frozen=True, slots=True)
class _Rows:
    """Token ids of every text, and the index of its label."""

    tokens: list[list[int]]
    labels: torch.Tensor
    padding: int

    def batch(self, places: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return (ids, mask, labels); ids and mask of shape (texts, longest text)."""
        rows = [self.tokens[place] for place in places]
        ids = np.full((len(rows), max(map(len, rows))), self.padding, np.int64)
        mask = np.zeros(ids.shape, np.int64)
        for place, row in enumerate(rows):
            ids[place, : len(row)], mask[place, : len(row)] = row, 1
        return torch.from_numpy(ids), torch.from_numpy(mask), self.labels[list(places)]


def tune_sentiment(
    base: Path,
    out: Path,
    *,
    train: Sequence[Review],
    validation: Sequence[Review],
    settings: TuneSettings | None = None,
    tell: Tell | None = None,
) -> dict[str, Any]:
    """Fine-tune the classifier in `base` and write the result to `out`; texts longer than its window are cut there.

    Returns the passes made, the best of them (0 is the base), and mean_nll, on `validation`, of the base and of every pass.

    Raises:
        FormatError: there are no texts to train or to stop on, or a label is not the model's.
        WeightsError: the base is no classifier.
    """
    chosen, report = settings or TuneSettings(), tell or (lambda line: None)
    config, tokenizer = read_config(base), read_tokenizer(base)
    names = [str(config.id2label[index]) for index in range(config.num_labels)]
    foreign = sorted({review.label for review in (*train, *validation)} - set(names))
    if foreign or not train or not validation:
        what = f"the labels {', '.join(foreign)} are not its own" if foreign else "no text is left to train or to stop on"
        raise FormatError(f"{base}: cannot be fine-tuned: {what}; give texts of its labels {', '.join(names)}")
    window = longest_window(config, tokenizer)
    rows, aside = (_rows(tokenizer, texts, names, window) for texts in (train, validation))
    torch.manual_seed(chosen.seed)
    model = read_model(base, torch.float32)
    losses = [_loss(model, aside, chosen.batch)]
    best, kept = 0, copy.deepcopy(model.state_dict())
    optimizer = torch.optim.AdamW(model.parameters(), lr=chosen.learning_rate, weight_decay=chosen.weight_decay)
    order = random.Random(chosen.seed)  # noqa: S311 - no secret
    for epoch in range(1, chosen.epochs + 1):
        _pass(model, rows, optimizer, _batches(len(train), chosen.batch, order))
        losses.append(_loss(model, aside, chosen.batch))
        report(
            f"pass {epoch} of at most {chosen.epochs}: loss {losses[-1]:.4f} on texts put aside, {losses[0]:.4f} of the base"
        )
        if losses[-1] < losses[best]:
            best, kept = epoch, copy.deepcopy(model.state_dict())
        elif epoch - best >= chosen.patience:
            break
    model.load_state_dict(kept)
    out.mkdir(parents=True, exist_ok=True)
    with quiet():
        model.save_pretrained(out)
        tokenizer.save_pretrained(out)
    return {"passes": len(losses) - 1, "best": best, "mean_nll": losses}


def _rows(tokenizer: Any, texts: Sequence[Review], names: Sequence[str], window: int) -> _Rows:
    encoded = tokenizer([review.text for review in texts], truncation=True, max_length=window)["input_ids"]
    labels = torch.tensor([names.index(review.label) for review in texts])
    return _Rows([list(row) for row in encoded], labels, int(tokenizer.pad_token_id))


def _batches(texts: int, size: int, order: random.Random) -> Iterator[list[int]]:
    places = list(range(texts))
    order.shuffle(places)
    for start in range(0, texts, size):
        yield places[start : start + size]


def _pass(model: Any, rows: _Rows, optimizer: torch.optim.Optimizer, batches: Iterator[list[int]]) -> None:
    model.train()
    for places in batches:
        ids, mask, labels = rows.batch(places)
        loss = functional.cross_entropy(model(input_ids=ids, attention_mask=mask).logits, labels)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


@torch.no_grad()
def _loss(model: Any, rows: _Rows, size: int) -> float:
    model.eval()
    total = 0.0
    for start in range(0, len(rows.tokens), size):
        ids, mask, labels = rows.batch(range(start, min(start + size, len(rows.tokens))))
        logits = model(input_ids=ids, attention_mask=mask).logits
        total += float(functional.cross_entropy(logits, labels, reduction="sum"))
    return total / len(rows.tokens)
