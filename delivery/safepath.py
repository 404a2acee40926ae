"""Paths inside packages: plain relative ones, so that no package can write beside the folder it is opened into."""

import unicodedata
from collections.abc import Iterable
from typing import Final

_MOST_BYTES: Final = 1000
_MOST_PART_BYTES: Final = 255
_RESERVED: Final = frozenset('<>:"|?*\\')  # what some file systems take for more than a letter


def path_problem(path: str) -> str | None:
    """Return why `path` may not stand in a package, or None: parts joined by '/', none of them empty, '.' or '..'."""
    if not path or len(path.encode("utf-8", "surrogatepass")) > _MOST_BYTES:
        return "is empty or too long"
    if path.startswith("/"):
        return "is absolute"
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return "leads out of its folder or nowhere"
    if any(character in _RESERVED or unicodedata.category(character) in ("Cc", "Cs") for character in path):
        return "holds characters that mean more than a letter"
    if any(part != part.strip(" ") or part.endswith(".") for part in parts):
        return "has a part that begins or ends with a space, or ends with a full stop"
    if any(len(part.encode()) > _MOST_PART_BYTES for part in parts):
        return "has a part that is too long"
    return None


def clashes(paths: Iterable[str]) -> list[str]:
    """Return the paths that stand twice, and those of files that are also another path's folder."""
    seen: set[str] = set()
    folders: set[str] = set()
    twice = []
    for path in paths:
        if path in seen:
            twice.append(path)
        seen.add(path)
        parts = path.split("/")
        folders.update("/".join(parts[:count]) for count in range(1, len(parts)))
    return twice + sorted(seen & folders)
