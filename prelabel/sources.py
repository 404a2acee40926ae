"""Finding what is to be taken in: files, folders, patterns and ready manifests, never outside their source folder."""

import glob
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from contract.errors import SourceError
from contract.objectstore import StoredObject, is_object, list_objects
from prelabel.refusal import Reason, RefusedError
from prelabel.rows import columns, read_rows, table_media
from prelabel.texts import ID_COLUMNS, text_column

PATH_COLUMNS: Final = ("uri", "path")
_LITTER: Final = frozenset({"thumbs.db", "desktop.ini"})
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Found:
    """One entry: a file, or what stands in the place of one and is refused.

    `place` is the POSIX path below the source folder, and `item` the id that a manifest gives, or else the place;
    `row` is the row of the manifest that named it, 0 if none did. `stored` is the object in a store, whose `path` only
    tells it from others until it is fetched.
    """

    place: str
    path: Path
    item: str
    row: int = 0
    sha256: str | None = None
    refusal: RefusedError | None = None
    stored: StoredObject | None = None

    @property
    def uri(self) -> str:
        """The object's address, or the absolute POSIX path; bytes that are no UTF-8 are escaped."""
        return self.stored.uri if self.stored else printable(self.path.as_posix())

    @property
    def order(self) -> tuple[str, str, int]:
        """Sorts entries the same way whatever the order of arguments and of the file system."""
        return self.place, self.stored.uri if self.stored else self.path.as_posix(), self.row


def printable(name: str) -> str:
    """Return `name` with what UTF-8 cannot carry escaped."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def absolute_roots(paths: Sequence[str]) -> list[str]:
    """Return the arguments as absolute paths or patterns, or addresses in an object store, sorted, each once."""
    return sorted({path if is_object(path) else str(Path(os.path.abspath(path))) for path in paths})  # noqa: PTH100 - resolve() would follow links


def find(paths: Sequence[str], *, strict: bool = True) -> list[Found]:
    """Return every entry below `paths` (files, folders, patterns, manifests), sorted.

    A folder's hidden files and linked folders are entries of their own that are refused, so that nothing is passed over in
    silence. A file that two arguments reach is one entry, named from the outermost folder. A table with a column uri or path
    and no column of texts is a manifest if it is itself an argument.

    Raises:
        SourceError: an argument matches nothing, or a manifest cannot be read; not if `strict` is false.
    """
    files: dict[Path | str, Found] = {}
    listed: list[Found] = []
    for argument in absolute_roots(paths):
        matched = False
        for found in _expand(argument):
            matched = True
            if found.row:
                listed.append(found)
                continue
            key = found.stored.uri if found.stored else found.path
            known = files.get(key)
            if known is None or len(found.place) > len(known.place):
                files[key] = found
        if strict and not matched:
            raise SourceError(
                f"{argument}: no such file, no file in the folder, or no match for the pattern; check the path"
            )
    return sorted([*files.values(), *listed], key=lambda found: found.order)


def _expand(argument: str) -> Iterator[Found]:
    path = Path(argument)
    if is_object(argument):
        yield from _objects(argument)
    elif path.is_dir():
        root = path.resolve()
        yield from _walk(root, root)
    elif os.path.lexists(argument):
        yield from _single(path.parent.resolve() / path.name)
    elif glob.has_magic(argument):
        yield from _match(argument)


def _objects(argument: str) -> Iterator[Found]:
    """Yield the object at `argument`, or those below it; what would be hidden in a folder is refused as there."""
    for stored in list_objects(argument):
        single = stored.uri == argument
        place = stored.uri.rpartition("/")[2] if single else stored.uri[len(argument.rstrip("/")) + 1 :]
        parts = place.split("/")
        refusal = None
        if not single and (any(part.startswith(".") for part in parts) or parts[-1].lower() in _LITTER):
            refusal = RefusedError(Reason.HIDDEN, "the object is hidden; rename it if it belongs to the lot")
        yield Found(place, Path(stored.uri), place, refusal=refusal, stored=stored)


def _single(path: Path) -> Iterator[Found]:
    found = _file(path, path.parent, named=True)
    media = None
    if found.refusal is None and path.stat().st_size:
        try:
            media = table_media(path)
            names = columns(path, media) if media else frozenset()
        except (RefusedError, OSError):
            names = frozenset()  # reading the file as an item will say what is wrong with it
        if media and text_column(names) is None and any(name in names for name in PATH_COLUMNS):
            yield from _manifest(path, media)
            return
    yield found


def _walk(start: Path, root: Path) -> Iterator[Found]:
    denied: list[OSError] = []
    for folder, names, files in os.walk(start, onerror=denied.append):
        here = Path(folder)
        kept = []
        for name in names:
            refusal = _folder_refusal(here / name, root)
            if refusal is None:
                kept.append(name)
            else:
                yield _entry(here / name, root, refusal)
        names[:] = kept
        for name in files:
            yield _file(here / name, root)
    for error in denied:
        refusal = RefusedError(Reason.UNREADABLE, f"the folder cannot be read ({error.strerror})")
        yield _entry(Path(error.filename), root, refusal)


def _match(pattern: str) -> Iterator[Found]:
    prefix = Path(*[part for part, rest in _fixed_parts(pattern) if rest])
    root = prefix.resolve()
    for match in glob.iglob(pattern, recursive=True):  # noqa: PTH207 - shells' own rule on hidden files
        path = root / Path(match).relative_to(prefix)
        linked = next((folder for folder in reversed(path.parents) if root in folder.parents and folder.is_symlink()), None)
        if linked is not None:
            yield _entry(linked, root, _folder_refusal(linked, root))
        elif not path.is_dir():
            yield _file(path, root)
        elif path == root or not path.is_symlink():
            yield from _walk(path, root)
        else:
            yield _entry(path, root, _folder_refusal(path, root))


def _fixed_parts(pattern: str) -> Iterator[tuple[str, bool]]:
    fixed = True
    for part in Path(pattern).parts:
        fixed = fixed and not glob.has_magic(part)
        yield part, fixed


def _entry(path: Path, root: Path, refusal: RefusedError | None) -> Found:
    place = path.relative_to(root).as_posix() if path != root else path.name
    return Found(place, path, printable(place), refusal=refusal)


def _inside(path: Path, root: Path) -> bool:
    return path == root or root in path.parents


def _folder_refusal(path: Path, root: Path) -> RefusedError | None:
    if path.is_symlink():
        if not _inside(Path(os.path.realpath(path)), root):
            return RefusedError(Reason.OUTSIDE, "the linked folder lies outside the source folder; put a copy in its place")
        return RefusedError(Reason.LINK, "the linked folder is not followed; its files are taken in under their own paths")
    if path.name.startswith("."):
        return RefusedError(Reason.HIDDEN, "the folder is hidden; rename it if its files belong to the lot")
    return None


def _file(path: Path, root: Path, *, named: bool = False) -> Found:
    return _entry(path, root, _file_refusal(path, root, named=named))


def _file_refusal(path: Path, root: Path, *, named: bool) -> RefusedError | None:
    """Say why the file may not be opened; `named` files were asked for by name, so that hidden ones are meant."""
    if not named and (path.name.startswith(".") or path.name.lower() in _LITTER):
        return RefusedError(Reason.HIDDEN, "the file is hidden; rename it if it belongs to the lot")
    if printable(str(path)) != str(path):
        return RefusedError(Reason.NAME, "the file's name is not valid UTF-8; rename it")
    if not _inside(Path(os.path.realpath(path)), root):
        return RefusedError(Reason.OUTSIDE, "the link leads out of the source folder; put a copy of the file in its place")
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return RefusedError(Reason.MISSING, "there is no such file, or a link to nothing")
    except OSError as error:
        return RefusedError(Reason.UNREADABLE, f"the file cannot be read ({error.strerror})")
    if not stat.S_ISREG(mode):
        return RefusedError(Reason.SPECIAL, "neither a file nor a folder but a pipe, socket or device")
    return None


def _manifest(path: Path, media: str) -> Iterator[Found]:
    try:
        for row in read_rows(path, media):
            yield _manifest_row(path, row.number, values=row.values, problem=row.problem)
    except (RefusedError, OSError) as error:
        raise SourceError(f"{path}: the manifest cannot be read: {error}") from error


def _manifest_row(manifest: Path, number: int, *, values: Mapping[str, Any], problem: RefusedError | None) -> Found:
    folder = manifest.parent
    fallback = Found(f"{manifest.name}:{number}", Path(f"{manifest}#{number}"), f"{manifest.name}:{number}", number)
    try:
        if problem is not None:
            raise problem
        path = _manifest_path(next((values[name] for name in PATH_COLUMNS if values.get(name)), None), folder)
        digest = _manifest_sha256(values.get("sha256"))
    except RefusedError as refusal:
        return Found(fallback.place, fallback.path, _manifest_item(values, fallback.item), number, refusal=refusal)
    place = path.relative_to(folder).as_posix()
    refusal_of_file = _file_refusal(path, folder, named=True)
    if refusal_of_file is not None and path.is_dir():
        refusal_of_file = RefusedError(Reason.UNSUPPORTED, "the manifest names a folder; name its files")
    return Found(place, path, _manifest_item(values, printable(place)), number, digest, refusal_of_file)


def _manifest_item(values: Mapping[str, Any], fallback: str) -> str:
    given = next((values[name] for name in ID_COLUMNS if values.get(name) not in (None, "")), fallback)
    return printable(str(given))


def _manifest_sha256(value: object) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not _SHA256.fullmatch(value.strip().lower()):
        raise RefusedError(Reason.CORRUPT, f"sha256 {value!r} is not 64 hexadecimal digits")
    return value.strip().lower()


def _manifest_path(value: object, folder: Path) -> Path:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise RefusedError(Reason.CORRUPT, "the row names no path in its column uri or path")
    if "://" in value:
        address = urlsplit(value)
        if address.scheme != "file" or address.netloc not in {"", "localhost"}:
            raise RefusedError(Reason.UNSUPPORTED, f"{value}: only files on this machine are taken in; fetch it first")
        value = unquote(address.path)
    path = Path(value)
    if ".." in path.parts:
        raise RefusedError(Reason.OUTSIDE, f"{value}: a path with '..' is refused")
    whole = path.parent.resolve() / path.name if path.is_absolute() else folder / path
    if not _inside(whole, folder) or whole == folder:
        raise RefusedError(Reason.OUTSIDE, f"{value}: lies outside the manifest's folder {folder}")
    return whole
