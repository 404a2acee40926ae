"""A video's keyframes as pictures in a folder of their own, with an index and a contact sheet.

Each picture stands under its final name, and then a note of what it was made from, so that a run that is stopped at any
moment goes on with the pictures that are lacking and leaves the same bytes as one that ran through. The index comes last:
where it stands, everything does.
"""

import importlib.metadata
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from contract.errors import LabelsError, SourceError
from contract.files import json_bytes, parquet_bytes, read_json, sha256_bytes, sha256_file, sha256_json, write_bytes
from contract.predictor import Source
from contract.tables import Kind
from models.contactsheet import MOST, Cell, contact_sheet, thumbnail
from models.content import local_path
from models.seeking import Found, Place, find_frames
from models.stills import SUFFIXES, Format, encode_still, upright

INDEX: Final = "index.json"
TABLE: Final = "index.parquet"
SHEET: Final = "sheet.jpg"
NOTES: Final = ".made"  # folder of a note for each picture; gone when the index stands
VERSION: Final = 2  # of what is written: raised whenever the same order may give other files

SCHEMA: Final = pa.schema(
    [
        pa.field("item", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),
        pa.field("frame", pa.int64(), nullable=False),
        pa.field("time_s", pa.float64(), nullable=False),
        pa.field("pts", pa.int64()),
        pa.field("time_base_numerator", pa.int64(), nullable=False),
        pa.field("time_base_denominator", pa.int64(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("score", pa.float64()),
        pa.field("source", pa.string()),
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("video_sha256", pa.string(), nullable=False),
    ]
)

Row = Mapping[str, Any]
Entry = dict[str, Any]  # what an index says of a picture


@dataclass(frozen=True)
class Look:
    """How pictures are written."""

    form: Format
    quality: int
    sheet: bool


@dataclass(frozen=True)
class Video:
    """A video of the lot, by its number there from 1, with its keyframes and shots, by time."""

    item: Row
    number: int
    keyframes: Sequence[Row]
    shots: Sequence[Row]

    @property
    def source(self) -> Source:
        """Where its content is."""
        return Source(self.item["item"], Kind.VIDEO, self.item["uri"])

    def begins(self, frame: int, shown_shots: set[int]) -> str | None:
        """Return how the shot of `frame` begins, if none of its keyframes came before."""
        for number, shot in enumerate(self.shots):
            if shot["start_frame"] <= frame < shot["end_frame"] and number not in shown_shots:
                shown_shots.add(number)
                return str(shot["transition"])
        return None


@dataclass(frozen=True)
class Standing:
    """What stands in a video's folder now; `kept` pictures of it stood there before."""

    entries: Sequence[Entry]
    kept: int


def write_pictures(video: Video, folder: Path, look: Look) -> Standing:
    """Put the pictures of `video` into `folder`, and decode what of them does not stand there already.

    Raises:
        SourceError: the video is absent, another one, or cannot be decoded as far as its keyframes.
        StorageError: the folder cannot be written.
    """
    wanted = _order(video, look)
    entries = _whole(folder, wanted)
    if entries is None:
        entries, kept = _completed(video, folder, look)
        files = {entry["file"]: entry["sha256"] for entry in entries}
        beside = {TABLE: parquet_bytes(table_of(entries))}
        if look.sheet:
            beside[SHEET] = _sheet(video, folder, entries)
        for name, content in beside.items():
            write_bytes(folder / name, content)
            files[name] = sha256_bytes(content)
        write_bytes(folder / INDEX, json_bytes({"order": wanted, "files": files, "keyframes": entries}))
    else:
        kept = len(entries)
    shutil.rmtree(folder / NOTES, ignore_errors=True)
    drop_parts(folder)
    return Standing(entries, kept)


def drop_parts(folder: Path) -> None:
    """Remove parts of files that a run which was killed has left in `folder`."""
    for part in folder.glob(".*.tmp"):
        part.unlink(missing_ok=True)


def table_of(entries: Sequence[Entry], folder: str | None = None) -> pa.Table:
    """Return what indexes say of pictures as a table; `folder` stands before the names of their files."""
    rows = []
    for entry in entries:
        base = Fraction(entry["time_base"])
        file = entry["file"] if folder is None else f"{folder}/{entry['file']}"
        split = {"time_base_numerator": base.numerator, "time_base_denominator": base.denominator}
        rows.append({**entry, **split, "file": file})
    return pa.Table.from_pylist(rows, SCHEMA)


def _order(video: Video, look: Look) -> str:
    """Return the digest of all that the files of the folder hang on."""
    asked = {"form": look.form, "quality": look.quality, "sheet": look.sheet, "version": VERSION}
    rows = [[list(row.items()) for row in rows] for rows in (video.keyframes, video.shots)]
    of = {"video": video.item["sha256"], "item": video.item["item"], "number": video.number}
    return sha256_json({**of, "look": asked, "labels": rows})


def _order_of_one(video: Video, row: Row, look: Look) -> str:
    """Return the digest of all that one picture hangs on."""
    asked = {"form": look.form, "quality": look.quality, "version": VERSION}
    return sha256_json({"video": video.item["sha256"], "look": asked, "label": list(row.items())})


def _whole(folder: Path, wanted: str) -> list[Entry] | None:
    """Return the entries of the index in `folder`; None where not all stands there as it is wanted."""
    try:
        index = read_json(folder / INDEX)
        whole = index["order"] == wanted and all(
            sha256_file(folder / name) == digest for name, digest in index["files"].items()
        )
        return list(index["keyframes"]) if whole else None
    except (LabelsError, OSError, KeyError, TypeError, AttributeError):
        return None


def _completed(video: Video, folder: Path, look: Look) -> tuple[list[Entry], int]:
    """Return the entries of all pictures, having made those that were lacking, and how many were not."""
    rows = {Place(int(row["frame"]), float(row["time_s"])): row for row in video.keyframes}
    ranks = {place: rank for rank, place in enumerate(rows)}
    orders = {place: _order_of_one(video, row, look) for place, row in rows.items()}
    noted = {entry["order"]: entry for entry in _noted(folder)}
    standing = {place: noted[order] for place, order in orders.items() if order in noted and _stands(folder, noted[order])}
    kept = dict(standing)
    lacking = [place for place in rows if place not in standing]
    if lacking and _digest_of(video.source) != video.item["sha256"]:
        raise SourceError("the video is not the one that was taken in; put that one back, or take the new one in")
    owners = {entry["file"]: place for place, entry in standing.items()}
    for found in find_frames(video.source, lacking):
        place, name = found.place, f"{found.frame:08d}{SUFFIXES[look.form]}"
        other = owners.get(name)  # two labels may mean one frame: its picture is the first one's
        if other is not None and ranks[other] < ranks[place]:
            continue
        if other is not None:
            del standing[other]
            kept.pop(other, None)
        owners[name] = place
        standing[place] = _made(video, rows[place], found, folder / name, (look, orders[place]))
    return [standing[place] for place in rows if place in standing], len(kept)


def _made(video: Video, row: Row, found: Found, path: Path, of: tuple[Look, str]) -> Entry:
    """Write one picture, and then the note that it stands."""
    look, order = of
    picture = upright(found)
    facts = {
        "item": video.item["item"],
        "video_sha256": video.item["sha256"],
        "frame": found.frame,
        "time_s": found.time_s,
        "pts": found.pts,
        "time_base": str(found.time_base),
        "score": row["score"],
        "source": row["source"],
    }
    titled = {
        **facts,
        "title": f"{video.item['item']} at {found.time_s:.3f} s",
        "software": f"goldgate {importlib.metadata.version('goldgate')}",
    }
    content = encode_still(picture, titled, form=look.form, quality=look.quality)
    write_bytes(path, content)
    digests = {"order": order, "sha256": sha256_bytes(content)}
    entry = {"file": path.name, "width": picture.width, "height": picture.height, **digests, **facts}
    write_bytes(path.parent / NOTES / f"{path.stem}.json", json_bytes(entry))
    return entry


def _noted(folder: Path) -> Iterator[Entry]:
    """Yield what an index and notes in `folder` say of pictures, whatever run left them there."""
    notes = [folder / INDEX, *sorted((folder / NOTES).glob("*.json"))]
    for path in notes:
        try:
            document = read_json(path)
        except (LabelsError, OSError):
            continue
        entries = document.get("keyframes", [document]) if isinstance(document, dict) else []
        yield from (entry for entry in entries if isinstance(entry, dict) and {"order", "file", "sha256"} <= entry.keys())


def _stands(folder: Path, entry: Entry) -> bool:
    try:
        return sha256_file(folder / Path(entry["file"]).name) == str(entry["sha256"])
    except OSError:
        return False


def _sheet(video: Video, folder: Path, entries: Sequence[Entry]) -> bytes:
    """Return the contact sheet, made of the files, so that it is the same whoever wrote them and when."""
    shown_shots: set[int] = set()
    cells = [
        Cell(thumbnail(folder / each["file"]), each["time_s"], each["frame"], video.begins(each["frame"], shown_shots))
        for each in entries[:MOST]
    ]
    return contact_sheet(str(video.item["item"]), cells, number=video.number, total=len(entries))


def _digest_of(source: Source) -> str:
    path = local_path(source.uri)
    try:
        return sha256_file(path)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror})") from error
