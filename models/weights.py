"""Weights on disk: their digest, and what a checkpoint would run before it is allowed to run it."""

import hashlib
from pathlib import Path

from contract.errors import WeightsError
from contract.files import sha256_file


def _is_weight(relative: Path) -> bool:
    hidden = any(part.startswith(".") or part == "__pycache__" for part in relative.parts)
    return not hidden and relative.suffix != ".md"


def weights_digest(path: Path) -> str:
    """Return the SHA-256 of weights as lower-case hex.

    Of a file it is the digest of its bytes. Of a folder it is the digest of one line `name NUL digest`
    for each file in it, sorted by relative POSIX name; hidden files and pages (`*.md`) do not count, so
    that a card may be mended without changing what the model is.

    Raises:
        WeightsError: nothing lies at `path`, or the folder holds no weights.
    """
    if path.is_file():
        return sha256_file(path)
    if not path.is_dir():
        raise WeightsError(f"{path}: no such weights; give the path of a file or folder that exists")
    names = sorted(
        file.relative_to(path).as_posix()
        for file in path.rglob("*")
        if file.is_file() and _is_weight(file.relative_to(path))
    )
    if not names:
        raise WeightsError(f"{path}: the folder holds no weights; give the folder that holds the model's files")
    total = hashlib.sha256()
    for name in names:
        total.update(f"{name}\0{sha256_file(path / name)}\n".encode())
    return total.hexdigest()
