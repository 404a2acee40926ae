"""`goldgate models build`: an engine made ahead of time, and kept only if its boxes are worth what plain torch's are."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, cast, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contract.answers import flatten
from contract.errors import FormatError, InputError, WeightsError
from contract.formats.cocofile import read_coco
from contract.predictor import Predictor, Source
from contract.tables import SCHEMAS, Kind, Task, conform
from goldgate.console import EXIT_DONE, emit_text, say
from models.engines import LIMITS, Guard, Plan, Precision, making, plan_engine, side_of
from models.exports import Runtime
from models.registry import ModelEntry, find_entry, predictor_of, weights_of
from qa.coco.evaluation import evaluate, figures
from qa.pairing.boxes import BoxColumns, box_columns

_SURE: Final = 0.25  # least score of plain torch's box that counts as gold: Ultralytics' threshold for what is shown
_EVERYTHING: Final = {"conf": 0.001, "iou": 0.7, "max_det": 300}  # as COCO's AP is counted
_CHUNK: Final = 64
_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})


class Order(NamedTuple):
    """What the command line asks for; None is left to the device."""

    runtime: Runtime | None
    precision: Precision | None
    device: str
    calibration: Path


class Calibration(NamedTuple):
    """Pictures by name and, where the folder has them, their boxes with the names of all classes."""

    pictures: Mapping[str, Path]
    gold: pa.Table | None
    classes: tuple[str, ...]


def read_order(runtime: str | None, precision: str | None, device: str, calibration: Path) -> Order:
    """Return what was asked for.

    Raises:
        InputError: there is no such runtime or precision.
    """
    if runtime is not None and runtime not in get_args(Runtime):
        raise InputError(f"--runtime {runtime} is none of {', '.join(get_args(Runtime))}")
    if precision is not None and precision not in get_args(Precision):
        raise InputError(f"--precision {precision} is none of {', '.join(get_args(Precision))}")
    return Order(cast("Runtime | None", runtime), cast("Precision | None", precision), device, calibration)


def build_model(name: str, order: Order, models_file: Path | None) -> int:
    """Build the engine, print where it lies and what it is worth.

    Raises:
        WeightsError: its AP differs from plain torch's by more than is allowed; nothing of it is kept.
    """
    entry = find_entry(name, Kind.IMAGE, models_file=models_file)
    if entry.loader != "ultralytics":
        raise InputError(f"model {name!r} is no Ultralytics detector; only those are built")
    plan = plan_engine(weights_of(entry), runtime=order.runtime, precision=order.precision, device=order.device)
    calibration = read_calibration(order.calibration)
    side = int(entry.settings.get("imgsz") or side_of(plan.weights))
    say(f"building {plan.name} of {plan.weights.path} for {plan.device_name} ({plan.runtime} {plan.version})")
    with making(plan, list(calibration.pictures.values()), side=side) as draft:
        guard = judge(plan, draft.path, calibration, side=side)
        if guard.change_points > guard.limit_points:
            raise WeightsError(
                f"{plan.weights.path}: {_worth(plan, guard)}, more than {guard.limit_points} points; "
                "nothing was kept: choose another precision, or calibrate with more pictures like the contract's"
            )
        path = draft.keep(plan, guard)
    emit_text(f"{path}")
    emit_text(f"{_worth(plan, guard)}; allowed are {guard.limit_points}")
    emit_text(f"use it by its path as a model, or by `engine: {plan.name}` under the settings of {name!r} in models.yaml")
    return EXIT_DONE


def _worth(plan: Plan, guard: Guard) -> str:
    against = "labels" if guard.gold == "labels" else "plain torch's own boxes as gold"
    return (
        f"{guard.figure} of {plan.name} is {100 * guard.engine:.2f} and plain torch's {100 * guard.torch:.2f} on "
        f"{guard.images} images with {against}: a change of {guard.change_points:.2f} points"
    )


def read_calibration(folder: Path) -> Calibration:
    """Return the pictures of `folder` (or of its images/), and the boxes of the one COCO instances file beside them.

    Raises:
        InputError: there are no pictures, more than one JSON file, or a file without its picture.
    """
    home = folder / "images" if (folder / "images").is_dir() else folder
    if not home.is_dir():
        raise InputError(
            f"{folder}: no such folder; --calibration takes a folder of pictures, with COCO instances or without"
        )
    pictures = {path.name: path for path in sorted(home.iterdir()) if path.suffix.lower() in _SUFFIXES}
    if not pictures:
        raise InputError(
            f"{folder}: holds no pictures; --calibration takes a folder of pictures, with COCO instances or without"
        )
    pages = sorted(folder.glob("*.json"))
    if len(pages) > 1:
        raise InputError(f"{folder}: holds {len(pages)} JSON files; leave the one with the pictures' COCO instances there")
    if not pages:
        return Calibration(pictures, None, ())
    document = read_coco(pages[0])
    missing = sorted(set(document.images.values()) - pictures.keys())
    if missing:
        raise FormatError(
            f"{pages[0]}: {len(missing)} of its images are not in {home}, {missing[0]!r} for one; put them there"
        )
    named = {item: pictures[item] for item in document.images.values()}
    table = conform(document.labels.table(Task.BOXES), SCHEMAS[Task.BOXES])
    return Calibration(named, table, tuple(dict.fromkeys(document.categories.values())))


def judge(plan: Plan, engine: Path, calibration: Calibration, *, side: int) -> Guard:
    """Return what the engine at `engine` and plain torch are worth on the pictures of `calibration`.

    With labels the figure is COCO's AP. Without, the gold is plain torch's own boxes of a score of 0.25 or more, and the
    figure AP at an IoU of 0.5: whether the same things are found. The engine is not asked to repeat them to the pixel, as
    AP over all IoU to 0.95 would.
    """
    items = list(calibration.pictures)
    plain = _boxes_of(_predictor(plan, plan.weights.path, side), calibration.pictures)
    made = _boxes_of(_predictor(plan, engine, side), calibration.pictures)
    gold, classes = calibration.gold, calibration.classes
    if gold is None:
        gold = plain.filter(pc.greater_equal(plain["score"], _SURE))
        classes = tuple(pc.unique(gold["label"]).to_pylist())
    worth = []
    for found in (plain, made):
        arrays = evaluate(
            _columns(gold, items, classes),
            _columns(found, items, classes),
            scores=_scores(found, classes),
            classes=len(classes),
        )
        counted = figures(arrays)
        worth.append(counted.AP50 if calibration.gold is None else counted.AP)
    if worth[0] is None or worth[1] is None:
        raise InputError("the calibration pictures show none of the model's classes; give pictures like the contract's")
    return Guard(
        images=len(items),
        gold="agreement" if calibration.gold is None else "labels",
        figure="AP50" if calibration.gold is None else "AP",
        torch=worth[0],
        engine=worth[1],
        limit_points=LIMITS[plan.precision],
    )


def _predictor(plan: Plan, path: Path, side: int) -> Predictor:
    settings = {**_EVERYTHING, "imgsz": side, "plain": path == plan.weights.path}
    if settings["plain"]:
        settings["batch"] = 1  # so that both see a picture in the same rectangle
    predictor = predictor_of(ModelEntry(name="engine", kind=Kind.IMAGE, loader="ultralytics", path=path, settings=settings))
    predictor.load(plan.device)
    return predictor


def _boxes_of(predictor: Predictor, pictures: Mapping[str, Path]) -> pa.Table:
    sources = [Source(item, Kind.IMAGE, str(path)) for item, path in pictures.items()]
    answers = [predictor.predict(sources[start : start + _CHUNK]) for start in range(0, len(sources), _CHUNK)]
    return flatten(Task.BOXES, pa.concat_tables(answers), "engine")


def _codes(column: pa.ChunkedArray, names: Sequence[str]) -> NDArray[np.int64]:
    found = pc.index_in(column.cast(pa.string()), pa.array(names, pa.string()))
    return np.asarray(pc.fill_null(found, -1).to_numpy(), np.int64)


def _of_classes(table: pa.Table, classes: Sequence[str]) -> pa.Table:
    return table.filter(pc.is_in(table["label"].cast(pa.string()), pa.array(classes, pa.string())))


def _columns(table: pa.Table, items: Sequence[str], classes: Sequence[str]) -> BoxColumns:
    known = _of_classes(table, classes)
    return box_columns(known, image=_codes(known["item"], items), label=_codes(known["label"], classes))


def _scores(table: pa.Table, classes: Sequence[str]) -> NDArray[np.float64]:
    return np.asarray(_of_classes(table, classes)["score"].to_numpy(), np.float64)
