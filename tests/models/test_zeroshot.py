"""Labels by inference: hypotheses from the guideline, pairs cut into windows, softmax over entailment, by hand."""

from pathlib import Path

import pytest
import torch

from contract.errors import TermsError, WeightsError
from contract.guideline import Guideline, LabelDefinition
from contract.predictor import Source
from contract.tables import Kind
from models.sentiment import SentimentClassifier, SentimentSettings
from models.textlabels import Calibration
from models.zeroshot import EntailmentHead, is_inference
from tests.oracles.tinytexts import ARCHITECTURES, WORDS, guideline, logits_by_hand, save

LABELS = {0: "contradiction", 1: "neutral", 2: "entailment"}
SENTIMENTS = Guideline(
    version="1",
    sentiments=(
        LabelDefinition(name="good", definition="good room"),
        LabelDefinition(name="neutral", definition="food"),
        LabelDefinition(name="bad", definition="很 差"),
    ),
)
SETTINGS = SentimentSettings(runtime="torch", hypothesis="{definition} !", window_tokens=16, stride_tokens=2)
HYPOTHESES = (["good", "room", "!"], ["food", "!"], ["很", "差", "!"])


@pytest.fixture(scope="module", params=list(ARCHITECTURES))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("inference"), ARCHITECTURES[request.param], LABELS)


def shares(predictor: SentimentClassifier, *texts: str) -> list[list[float]]:
    sources = [Source(str(index), Kind.TEXT, "", content.encode()) for index, content in enumerate(texts)]
    rows = predictor.predict(sources)["sentiments"].to_pylist()
    return [[share for _, share in row[0]["probabilities"]] for row in rows]


def test_labels_of_inference_are_known() -> None:
    assert is_inference(["CONTRADICTION", "NEUTRAL", "ENTAILMENT"])
    assert is_inference(["entailment", "not_entailment"])
    assert not is_inference(["positive", "neutral", "negative"])
    assert not is_inference(["neutral", "contradiction"])


def test_probabilities_are_the_softmax_of_entailment(folder: Path) -> None:
    predictor = SentimentClassifier(folder, guideline=SENTIMENTS, settings=SETTINGS)
    assert predictor.describe().classes == ("good", "neutral", "bad")
    assert predictor.describe().settings["hypotheses"] == "good room ! | food ! | 很 差 !"
    found = shares(predictor, "房间 很 好 , bad food", "bad")
    for tokens, share in ((["房", "间", "很", "好", ",", "bad", "food"], found[0]), (["bad"], found[1])):
        entailed = [logits_by_hand(folder, tokens, hypothesis)[2] for hypothesis in HYPOTHESES]
        assert share == pytest.approx(torch.tensor(entailed).double().softmax(0).tolist(), abs=1e-5)


def test_a_long_text_counts_by_the_mean_of_its_windows(folder: Path) -> None:
    tokens = [WORDS[index * 5 % len(WORDS)] for index in range(21)]
    (found,) = shares(SentimentClassifier(folder, guideline=SENTIMENTS, settings=SETTINGS), " ".join(tokens))
    means = []
    for hypothesis in HYPOTHESES:
        room, total, weight = 16 - 3 - len(hypothesis), 0.0, 0
        for begin in range(0, len(tokens), room - 2):
            window = tokens[begin : begin + room]
            total += len(window) * logits_by_hand(folder, window, hypothesis)[2]
            weight += len(window)
            if begin + room >= len(tokens):
                break
        means.append(total / weight)
    assert found == pytest.approx(torch.tensor(means).double().softmax(0).tolist(), abs=1e-5)


def test_answers_do_not_depend_on_neighbours(folder: Path) -> None:
    predictor = SentimentClassifier(folder, guideline=SENTIMENTS, settings=SETTINGS)
    texts = ["good", "bad room , " * 20, "很 好 !", "food"]
    alone = [shares(predictor, content)[0] for content in texts]
    assert shares(predictor, *texts) == [pytest.approx(row, abs=1e-5) for row in alone]


def test_an_empty_text_is_rejected(folder: Path) -> None:
    answer = SentimentClassifier(folder, guideline=SENTIMENTS, settings=SETTINGS).predict(
        [Source("a", Kind.TEXT, "", b"\x07"), Source("b", Kind.TEXT, "", b"good")]
    )
    assert answer["state"].to_pylist() == ["rejected", "labelled"]


def test_labels_are_needed(folder: Path) -> None:
    with pytest.raises(TermsError, match=r"guideline\.sentiments"):
        SentimentClassifier(folder, settings=SETTINGS)


def test_numbered_labels_are_named_by_the_settings() -> None:
    numbered = ["LABEL_0", "LABEL_1"]
    head = EntailmentHead(numbered, guideline(a=[], b=[]), Calibration(), entailment="LABEL_1")
    assert head.hypotheses == ("a: a", "b: b")
    with pytest.raises(WeightsError, match=r"settings\.entailment"):
        EntailmentHead(numbered, guideline(a=[], b=[]), Calibration())


def test_inference_can_be_switched_off(folder: Path) -> None:
    settings = SentimentSettings(runtime="torch", zero_shot=False)
    told = guideline(yes=["entailment"], no=["contradiction"])
    assert SentimentClassifier(folder, guideline=told, settings=settings).describe().classes == ("yes", "no")
