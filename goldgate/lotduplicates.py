"""Near-duplicates of a lot: found once, kept under a number, left out of an export, and labelled from their representatives.

work/<contract>/lots/<lot>/duplicates/<n>.parquet   the groups (columns of `qa.duplicates.groups.DUPLICATES`)
                                      .../<n>.json  the limits, the counts, and the digests of the table and the manifest
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, ValidationError

from contract.errors import StageError
from contract.files import parquet_bytes, read_json, read_parquet, sha256_bytes, sha256_file, write_bytes, write_json
from contract.guideline import Strict
from contract.labelset import LabelSet, merge
from contract.receipts import Sha256
from contract.tables import SCHEMAS, STATES, TASKS_OF_KIND, Kind, Task
from contract.workfolder import next_number, numbers
from goldgate.fingerprinting import IMAGE, fingerprints_of
from goldgate.stages import Stage
from models.fingerprints import colours_of
from prelabel.handoff import read_drafts
from prelabel.run import read_intake_receipt, read_manifest, read_texts
from qa.duplicates.groups import (
    COLOURS,
    DUPLICATES,
    NO_FRAME,
    RADIUS,
    SHARE,
    Member,
    Picture,
    group_table,
    picture_members,
    text_members,
)

FOLDER: Final = "duplicates"


class Limits(Strict):
    """From when on things are the same; a picture must keep both limits."""

    radius: int = Field(RADIUS, ge=0, le=15, description="bits of 64 in which hashes of pictures may differ")
    colours: float = Field(COLOURS, ge=0, le=1, description="mean difference of colours, as a share of full range")
    text_share: float = Field(SHARE, gt=0, le=1, description="of runs of three characters that texts share")
    keyframes: bool = Field(False, description="whether keyframes of the newest drafts were compared as well")


class DuplicatesReceipt(Strict):
    """What was found under which limits: `duplicates` counts what has a representative other than itself, by kind."""

    number: int = Field(gt=0)
    limits: Limits
    manifest_sha256: Sha256
    groups: int
    duplicates: dict[str, int]
    keyframes: int
    table_sha256: Sha256


@dataclass(frozen=True)
class Found:
    """Groups that stand in a lot: columns of `DUPLICATES`."""

    receipt: DuplicatesReceipt
    table: pa.Table

    @property
    def representatives(self) -> dict[str, str]:
        """Item -> the item that stands for it, for whole items that are duplicates."""
        rows = self.table.filter(pc.equal(self.table["frame"], NO_FRAME)).to_pylist()
        return {row["item"]: row["representative"] for row in rows if row["item"] != row["representative"]}


def find_duplicates(stage: Stage, limits: Limits) -> Found:
    """Find the near-duplicates of the lot and keep them under the next number, unless the newest says the same.

    Raises:
        StageError: keyframes are asked for and there are no drafts.
    """
    receipt = read_intake_receipt(stage.lot)
    manifest = read_manifest(stage.lot, receipt).select(["item", "width", "height"]).to_pylist()
    members = _members(stage, manifest, limits)
    tables = [DUPLICATES.empty_table()]
    groups = 0
    for kind, some in members:
        tables.append(group_table(kind, some, first=groups + 1))
        groups += len({member.representative for member in some})
    table = pa.concat_tables(tables)
    counts = {kind.value: sum(each.place[1] == NO_FRAME for each in some) for kind, some in members if some}
    return _kept(
        stage,
        table,
        limits=limits,
        manifest_sha256=receipt.manifest_sha256,
        counts={kind: count for kind, count in counts.items() if count},
        keyframes=sum(each.place[1] != NO_FRAME for _, some in members for each in some),
    )


def _members(stage: Stage, manifest: list[dict[str, Any]], limits: Limits) -> list[tuple[Kind, list[Member]]]:
    pixels = {row["item"]: (row["width"] or 0) * (row["height"] or 0) for row in manifest}
    keyframes = read_drafts(stage.lot)[1].table(Task.KEYFRAMES) if limits.keyframes else None
    prints = fingerprints_of(stage, keyframes)
    pictures: dict[bool, list[Picture]] = {True: [], False: []}
    for (item, frame), mark in prints.items():
        pictures[frame == IMAGE].append(Picture((item, frame), mark.bits, colours_of(mark), pixels[item]))
    found = {still: picture_members(some, radius=limits.radius, colours=limits.colours) for still, some in pictures.items()}
    return [
        (Kind.IMAGE, found[True]),
        (Kind.TEXT, text_members(read_texts(stage.lot), share=limits.text_share)),
        (Kind.VIDEO, found[False]),
    ]


def _kept(
    stage: Stage, table: pa.Table, *, limits: Limits, manifest_sha256: str, counts: dict[str, int], keyframes: int
) -> Found:
    data = parquet_bytes(table)
    folder = stage.lot.root / FOLDER
    newest = newest_duplicates(stage)
    if newest and (newest.receipt.table_sha256, newest.receipt.limits) == (sha256_bytes(data), limits):
        return newest
    number = next_number(folder)
    receipt = DuplicatesReceipt(
        number=number,
        limits=limits,
        manifest_sha256=manifest_sha256,
        groups=len(pc.unique(table["group"])),
        duplicates=counts,
        keyframes=keyframes,
        table_sha256=sha256_bytes(data),
    )
    write_bytes(folder / f"{number}.parquet", data)
    write_json(folder / f"{number}.json", receipt.model_dump(mode="json"))
    return Found(receipt, table)


def newest_duplicates(stage: Stage) -> Found | None:
    """Return what was found last in the lot; None where nobody has looked.

    Raises:
        StageError: its files were changed, or are of another manifest.
    """
    folder = stage.lot.root / FOLDER
    known = [number for number in numbers(folder) if (folder / f"{number}.json").exists()]
    if not known:
        return None
    path = folder / f"{known[-1]}.json"
    table = path.with_suffix(".parquet")
    receipt = _receipt(path)
    if not table.exists() or sha256_file(table) != receipt.table_sha256:
        raise StageError(f"{table}: missing or changed since it was written; run 'goldgate duplicates' again")
    if receipt.manifest_sha256 != read_intake_receipt(stage.lot).manifest_sha256:
        raise StageError(f"{path}: is of another manifest; remove it and run 'goldgate duplicates' again")
    return Found(receipt, read_parquet(table))


def _receipt(path: Path) -> DuplicatesReceipt:
    try:
        return DuplicatesReceipt.model_validate(read_json(path))
    except ValidationError as error:
        raise StageError(f"{path}: not written by 'goldgate duplicates'") from error


def require_duplicates(stage: Stage) -> Found:
    """Return what was found last.

    Raises:
        StageError: nobody has looked yet.
    """
    found = newest_duplicates(stage)
    if found is None:
        raise StageError(f"{stage.lot.root / FOLDER}: nobody has looked for duplicates; run 'goldgate duplicates' first")
    return found


def with_copies(stage: Stage, labels: LabelSet) -> tuple[LabelSet, dict[str, int]]:
    """Return `labels` with those of representatives put on their duplicates too, and kind -> how many got them.

    An item that `labels` speak of keeps its own. Boxes are stretched to the size of the copy. The source of each label names
    the representative.

    Raises:
        StageError: nobody has looked for duplicates.
    """
    named = set(labels.states["item"].to_pylist())
    wanted: dict[str, list[str]] = {}
    for item, leader in require_duplicates(stage).representatives.items():
        if item not in named and leader in named:
            wanted.setdefault(leader, []).append(item)
    columns = ["item", "kind", "width", "height"]
    manifest = read_manifest(stage.lot, read_intake_receipt(stage.lot)).select(columns).to_pylist()
    sizes = {row["item"]: (row["width"] or 0, row["height"] or 0) for row in manifest}
    states = [{**row, "item": copy} for row in labels.states.to_pylist() for copy in wanted.get(row["item"], ())]
    kinds = {Kind(row["kind"]) for row in states}
    tables = {
        task: pa.Table.from_pylist(_copied(table, wanted, sizes), schema=SCHEMAS[task])
        for task, table in labels.tables.items()
        if any(task in TASKS_OF_KIND[kind] for kind in kinds)
    }
    more = LabelSet(pa.Table.from_pylist(states, schema=STATES), tables)
    return merge([labels, more]), dict(sorted(Counter(row["kind"] for row in states).items()))


def _copied(table: pa.Table, wanted: Mapping[str, list[str]], sizes: Mapping[str, tuple[int, int]]) -> list[dict[str, Any]]:
    rows = table.filter(pc.is_in(table["item"], value_set=pa.array(sorted(wanted), pa.string()))).to_pylist()
    found = []
    for row in rows:
        leader = row["item"]
        for copy in wanted[leader]:
            copied = {**row, "item": copy, "source": f"duplicate-of:{leader}"}
            if "w" in row and sizes[copy] != sizes[leader]:
                across, down = (mine / max(theirs, 1) for mine, theirs in zip(sizes[copy], sizes[leader], strict=True))
                copied |= {"x": row["x"] * across, "y": row["y"] * down, "w": row["w"] * across, "h": row["h"] * down}
                copied["area"] = None if row["area"] is None else row["area"] * across * down
            found.append(copied)
    return found
