"""Names to models: the models file, pins, hints, paths and pulls."""

import hashlib
import importlib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from huggingface_hub.utils._paths import filter_repo_objects

from contract.errors import InputError, WeightsError
from contract.predictor import Predictor
from contract.tables import Kind
from models.hub import patterns, pull
from models.registry import LOADERS, build_predictor, default_model, find_entry, load_registry, weights_of
from models.weights import weights_digest

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Return a writer of models files; the cache of pulls lies in the test's folder."""
    monkeypatch.setenv("GOLDGATE_CACHE", str(tmp_path / "cache"))

    def writer(models: dict[str, object], defaults: dict[str, str] | None = None) -> Path:
        page = tmp_path / "models.yaml"
        page.write_text(yaml.safe_dump({"defaults": defaults or {}, "models": models}), encoding="utf-8")
        return page

    return writer


def test_the_shipped_file_names_a_default_for_every_kind() -> None:
    registry = load_registry()
    for kind in Kind:
        assert registry.entries[default_model(kind)].kind is kind


def test_bundled_weights_of_the_shipped_file_are_pinned_and_agree() -> None:
    bundled = [entry for entry in load_registry().entries.values() if entry.path is not None]
    assert bundled
    for entry in bundled:
        assert entry.path is not None
        if entry.path.exists():
            assert entry.sha256 is not None, f"{entry.name} is bundled without a pin"
            assert weights_of(entry).sha256 == entry.sha256


def test_every_loader_target_can_be_called() -> None:
    for target in LOADERS.values():
        module, _, attribute = target.partition(":")
        assert callable(getattr(importlib.import_module(module), attribute))


def test_an_unknown_name_gets_the_nearest_one(write: Write) -> None:
    page = write({"street-signs": {"kind": "image", "loader": "fake"}})
    with pytest.raises(InputError, match="did you mean 'street-signs'"):
        find_entry("street-sign", Kind.IMAGE, models_file=page)
    with pytest.raises(InputError, match="it knows street-signs, fake"):
        find_entry("qqqq", Kind.IMAGE, models_file=page)


def test_a_model_of_another_kind_is_refused(write: Write) -> None:
    page = write({"words": {"kind": "text", "loader": "fake"}})
    with pytest.raises(InputError, match="labels text items, not image items"):
        find_entry("words", Kind.IMAGE, models_file=page)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": "image", "loader": "pickle"}, "loader"),
        ({"kind": "sound", "loader": "fake"}, "kind"),
        ({"kind": "image", "loader": "ultralytics"}, "needs a path or a hub"),
        ({"kind": "image", "loader": "ultralytics", "hub": "ultralytics:a.pt"}, "pinned revision"),
        ({"kind": "image", "loader": "ultralytics", "path": "a.pt", "hub": "x", "revision": "1"}, "exclude"),
        ({"kind": "image", "loader": "fake", "sha256": "12"}, "sha256"),
        ({"kind": "image", "loader": "fake", "weight": "a.pt"}, "weight"),
    ],
)
def test_wrong_entries_are_named(write: Write, fields: dict[str, str], words: str) -> None:
    with pytest.raises(InputError, match=rf"models\.bad.*{words}"):
        load_registry(write({"bad": fields, "good": {"kind": "image", "loader": "fake"}}))


def test_all_wrong_entries_are_named_at_once_and_defaults_must_fit(write: Write) -> None:
    with pytest.raises(InputError, match=r"2 wrong .*models\.a.*models\.b"):
        load_registry(write({"a": {"kind": "image"}, "b": {"loader": "fake"}}))
    with pytest.raises(InputError, match=r"defaults\.text: 'a' is no text model"):
        load_registry(write({"a": {"kind": "image", "loader": "fake"}}, {"text": "a"}))


def test_a_file_that_is_absent_or_no_models_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_registry(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("[1, 2]")
    with pytest.raises(InputError, match="not a models file"):
        load_registry(tmp_path / "list.yaml")
    (tmp_path / "torn.yaml").write_text("models: {a: [")
    with pytest.raises(InputError, match="not a YAML document"):
        load_registry(tmp_path / "torn.yaml")


def test_fake_needs_no_entry_and_fits_every_kind() -> None:
    for kind in Kind:
        predictor = build_predictor("fake", kind)
        assert isinstance(predictor, Predictor)
        assert predictor.describe().kind is kind


def test_a_path_makes_an_entry_of_its_own(tmp_path: Path) -> None:
    weights = tmp_path / "My model (2).pt"
    weights.write_bytes(b"weights")
    entry = find_entry(str(weights), Kind.IMAGE)
    assert (entry.name, entry.loader, entry.path, entry.sha256) == ("My-model--2-", "ultralytics", weights.resolve(), None)
    assert weights_of(entry).sha256 == hashlib.sha256(b"weights").hexdigest()
    assert find_entry(str(tmp_path), Kind.TEXT).loader == "transformers"
    with pytest.raises(WeightsError, match="no such weights"):
        find_entry(str(tmp_path / "none.pt"), Kind.IMAGE)


def test_changed_weights_are_refused(write: Write, tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"first")
    digest = hashlib.sha256(b"first").hexdigest()
    page = write({"a": {"kind": "image", "loader": "ultralytics", "path": "a.pt", "sha256": digest}})
    entry = find_entry("a", Kind.IMAGE, models_file=page)
    assert weights_of(entry) == (tmp_path / "a.pt", digest)
    (tmp_path / "a.pt").write_bytes(b"other")
    with pytest.raises(WeightsError, match=r"a\.pt: SHA-256 .* differs"):
        weights_of(entry)
    (tmp_path / "a.pt").unlink()
    with pytest.raises(WeightsError, match="absent"):
        weights_of(entry)


def test_a_folders_digest_is_of_names_and_contents_but_not_of_pages(tmp_path: Path) -> None:
    (tmp_path / "m" / "sub").mkdir(parents=True)
    (tmp_path / "m" / "b.bin").write_bytes(b"B")
    (tmp_path / "m" / "sub" / "a.bin").write_bytes(b"A")
    lines = f"b.bin\0{hashlib.sha256(b'B').hexdigest()}\nsub/a.bin\0{hashlib.sha256(b'A').hexdigest()}\n"
    digest = hashlib.sha256(lines.encode()).hexdigest()
    assert weights_digest(tmp_path / "m") == digest
    (tmp_path / "m" / "card.md").write_text("page")
    (tmp_path / "m" / ".hidden").write_text("x")
    assert weights_digest(tmp_path / "m") == digest
    (tmp_path / "m" / "b.bin").rename(tmp_path / "m" / "c.bin")
    assert weights_digest(tmp_path / "m") != digest
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsError, match="holds no weights"):
        weights_digest(tmp_path / "empty")


def test_a_pull_pins_once_and_fetches_once(write: Write, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror" / "r1"
    mirror.mkdir(parents=True)
    (mirror / "model.onnx").write_bytes(b"one")
    page = write({"m": {"kind": "image", "loader": "ultralytics", "hub": f"file://{tmp_path}/mirror", "revision": "r1"}})
    entry = find_entry("m", Kind.IMAGE, models_file=page)
    with pytest.raises(WeightsError, match="run `goldgate models pull m`"):
        weights_of(entry)
    first = pull("m", models_file=page)
    assert first.fetched
    assert not first.pinned
    assert weights_of(entry) == (first.path, first.sha256)
    (mirror / "model.onnx").write_bytes(b"two")
    second = pull("m", models_file=page)
    assert not second.fetched
    assert second.sha256 == first.sha256
    (first.path / "model.onnx").write_bytes(b"tampered")
    with pytest.raises(WeightsError, match="pinned to"):
        weights_of(entry)
    third = pull("m", models_file=page)
    assert third.fetched
    assert third.sha256 != first.sha256


def test_a_pull_of_other_bytes_than_pinned_keeps_nothing(write: Write, tmp_path: Path) -> None:
    (tmp_path / "w.onnx").write_bytes(b"one")
    fields = {"kind": "image", "loader": "ultralytics", "hub": f"file://{tmp_path}/w.onnx", "revision": "1"}
    with pytest.raises(WeightsError, match="nothing was kept"):
        pull("m", models_file=write({"m": {**fields, "sha256": "0" * 64}}))
    assert list((tmp_path / "cache").iterdir()) == []
    digest = hashlib.sha256(b"one").hexdigest()
    pulled = pull("m", models_file=write({"m": {**fields, "sha256": digest}}))
    assert pulled.pinned
    assert pulled.path.read_bytes() == b"one"


@pytest.mark.parametrize(
    ("hub", "revision", "words"),
    [
        ("file:///nowhere/at/all", "1", "holds no such weights"),
        ("ftp:thing", "1", "begins with none of"),
        ("huggingface:owner/name", "main", "pin the 40 hexadecimal digits"),
    ],
)
def test_hubs_that_cannot_serve_are_refused(write: Write, hub: str, revision: str, words: str) -> None:
    page = write({"m": {"kind": "text", "loader": "transformers", "hub": hub, "revision": revision}})
    with pytest.raises(InputError, match=words):
        pull("m", models_file=page)


@pytest.mark.parametrize("pickles", [False, True])
def test_pickled_weights_are_fetched_only_if_asked_for(pickles: bool) -> None:
    files = ["config.json", "model.safetensors", "vocab.txt", "pytorch_model.bin", "pytorch_model-00001-of-00002.bin"]
    others = ["training_args.bin", "optimizer.pt", "tf_model.h5", "code.py", "x.pkl", "flax_model.msgpack"]
    wanted, unwanted = patterns(pickles=pickles)
    found = list(filter_repo_objects([*files, *others], allow_patterns=wanted, ignore_patterns=unwanted))
    assert found == (files if pickles else files[:3])


def test_only_hub_entries_are_pulled(write: Write) -> None:
    page = write({"m": {"kind": "text", "loader": "fake"}})
    with pytest.raises(InputError, match="lies on this machine already"):
        pull("m", models_file=page)
    with pytest.raises(InputError, match="no model 'n' to pull"):
        pull("n", models_file=page)
