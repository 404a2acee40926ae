"""`goldgate rework`: the defects of a score as a ready import for the tool in which they are mended."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from contract.errors import InputError, SourceError, StageError
from contract.files import read_json, read_parquet, write_bytes
from contract.formats.coco import FILE_NAME
from contract.formats.labelstudio.tasks import CONFIG_FILE, TASKS_FILE
from contract.formats.registry import exchange
from contract.labelchanges import only_items
from contract.labelset import LabelSet
from contract.tables import Kind, Task
from contract.verdict import Verdict
from goldgate import lotlife
from goldgate.console import EXIT_DONE, emit_json, emit_text
from goldgate.exchange import lot_view, written_whole
from goldgate.lotverdict import read_verdict
from goldgate.stages import Stage, shown
from prelabel.handoff import read_sealed
from qa.reworklist import BOXES_FILE, TEXTS_FILE, ItemDefect, Surroundings, box_defects, svg, text_defects, timeline_defects

FORMATS: Final = ("labelstudio", "coco")
_PICTURES: Final = "pictures"


@dataclass(frozen=True)
class _Work:
    """What is to be mended: the submission's labels of the defective items, the defects, and their pictures' names."""

    verdict: Verdict
    labels: LabelSet
    by_item: Mapping[str, Sequence[ItemDefect]]
    pictures: Mapping[ItemDefect, str]

    def documents(self, item: str) -> list[dict[str, Any]]:
        """Return the defects of `item` as JSON, with the picture where there is one."""
        return [{**each.document(), "picture": self.pictures.get(each)} for each in self.by_item.get(item, [])]


def write_rework(stage: Stage, format_name: str, out: Path, *, score: int | None, as_json: bool) -> int:
    """Write the items with defects into `out`, and print how many of what.

    Raises:
        InputError: the format has no place for defects, or there are none.
        StageError: there is no such score, or a paper was changed.
    """
    if format_name not in FORMATS:
        raise InputError(f"--format {format_name!r}: defects can be written as {' or '.join(FORMATS)}")
    history = lotlife.history_of(stage)
    number = score if score is not None else _newest(stage)
    verdict = read_verdict(stage, history, number)
    defects = _defects(stage, number)
    if format_name == "coco":
        defects = [each for each in defects if each.task is Task.BOXES]
    if not defects:
        raise InputError(f"score {number} of lot {stage.lot_name!r} found no defect that {format_name} could show")
    submission = read_sealed(stage.lot, "submission", verdict.pins.submission)
    gold = read_sealed(stage.lot, "gold", verdict.pins.gold)
    drawn, troubles = _drawn(stage, defects, submission.labels, gold.labels)
    by_item: dict[str, list[ItemDefect]] = {}
    for defect in defects:
        by_item.setdefault(defect.item, []).append(defect)
    names = {defect: f"{_PICTURES}/{place:05d}.svg" for place, defect in enumerate(drawn, 1)}
    work = _Work(verdict, only_items(submission.labels, by_item), by_item, names)

    def write(folder: Path) -> list[Path]:
        paths = exchange(format_name).write(folder, work.labels, lot_view(stage))
        _name_defects(folder, format_name, work, submission.labels)
        for defect, data in drawn.items():
            write_bytes(folder / names[defect], data)
        return [*paths, *(folder / name for name in names.values())]

    paths = written_whole(write, out)
    _told(work, paths, troubles, number=number, as_json=as_json)
    return EXIT_DONE


def _newest(stage: Stage) -> int:
    judged = lotlife.history_of(stage).life.judged
    if not judged:
        raise StageError(f"lot {stage.lot_name!r} has no score yet; reach one by 'goldgate accept'")
    return judged[-1].number


def _defects(stage: Stage, number: int) -> list[ItemDefect]:
    folder = stage.lot.scores / str(number)
    if not folder.is_dir():
        raise StageError(f"{folder}: there is no such score; reach one by 'goldgate accept'")
    found: list[ItemDefect] = []
    if (folder / BOXES_FILE).exists():
        found += box_defects(read_parquet(folder / BOXES_FILE))
    if (folder / TEXTS_FILE).exists():
        found += text_defects(read_parquet(folder / TEXTS_FILE))
    for task in (Task.SHOTS, Task.KEYFRAMES, Task.EVENTS):
        path = folder / f"{task.value}-matches.parquet"
        if path.exists():
            found += timeline_defects(task, read_parquet(path))
    return found


def _drawn(
    stage: Stage, defects: Sequence[ItemDefect], labels: LabelSet, gold: LabelSet
) -> tuple[dict[ItemDefect, bytes], list[str]]:
    """Return the picture of each defect of an image, and why others have none."""
    of_images = [each for each in defects if each.task is Task.BOXES]
    if not of_images:
        return {}, []
    rows = lotlife.items_of(stage).to_pylist()
    images = {row["item"]: Path(row["uri"]) for row in rows if row["kind"] == Kind.IMAGE.value}
    around = Surroundings(labels.table(Task.BOXES), gold.table(Task.BOXES))
    drawn: dict[ItemDefect, bytes] = {}
    troubles: dict[str, str] = {}
    for defect in of_images:
        if defect.item in troubles:
            continue
        try:
            drawn[defect] = svg(around.draw(defect, images[defect.item]), title=f"{defect.item}: {defect.text}")
        except SourceError as error:
            troubles[defect.item] = str(error)
    return drawn, list(troubles.values())


def _name_defects(folder: Path, format_name: str, work: _Work, submission: LabelSet) -> None:
    """Write the defects into the files that the format's own writer made."""
    if format_name == "coco":
        _into_coco(folder / FILE_NAME, work, submission)
        return
    for path in sorted(folder.rglob(TASKS_FILE)):
        tasks = read_json(path)
        for task in tasks:
            found = work.documents(task["data"]["item"])
            task["data"] |= {"defects": found, "defects_text": "\n".join(each["text"] for each in found)}
        write_bytes(path, json.dumps(tasks, ensure_ascii=False, allow_nan=False).encode() + b"\n")
    for path in sorted(folder.rglob(CONFIG_FILE)):
        view = ET.fromstring(path.read_bytes())  # noqa: S314 - our own writer made it a moment ago
        view.insert(0, ET.Element("Header", value="$defects_text", size="4"))
        ET.indent(view)
        text: str = ET.tostring(view, encoding="unicode")
        write_bytes(path, text.encode() + b"\n")


def _into_coco(path: Path, work: _Work, submission: LabelSet) -> None:
    document = read_json(path)
    for image in document["images"]:
        image["defects"] = work.documents(image["file_name"])
    # Annotations stand in the order of the submission's rows, of which the writer got those of the defective items.
    items = submission.table(Task.BOXES)["item"].to_pylist()
    rows = [row for row, item in enumerate(items) if item in work.by_item]
    by_row = {each.row: each for defects in work.by_item.values() for each in defects if each.row is not None}
    for row, annotation in zip(rows, document["annotations"], strict=True):
        if row in by_row:
            annotation["defects"] = [{**by_row[row].document(), "picture": work.pictures.get(by_row[row])}]
    write_bytes(path, json.dumps(document, ensure_ascii=False, allow_nan=False).encode() + b"\n")


def _told(work: _Work, paths: Sequence[Path], troubles: Sequence[str], *, number: int, as_json: bool) -> None:
    pins, count = work.verdict.pins, sum(len(each) for each in work.by_item.values())
    if as_json:
        facts = {"score": number, "submission": pins.submission, "gold": pins.gold, "items": len(work.by_item)}
        emit_json({**facts, "defects": count, "files": [str(path) for path in paths], "without_picture": list(troubles)})
        return
    listed = [shown(path) for path in paths if path.suffix != ".svg"]
    lines = [
        f"{count} defects of {len(work.by_item)} items of submission {pins.submission} in {', '.join(listed)}, "
        f"with {len(work.pictures)} pictures; bring the mended file back by "
        f"'goldgate import --as submission --replace {pins.submission}'"
    ]
    emit_text("\n".join([*lines, *(f"  no picture: {why}" for why in troubles)]))
