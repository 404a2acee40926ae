"""`goldgate keyframes`: a lot's keyframes as pictures, with a contact sheet and an index for each video and one of all."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa

from contract.errors import FormatError, InputError, SourceError
from contract.files import parquet_bytes, sha256_bytes, write_bytes
from contract.formats.itemfiles import safe_path
from contract.labelset import LabelSet
from contract.tables import Kind, Task
from goldgate.console import EXIT_BAD_INPUT, EXIT_DONE, emit_json, emit_text, say
from goldgate.exchange import labels_to_show
from goldgate.keyframe_folder import SCHEMA, TABLE, Look, Video, drop_parts, table_of, write_pictures
from goldgate.stages import Stage, shown
from models.stills import Format
from prelabel.run import read_intake_receipt, read_manifest


def look_of(form: str, *, quality: int, sheet: bool) -> Look:
    """Return what --format, --quality and --sheet ask for.

    Raises:
        FormatError: the format is neither jpeg nor webp.
    """
    for known in get_args(Format):
        if form == known:
            return Look(known, quality, sheet)
    raise FormatError(f"--format {form!r}: write jpeg or webp")


def write_keyframes(stage: Stage, out: Path, look: Look, *, from_: str, as_json: bool) -> int:
    """Write the keyframes of the lot's videos below `out`, a folder each, and print what became of them.

    A picture that stands as it is wanted is not made again. What cannot be read is told in a sentence, and the rest goes on.
    """
    labels, _ = labels_to_show(stage, from_, None)
    done: list[dict[str, Any]] = []
    tables: list[pa.Table] = []
    problems: dict[str, str] = {}
    for video in _videos(stage, labels):
        name = str(video.item["item"])
        folder = _folder_of(name)
        try:
            found = write_pictures(video, out / folder, look)
        except SourceError as error:
            problems[name] = str(error)
            say(f"{name}: {error}")
            continue
        done.append({"item": name, "pictures": len(found.entries), "kept": found.kept})
        tables.append(table_of(found.entries, folder))
    _put(out / TABLE, parquet_bytes(pa.concat_tables([SCHEMA.empty_table(), *tables])))
    pictures, kept = (sum(each[count] for each in done) for count in ("pictures", "kept"))
    if as_json:
        emit_json({"videos": done, "problems": problems})
    else:
        more = f", {kept} of them there before" if kept else ""
        emit_text(f"{pictures} keyframes of {len(done)} videos below {shown(out)}{more}")
    return EXIT_BAD_INPUT if problems else EXIT_DONE


def _put(path: Path, content: bytes) -> None:
    """Write `content` where it does not stand already, and drop what a killed run may have left of it."""
    if not path.is_file() or path.read_bytes() != content:
        write_bytes(path, content)
    drop_parts(path.parent)


def _folder_of(item: str) -> str:
    """Return the folder of an item's pictures; names that had to be changed to be safe do not meet in one."""
    safe = safe_path(item)
    return safe if safe == item and item != TABLE else f"{safe}-{sha256_bytes(item.encode())[:8]}"


def _videos(stage: Stage, labels: LabelSet) -> list[Video]:
    manifest = read_manifest(stage.lot, read_intake_receipt(stage.lot)).to_pylist()
    tables: dict[Task, dict[str, list[Mapping[str, Any]]]] = {Task.KEYFRAMES: {}, Task.SHOTS: {}}
    for task, by_item in tables.items():
        for row in labels.table(task).to_pylist():
            by_item.setdefault(row["item"], []).append(row)
    found = []
    for number, item in enumerate(manifest, start=1):
        keys = sorted(tables[Task.KEYFRAMES].get(item["item"], []), key=lambda row: (row["time_s"], row["frame"]))
        if item["kind"] == Kind.VIDEO.value and keys:
            shots = sorted(tables[Task.SHOTS].get(item["item"], []), key=lambda row: row["start_frame"])
            found.append(Video(item, number, keys, shots))
    if not found:
        raise InputError("there is no video with keyframes among these labels; choose others by --from")
    return found
