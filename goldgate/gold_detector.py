"""`goldgate models train detector --from gold`: fine-tuning on corrected boxes, and promotion by a paired bootstrap of AP.

Pictures that look alike stay together: whole groups of them train, decide when to stop, or are held back. What group goes
where is told by the SHA-256 of its pictures alone, so that what was held back once is held back again.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from contract.answers import flatten
from contract.errors import InputError, StageError
from contract.files import sha256_bytes
from contract.guideline import Guideline
from contract.labelset import LabelSet
from contract.predictor import Source
from contract.tables import SCHEMAS, STATES, Kind, State, Task
from contract.terms import Terms
from goldgate.console import EXIT_DONE, emit_json, emit_text, say
from goldgate.gold_training import (
    HELD_BACK_PERCENT,
    VALIDATION_PERCENT,
    FromGold,
    challenger_name,
    provenance_of,
    stages_to_learn_from,
)
from goldgate.stages import Stage, shown
from models.class_map import map_classes
from models.content import read_content
from models.detector import from_entry
from models.exports import read_facts
from models.fingerprints import fingerprint, small_pixels
from models.picture_groups import group_pictures
from models.promotion import keep_both
from models.registry import ModelEntry, Weights, default_model, find_entry, load_registry, weights_of
from models.tune_detector import Box, Example, Lessons, TuneDetectorSettings, tune_detector
from prelabel.handoff import Sealed, read_sealed
from prelabel.run import read_intake_receipt, read_manifest
from qa.paired import PairedGain
from qa.paired_ap import ap_gain

_LEAST_SCORE: Final = 0.001  # AP ranks all boxes, those below the terms' least score too
_THREADS: Final = 4


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture that has gold, under a name that no other lot has, and the group that it is split with."""

    name: str
    source: Source
    sha256: str
    boxes: tuple[Mapping[str, Any], ...]
    group: str = ""


def train_detector_from_gold(asked: FromGold, out: Path, *, settings: TuneDetectorSettings, as_json: bool) -> int:
    """Fine-tune on the newest gold of `asked.lots`, compare on gold held back, and keep both models in out/models.yaml.

    Raises:
        TermsError: the terms do not allow training.
        StageError: a lot has no gold of pictures, or a picture changed since intake.
        InputError: the base is no detector with weights, no lot is named, or no picture is held back.
    """
    stages = stages_to_learn_from(asked)
    terms = stages[0].terms
    golds = [read_sealed(stage.lot, "gold") for stage in stages]
    pictures = grouped([each for stage, gold in zip(stages, golds, strict=True) for each in _pictures(stage, gold)])
    entry, base = _base(asked, terms)
    train, aside, held_back = split_pictures(pictures)
    if not held_back:
        raise InputError(f"none of {len(pictures)} pictures is held back: too many look alike, or they are too few")
    say(f"{len(train)} pictures to train on, {len(aside)} to stop on, {len(held_back)} held back")
    names, numbers = _classes(base.path, terms.guideline, pictures)
    weights = out / "model" / "detector.pt"
    used = dataclasses.replace(settings, imgsz=settings.imgsz or entry.settings.get("imgsz"))
    lessons = Lessons(names, *([_example(each, numbers) for each in part] for part in (train, aside)))
    tuned = tune_detector(base.path, weights, lessons, settings=used, tell=say)
    name = challenger_name(entry.name, golds)
    challenger = ModelEntry(name=name, kind=Kind.IMAGE, loader="ultralytics", path=weights, settings=entry.settings)
    found = _compare((entry, challenger), held_back, terms, device=settings.device)
    provenance = {
        **provenance_of(stages, golds, base),
        "base": entry.name,
        "settings": dataclasses.asdict(used),
        "pictures": {"train": len(train), "validation": len(aside), "held_back": len(held_back)},
        "tuned": tuned,
        "test": found.model_dump(mode="json"),
    }
    page = keep_both(out, load_registry(asked.models_file), challenger, provenance=provenance, promoted=found.better)
    if as_json:
        emit_json({**provenance, "model": name, "promoted": found.better, "models_file": str(page)})
    else:
        emit_text(_told(name, entry.name, found, page))
    return EXIT_DONE


def _pictures(stage: Stage, gold: Sealed) -> Iterator[Picture]:
    """Yield the pictures whose boxes the gold knows; those without any among them."""
    known = {State.LABELLED.value, State.EMPTY.value}
    states = gold.labels.states.to_pylist()
    wanted = {row["item"] for row in states if row["kind"] == Kind.IMAGE.value and row["state"] in known}
    if Task.BOXES not in gold.labels.tables or not wanted:
        raise StageError(f"{gold.folder}: holds no boxes of pictures; bring gold of pictures in first")
    boxes: dict[str, list[Mapping[str, Any]]] = {item: [] for item in wanted}
    for row in gold.labels.table(Task.BOXES).to_pylist():
        if row["item"] in boxes:
            boxes[row["item"]].append(row)
    manifest = read_manifest(stage.lot, read_intake_receipt(stage.lot)).select(["item", "uri", "sha256"]).to_pylist()
    for row in manifest:
        if row["item"] in boxes:
            name = f"{stage.lot_name}/{row['item']}"
            yield Picture(name, Source(name, Kind.IMAGE, row["uri"]), row["sha256"], tuple(boxes[row["item"]]))


def grouped(pictures: Sequence[Picture]) -> list[Picture]:
    """Return `pictures` with the groups of those that look alike, each called by the least SHA-256 of its pictures.

    Raises:
        StageError: a picture changed since intake.
        SourceError: a picture cannot be read.
    """
    with ThreadPoolExecutor(_THREADS) as threads:
        places = group_pictures(list(threads.map(_hash, pictures)))
    least: dict[int, str] = {}
    for place, picture in zip(places, pictures, strict=True):
        least[place] = min(least.get(place, picture.sha256), picture.sha256)
    return [dataclasses.replace(picture, group=least[place]) for place, picture in zip(places, pictures, strict=True)]


def _hash(picture: Picture) -> int:
    content = read_content(picture.source)
    if sha256_bytes(content) != picture.sha256:
        raise StageError(f"{picture.source.uri}: changed since intake signed it off; restore the picture")
    return fingerprint(small_pixels(content)).bits


def split_pictures(pictures: Sequence[Picture]) -> tuple[list[Picture], list[Picture], list[Picture]]:
    """Return pictures to train on, to stop on, and held back; whole groups, by digits of the SHA-256 of their name."""
    parts: tuple[list[Picture], list[Picture], list[Picture]] = ([], [], [])
    for picture in pictures:
        digits = sha256_bytes(picture.group.encode())
        held_back, aside = int(digits[:8], 16) % 100, int(digits[8:16], 16) % 100
        parts[2 if held_back < HELD_BACK_PERCENT else 1 if aside < VALIDATION_PERCENT else 0].append(picture)
    return parts


def _base(asked: FromGold, terms: Terms) -> tuple[ModelEntry, Weights]:
    name = asked.base or terms.prelabel.detector or default_model(Kind.IMAGE, models_file=asked.models_file)
    entry = find_entry(name, Kind.IMAGE, models_file=asked.models_file)
    if entry.loader != "ultralytics":
        raise InputError(f"model {name!r} has no weights to fine-tune; name another by --base")
    return entry, weights_of(entry)


def _classes(base: Path, guideline: Guideline, pictures: Sequence[Picture]) -> tuple[list[str], dict[str, int]]:
    """Return the names of the challenger's classes, and the number of each label that it can learn.

    They are the base's own, and behind them those labels of the gold that the base has no class for.
    """
    occurring = {box["label"] for picture in pictures for box in picture.boxes}
    own = read_facts(base).names
    joined = map_classes(own, guideline)
    numbers: dict[str, int] = {}
    for number, label in sorted(joined.labels.items()):
        numbers.setdefault(label, number)
    names = [own[number] for number in sorted(own)]
    for label in (label for label in joined.uncovered if label in occurring):
        numbers[label] = len(names)
        names.append(label)
    return names, numbers


def _example(picture: Picture, numbers: Mapping[str, int]) -> Example:
    counted = [box for box in picture.boxes if not box["crowd"]]
    boxes = tuple(Box(numbers[box["label"]], box["x"], box["y"], box["w"], box["h"]) for box in counted)
    return Example(picture.source, boxes)


def _compare(
    entries: tuple[ModelEntry, ModelEntry], held_back: Sequence[Picture], terms: Terms, *, device: str
) -> PairedGain:
    sources = [picture.source for picture in held_back]
    boxes = [{**box, "item": each.name} for each in held_back for box in each.boxes]
    states = [{"item": each.name, "kind": Kind.IMAGE.value, "state": State.LABELLED.value} for each in held_back]
    gold = LabelSet(
        pa.Table.from_pylist(states, schema=STATES), {Task.BOXES: pa.Table.from_pylist(boxes, schema=SCHEMAS[Task.BOXES])}
    )
    found = []
    for entry in entries:
        ranked = entry.model_copy(update={"settings": {**entry.settings, "conf": _LEAST_SCORE}})
        detector = from_entry(ranked, terms=terms)
        detector.load(device)
        answer = detector.predict(sources)
        found.append(LabelSet(gold.states, {Task.BOXES: flatten(Task.BOXES, answer, detector.describe().source)}))
    groups = {picture.name: picture.group for picture in held_back}
    return ap_gain(gold, (found[0], found[1]), groups=groups)


def _told(name: str, base: str, found: PairedGain, page: Path) -> str:
    verdict = "promoted: it is the default" if found.better else f"not promoted: {base!r} stays the default"
    if found.gain is None:
        compared = f"AP cannot be compared: {found.reason}"
    else:
        compared = (
            f"AP {found.candidate:.4f} against {found.base:.4f} of {base!r} on pictures held back, in {found.items} groups: "
            f"gain {found.gain:+.4f}, {found.confidence:.0%} limits {found.lower:+.4f} to {found.upper:+.4f}"
            + (f"; {found.reason}" if found.reason else "")
        )
    return f"{name}: {compared}; {verdict}\nboth are kept in {shown(page)}; use it by --models-file"
