"""CVAT: XML 1.1 for images and for video, out and back; also the ZIP that CVAT exports.

Boxes are corners in pixels, frames count from 0, labels go by name. Source: docs.cvat.ai, "XML annotation format",
version 1.1, and "CVAT for images" and "CVAT for video" of "Dataset formats"; what CVAT does with a file was read in its
reader and writer of that format.

What CVAT has no place for stands where a task keeps it: in attributes that labels.json declares (paste it into the Raw
tab of CVAT's label editor before the file is uploaded).

- `score` and `source` (model@version) are text attributes; `crowd` is a checkbox; `area` is a text.
- `exact` holds x, y, w, h (of a video's label: its frames and seconds) as they were before they were rounded. CVAT
  keeps two decimals; a reader trusts `exact` only while the box stands where it stood, within that rounding.
- An image without boxes is empty. What is excused, missing or rejected has the tag goldgate:excused, goldgate:missing
  or goldgate:rejected; an image that is still tagged missing but has boxes is labelled.
- CVAT's video format keeps tracks alone, no tags (cvat-ai/cvat issue 7198), so that in a video every label is a track
  over the whole picture: an event has its own name, a shot is goldgate:shot with the attribute `transition`, a keyframe
  goldgate:keyframe for one frame, and a state as above. A track lasts to the frame at which it is "outside", which is
  the exclusive end that tables have. A video has a file of its own, because a task of CVAT has one.
- A person's file need not have our attributes: seconds are then frame / fps of the lot. Frame tags (which CVAT exports
  of a video as 'CVAT for images 1.1') are read as well: event tags on frames in a row are one event, a shot tag is
  where a shot begins, up to the next one or the end of the video.

Polygons and other shapes, rotated boxes, and boxes of classes in videos are refused, never dropped. Texts have no place.
"""

import contextlib
import lzma
import re
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, Final, cast

from contract.errors import FormatError
from contract.files import first_line, sha256_bytes, write_bytes, write_pieces
from contract.formats.cvat.labels import labels_json
from contract.formats.cvat.reading import ImageSection, Meta, Section, read_stream
from contract.formats.cvat.video import VideoSection
from contract.formats.cvat.writing import image_pieces, rows_by_video, video_pieces
from contract.formats.lotview import LotView
from contract.formats.xmlstream import pieces_of
from contract.labelset import LabelSet, merge
from contract.tables import Kind, Task

FILE_NAME: Final = "annotations.xml"
LABELS_FILE: Final = "labels.json"
ORDER_FILE: Final = "order.txt"  # of a review queue: CVAT sorts a task's images by name unless told to take this order
VIDEO_FOLDER: Final = "videos"
_MOST_BYTES: Final = 16 << 30  # of a file inside a ZIP
_LONGEST_STEM: Final = 50  # of four bytes each in UTF-8, below the 255 that file systems take


def write(folder: Path, labels: LabelSet, lot: LotView) -> list[Path]:
    """Write annotations.xml for the images, videos/NAME.xml for each video, each with its labels.json; return the paths.

    Of a lot with ranks order.txt names the images one a line, for a task with the sorting method "predefined".

    Raises:
        FormatError: there are texts among the items, an item is not in the lot, or a name is not for XML.
    """
    by_kind: dict[str, list[dict[str, str]]] = {kind.value: [] for kind in Kind}
    for row in labels.states.to_pylist():
        if row["item"] not in lot.rows:
            raise FormatError(f"item {row['item']!r} is not in the lot, so it cannot be written for CVAT")
        by_kind[row["kind"]].append(row)
    texts, videos = by_kind[Kind.TEXT.value], by_kind[Kind.VIDEO.value]
    if texts:
        raise FormatError(
            f"item {texts[0]['item']!r} is a text, which CVAT cannot show; write texts as labelstudio or jsonl"
        )
    rows = rows_by_video(labels)
    stray = next(iter(rows.keys() - {row["item"] for row in videos}), None)
    if stray is not None:
        raise FormatError(f"item {stray!r} has labels of a video but no state, so it cannot be written for CVAT")
    paths = []
    if by_kind[Kind.IMAGE.value] or not videos:
        paths += [folder / FILE_NAME, folder / LABELS_FILE]
        write_pieces(paths[0], image_pieces(by_kind[Kind.IMAGE.value], labels.table(Task.BOXES), lot))
        write_bytes(paths[1], labels_json(Kind.IMAGE, lot.guideline))
        if lot.ranks:
            paths.append(folder / ORDER_FILE)
            write_bytes(paths[-1], "".join(f"{row['item']}\n" for row in by_kind[Kind.IMAGE.value]).encode())
    for row in videos:
        path = folder / VIDEO_FOLDER / _file_of(row["item"])
        write_pieces(path, video_pieces(row, rows.get(row["item"], []), lot))
        paths.append(path)
    if videos:
        paths.append(folder / VIDEO_FOLDER / LABELS_FILE)
        write_bytes(paths[-1], labels_json(Kind.VIDEO, lot.guideline))
    return paths


def _file_of(item: str) -> str:
    """Return the name of a video's file: for people by the video's own name, for the disk by the item's hash."""
    stem = re.sub(r"[^\w.-]", "_", PurePosixPath(item).name)[:_LONGEST_STEM]
    return f"{stem}-{sha256_bytes(item.encode())[:12]}.xml"


def read(path: Path, lot: LotView) -> LabelSet:
    """Read an XML file or a ZIP of CVAT, or the folder that `write` made, and join it to the lot.

    An image that no file names has no state; videos come in the lot's order.

    Raises:
        FormatError: a file is broken, or names an item, class or event that is not the lot's.
    """
    place = {item: number for number, item in enumerate(lot.rows)}
    parts = [_read_one(file, lot) for file in _files(path)]
    labels = merge(sorted(parts, key=lambda part: place[part.states["item"][0].as_py()] if part.states.num_rows else -1))
    item, count = next(iter(Counter(labels.states["item"].to_pylist()).most_common(1)), ("", 0))
    if count > 1:
        raise FormatError(f"{path}: item {item!r} stands in {count} files")
    return labels


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = [*path.glob(FILE_NAME), *sorted((path / VIDEO_FOLDER).glob("*.xml"))] or sorted(path.glob("*.xml"))
    if not files:
        raise FormatError(f"{path}: the folder has no {FILE_NAME}; give the XML or ZIP that CVAT exports")
    return files


def _read_one(path: Path, lot: LotView) -> LabelSet:
    where = str(path)

    def section(meta: Meta) -> Section:
        video = meta.said("mode") == "interpolation"
        return VideoSection(meta, lot, where) if video else ImageSection(lot, where)

    with _opened(path) as file:
        return read_stream(iter(pieces_of(file)), section, where=where)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):
                file.seek(0)
                yield file
                return
            with _unpacked(file, path) as member:
                yield cast(BinaryIO, member)
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({(error.strerror or str(error)).lower()})") from error
    except _DAMAGED as error:
        raise FormatError(f"{path}: not a ZIP that can be read ({first_line(error)})") from error


_DAMAGED: Final = (zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError)


def _unpacked(file: BinaryIO, path: Path) -> IO[bytes]:
    """Return the annotations in a ZIP, as a stream."""
    try:
        archive = zipfile.ZipFile(file)
        found = [each for each in archive.infolist() if PurePosixPath(each.filename).name == FILE_NAME]
        if len(found) != 1:
            raise FormatError(f"{path}: the ZIP has {len(found)} files {FILE_NAME}; the one that CVAT exports has one")
        if found[0].file_size > _MOST_BYTES:
            raise FormatError(f"{path}: {FILE_NAME} in the ZIP has {found[0].file_size} bytes, more than the {_MOST_BYTES}")
        return archive.open(found[0])
    except _NO_ARCHIVE as error:
        raise FormatError(f"{path}: not a ZIP that can be unpacked ({first_line(error)})") from error


# Damaged names and sizes, a method that Python has not, a password.
_NO_ARCHIVE: Final = (*_DAMAGED, ValueError, NotImplementedError, RuntimeError, struct.error)
