"""One entry looked at: what is accepted of it, and what is refused."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contract.errors import SourceError
from contract.files import sha256_bytes, sha256_file
from contract.objectstore import local_copy
from contract.tables import Kind
from contract.terms import Limits
from prelabel.probe_image import MEDIA as IMAGE_MEDIA
from prelabel.probe_image import probe_image
from prelabel.probe_video import MEDIA as VIDEO_MEDIA
from prelabel.probe_video import probe_video
from prelabel.refusal import Reason, RefusedError
from prelabel.rows import PARQUET, columns, table_media
from prelabel.sniff import HEAD_BYTES, sniff
from prelabel.sources import PATH_COLUMNS, Found, printable
from prelabel.texts import Text, language, normal_sha256, read_text_file, read_texts, text_column

_IMAGE_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".heic", ".heif"})
_VIDEO_SUFFIXES: Final = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".ts", ".flv", ".wmv", ".mpg", ".mpeg"})

Order = tuple[str, str, int, int]


@dataclass(frozen=True)
class Accepted:
    """An item that is sound by itself; whether another has its content or id is not known yet."""

    order: Order
    item: str
    kind: Kind
    uri: str
    sha256: str
    size: int
    media: str
    content: str  # what items of one kind must not share
    width: int | None = None
    height: int | None = None
    duration_s: float | None = None
    fps: float | None = None
    frames: int | None = None
    encoding: str | None = None
    language: str | None = None
    text: str | None = None


@dataclass(frozen=True)
class Rejected:
    """An entry or a row that is refused."""

    order: Order
    item: str
    uri: str
    reason: Reason
    detail: str


def examine(found: Found, limits: Limits) -> list[Accepted | Rejected]:
    """Return what comes of the entry `found`: one outcome for a file, one a row for a table of texts; never none."""
    try:
        return list(_outcomes(found, limits))
    except RefusedError as refusal:
        return [_rejected(found, refusal)]
    except OSError as error:
        return [_rejected(found, RefusedError(Reason.UNREADABLE, f"the file cannot be read ({error.strerror or error})"))]


def _rejected(found: Found, refusal: RefusedError) -> Rejected:
    return Rejected((*found.order, 0), found.item, found.uri, refusal.reason, printable(str(refusal)))


def _outcomes(found: Found, limits: Limits) -> Iterator[Accepted | Rejected]:
    if found.refusal is not None:
        raise found.refusal
    size = found.path.stat().st_size if found.stored is None else found.stored.size
    if size == 0:
        raise RefusedError(Reason.EMPTY, "the file has no bytes")
    if size > limits.max_file_bytes:
        raise RefusedError(
            Reason.OVERSIZED, f"the file of {size} bytes exceeds limits.max_file_bytes = {limits.max_file_bytes}"
        )
    if found.stored is None:
        yield from _content(found, size, limits)
        return
    try:
        with local_copy(found.stored.uri) as path:
            yield from _content(dataclasses.replace(found, path=path), path.stat().st_size, limits)
    except RefusedError:
        raise
    except SourceError as error:  # the object store's
        raise RefusedError(Reason.UNREADABLE, str(error)) from error


def _content(found: Found, size: int, limits: Limits) -> Iterator[Accepted | Rejected]:
    path = found.path
    with path.open("rb") as file:
        media = sniff(file.read(HEAD_BYTES))
    digest = sha256_file(path)
    if found.sha256 not in {None, digest}:
        raise RefusedError(Reason.SHA256_MISMATCH, f"the file's SHA-256 is {digest} and its manifest says {found.sha256}")
    if media in {"text/plain", PARQUET}:
        yield from _texts(found, limits)
    else:
        yield _picture(found, media, digest=digest, size=size, limits=limits)


def _picture(found: Found, media: str | None, *, digest: str, size: int, limits: Limits) -> Accepted:
    order = (*found.order, 0)
    if media in IMAGE_MEDIA:
        image = probe_image(found.path, media, max_pixels=limits.max_image_pixels)
        return Accepted(
            order, found.item, Kind.IMAGE, found.uri, digest, size, media, digest, width=image.width, height=image.height
        )
    if media in VIDEO_MEDIA:
        video = probe_video(found.path, media, limits=limits)
        return Accepted(
            order,
            found.item,
            Kind.VIDEO,
            found.uri,
            digest,
            size,
            media,
            digest,
            width=video.width,
            height=video.height,
            duration_s=video.duration_s,
            fps=video.fps,
            frames=video.frames,
        )
    raise _unsupported(media)


def _unsupported(media: str | None) -> RefusedError:
    if media == "text/utf-16":
        return RefusedError(Reason.ENCODING, "the text is in UTF-16 or UTF-32; save it as UTF-8")
    if media is not None and (media.startswith("audio/") or media == "application/ogg"):
        return RefusedError(Reason.NO_VIDEO, f"the file holds sound only ({media}); a video needs pictures")
    if media == "image/heic":
        return RefusedError(Reason.UNSUPPORTED, "it is image/heic, which needs goldgate[heif]; install that, or convert it")
    if media is None:
        return RefusedError(Reason.UNSUPPORTED, "the content is neither an image, a video nor a text that is known here")
    return RefusedError(Reason.UNSUPPORTED, f"the content is {media}, which is not taken in; convert or unpack it")


def _texts(found: Found, limits: Limits) -> Iterator[Accepted | Rejected]:
    media = table_media(found.path)
    if media is not None:
        return _table(found, media, limits=limits)
    if found.path.suffix.lower() != ".txt":
        raise _text_by_another_name(found.path)
    text = read_text_file(found.path, max_characters=limits.max_text_characters)
    return iter([_accepted_text(found, text, media="text/plain")])


def _text_by_another_name(path: Path) -> RefusedError:
    suffix = path.suffix.lower()
    expected = "an image" if suffix in _IMAGE_SUFFIXES else "a video" if suffix in _VIDEO_SUFFIXES else ""
    if expected:
        return RefusedError(Reason.UNSUPPORTED, f"the file holds text, not {expected}, whatever its name says")
    return RefusedError(
        Reason.UNSUPPORTED, "the file holds text; texts are taken in from .txt, .csv, .tsv, .jsonl and .parquet"
    )


def _table(found: Found, media: str, *, limits: Limits) -> Iterator[Accepted | Rejected]:
    names = columns(found.path, media)
    column = text_column(names)
    if found.row:
        raise RefusedError(
            Reason.UNSUPPORTED, "a manifest names single files; give a table of texts as an argument of its own"
        )
    if column is None:
        if any(name in names for name in PATH_COLUMNS):
            raise RefusedError(Reason.UNSUPPORTED, "the file is a manifest; give it as an argument of its own")
        raise RefusedError(
            Reason.UNSUPPORTED, "the table has no column text, content, review or 文本, and no column uri or path"
        )
    outcomes: list[Accepted | Rejected] = []
    for row in read_texts(found.path, media, column=column, max_characters=limits.max_text_characters):
        if isinstance(row, Text):
            outcomes.append(_accepted_text(found, row, media=media))
        else:
            item = row.item if row.item is not None else f"{found.item}:{row.number}"
            uri = f"{found.uri}#{row.number}"
            outcomes.append(
                Rejected((*found.order, row.number), printable(item), uri, row.refusal.reason, printable(str(row.refusal)))
            )
    if not outcomes:
        raise RefusedError(Reason.EMPTY, "the table has no rows")
    return iter(outcomes)


def _accepted_text(found: Found, text: Text, *, media: str) -> Accepted:
    data = text.text.encode()
    return Accepted(
        (*found.order, text.number),
        printable(text.item) if text.item is not None else f"{found.item}:{text.number}" if text.number else found.item,
        Kind.TEXT,
        f"{found.uri}#{text.number}" if text.number else found.uri,
        sha256_bytes(data),
        len(data),
        media,
        normal_sha256(text.text),
        encoding=text.encoding,
        language=language(text.text),
        text=text.text,
    )
