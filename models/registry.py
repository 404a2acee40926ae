"""The weights registry: names of configs/models.yaml to predictors, each pinned by SHA-256.

Nothing here imports a model's library: loader names map to lazy targets in a closed table, so that listing
models stays quick and a configuration file can never name code of its own.
"""

import difflib
import importlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, NamedTuple, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from contract.errors import InputError, WeightsError
from contract.files import read_json, sha256_bytes
from contract.predictor import Predictor
from contract.tables import Kind
from contract.terms import Terms
from models.weights import weights_digest

Loader = Literal["ultralytics", "transformers", "open-vocabulary", "video", "looks", "fake"]

LOADERS: Final[Mapping[Loader, str]] = MappingProxyType(
    {
        "ultralytics": "models.detector:from_entry",
        "transformers": "models.sentiment:from_entry",
        "open-vocabulary": "models.openvocab:from_entry",
        "video": "models.video:from_entry",
        "looks": "models.looks:from_entry",  # no predictor: what a video model asks, by its name
        "fake": "models.fake:from_entry",
    }
)
_LOADER_OF_KIND: Final[Mapping[Kind, Loader]] = MappingProxyType(
    {Kind.IMAGE: "ultralytics", Kind.TEXT: "transformers", Kind.VIDEO: "video"}
)
_WEIGHT_SUFFIXES: Final = frozenset({".pt", ".onnx", ".engine", ".xml", ".safetensors"})
FAKE: Final = "fake"
RECEIPT: Final = "pull.json"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ModelEntry(BaseModel):
    """One model of the registry: where its weights are, which loader reads them, and their pin."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    kind: Kind
    loader: Loader
    path: Path | None = None
    hub: str | None = None
    revision: str | None = None
    sha256: Sha256 | None = None
    pickles: bool = False  # fetch pickled weights too; terms decide whether they are read
    settings: dict[str, Any] = {}
    models_file: Path | None = None  # where it stands, set by load_registry: names among its settings are of there

    @model_validator(mode="after")
    def _weights_come_from_one_place(self) -> "ModelEntry":
        if self.path is not None and self.hub is not None:
            raise ValueError("path and hub exclude each other")
        if self.hub is not None and self.revision is None:
            raise ValueError("a hub entry needs a pinned revision")
        if (
            self.loader in ("ultralytics", "transformers", "open-vocabulary", "looks")
            and self.path is None
            and self.hub is None
        ):
            raise ValueError(f"the loader {self.loader} needs a path or a hub")
        return self


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    defaults: dict[Kind, str] = {}
    models: dict[str, dict[str, Any]]


class Registry(NamedTuple):
    """What a models file says: entries by name, and the name that each kind uses unless told otherwise."""

    entries: Mapping[str, ModelEntry]
    defaults: Mapping[Kind, str]
    origin: Path


class Weights(NamedTuple):
    """Weights that lie on this machine and agree with their pin."""

    path: Path
    sha256: str


def default_models_file() -> Path:
    """Return configs/models.yaml of this checkout, or of the installed package."""
    root = Path(__file__).resolve().parents[1]
    checkout = root / "configs" / "models.yaml"
    return checkout if checkout.is_file() else root / "goldgate" / "configs" / "models.yaml"


def _anchored(path: Path, origin: Path) -> Path:
    """Relative paths count from the models file; those under models/bundled from the package itself."""
    if path.parts[:2] == ("models", "bundled"):
        return Path(__file__).resolve().parents[1] / path
    return path if path.is_absolute() else (origin.parent / path).resolve()


def _problems(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, item['loc'])) or 'entry'}: {item['msg']}" for item in error.errors())


def _read_document(path: Path) -> _Document:
    try:
        return _Document.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a YAML document ({' '.join(str(error).split())})") from error
    except ValidationError as error:
        raise InputError(f"{path}: not a models file: {_problems(error)}") from error


def load_registry(models_file: Path | None = None) -> Registry:
    """Read a models file, by default the one that goldgate ships.

    Raises:
        InputError: the file is absent, not YAML, or an entry is wrong; every wrong entry is named at once.
    """
    origin = (models_file or default_models_file()).resolve()
    document = _read_document(origin)
    entries: dict[str, ModelEntry] = {}
    problems = []
    for name, fields in document.models.items():
        try:
            entry = ModelEntry.model_validate({"name": name, **fields})
        except ValidationError as error:
            problems.append(f"models.{name}: {_problems(error)}")
            continue
        path = None if entry.path is None else _anchored(entry.path, origin)
        entries[name] = entry.model_copy(update={"path": path, "models_file": origin})
    for kind, name in document.defaults.items():
        if not problems and (name not in entries or entries[name].kind is not kind):
            problems.append(f"defaults.{kind.value}: {name!r} is no {kind.value} model of this file")
    if problems:
        raise InputError(f"{origin}: {len(problems)} wrong entry(ies): " + "; ".join(problems))
    return Registry(MappingProxyType(entries), MappingProxyType(document.defaults), origin)


def default_model(kind: Kind, *, models_file: Path | None = None) -> str:
    """Return the name of the model that `kind` uses where the terms name none.

    Raises:
        InputError: the models file sets no default for `kind`.
    """
    registry = load_registry(models_file)
    if kind not in registry.defaults:
        raise InputError(f"{registry.origin}: no default for {kind.value}; add it under defaults, or name a model")
    return registry.defaults[kind]


def _looks_like_path(name: str) -> bool:
    return "/" in name or Path(name).suffix in _WEIGHT_SUFFIXES or Path(name).exists()


def _ad_hoc(name: str, kind: Kind) -> ModelEntry:
    path = Path(name).expanduser().resolve()
    if not path.exists():
        raise WeightsError(f"{name}: no such weights; give a path that exists, or a name that `goldgate models list` shows")
    word = "".join(char if (char.isalnum() and char.isascii()) or char in "._-" else "-" for char in path.stem).lstrip("._-")
    loader = _LOADER_OF_KIND[kind]
    if (
        kind is Kind.IMAGE and (path / "config.json").is_file()
    ):  # a folder of transformers', which finds what it is asked for
        loader = "open-vocabulary"
    return ModelEntry(name=word[:100] or "weights", kind=kind, loader=loader, path=path)


def find_entry(name: str, kind: Kind, *, models_file: Path | None = None) -> ModelEntry:
    """Return the entry that `name` means for `kind`: of the models file, `fake`, or a path to weights.

    Raises:
        InputError: no such name, with the nearest one, or the entry is of another kind.
        WeightsError: the name is a path where nothing lies.
    """
    if name == FAKE:
        return ModelEntry(name=FAKE, kind=kind, loader="fake")
    registry = load_registry(models_file)
    entry = registry.entries.get(name)
    if entry is None and _looks_like_path(name):
        return _ad_hoc(name, kind)
    if entry is None:
        near = difflib.get_close_matches(name, [*registry.entries, FAKE], n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it knows {', '.join([*registry.entries, FAKE])}"
        raise InputError(f"{registry.origin}: no model {name!r}; {hint}")
    if entry.kind is not kind:
        raise InputError(f"model {name!r} labels {entry.kind.value} items, not {kind.value} items; choose another model")
    return entry


def cache_folder() -> Path:
    """Return where pulled weights are kept: $GOLDGATE_CACHE, else goldgate/models in the user's cache."""
    chosen = os.environ.get("GOLDGATE_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "goldgate" / "models"


def pulled_folder(entry: ModelEntry) -> Path:
    """Return the folder that a pull of `entry` fills: one for each hub name and revision, so that a change pulls anew."""
    word = sha256_bytes(f"{entry.hub}@{entry.revision}".encode())[:12]
    return cache_folder() / f"{entry.name}-{word}"


def _pulled(entry: ModelEntry) -> Weights:
    receipt = pulled_folder(entry) / RECEIPT
    if not receipt.is_file():
        raise WeightsError(
            f"the weights of model {entry.name!r} are not on this machine; run `goldgate models pull {entry.name}`"
        )
    pin = read_json(receipt)
    path = receipt.parent / pin["file"]
    digest = weights_digest(path)
    if digest != (entry.sha256 or pin["sha256"]):
        raise WeightsError(
            f"{path}: SHA-256 {digest} differs from {entry.sha256 or pin['sha256']} that model {entry.name!r} is pinned to; "
            f"remove {receipt.parent} and run `goldgate models pull {entry.name}`"
        )
    return Weights(path, digest)


def weights_of(entry: ModelEntry) -> Weights:
    """Return where the weights of `entry` lie and their digest, after checking it against the pin.

    An entry with a path and no sha256 is the user's own file: it is used as it is, and its digest stands in
    every description. A hub entry with no sha256 is checked against the pin that its pull has written.

    Raises:
        WeightsError: the weights are absent, not pulled yet, or differ from the pin.
    """
    if entry.hub is not None:
        return _pulled(entry)
    if entry.path is None:
        raise WeightsError(f"model {entry.name!r} has no weights of its own")
    if not entry.path.exists():
        raise WeightsError(f"{entry.path}: the weights of model {entry.name!r} are absent; correct its path in models.yaml")
    digest = weights_digest(entry.path)
    if entry.sha256 is not None and digest != entry.sha256:
        raise WeightsError(
            f"{entry.path}: SHA-256 {digest} differs from {entry.sha256} that model {entry.name!r} is pinned to; "
            "restore the weights, or pin the new digest in models.yaml"
        )
    return Weights(entry.path, digest)


def predictor_of(entry: ModelEntry, *, terms: Terms | None = None) -> Predictor:
    """Return the predictor that the loader of `entry` makes of it; weights are read by its `load`."""
    if entry.kind is Kind.IMAGE and ("tiles" in entry.settings or (terms is not None and terms.prelabel.tiles is not None)):
        return cast(Predictor, importlib.import_module("models.tiling").from_entry(entry, terms=terms))
    module, _, attribute = LOADERS[entry.loader].partition(":")
    factory = cast("Callable[..., Predictor]", getattr(importlib.import_module(module), attribute))
    return factory(entry, terms=terms)


def build_predictor(name: str, kind: Kind, *, terms: Terms | None = None, models_file: Path | None = None) -> Predictor:
    """Return the predictor called `name` for items of `kind`, not loaded yet.

    Args:
        name: an entry of the models file, a path to weights, or "fake".
        kind: what it labels: images (boxes), texts (sentiment), videos (shots, keyframes, events).
        terms: give the classes, labels, events and settings; None means the model's own.
        models_file: a models file other than configs/models.yaml.

    Raises:
        InputError: the name is unknown, or the model is of another kind.
        WeightsError: weights are absent, unsafe or changed.
    """
    return predictor_of(find_entry(name, kind, models_file=models_file), terms=terms)
