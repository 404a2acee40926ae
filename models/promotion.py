"""A models file that keeps a base model and its challenger, with where the challenger came from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from contract.errors import InputError
from contract.files import json_bytes, write_together
from models.registry import ModelEntry, Registry
from models.weights import weights_digest

MODELS_FILE: Final = "models.yaml"
PROVENANCE: Final = "provenance.json"


def keep_both(
    folder: Path, registry: Registry, challenger: ModelEntry, *, provenance: Mapping[str, Any], promoted: bool
) -> Path:
    """Write a models file into `folder` that holds all of `registry` and `challenger`, and provenance.json beside it.

    The challenger is pinned to the digest of its weights. It is the default of its kind only if it was promoted; the
    models of before keep their names and pins, so that going back is naming another default.

    Raises:
        InputError: the registry has a model of the challenger's name.
        StorageError: the folder cannot be written.
    """
    if challenger.name in registry.entries:
        raise InputError(f"{registry.origin}: has a model {challenger.name!r} already; choose another name")
    assert challenger.path is not None  # noqa: S101  a challenger was trained here
    digest = weights_digest(challenger.path)
    entries = {name: _fields(entry) for name, entry in registry.entries.items()}
    entries[challenger.name] = _fields(challenger.model_copy(update={"sha256": digest}))
    defaults = {kind.value: name for kind, name in registry.defaults.items()}
    if promoted:
        defaults[challenger.kind.value] = challenger.name
    page = yaml.safe_dump({"defaults": defaults, "models": entries}, allow_unicode=True, sort_keys=False)
    told = {**provenance, "model": challenger.name, "weights_sha256": digest, "promoted": promoted}
    write_together(folder, {PROVENANCE: json_bytes(told), MODELS_FILE: page.encode()})
    return folder / MODELS_FILE


def _fields(entry: ModelEntry) -> dict[str, Any]:
    fields = entry.model_dump(mode="json", exclude={"name"}, exclude_defaults=True)
    if entry.path is not None:
        fields["path"] = str(entry.path.resolve())
    return fields
