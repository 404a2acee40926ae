"""The sentiment predictor over tiny random classifiers made here: mapping, order, batching, windows, rejects."""

import json
import pickle
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file
from transformers import BertModel

from contract.answers import check_answer
from contract.errors import DeviceError, InputError, TermsError, WeightsError
from contract.predictor import Predictor, Source
from contract.tables import Kind
from contract.terms import Terms, load_terms
from models.registry import ModelEntry
from models.sentiment import SentimentClassifier, SentimentSettings, from_entry
from models.textlabels import map_labels
from tests.oracles.tinytexts import ARCHITECTURES, THREE, WORDS, bert, guideline, logits_by_hand, save

PLAIN = SentimentSettings(runtime="torch")  # converting to OpenVINO takes a second each time
ROUNDING = 3e-6  # of six decimals, added up over a few labels


def plain(**settings: Any) -> SentimentSettings:
    return SentimentSettings(runtime="torch", **settings)


@pytest.fixture(scope="module", params=list(ARCHITECTURES))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("model"), ARCHITECTURES[request.param])


@pytest.fixture(scope="module")
def bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("bert"), bert)


def text(item: str, content: str) -> Source:
    return Source(item, Kind.TEXT, f"{item}.txt", content.encode())


def probabilities(answer: pa.Table) -> list[list[float]]:
    return [[share for _, share in row[0]["probabilities"]] if row else [] for row in answer["sentiments"].to_pylist()]


def by_hand(folder: Path, tokens: Sequence[str]) -> list[float]:
    shares: list[float] = torch.tensor(logits_by_hand(folder, tokens)).double().softmax(-1).tolist()
    return shares


def test_is_a_predictor_whose_answer_has_every_label_in_order(folder: Path) -> None:
    predictor = SentimentClassifier(folder, guideline=guideline(positive=[], neutral=[], negative=[]), settings=PLAIN)
    assert isinstance(predictor, Predictor)
    predictor.load("cpu")
    sources = [text("a", "good room!"), text("b", "很好"), text("c", "房间很差, bad food")]
    answer = check_answer(Kind.TEXT, sources, predictor.predict(sources))
    assert answer["state"].to_pylist() == ["labelled"] * 3
    for (row,) in answer["sentiments"].to_pylist():
        shares = dict(row["probabilities"])
        assert list(shares) == ["positive", "neutral", "negative"]
        assert sum(shares.values()) == pytest.approx(1, abs=ROUNDING)
        assert row["score"] == shares[row["label"]] == max(shares.values())


def test_agrees_with_the_model_by_hand(folder: Path) -> None:
    answer = SentimentClassifier(folder, settings=PLAIN).predict([text("a", "很好, good room"), text("b", "bad")])
    wanted = [by_hand(folder, ["很", "好", ",", "good", "room"]), by_hand(folder, ["bad"])]
    assert probabilities(answer) == [pytest.approx(row, abs=1e-5) for row in wanted]


@hypothesis.settings(max_examples=25, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
@hypothesis.given(
    st.lists(st.lists(st.sampled_from(WORDS), max_size=70).map(" ".join), max_size=8), st.sampled_from([8, 40, 200, 10_000])
)
def test_answers_do_not_depend_on_order_or_batching(bert_folder: Path, texts: list[str], budget: int) -> None:
    settings = plain(batch_tokens=budget, stride_tokens=4)
    predictor = SentimentClassifier(bert_folder, settings=settings)
    sources = [text(str(index), content) for index, content in enumerate(texts)]
    together = check_answer(Kind.TEXT, sources, predictor.predict(sources))
    backwards = check_answer(Kind.TEXT, sources[::-1], predictor.predict(sources[::-1]))
    alone = [probabilities(predictor.predict([source]))[0] for source in sources]
    assert probabilities(together) == [pytest.approx(row, abs=1e-5) for row in alone]
    assert probabilities(backwards)[::-1] == [pytest.approx(row, abs=1e-5) for row in alone]


def test_long_text_is_the_mean_of_its_windows_weighted_by_their_tokens(folder: Path) -> None:
    settings = plain(window_tokens=10, stride_tokens=3)
    tokens = [WORDS[index * 7 % len(WORDS)] for index in range(20)]
    answer = SentimentClassifier(folder, settings=settings).predict([text("a", " ".join(tokens))])
    windows = [tokens[0:8], tokens[5:13], tokens[10:18], tokens[15:20]]  # 8 fit beside [CLS] and [SEP], 3 come again
    shares = [by_hand(folder, window) for window in windows]
    total = sum(len(window) for window in windows)
    wanted = [sum(row[i] * len(w) for row, w in zip(shares, windows, strict=True)) / total for i in range(3)]
    assert probabilities(answer)[0] == pytest.approx(wanted, abs=1e-5)


def test_the_longest_window_fits_the_positions(folder: Path) -> None:
    answer = SentimentClassifier(folder, settings=plain(stride_tokens=2)).predict([text("a", "good " * 500)])
    assert answer["state"].to_pylist() == ["labelled"]


def test_unreadable_texts_are_rejected_beside_their_neighbours(bert_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "on disk.txt").write_bytes("\ufeff很好".encode())
    sources = [
        text("good", "很好"),
        text("empty", ""),
        text("blank", " \n\u3000"),
        Source("bytes", Kind.TEXT, "x", b"good \xff\xfe"),
        Source("absent", Kind.TEXT, str(tmp_path / "absent.txt")),
        text("control", "\u0007"),
        Source("file", Kind.TEXT, str(tmp_path / "on disk.txt")),
    ]
    answer = SentimentClassifier(bert_folder, settings=PLAIN).predict(sources)
    check_answer(Kind.TEXT, sources, answer)
    assert answer["state"].to_pylist() == ["labelled", *["rejected"] * 5, "labelled"]
    reasons = answer["reason"].to_pylist()
    assert ["empty" in (reason or "") for reason in reasons] == [False, True, True, False, False, True, False]
    assert "byte 5" in reasons[3]
    assert "absent.txt" in reasons[4]
    shares = probabilities(answer)
    assert shares[0] == pytest.approx(shares[-1], abs=1e-6)


def test_no_sources_give_an_empty_answer(bert_folder: Path) -> None:
    assert SentimentClassifier(bert_folder, settings=PLAIN).predict([]).num_rows == 0


def test_labels_join_by_name_then_by_name_without_case() -> None:
    joined = map_labels(["neg", "POS"], guideline(positive=["pos"], negative=["neg"]), origin="m")
    assert joined.labels == ("positive", "negative")
    assert joined.target == (1, 0)
    assert (joined.lacking, joined.left_out) == ((), ())


def test_an_exact_name_wins_over_one_without_case() -> None:
    assert map_labels(["A", "a"], guideline(upper=["A"], lower=["a"]), origin="m").target == (0, 1)


def test_without_a_guideline_the_models_own_names_count() -> None:
    assert map_labels(["LABEL_0", "x"], None, origin="m").labels == ("LABEL_0", "x")


def test_numbered_labels_need_the_terms() -> None:
    told = guideline(positive=["LABEL_1"], negative=["LABEL_0"])
    assert map_labels(["LABEL_0", "LABEL_1"], told, origin="m").target == (1, 0)
    with pytest.raises(TermsError, match=r"LABEL_0 mean.*model_names.*positive, negative"):
        map_labels(["LABEL_0", "LABEL_1"], guideline(positive=["LABEL_1"], negative=[]), origin="m")


def test_labels_that_share_no_name_are_refused() -> None:
    with pytest.raises(WeightsError, match="joy, anger"):
        map_labels(["joy", "anger"], guideline(positive=[], negative=[]), origin="m")


def test_stars_add_up(tmp_path: Path) -> None:
    stars = {index: f"{index + 1} stars" for index in range(5)}
    save(tmp_path, bert, stars)
    told = guideline(positive=["4 stars", "5 stars"], neutral=["3 stars"], negative=["1 stars", "2 stars"])
    own = probabilities(SentimentClassifier(tmp_path, settings=PLAIN).predict([text("a", "很好")]))[0]
    joined = probabilities(SentimentClassifier(tmp_path, guideline=told, settings=PLAIN).predict([text("a", "很好")]))[0]
    assert joined == pytest.approx([own[3] + own[4], own[2], own[0] + own[1]], abs=ROUNDING)


def test_label_unknown_to_the_guideline_leaves_the_whole_to_the_others(bert_folder: Path) -> None:
    own = probabilities(SentimentClassifier(bert_folder, settings=PLAIN).predict([text("a", "很好")]))[0]
    predictor = SentimentClassifier(bert_folder, guideline=guideline(positive=[], negative=[]), settings=PLAIN)
    joined = probabilities(predictor.predict([text("a", "很好")]))[0]
    assert joined == pytest.approx([own[2] / (own[0] + own[2]), own[0] / (own[0] + own[2])], abs=ROUNDING)
    assert predictor.describe().settings["model_labels_left_out"] == "NEUTRAL"


def test_label_unknown_to_the_model_has_probability_nought_and_is_reported(tmp_path: Path) -> None:
    save(tmp_path, bert, {0: "negative", 1: "positive"})
    predictor = SentimentClassifier(tmp_path, guideline=guideline(positive=[], neutral=[], negative=[]), settings=PLAIN)
    assert probabilities(predictor.predict([text("a", "很好")]))[0][1] == 0
    assert predictor.describe().settings["lacking_labels"] == "neutral"
    assert predictor.describe().classes == ("positive", "neutral", "negative")


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    save(tmp_path, bert)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps({}))
    with pytest.raises(WeightsError, match=r"pytorch_model\.bin is a pickle"):
        SentimentClassifier(tmp_path, settings=PLAIN)


@pytest.fixture(scope="module")
def demo_terms() -> Terms:
    return load_terms(Path(__file__).resolve().parents[2] / "configs" / "demo.yaml")


def pickled(folder: Path, content: Any = None) -> Path:
    """Put a pickle in the place of the safetensors; without content it holds the same weights."""
    save(folder, bert)
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights if content is None else content, folder / "pytorch_model.bin")
    return folder


def with_pickles(terms: Terms, word: str) -> Terms:
    sentiments = guideline(positive=["POSITIVE"], neutral=["NEUTRAL"], negative=["NEGATIVE"]).sentiments
    prelabel = terms.prelabel.model_copy(update={"pickles": word})
    changes = {"prelabel": prelabel, "guideline": terms.guideline.model_copy(update={"sentiments": sentiments})}
    return terms.model_copy(update=changes)


def test_terms_that_allow_pickles_have_them_read_and_others_not(tmp_path: Path, demo_terms: Terms) -> None:
    folder = pickled(tmp_path / "model")
    entry = ModelEntry(name="p", kind=Kind.TEXT, loader="transformers", path=folder, settings={"runtime": "torch"})
    for terms in (None, with_pickles(demo_terms, "forbidden")):
        with pytest.raises(WeightsError, match=r"pytorch_model\.bin is a pickle.*prelabel\.pickles: allowed"):
            from_entry(entry, terms=terms)
    answer = from_entry(entry, terms=with_pickles(demo_terms, "allowed")).predict([text("a", "good room")])
    negative, neutral, positive = by_hand(save(tmp_path / "plain", bert), ["good", "room"])
    assert probabilities(answer) == [pytest.approx([positive, neutral, negative], abs=1e-5)]


class Trap:
    """A pickle that would make a file when it is read as pickle itself reads it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_pickle_that_is_allowed_still_runs_nothing(tmp_path: Path, demo_terms: Terms) -> None:
    sprung = tmp_path / "sprung"
    folder = pickled(tmp_path / "model", {"bert.pooler.dense.bias": Trap(sprung)})
    entry = ModelEntry(name="p", kind=Kind.TEXT, loader="transformers", path=folder, settings={"runtime": "torch"})
    with pytest.raises(WeightsError, match="cannot be read"):
        from_entry(entry, terms=with_pickles(demo_terms, "allowed")).load("cpu")
    assert not sprung.exists()
    torch.load(folder / "pytorch_model.bin", weights_only=False)  # the trap is a trap
    assert sprung.exists()


def test_safetensors_beside_a_pickle_are_what_is_read(tmp_path: Path, demo_terms: Terms) -> None:
    folder = save(tmp_path / "model", bert)
    (folder / "pytorch_model.bin").write_bytes(b"no pickle at all")
    entry = ModelEntry(name="p", kind=Kind.TEXT, loader="transformers", path=folder, settings={"runtime": "torch"})
    for word in ("forbidden", "allowed"):
        answer = from_entry(entry, terms=with_pickles(demo_terms, word)).predict([text("a", "good room")])
        assert answer["state"].to_pylist() == ["labelled"]


def test_folders_that_are_no_classifier_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such folder"):
        SentimentClassifier(tmp_path / "absent")
    with pytest.raises(WeightsError, match="no safetensors"):
        SentimentClassifier(tmp_path, settings=PLAIN)


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    save(tmp_path, bert)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(WeightsError, match=str(tmp_path)):
        SentimentClassifier(tmp_path, settings=PLAIN).load("cpu")


def test_damaged_tokenizer_is_refused(tmp_path: Path) -> None:
    save(tmp_path, bert)
    (tmp_path / "tokenizer.json").write_text('{"version": "1.0"}', encoding="utf-8")
    with pytest.raises(WeightsError, match=str(tmp_path)):
        SentimentClassifier(tmp_path, settings=PLAIN).load("cpu")


def test_weights_without_a_trained_head_are_refused(tmp_path: Path) -> None:
    save(tmp_path, bert)
    BertModel(bert(THREE).config).save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match="would be random"):
        SentimentClassifier(tmp_path, settings=PLAIN).load("cpu")


def test_code_beside_the_weights_is_never_run(tmp_path: Path) -> None:
    save(tmp_path, bert)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    config |= {"model_type": "strange", "auto_map": {"AutoConfig": "trap.Config"}}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "trap.py").write_text(
        "from pathlib import Path\nPath(__file__).with_name('sprung').touch()\n", encoding="utf-8"
    )
    with pytest.raises(WeightsError, match=str(tmp_path)):
        SentimentClassifier(tmp_path, settings=PLAIN)
    assert not (tmp_path / "sprung").exists()


def test_a_regressor_is_refused(tmp_path: Path) -> None:
    save(tmp_path, bert, {0: "score"})
    with pytest.raises(WeightsError, match="one label of several"):
        SentimentClassifier(tmp_path, settings=PLAIN)


def test_entry_gives_name_digest_and_settings(bert_folder: Path) -> None:
    entry = ModelEntry(
        name="tiny",
        kind=Kind.TEXT,
        loader="transformers",
        path=bert_folder,
        settings={"batch_tokens": 64, "stride_tokens": 4},
    )
    told = from_entry(entry).describe()
    assert told.name == "tiny"
    assert told.weights_sha256 is not None
    assert told.version == told.weights_sha256[:12]
    assert told.settings["batch_tokens"] == 64
    assert told.precision == "float32"
    with pytest.raises(InputError, match="stride"):
        from_entry(entry.model_copy(update={"settings": {"stride": 4}}))


def test_stride_must_leave_room(bert_folder: Path) -> None:
    settings = plain(window_tokens=10, stride_tokens=8)
    with pytest.raises(WeightsError, match="stride_tokens"):
        SentimentClassifier(bert_folder, settings=settings).load("cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is present")
def test_cuda_asked_for_and_absent_is_an_error(bert_folder: Path) -> None:
    with pytest.raises(DeviceError):
        SentimentClassifier(bert_folder, settings=PLAIN).load("cuda")


def test_loading_and_predicting_say_nothing(bert_folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SentimentClassifier(bert_folder, settings=PLAIN).predict([text("a", "good " * 500)])
    assert capfd.readouterr() == ("", "")
