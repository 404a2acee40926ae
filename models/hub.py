"""Fetching weights, once and on purpose: the only module that may use the network."""

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple
from urllib.parse import unquote

from contract.errors import InputError, WeightsError
from contract.files import storage_errors, write_json
from models.registry import RECEIPT, ModelEntry, load_registry, pulled_folder, weights_of
from models.weights import weights_digest
from models.yolo import quiet_ultralytics

_PATTERNS: Final = ("*.json", "*.txt", "*.safetensors", "*.model", "*.onnx", "*.xml", "*.bin", "*.yaml", "*.pt")
_PICKLES: Final = ("pytorch_model*",)
_NEVER: Final = ("*.pkl", "*.pickle", "training_args.bin", "optimizer*", "flax_model*", "tf_model*")


class Pulled(NamedTuple):
    """Weights that lie in the cache now."""

    path: Path
    sha256: str
    fetched: bool  # False where they lay there already
    pinned: bool  # True where models.yaml names the digest itself


def _from_files(name: str, revision: str, folder: Path, *, pickles: bool) -> Path:
    """A mirror on this machine or a mounted share: `file:///mirror/model`, whose revision is a folder in it, if there."""
    root = Path(unquote(name))
    origin = root / revision if (root / revision).exists() else root
    target = folder / origin.name
    try:
        if origin.is_dir():
            shutil.copytree(origin, target)
        else:
            shutil.copyfile(origin, target)
    except FileNotFoundError as error:
        raise WeightsError(f"file://{root}: the mirror holds no such weights; correct hub in models.yaml") from error
    return target


def _from_ultralytics(name: str, revision: str, folder: Path, *, pickles: bool) -> Path:
    quiet_ultralytics(offline=False)
    from ultralytics.utils.downloads import attempt_download_asset

    target = folder / name
    try:
        attempt_download_asset(target, repo="ultralytics/assets", release=revision)
    except (OSError, RuntimeError, ValueError) as error:
        raise WeightsError(
            f"ultralytics:{name} at {revision} cannot be fetched ({' '.join(str(error).split())[:160]})"
        ) from error
    if not target.is_file():
        raise WeightsError(
            f"ultralytics:{name} at {revision} cannot be fetched; is this machine online, and the name right?"
        )
    return target


def patterns(*, pickles: bool) -> tuple[list[str], list[str]]:
    """Return which files of a repository are fetched and which of them are not; pickled weights only if asked for."""
    return list(_PATTERNS), [*_NEVER, *(() if pickles else _PICKLES)]


def _from_huggingface(name: str, revision: str, folder: Path, *, pickles: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    if len(revision) != 40 or set(revision) - set("0123456789abcdef"):
        raise InputError(f"huggingface:{name}: revision {revision!r} moves; pin the 40 hexadecimal digits of a commit")
    target = folder / "weights"
    wanted, unwanted = patterns(pickles=pickles)
    try:
        snapshot_download(name, revision=revision, local_dir=target, allow_patterns=wanted, ignore_patterns=unwanted)
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise WeightsError(
            f"huggingface:{name} at {revision[:12]} cannot be fetched ({str(error).splitlines()[0][:160]})"
        ) from error
    shutil.rmtree(target / ".cache", ignore_errors=True)
    return target


_HUBS: Final[Mapping[str, Callable[..., Path]]] = MappingProxyType(
    {"file://": _from_files, "ultralytics:": _from_ultralytics, "huggingface:": _from_huggingface}
)


def _fetch(entry: ModelEntry, folder: Path) -> Path:
    hub = entry.hub or ""
    for prefix, fetch in _HUBS.items():
        if hub.startswith(prefix):
            return fetch(hub[len(prefix) :], entry.revision or "", folder, pickles=entry.pickles)
    raise InputError(f"model {entry.name!r}: hub {hub!r} begins with none of {', '.join(_HUBS)}")


def pull(name: str, *, models_file: Path | None = None) -> Pulled:
    """Fetch the weights of entry `name` into the cache, unless they lie there and agree with their pin.

    Weights arrive whole or not at all. Where models.yaml pins no digest, the first pull pins what it got, beside
    the weights; write the digest that it returns into models.yaml to share the pin.

    Raises:
        InputError: no such entry, it has no hub, or its revision is not pinned.
        WeightsError: the hub cannot be reached, or what came differs from the pinned digest.
        StorageError: the cache cannot be written.
    """
    registry = load_registry(models_file)
    entry = registry.entries.get(name)
    if entry is None:
        raise InputError(f"{registry.origin}: no model {name!r} to pull; it knows {', '.join(registry.entries)}")
    if entry.hub is None:
        raise InputError(f"model {name!r} lies on this machine already; only entries with a hub are pulled")
    final = pulled_folder(entry)
    if (final / RECEIPT).is_file():
        with contextlib.suppress(WeightsError):
            found = weights_of(entry)
            return Pulled(found.path, found.sha256, fetched=False, pinned=entry.sha256 is not None)
    with storage_errors(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=final.parent, prefix=f".{final.name}.") as part:
            folder = Path(part) / "new"
            folder.mkdir()
            digest = _fetch_checked(entry, folder)
            shutil.rmtree(final, ignore_errors=True)
            folder.replace(final)
    return Pulled(weights_of(entry).path, digest, fetched=True, pinned=entry.sha256 is not None)


def _fetch_checked(entry: ModelEntry, folder: Path) -> str:
    weights = _fetch(entry, folder)
    digest = weights_digest(weights)
    if entry.sha256 is not None and digest != entry.sha256:
        raise WeightsError(
            f"{entry.hub} at {entry.revision}: SHA-256 {digest} differs from {entry.sha256} that model {entry.name!r} is "
            "pinned to; nothing was kept"
        )
    write_json(folder / RECEIPT, {"file": weights.name, "hub": entry.hub, "revision": entry.revision, "sha256": digest})
    return digest
