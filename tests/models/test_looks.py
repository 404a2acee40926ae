"""Open-vocabulary events: models, their probabilities beside transformers' own, pieces joined to events."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPProcessor,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
    SiglipProcessor,
)

from contract.errors import InputError, WeightsError
from contract.guideline import Guideline, LooksLikeEvent
from contract.predictor import Source
from contract.tables import Kind
from contract.terms import load_terms
from models.looks import FRAMES, PIECE_S, Looker, Piece, joined_events, pieces_of
from models.shots import Shot
from models.timeline import Timeline
from models.video import VideoPredictor, VideoSettings

WORDS = ("a", "photo", "of", "red", "green", "sea", "street", "<unk>", "<pad>", "<s>", "</s>")
TEXT = {
    "vocab_size": len(WORDS),
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 12,
    "bos_token_id": 9,
    "eos_token_id": 10,
    "pad_token_id": 8,
}
SEEN = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
PICTURE = {"image_size": 32, "patch_size": 8}
PROMPTS = ["a photo of a red sea", "a street", "green"]


def tokenizer() -> PreTrainedTokenizerFast:
    words = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token=WORDS[-4]))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    special = dict(zip(("unk_token", "pad_token", "bos_token", "eos_token"), WORDS[-4:], strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=12, **special)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a model of either kind with random weights, as it comes from a hub."""
    torch.manual_seed(5)
    found = {}
    size = {"height": 32, "width": 32}
    clip = CLIPModel(CLIPConfig(text_config=TEXT, vision_config={**SEEN, **PICTURE}, projection_dim=8))
    clip.logit_scale.data.fill_(4.0)
    pictures = CLIPImageProcessor(size=size, do_center_crop=False, do_resize=True)
    siglip = SiglipModel(SiglipConfig(text_config=TEXT, vision_config={**SEEN, **PICTURE}))
    siglip.logit_scale.data.fill_(3.0)
    siglip.logit_bias.data.fill_(-1.0)
    for name, model, processor in (
        ("clip", clip, CLIPProcessor(pictures, tokenizer())),
        ("siglip", siglip, SiglipProcessor(SiglipImageProcessor(size=size), tokenizer())),
    ):
        found[name] = tmp_path_factory.mktemp(name)
        model.save_pretrained(found[name])
        processor.save_pretrained(found[name])
    return found


def pictures(count: int) -> list[Image.Image]:
    random = np.random.default_rng(2)
    return [Image.fromarray(random.integers(0, 256, (40, 50, 3), np.uint8)) for _ in range(count)]


def rule(**changes: Any) -> LooksLikeEvent:
    document = {"name": "sea", "definition": "d", "rule": "looks_like", "prompts": PROMPTS[:1], "against": PROMPTS[1:]}
    return LooksLikeEvent.model_validate({**document, "min_seconds": 1.0, "min_score": 0.5, **changes})


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_probabilities_are_those_of_the_model(folders: dict[str, Path], kind: str) -> None:
    looker = Looker(folders[kind])
    looker.load("cpu")
    shown = pictures(19)  # more than a batch
    found = looker.probabilities(shown, PROMPTS)
    assert found.shape == (19, 3)
    model = (CLIPModel if kind == "clip" else SiglipModel).from_pretrained(folders[kind]).eval()
    processor = (CLIPProcessor if kind == "clip" else SiglipProcessor).from_pretrained(folders[kind])
    padding = True if kind == "clip" else "max_length"
    for picture, row in zip(shown, found, strict=True):
        asked = processor(text=PROMPTS, images=[picture], return_tensors="pt", padding=padding)
        with torch.no_grad():
            logits = model(**asked).logits_per_image[0]
        wanted = logits.softmax(dim=0) if kind == "clip" else logits.sigmoid()
        np.testing.assert_allclose(row, wanted.numpy(), atol=1e-4)
    assert found.std() > 1e-4
    likely = looker.likely(shown, rule(prompts=PROMPTS[:2], against=PROMPTS[2:]))
    np.testing.assert_allclose(likely, found[:, :2].sum(axis=1) if kind == "clip" else found[:, :2].max(axis=1))
    assert looker.name.startswith(f"{kind} ")


def test_other_models_and_damaged_ones_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no model that transformers knows"):
        Looker(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    with pytest.raises(WeightsError, match="a bert compares no pictures with prompts"):
        Looker(tmp_path)
    for path in folders["clip"].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"junk")
    with pytest.raises(WeightsError, match="cannot be loaded"):
        Looker(tmp_path).load("cpu")
    (tmp_path / "model.safetensors").unlink()
    torch.save({}, tmp_path / "pytorch_model.bin")  # a pickle is no way out
    with pytest.raises(WeightsError, match="cannot be loaded"):
        Looker(tmp_path).load("cpu")


def even(frames: int, rate: float = 25.0) -> Timeline:
    return Timeline(np.asarray(np.arange(frames + 1) / rate, np.float64))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=5), st.integers(0, 3))
def test_pieces_cover_every_shot_and_nothing_else(lengths: list[int], gap: int) -> None:
    shots, at = [], 0
    for length in lengths:
        shots.append(Shot(at, at + length, "cut"))
        at += length + gap
    timeline = even(at)
    covered: dict[int, list[int]] = {}
    for piece in pieces_of(shots, timeline):
        assert piece.end - piece.start <= PIECE_S * 25 + 1
        assert 1 <= len(piece.seen) <= FRAMES
        assert all(piece.start <= frame < piece.end for frame in piece.seen)
        assert list(piece.seen) == sorted(set(piece.seen))
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


def test_a_video_is_looked_at_shot_by_shot(folders: dict[str, Path], studio: Any, tmp_path: Path) -> None:
    """Through the predictor, with a rule that holds wherever a picture is looked at, and with one that never does."""
    source = Source("a", Kind.VIDEO, "a.mkv", studio.encode([*studio.take(1, 60), *studio.take(2, 60)]))
    always, never = rule(name="always", min_score=1e-6), rule(name="never", min_score=1.0)
    demo = load_terms(Path(__file__).resolve().parents[2] / "configs" / "demo.yaml")
    wanted = demo.model_copy(update={"guideline": Guideline(version="1", events=(always, never))})
    predictor = VideoPredictor(terms=wanted, settings=VideoSettings(looker=folders["siglip"]))
    predictor.load("cpu")
    (row,) = predictor.predict([source]).to_pylist()
    assert [shot["start_frame"] for shot in row["shots"]] == [0, 60]
    assert [(event["label"], event["start_frame"], event["end_frame"]) for event in row["events"]] == [
        ("always", 0, 60),
        ("always", 60, 120),
    ]
    assert str(predictor.describe().settings["looker"]).startswith("siglip ")
    with pytest.raises(InputError, match=r"settings\.looker"):
        VideoPredictor(terms=wanted)
