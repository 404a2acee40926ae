"""`goldgate keyframes`: a lot's keyframes as pictures, with a contact sheet and an index for each video."""

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

from contract.errors import FormatError, InputError, LabelsError, SourceError
from contract.files import json_bytes, read_json, sha256_bytes, sha256_file, sha256_json, write_bytes
from contract.formats.itemfiles import safe_path
from contract.labelset import LabelSet
from contract.predictor import Source
from contract.tables import Kind, Task
from goldgate.console import EXIT_BAD_INPUT, EXIT_DONE, emit_json, emit_text, say
from goldgate.exchange import labels_to_show
from goldgate.stages import Stage, shown
from models.contactsheet import Cell, contact_sheet, thumbnail
from models.content import local_path
from models.seeking import Place, find_frames
from models.stills import SUFFIXES, Format, encode_still, upright
from prelabel.run import read_intake_receipt, read_manifest

INDEX: Final = "index.json"
SHEET: Final = "sheet.jpg"
VERSION: Final = 1  # of what is written: raised whenever the same order may give other files

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Look:
    """How pictures are written."""

    form: Format
    quality: int
    sheet: bool


def look_of(form: str, *, quality: int, sheet: bool) -> Look:
    """Return what --format, --quality and --sheet ask for.

    Raises:
        FormatError: the format is neither jpeg nor webp.
    """
    for known in get_args(Format):
        if form == known:
            return Look(known, quality, sheet)
    raise FormatError(f"--format {form!r}: write jpeg or webp")


@dataclass(frozen=True)
class _Video:
    """A video of the lot with its keyframes and shots, by time."""

    item: Row
    keyframes: Sequence[Row]
    shots: Sequence[Row]

    def begins(self, frame: int, shown_shots: set[int]) -> str | None:
        """Return how the shot of `frame` begins, if none of its keyframes came before."""
        for number, shot in enumerate(self.shots):
            if shot["start_frame"] <= frame < shot["end_frame"] and number not in shown_shots:
                shown_shots.add(number)
                return str(shot["transition"])
        return None


def write_keyframes(stage: Stage, out: Path, look: Look, *, from_: str, as_json: bool) -> int:
    """Write the keyframes of the lot's videos below `out`, a folder each, and print what became of them.

    A video whose folder says that all of it is there is not decoded again. What cannot be read is told in a sentence, and
    the rest goes on.
    """
    labels, _ = labels_to_show(stage, from_, None)
    done: list[dict[str, Any]] = []
    problems: dict[str, str] = {}
    for video in _videos(stage, labels):
        name = str(video.item["item"])
        try:
            done.append(_written(video, out / _folder_of(name), look))
        except SourceError as error:
            problems[name] = str(error)
            say(f"{name}: {error}")
    pictures = sum(each["pictures"] for each in done)
    if as_json:
        emit_json({"videos": done, "problems": problems})
    else:
        kept = sum(each["kept"] for each in done)
        more = f", {kept} of them there before" if kept else ""
        emit_text(f"{pictures} keyframes of {len(done)} videos below {shown(out)}{more}")
    return EXIT_BAD_INPUT if problems else EXIT_DONE


def _folder_of(item: str) -> str:
    """Return the folder of an item's pictures; names that had to be changed to be safe do not meet in one."""
    safe = safe_path(item)
    return safe if safe == item else f"{safe}-{sha256_bytes(item.encode())[:8]}"


def _videos(stage: Stage, labels: LabelSet) -> list[_Video]:
    manifest = read_manifest(stage.lot, read_intake_receipt(stage.lot)).to_pylist()
    tables: dict[Task, dict[str, list[Row]]] = {Task.KEYFRAMES: {}, Task.SHOTS: {}}
    for task, by_item in tables.items():
        for row in labels.table(task).to_pylist():
            by_item.setdefault(row["item"], []).append(row)
    found = []
    for item in manifest:
        keys = sorted(tables[Task.KEYFRAMES].get(item["item"], []), key=lambda row: (row["time_s"], row["frame"]))
        if item["kind"] == Kind.VIDEO.value and keys:
            shots = sorted(tables[Task.SHOTS].get(item["item"], []), key=lambda row: row["start_frame"])
            found.append(_Video(item, keys, shots))
    if not found:
        raise InputError("there is no video with keyframes among these labels; choose others by --from")
    return found


def _written(video: _Video, folder: Path, look: Look) -> dict[str, Any]:
    wanted = _order(video, look)
    kept = _kept(folder, wanted)
    if kept is not None:
        return {"item": video.item["item"], "pictures": kept, "kept": kept}
    source = Source(video.item["item"], Kind.VIDEO, video.item["uri"])
    if _digest_of(source) != video.item["sha256"]:
        raise SourceError("the video is not the one that was taken in; put that one back, or take the new one in")
    keyframes = {Place(int(row["frame"]), float(row["time_s"])): row for row in video.keyframes}
    files: dict[str, str] = {}
    entries, cells, shots_shown = [], [], set[int]()
    for found in find_frames(source, list(keyframes)):
        row, picture = keyframes[found.place], upright(found)
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
        name = f"{found.frame:08d}{SUFFIXES[look.form]}"
        write_bytes(folder / name, content)
        files[name] = sha256_bytes(content)
        entries.append({"file": name, "width": picture.width, "height": picture.height, **facts})
        cells.append(Cell(thumbnail(picture), found.time_s, found.frame, video.begins(found.frame, shots_shown)))
    if look.sheet:
        content = contact_sheet(str(video.item["item"]), cells)
        write_bytes(folder / SHEET, content)
        files[SHEET] = sha256_bytes(content)
    # Last of all: where it stands, everything does.
    index = {"order": wanted, "files": files, "keyframes": entries}
    write_bytes(folder / INDEX, json_bytes(index))
    return {"item": video.item["item"], "pictures": len(entries), "kept": 0}


def _order(video: _Video, look: Look) -> str:
    """Return the digest of all that the pictures hang on."""
    asked = {"form": look.form, "quality": look.quality, "sheet": look.sheet, "version": VERSION}
    rows = [[list(row.items()) for row in rows] for rows in (video.keyframes, video.shots)]
    return sha256_json({"video": video.item["sha256"], "item": video.item["item"], "look": asked, "labels": rows})


def _kept(folder: Path, wanted: str) -> int | None:
    """Return how many pictures stand in `folder` as they are wanted; None where not all of them do."""
    try:
        index = read_json(folder / INDEX)
        whole = index["order"] == wanted and all(
            sha256_file(folder / name) == digest for name, digest in index["files"].items()
        )
        return len(index["keyframes"]) if whole else None
    except (LabelsError, OSError, KeyError, TypeError, AttributeError):
        return None


def _digest_of(source: Source) -> str:
    path = local_path(source.uri)
    try:
        return sha256_file(path)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror})") from error
