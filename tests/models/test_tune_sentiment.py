"""Fine-tuning of a tiny classifier: it learns, stops, repeats itself, and never leaves worse weights than the base."""

from pathlib import Path

import numpy as np
import pytest
from scipy import special

from contract.errors import FormatError
from contract.files import sha256_file
from models.review_texts import Review
from models.tune_sentiment import TuneSettings, tune_sentiment
from tests.oracles.tinytexts import WORDS, bert, logits_by_hand, save

TWO = {0: "negative", 1: "positive"}
QUICK = TuneSettings(epochs=6, learning_rate=5e-3)


def some(count: int, seed: int) -> list[Review]:
    """Texts whose first word decides."""
    rng, found = np.random.default_rng(seed), []
    for place in range(count):
        rest = [WORDS[at] for at in rng.integers(2, len(WORDS), rng.integers(0, 5))]
        found.append(Review(" ".join([WORDS[place % 2], *rest]), ("positive", "negative")[place % 2], "made"))
    return found


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return save(tmp_path / "base", bert, TWO)


def by_hand(folder: Path, reviews: list[Review]) -> float:
    """The mean negative log likelihood, one text at a time."""
    losses = []
    for review in reviews:
        shares = special.log_softmax(logits_by_hand(folder, review.text.split()))
        losses.append(-shares[list(TWO.values()).index(review.label)])
    return float(np.mean(losses))


def test_it_learns_and_says_by_how_much(base: Path, tmp_path: Path) -> None:
    aside = some(20, 2)
    told = tune_sentiment(base, tmp_path / "out", train=some(64, 1), validation=aside, settings=QUICK)
    assert told["mean_nll"][0] == pytest.approx(by_hand(base, aside), abs=1e-4)
    assert told["mean_nll"][told["best"]] == min(told["mean_nll"])
    assert by_hand(tmp_path / "out", aside) == pytest.approx(min(told["mean_nll"]), abs=1e-4)
    assert min(told["mean_nll"]) < 0.5 * told["mean_nll"][0]


def test_the_same_seed_gives_the_same_weights(base: Path, tmp_path: Path) -> None:
    digests = []
    for name in ("one", "two"):
        tune_sentiment(base, tmp_path / name, train=some(32, 1), validation=some(10, 2), settings=QUICK)
        digests.append(sha256_file(tmp_path / name / "model.safetensors"))
    assert digests[0] == digests[1]


def test_no_better_pass_leaves_the_base_and_ends_early(base: Path, tmp_path: Path) -> None:
    turned = {"positive": "negative", "negative": "positive"}
    wrong = [Review(each.text, turned[each.label], each.file) for each in some(64, 1)]
    settings = TuneSettings(epochs=9, patience=2, learning_rate=1e-2)
    aside = some(20, 2)
    learnt = tmp_path / "learnt"
    tune_sentiment(base, learnt, train=some(64, 1), validation=aside, settings=QUICK)
    told = tune_sentiment(learnt, tmp_path / "out", train=wrong, validation=aside, settings=settings)
    assert (told["best"], told["passes"]) == (0, 2)
    assert by_hand(tmp_path / "out", aside) == pytest.approx(by_hand(learnt, aside), abs=1e-6)


def test_foreign_labels_and_no_texts_are_refused(base: Path, tmp_path: Path) -> None:
    foreign = [Review("good", "neutral", "made")]
    with pytest.raises(FormatError, match="labels neutral are not its own"):
        tune_sentiment(base, tmp_path / "out", train=foreign, validation=some(4, 1))
    with pytest.raises(FormatError, match="no text is left"):
        tune_sentiment(base, tmp_path / "out", train=some(4, 1), validation=[])
    assert not (tmp_path / "out").exists()
