"""Fingerprints of a lot's pictures, made once and kept in the lot's folder: of images, and of videos' keyframes.

work/<contract>/lots/<lot>/fingerprints-<version>.parquet   a row a picture (`ROWS`), of the content that the manifest names
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contract.errors import LabelsError, SourceError
from contract.files import read_parquet, write_parquet
from contract.labelset import LabelSet
from contract.predictor import Source
from contract.tables import Kind, Task
from goldgate.console import progress_of_files, say
from goldgate.stages import Stage
from models.fingerprints import SIGHT, VERSION, Fingerprint, fingerprint, fingerprint_of, overview
from models.seeking import Place, find_frames
from models.stills import upright
from prelabel.run import read_intake_receipt, read_manifest, read_texts
from qa.review.novelty import text_vectors

ROWS: Final = pa.schema(
    [
        pa.field("item", pa.string(), nullable=False),
        pa.field("frame", pa.int64(), nullable=False),  # of a video; -1 for an image
        pa.field("sha256", pa.string(), nullable=False),  # of the file
        pa.field("bits", pa.uint64(), nullable=False),
        pa.field("sight", pa.list_(pa.float32(), SIGHT), nullable=False),
    ]
)
IMAGE: Final = -1
_AT_ONCE: Final = 512

Key = tuple[str, int]
Vectors = NDArray[np.float32]


def fingerprints_of(stage: Stage, keyframes: pa.Table | None, *, images: bool = True) -> dict[Key, Fingerprint]:
    """Return (item, frame) -> fingerprint of the lot's images, and of `keyframes` (columns of that task).

    What cannot be read has none, and is told in a sentence. What was made before is taken from the lot's folder.
    """
    manifest = read_manifest(stage.lot, read_intake_receipt(stage.lot)).select(["item", "kind", "uri", "sha256"]).to_pylist()
    rows = {row["item"]: row for row in manifest}
    wanted: dict[str, list[Place | None]] = {}
    if images:
        wanted = {item: [None] for item, row in rows.items() if row["kind"] == Kind.IMAGE.value}
    for row in [] if keyframes is None else keyframes.select(["item", "frame", "time_s"]).to_pylist():
        wanted.setdefault(row["item"], []).append(Place(row["frame"], row["time_s"]))
    path = stage.lot.root / f"fingerprints-{VERSION}.parquet"
    known = _kept(path, {item: row["sha256"] for item, row in rows.items()})
    new = dict(_made(_lacking(wanted, known), rows))
    if new:
        known |= new
        write_parquet(path, _table(known, rows))
    keys = [(item, IMAGE if place is None else place.frame) for item, places in wanted.items() for place in places]
    return {key: known[key] for key in keys if key in known}


def _lacking(
    wanted: Mapping[str, Sequence[Place | None]], known: Mapping[Key, Fingerprint]
) -> list[tuple[str, list[Place | None]]]:
    found = []
    for item, places in wanted.items():
        absent = [place for place in places if (item, IMAGE if place is None else place.frame) not in known]
        if absent:
            found.append((item, absent))
    return found


def _kept(path: Path, digests: Mapping[str, str]) -> dict[Key, Fingerprint]:
    """Return what was made before of files that are the same today; a table that cannot be read is made again."""
    try:
        table = read_parquet(path)
    except LabelsError:
        return {}
    if not table.schema.equals(ROWS):
        return {}
    sights = _sights(table)
    names = (table[name].to_pylist() for name in ("item", "frame", "sha256", "bits"))
    return {
        (item, frame): Fingerprint(bits, sights[row])
        for row, (item, frame, sha256, bits) in enumerate(zip(*names, strict=True))
        if digests.get(item) == sha256
    }


def _sights(table: pa.Table) -> Vectors:
    column = table["sight"].combine_chunks()
    if isinstance(column, pa.ChunkedArray):  # a table of no rows has no chunks to combine
        return np.zeros((0, SIGHT), np.float32)
    return np.asarray(column.flatten().to_numpy(), np.float32).reshape(-1, SIGHT)


def _table(known: Mapping[Key, Fingerprint], rows: Mapping[str, Mapping[str, Any]]) -> pa.Table:
    keys = sorted(known)
    sights = np.stack([known[key].sight for key in keys]).reshape(-1)
    return pa.table(
        {
            "item": [item for item, _ in keys],
            "frame": [frame for _, frame in keys],
            "sha256": [rows[item]["sha256"] for item, _ in keys],
            "bits": pa.array([known[key].bits for key in keys], pa.uint64()),
            "sight": pa.FixedSizeListArray.from_arrays(pa.array(sights, pa.float32()), SIGHT),
        },
        schema=ROWS,
    )


def _made(
    lacking: Sequence[tuple[str, list[Place | None]]], rows: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[Key, Fingerprint]]:
    """Yield the fingerprints of what lacks them, files side by side."""
    with progress_of_files("fingerprints") as show, ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for start in range(0, len(lacking), _AT_ONCE):
            some = lacking[start : start + _AT_ONCE]
            for found, problem in pool.map(lambda pair: _of_file(rows[pair[0]], pair[1]), some):
                if problem is not None:
                    say(problem)
                yield from found
            show(start + len(some), len(lacking))


def _of_file(row: Mapping[str, Any], places: Sequence[Place | None]) -> tuple[list[tuple[Key, Fingerprint]], str | None]:
    item = row["item"]
    source = Source(item, Kind(row["kind"]), row["uri"])
    found: list[tuple[Key, Fingerprint]] = []
    try:
        if None in places:
            found.append(((item, IMAGE), fingerprint_of(source)))
        frames = [place for place in places if place is not None]
        stills = find_frames(source, frames) if frames else ()
        found.extend(((item, each.place.frame), fingerprint(np.asarray(upright(each)))) for each in stills)
    except SourceError as error:
        return found, f"{item}: {error}"
    return found, None


def vectors_of(stage: Stage, kind: Kind, drafts: LabelSet, items: Sequence[str]) -> Vectors:
    """Return an embedding of each of `items` of `kind`, shape (items, dimensions).

    Of a video it is the mean over its keyframes; what has no picture lies at the mean of all.
    """
    if kind is Kind.TEXT:
        texts = read_texts(stage.lot)
        return text_vectors([texts.get(item, "") for item in items])
    keyframes = drafts.table(Task.KEYFRAMES) if kind is Kind.VIDEO else None
    known = fingerprints_of(stage, keyframes, images=kind is Kind.IMAGE)
    place = {item: row for row, item in enumerate(items)}
    keys = [key for key in known if key[0] in place]
    if not keys:
        return np.zeros((len(items), 1), np.float32)
    sights = overview(np.stack([known[key].sight for key in keys]))
    sums, counts = np.zeros((len(items), sights.shape[1])), np.zeros(len(items))
    rows = np.array([place[item] for item, _ in keys])
    np.add.at(sums, rows, sights)
    np.add.at(counts, rows, 1)
    sums[counts == 0], counts[counts == 0] = sights.mean(axis=0, dtype=np.float64), 1
    return (sums / counts[:, None]).astype(np.float32)
