"""Boxes by prompts: real loading code over tiny networks of random weights, each against a forward pass by hand."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    AutoModelForZeroShotObjectDetection,
    BertConfig,
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessor,
    GroundingDinoProcessor,
    PreTrainedTokenizerFast,
    SwinConfig,
)
from transformers.utils.logging import disable_progress_bar

from contract.errors import InputError, TermsError, WeightsError
from contract.guideline import Guideline, LabelDefinition
from contract.predictor import Source
from contract.tables import Kind
from contract.terms import Terms, load_terms
from models.grounding import Grounder
from models.openvocab import OpenVocabularyDetector, Prompts, Settings, prompts_of
from models.promptyolo import encode_prompts
from models.registry import ModelEntry, find_entry, predictor_of
from models.tiling import TiledDetector
from models.yolo import quiet_ultralytics
from tests.oracles.matching import plain_iou

ROOT = Path(__file__).resolve().parents[2]
WORDS = ("a", "red", "green", "square", "circle", "on", "foot", "person", "walker", "bus", ".", ",", "?")
VOCABULARY = {word: index for index, word in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS))}
GUIDELINE = Guideline(
    version="1",
    classes=(
        LabelDefinition(name="person", definition="a person on foot", model_names=("walker",)),
        LabelDefinition(name="bus", definition="a red bus"),
    ),
)
Picture = NDArray[np.uint8]
Row = tuple[str, tuple[float, ...], float]


def terms(**prelabel: Any) -> Terms:
    read = load_terms(ROOT / "configs" / "demo.yaml")
    return read.model_copy(update={"guideline": GUIDELINE, "prelabel": read.prelabel.model_copy(update=prelabel)})


def tokenizer() -> PreTrainedTokenizerFast:
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    made = Tokenizer(models.WordLevel(VOCABULARY, unk_token=names["unk_token"]))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=32, **names)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(1)
    disable_progress_bar()
    config = CLIPTextConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=32,
        intermediate_size=32,
        projection_dim=512,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=16,
        eos_token_id=3,
        bos_token_id=2,
        pad_token_id=0,
    )
    CLIPTextModelWithProjection(config).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


NETWORKS = {"world": ("YOLOWorld", "yolov8n-worldv2.yaml"), "yoloe": ("YOLOE", "yoloe-11n.yaml")}


@pytest.fixture(scope="module", params=list(NETWORKS))
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network whose head tells prompts apart, although nobody has trained it."""
    kind, shape = NETWORKS[request.param]
    module = quiet_ultralytics()
    torch.manual_seed(2)
    model = getattr(module, kind)(shape)
    net = model.model
    norms = [layer for layer in net.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    with torch.no_grad():
        for head in net.model[-1].cv4:
            head.bias.fill_(0.0)
            head.logit_scale.fill_(1.5)
        for layer in norms:  # else signals die on their way through layers that have seen nothing
            layer.momentum = None
        net.train()
        for _ in range(2):
            net.predict(torch.rand((4, 3, 64, 64)))
    net.eval()
    for layer in norms:
        layer.momentum = 0.03
    path = tmp_path_factory.mktemp("yolo") / f"{request.param}.pt"
    model.save(str(path))
    return path


def picture(seed: int, side: int = 64) -> Picture:
    return np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)


def encoded(image: Picture) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def entry(path: Path, **more: Any) -> ModelEntry:
    return ModelEntry(name="asked", kind=Kind.IMAGE, loader="open-vocabulary", path=path, settings=more)


def without_overlaps(rows: list[Row], iou: float) -> list[Row]:
    kept: list[Row] = []
    for row in sorted(rows, key=lambda each: -each[2]):
        if all(other[0] != row[0] or plain_iou(other[1], row[1]) <= iou for other in kept):
            kept.append(row)
    return kept


def by_hand(path: Path, vectors: torch.Tensor, image: Picture) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return corners of every cell's box and its shares of person and bus, out of the network's own forward pass."""
    net = quiet_ultralytics().YOLO(str(path)).model.float().eval()
    net.model[-1].nc = len(vectors)
    pixels = torch.from_numpy(image.transpose(2, 0, 1).copy())[None].float() / 255
    words = {"txt_feats" if path.stem == "world" else "tpe": vectors[None].clone()}
    with torch.no_grad():
        output = net.predict(pixels, **words)[0][0].double().numpy().T
    middle, size, shares = output[:, :2], output[:, 2:4], output[:, 4:]
    corners = np.clip(np.concatenate([middle - size / 2, middle + size / 2], axis=1), 0, 64)
    return corners, np.stack([shares[:, :2].max(axis=1), shares[:, 2]], axis=1)


def test_yolo_by_prompts_finds_what_its_own_forward_pass_says(checkpoint: Path, encoder: Path) -> None:
    settings = {"text_encoder": str(encoder), "imgsz": 64}
    detector = predictor_of(entry(checkpoint, **settings), terms=terms(min_score=0.0, nms_iou=1.0, max_boxes=300))
    assert isinstance(detector, OpenVocabularyDetector)
    image = picture(1)
    with pytest.raises(InputError, match="is not loaded"):
        detector.detect([image])
    detector.load("cpu")
    (boxes,) = detector.predict([Source("a", Kind.IMAGE, "a.png", encoded(image))])["boxes"].to_pylist()
    corners, shares = by_hand(checkpoint, encode_prompts(["person", "walker", "bus"], encoder), image)
    found = set()
    for box in boxes:
        own = [box["x"], box["y"], box["x"] + box["w"], box["y"] + box["h"]]
        share = shares[:, ["person", "bus"].index(box["label"])]
        same = (np.abs(corners - own).max(axis=1) < 0.2) & (np.abs(share - box["score"]) < 5e-3)
        same &= share >= shares.max(axis=1) - 5e-3  # of the prompts the likeliest, as far as rounding tells
        assert same.any(), box
        found |= set(np.flatnonzero(same).tolist())
    assert len(found) > 10
    assert {box["label"] for box in boxes} == {"person", "bus"}


def test_vectors_are_those_of_the_encoder_by_hand(encoder: Path) -> None:
    model = CLIPTextModelWithProjection.from_pretrained(encoder).eval()
    found = encode_prompts(["a red bus", "walker"], encoder)
    assert found.shape == (2, 512)
    for row, tokens in zip(found, (["a", "red", "bus"], ["walker"]), strict=True):
        ids = torch.tensor([[2, *[VOCABULARY[token] for token in tokens], 3]])
        with torch.no_grad():
            wanted = model(input_ids=ids).text_embeds[0]
        assert row.tolist() == pytest.approx((wanted / wanted.norm()).tolist(), abs=1e-5)


class Bag(torch.nn.Module):
    """From tokens to the sum of their vectors: what a text encoder in TorchScript looks like from outside."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(len(VOCABULARY), 512, padding_idx=0)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return torch.sum(self.table(tokens), dim=1)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_an_encoder_in_torchscript_gets_cleared_tokens(tmp_path: Path, encoder: Path) -> None:
    torch.manual_seed(4)
    bag = Bag().eval()
    path = tmp_path / "text.ts"
    torch.jit.trace(bag, torch.zeros((1, 77), dtype=torch.int32)).save(str(path))  # type: ignore[no-untyped-call]
    (found,) = encode_prompts(["red bus"], path, encoder)
    wanted = bag.table.weight[[2, VOCABULARY["red"], VOCABULARY["bus"], 3]].sum(dim=0)
    assert found.tolist() == pytest.approx((wanted / wanted.norm()).tolist(), abs=1e-5)
    with pytest.raises(WeightsError, match=r"settings\.tokenizer"):
        encode_prompts(["bus"], path)


def test_what_does_not_fit_is_told(checkpoint: Path, encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"settings\.text_encoder"):
        predictor_of(entry(checkpoint), terms=terms())
    absent = predictor_of(entry(checkpoint, text_encoder=str(tmp_path)), terms=terms())
    with pytest.raises(WeightsError, match="text encoder cannot be loaded"):
        absent.load("cpu")
    closed = ROOT / "models" / "bundled" / "scene-detector" / "scene-detector.pt"
    with pytest.raises(WeightsError, match="neither YOLO-World nor YOLOE"):
        predictor_of(entry(closed, text_encoder=str(encoder)), terms=terms()).load("cpu")
    small = tmp_path / "small"
    config = CLIPTextConfig.from_pretrained(encoder, projection_dim=8)
    CLIPTextModelWithProjection(config).save_pretrained(small)
    tokenizer().save_pretrained(small)
    with pytest.raises(WeightsError, match="vectors of 8 numbers"):
        predictor_of(entry(checkpoint, text_encoder=str(small)), terms=terms()).load("cpu")


def test_prompts_come_from_names_words_and_definitions() -> None:
    plain = Prompts(("person", "bus"), ("person", "walker", "bus"), (0, 0, 1))
    assert prompts_of(GUIDELINE, Settings(), origin="m") == plain
    told = Settings(templates=("{name}", "{name}, {definition}"), prompts={"bus": ("a  red bus",)})
    found = prompts_of(GUIDELINE, told, origin="m")
    assert found.texts == ("person", "person, a person on foot", "walker", "walker, a person on foot", "a red bus")
    assert found.owner == (0, 0, 0, 0, 1)
    with pytest.raises(TermsError, match=r"guideline\.classes"):
        prompts_of(None, Settings(), origin="m")
    with pytest.raises(InputError, match="no class 'car'"):
        prompts_of(GUIDELINE, Settings(prompts={"car": ("car",)}), origin="m")
    with pytest.raises(InputError, match="empty list"):
        prompts_of(GUIDELINE, Settings(prompts={"bus": ()}), origin="m")


@pytest.fixture(scope="module")
def grounding(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("grounding")
    torch.manual_seed(5)
    disable_progress_bar()
    swin = SwinConfig(
        image_size=64, patch_size=4, embed_dim=8, depths=[1, 1, 1], num_heads=[1, 1, 1], window_size=2, out_indices=[2, 3]
    )
    bert = BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=32,
    )
    config = GroundingDinoConfig(
        backbone_config=swin.to_dict(),
        text_config=bert.to_dict(),
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_n_points=2,
        decoder_n_points=2,
        num_queries=20,
        num_feature_levels=2,
        max_text_len=12,
    )
    GroundingDinoForObjectDetection(config).save_pretrained(folder)
    processor = GroundingDinoImageProcessor(size={"shortest_edge": 64, "longest_edge": 96})
    GroundingDinoProcessor(processor, tokenizer()).save_pretrained(folder)
    return folder


def test_grounding_scores_a_prompt_by_its_own_tokens(grounding: Path) -> None:
    grounder = Grounder(grounding, ["A person", "bus", "red"], conf=0.0)
    grounder.load("cpu")
    image = np.random.default_rng(3).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    found = grounder.look(image)
    model = AutoModelForZeroShotObjectDetection.from_pretrained(grounding, dtype=torch.float32).eval()
    tokens = ["a", "person", ".", "bus", ".", "red", "."]
    ids = torch.tensor([[2, *[VOCABULARY[token] for token in tokens], 3]])
    pixels = (image / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    with torch.no_grad():
        answer = model(
            pixel_values=torch.from_numpy(pixels.transpose(2, 0, 1))[None].float(),
            pixel_mask=torch.ones((1, 64, 96), dtype=torch.int64),
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            token_type_ids=torch.zeros_like(ids),
        )
    likely = answer.logits[0].sigmoid().double().numpy()
    shares = np.stack([likely[:, [1, 2]].max(axis=1), likely[:, 4], likely[:, 6]], axis=1)
    assert found.scores == pytest.approx(shares.max(axis=1), abs=1e-5)
    chosen = shares[np.arange(len(shares)), found.classes]
    assert chosen == pytest.approx(shares.max(axis=1), abs=1e-5)
    middle, size = np.split(answer.pred_boxes[0].double().numpy() * [96, 64, 96, 64], 2, axis=1)
    assert found.corners == pytest.approx(np.concatenate([middle - size / 2, middle + size / 2], axis=1), abs=1e-2)


def test_prompts_beyond_the_window_are_asked_in_turns(grounding: Path) -> None:
    many = ["red square", "green square", "red circle", "green circle", "a person on foot"]
    grounder = Grounder(grounding, many, conf=0.0)
    grounder.load("cpu")
    found = grounder.look(picture(1))
    assert len(found.scores) == 2 * 20  # two turns of twenty queries each
    assert set(found.classes.tolist()) <= set(range(5))
    with pytest.raises(WeightsError, match="longer than its window"):
        Grounder(grounding, ["a red square on a green circle on a red person on foot"], conf=0.0).load("cpu")


def test_a_folder_of_transformers_is_a_detector_by_prompts_in_tiles_too(grounding: Path) -> None:
    asked = find_entry(str(grounding), Kind.IMAGE)
    assert asked.loader == "open-vocabulary"
    detector = predictor_of(asked, terms=terms(min_score=0.0, nms_iou=0.5))
    detector.load("cpu")
    contents = {"a": encoded(picture(1)), "b": b"no image"}
    answer = detector.predict([Source(item, Kind.IMAGE, item, content) for item, content in contents.items()])
    assert answer["state"].to_pylist() == ["labelled", "rejected"]
    boxes = answer["boxes"].to_pylist()[0]
    assert {box["label"] for box in boxes} <= {"person", "bus"}
    assert all(box["x"] >= 0 and box["y"] >= 0 and box["x"] + box["w"] <= 64 + 1e-9 for box in boxes)
    rows: list[Row] = [
        (box["label"], (box["x"], box["y"], box["x"] + box["w"], box["y"] + box["h"]), box["score"]) for box in boxes
    ]
    assert without_overlaps(rows, 0.5) == rows
    described = detector.describe()
    assert described.classes == ("person", "bus")
    assert described.settings["prompts"] == "person | walker | bus"
    other = predictor_of(asked.model_copy(update={"settings": {"prompts": {"bus": ["red bus"]}}}), terms=terms())
    assert other.describe().version != described.version
    tiled = predictor_of(asked.model_copy(update={"settings": {"tiles": {"side": 64}}}), terms=terms(min_score=0.0))
    assert isinstance(tiled, TiledDetector)
    tiled.load("cpu")
    (found,) = tiled.detect([picture(2, side=100)])
    assert found


def test_other_folders_are_refused(encoder: Path, grounding: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="finds no phrases"):
        Grounder(encoder, ["bus"], conf=0.5)
    with pytest.raises(WeightsError, match="no model that transformers knows"):
        Grounder(tmp_path, ["bus"], conf=0.5)
    for file in grounding.iterdir():
        if file.name != "model.safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(WeightsError, match="cannot be loaded"):
        Grounder(tmp_path, ["bus"], conf=0.5).load("cpu")
    with pytest.raises(InputError, match="settings of model 'asked' are wrong: imgsz"):
        predictor_of(entry(grounding, imgsz=0), terms=terms())
