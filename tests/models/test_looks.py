"""Open-vocabulary events: models of every kind beside transformers' own, prompts, pieces joined to events, names."""

import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from contract.errors import InputError, WeightsError
from contract.guideline import Guideline, LooksLikeEvent
from contract.predictor import Source
from contract.tables import Kind
from contract.terms import Terms, load_terms
from models.hub import pull
from models.looks import FRAMES, PIECE_S, Looker, Piece, from_entry, joined_events, looker_named, pieces_of
from models.registry import ModelEntry, build_predictor, find_entry
from models.seeking import Place, find_frames
from models.shots import Shot
from models.stills import upright
from models.timeline import Timeline
from models.video import VideoPredictor, VideoSettings
from models.visionlanguage import VisionLanguageModel
from models.weights import weights_digest
from tests.oracles import tinylooks

PROMPTS = ["a photo of a red sea", "a street", "green"]
LONG = "a photo of a red sea " * 3


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a maker of folders with a model of a kind with random weights, as it comes from a hub."""
    made: dict[str, Path] = {}

    def maker(kind: str) -> Path:
        if kind not in made:
            made[kind] = tinylooks.put(kind, tmp_path_factory.mktemp(kind))
        return made[kind]

    return maker


def pictures(count: int) -> list[Image.Image]:
    """Return noise, each on a colour of its own."""
    random = np.random.default_rng(2)
    tints = random.integers(0, 196, (count, 1, 1, 3))
    return [Image.fromarray((tint + random.integers(0, 60, (40, 50, 3))).astype(np.uint8)) for tint in tints]


def rule(**changes: Any) -> LooksLikeEvent:
    document = {"name": "sea", "definition": "d", "rule": "looks_like", "prompts": PROMPTS[:1], "against": PROMPTS[1:]}
    return LooksLikeEvent.model_validate({**document, "min_seconds": 1.0, "min_score": 0.5, **changes})


def views_of(model: VisionLanguageModel, shown: list[Image.Image]) -> list[list[Image.Image]]:
    """Return every run of as many pictures as the model sees at once."""
    return [shown[at : at + model.frames] for at in range(len(shown) - model.frames + 1)]


@pytest.mark.parametrize("kind", tinylooks.KINDS)
def test_likeness_is_that_of_the_model_asked_about_view_and_prompts_together(
    folder_of: Callable[[str], Path], kind: str
) -> None:
    model = VisionLanguageModel(folder_of(kind), PROMPTS)
    model.load("cpu")
    views = views_of(model, pictures(19))  # more than a batch
    found = model.logits([[model.prepare(picture) for picture in view] for view in views])
    assert found.shape == (len(views), 3)
    for at in (0, 3, len(views) - 1):
        wanted = tinylooks.as_one(kind, folder_of(kind), views[at], PROMPTS)
        np.testing.assert_allclose(found[at], wanted, atol=2e-4)
    assert found.std(axis=0).min() > 1e-3  # the views matter
    assert found.std(axis=1).min() > 1e-3  # and the prompts
    assert model.logits([]).shape == (0, 3)


def test_a_model_of_video_is_what_its_weights_give_by_hand(folder_of: Callable[[str], Path]) -> None:
    model = VisionLanguageModel(folder_of("xclip"), PROMPTS)
    model.load("cpu")
    by_hand = tinylooks.XclipByHand(folder_of("xclip"))
    for view in views_of(model, pictures(6)):
        found = model.logits([[model.prepare(picture) for picture in view]])
        np.testing.assert_allclose(found[0], by_hand.logits(view, PROMPTS), atol=1e-4)
    turned = model.logits([[model.prepare(picture) for picture in view[::-1]]])
    assert np.abs(turned - found).max() > 1e-3  # the order of frames matters


@pytest.mark.parametrize("kind", ["clip", "siglip", "xclip"])
def test_prompts_are_encoded_once(folder_of: Callable[[str], Path], kind: str) -> None:
    model = VisionLanguageModel(folder_of(kind), PROMPTS)
    model.load("cpu")
    calls = Counter[str]()
    model._model.text_model.register_forward_hook(lambda *_: calls.update(["text"]))
    model._model.vision_model.register_forward_hook(lambda *_: calls.update(["vision"]))
    view = [model.prepare(picture) for picture in pictures(model.frames)]
    for _ in range(3):
        model.logits([view] * 20)
    assert calls["text"] == 0
    assert calls["vision"] == 3 * -(-20 * model.frames // 16)


@pytest.mark.parametrize("kind", ["clip", "siglip", "altclip", "xclip"])
def test_a_prompt_that_is_longer_than_the_model_reads_is_refused_by_name(
    folder_of: Callable[[str], Path], kind: str
) -> None:
    with pytest.raises(InputError, match=f"the prompt '{LONG.strip()}.*has 19 tokens, more than the 12") as caught:
        Looker(folder_of(kind), [rule(), rule(name="long", against=["green", LONG.strip()])])
    assert "\n" not in str(caught.value)
    longest = " ".join(["sea"] * 11)  # and the token at the end
    assert VisionLanguageModel(folder_of(kind), [longest]).kind == kind


def test_likelihoods_are_shares_or_the_best_of_an_events_own_prompts(folder_of: Callable[[str], Path]) -> None:
    rules = [rule(prompts=PROMPTS[:2], against=PROMPTS[2:]), rule(name="street", prompts=["a street"], against=["green"])]
    logits = np.array([[1.0, 3.0, 2.0], [-40.0, 800.0, 0.5], [0.0, 0.0, 0.0]])
    shared = Looker(folder_of("clip"), rules).likely(logits)
    for row, each in enumerate(logits):
        whole = np.exp(each - each.max())
        assert shared[0, row] == pytest.approx((whole[0] + whole[1]) / whole.sum())
        assert shared[1, row] == pytest.approx(whole[1] / (whole[1] + whole[2]))
    alone = Looker(folder_of("siglip"), rules).likely(logits)
    np.testing.assert_allclose(alone[0], [1 / (1 + np.exp(-3.0)), 1.0, 0.5])
    np.testing.assert_allclose(alone[1], [1 / (1 + np.exp(-3.0)), 1.0, 0.5])


def test_other_models_and_damaged_ones_are_refused(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no model that transformers knows"):
        Looker(tmp_path, [rule()])
    (tmp_path / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    with pytest.raises(WeightsError, match="a bert compares no pictures with prompts"):
        Looker(tmp_path, [rule()])
    for path in folder_of("clip").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"junk")
    with pytest.raises(WeightsError, match="cannot be loaded"):
        Looker(tmp_path, [rule()]).load("cpu")
    (tmp_path / "model.safetensors").unlink()
    torch.save({}, tmp_path / "pytorch_model.bin")  # a pickle is no way out
    with pytest.raises(WeightsError, match="cannot be loaded"):
        Looker(tmp_path, [rule()]).load("cpu")
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(WeightsError, match="its tokenizer cannot be read"):
        Looker(tmp_path, [rule()])


@pytest.fixture
def models_file(tmp_path: Path, folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a models file with lookers and with models that are none."""
    monkeypatch.setenv("GOLDGATE_CACHE", str(tmp_path / "cache"))
    digest = weights_digest(folder_of("siglip"))
    entries: dict[str, Any] = {
        "eyes": {"kind": "video", "loader": "looks", "path": str(folder_of("siglip")), "sha256": digest},
        "moved": {"kind": "video", "loader": "looks", "path": str(folder_of("siglip")), "sha256": "0" * 64},
        "far": {"kind": "video", "loader": "looks", "hub": f"file://{folder_of('xclip')}", "revision": "1"},
        "shots": {"kind": "video", "loader": "video", "settings": {"looker": "eyes"}},
    }
    page = tmp_path / "models.yaml"
    page.write_text(yaml.safe_dump({"models": entries}), encoding="utf-8")
    return page


def test_a_looker_is_a_pinned_name_of_the_models_file(models_file: Path, folder_of: Callable[[str], Path]) -> None:
    digest = weights_digest(folder_of("siglip"))
    assert looker_named("eyes", [rule()], models_file=models_file).name == f"siglip {digest[:12]}"
    assert looker_named(str(folder_of("siglip")), [rule()]).name == f"siglip {digest[:12]}"
    with pytest.raises(WeightsError, match="differs from 0000"):
        looker_named("moved", [rule()], models_file=models_file)
    with pytest.raises(WeightsError, match="goldgate models pull far"):
        looker_named("far", [rule()], models_file=models_file)
    pull("far", models_file=models_file)
    assert looker_named("far", [rule()], models_file=models_file).name.startswith("xclip ")
    for name in ("shots", "fake"):
        with pytest.raises(InputError, match="is no vision-language model"):
            looker_named(name, [rule()], models_file=models_file)
    with pytest.raises(InputError, match="did you mean 'eyes'"):
        looker_named("eye", [rule()], models_file=models_file)
    with pytest.raises(InputError, match=r"labels nothing by itself; name it as settings\.looker"):
        build_predictor("eyes", Kind.VIDEO, models_file=models_file)
    with pytest.raises(InputError, match="labels nothing by itself"):
        from_entry(ModelEntry(name="a", kind=Kind.VIDEO, loader="looks", path=Path("a")))
    with pytest.raises(ValidationError, match="needs a path or a hub"):
        ModelEntry(name="a", kind=Kind.VIDEO, loader="looks")


def test_a_video_model_asks_the_looker_of_its_own_models_file(models_file: Path) -> None:
    terms = terms_with(rule())
    predictor = build_predictor("shots", Kind.VIDEO, terms=terms, models_file=models_file)
    assert str(predictor.describe().settings["looker"]).startswith("siglip ")
    with pytest.raises(InputError, match="the prompt 'a photo"):
        build_predictor("shots", Kind.VIDEO, terms=terms_with(rule(prompts=[LONG])), models_file=models_file)


def test_the_shipped_looker_is_pinned_to_a_commit() -> None:
    entry = find_entry("siglip", Kind.VIDEO)
    assert entry.loader == "looks"
    assert entry.revision is not None
    assert len(entry.revision) == 40


def even(frames: int, rate: float = 25.0) -> Timeline:
    return Timeline(np.asarray(np.arange(frames + 1) / rate, np.float64))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=5), st.integers(0, 3), st.sampled_from([1, FRAMES, 8]))
def test_pieces_cover_every_shot_and_nothing_else(lengths: list[int], gap: int, frames: int) -> None:
    shots, at = [], 0
    for length in lengths:
        shots.append(Shot(at, at + length, "cut"))
        at += length + gap
    timeline = even(at)
    covered: dict[int, list[int]] = {}
    for piece in pieces_of(shots, timeline, frames):
        length = piece.end - piece.start
        assert length <= PIECE_S * 25 + 1
        assert len(piece.seen) == frames
        assert all(piece.start <= frame < piece.end for frame in piece.seen)
        if length >= frames:  # spread evenly: as far from each other, to a frame, and half as far from the ends
            assert {two - one for one, two in itertools.pairwise(piece.seen)} <= {length // frames, -(-length // frames)}
            assert abs((piece.seen[0] - piece.start) - (piece.end - 1 - piece.seen[-1])) <= 1
        covered.setdefault(piece.shot, []).extend(range(piece.start, piece.end))
    assert covered == {number: list(range(shot.start, shot.end)) for number, shot in enumerate(shots)}


def slow_events(pieces: list[Piece], likely: list[float], least: float, seconds: float) -> list[tuple[int, int]]:
    """Oracle: paint the frames of likely pieces by shot, and read the runs off."""
    painted = {frame: piece.shot for piece, each in zip(pieces, likely, strict=True) if each >= least
               for frame in range(piece.start, piece.end)}  # fmt: skip
    runs: list[list[int]] = []
    for frame in sorted(painted):
        if runs and runs[-1][1] == frame and painted[frame - 1] == painted[frame]:
            runs[-1][1] = frame + 1
        else:
            runs.append([frame, frame + 1])
    return [(start, end) for start, end in runs if (end - start) / 25 >= seconds - 1e-6]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(1, 350), min_size=1, max_size=4), st.data(), st.sampled_from([0.04, 2.0, 7.0]))
def test_likely_pieces_of_a_shot_that_touch_are_one_event(lengths: list[int], data: st.DataObject, least_s: float) -> None:
    shots, at = [], 0
    for length in lengths:
        shots.append(Shot(at, at + length, "cut"))
        at += length
    timeline = even(at)
    pieces = pieces_of(shots, timeline)
    likely = data.draw(st.lists(st.sampled_from([0.2, 0.5, 0.8]), min_size=len(pieces), max_size=len(pieces)))
    found = joined_events(pieces, np.array(likely), timeline, rule(min_seconds=least_s))
    assert [(event.start, event.end) for event in found] == slow_events(pieces, likely, 0.5, least_s)
    assert all(event.score is not None and 0.5 <= event.score <= 0.8 for event in found)


def terms_with(*rules: LooksLikeEvent) -> Terms:
    demo = load_terms(Path(__file__).resolve().parents[2] / "configs" / "demo.yaml")
    return demo.model_copy(update={"guideline": Guideline(version="1", events=rules)})


@pytest.mark.parametrize("kind", ["siglip", "xclip"])
def test_a_video_is_looked_at_shot_by_shot(folder_of: Callable[[str], Path], studio: Any, kind: str) -> None:
    """Through the predictor, with a rule that holds wherever a picture is looked at, and with one that never does."""
    source = Source("a", Kind.VIDEO, "a.mkv", studio.encode([*studio.take(1, 60), *studio.take(2, 60)]))
    wanted = terms_with(rule(name="always", min_score=1e-6), rule(name="never", min_score=1.0))
    predictor = VideoPredictor(terms=wanted, settings=VideoSettings(looker=str(folder_of(kind))))
    predictor.load("cpu")
    (row,) = predictor.predict([source]).to_pylist()
    assert [shot["start_frame"] for shot in row["shots"]] == [0, 60]
    assert [(event["label"], event["start_frame"], event["end_frame"]) for event in row["events"]] == [
        ("always", 0, 60),
        ("always", 60, 120),
    ]
    assert str(predictor.describe().settings["looker"]).startswith(f"{kind} ")
    with pytest.raises(InputError, match=r"settings\.looker"):
        VideoPredictor(terms=wanted)


@pytest.mark.parametrize("kind", ["clip", "xclip"])
def test_scores_are_those_of_the_frames_that_a_piece_is_seen_by(
    folder_of: Callable[[str], Path], studio: Any, kind: str
) -> None:
    """Pieces, frames and means by hand: shots of 1, 3 and 130 frames, of which the last is two pieces."""
    frames = [*studio.take(1, 1), *studio.take(2, 3), *studio.take(3, 130)]
    source = Source("a", Kind.VIDEO, "a.mkv", studio.encode(frames))
    shots, timeline = [Shot(0, 1, "start"), Shot(1, 4, "cut"), Shot(4, 134, "cut")], even(134)
    looks = rule(min_seconds=0.01, min_score=1e-9)
    looker = Looker(folder_of(kind), [looks])
    looker.load("cpu")
    events = looker.find(source, shots, timeline)
    assert [(event.start, event.end) for event in events] == [(0, 1), (1, 4), (4, 134)]
    decoded = {
        found.frame: upright(found) for found in find_frames(source, [Place(at, timeline.seconds(at)) for at in range(134)])
    }

    def share(view: list[int]) -> float:
        logits = tinylooks.as_one(kind, folder_of(kind), [decoded[at] for at in view], [*looks.prompts, *looks.against])
        return float(np.exp(logits[0]) / np.exp(logits).sum())

    if kind == "clip":
        seen: list[list[list[int]]] = [[[0]], [[1], [2], [3]], [[14], [36], [58]], [[79], [101], [123]]]
    else:
        seen = [[[0] * 4], [[1, 2, 2, 3]], [[12, 28, 44, 60]], [[77, 93, 109, 125]]]
    means = [np.mean([share(view) for view in views]) for views in seen]
    wanted = [means[0], means[1], (means[2] + means[3]) / 2]
    assert [event.score for event in events] == pytest.approx(wanted, abs=2e-4)
