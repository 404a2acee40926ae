"""What stands where in a YOLO folder: names of the classes, lists of images, label files.

Four layouts are read: Ultralytics (data.yaml, `labels` in the place of `images`), darknet (obj.data, obj.names, train.txt,
obj_train_data/), Label Studio (classes.txt, labels/), and label files beside a classes.txt. Files are looked for inside
the folder alone; paths in lists are names of items and are never opened.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

import yaml

from contract.errors import FormatError
from contract.formats.itemfiles import files_below, read_text_lines
from contract.formats.jsonfile import read_file
from contract.formats.sidecar import FOLDER
from contract.yamlfile import parse_yaml, problem_in_words

YAML: Final = "data.yaml"
DATA: Final = "obj.data"
NAMES: Final = "obj.names"
CLASSES: Final = "classes.txt"
_YAMLS: Final = (".yaml", ".yml")
SPLITS: Final = ("train", "val", "valid", "test")
LABELS: Final = "labels"
IMAGES: Final = "images"
DARKNET_FOLDER: Final = "obj_train_data"
_NO_LABELS: Final = frozenset({"train.txt", "val.txt", "valid.txt", "test.txt", CLASSES})


@dataclass(frozen=True)
class Layout:
    """A folder as it was found.

    Args:
        names: number of the class -> its name.
        labels: path of a label file below the folder, without suffix -> the file.
        images: image paths as the lists name them, in their order.
    """

    names: Mapping[int, str]
    labels: Mapping[str, Path]
    images: tuple[str, ...]


def label_place(stem: str) -> str:
    """Return where Ultralytics looks for the labels of images/train/`stem`: `labels` for the last `images`."""
    head, _, tail = f"/{IMAGES}/train/{stem}".rpartition(f"/{IMAGES}/")
    return f"{head}/{LABELS}/{tail}".removeprefix("/")


def darknet_place(stem: str) -> str:
    """Return where darknet looks for the labels of obj_train_data/`stem`: beside the image."""
    return f"{DARKNET_FOLDER}/{stem}"


def label_of_image(path: str) -> str:
    """Return where the label file of an image in a list stands, without the suffix, by the rule of either layout."""
    plain = path.replace("\\", "/").removeprefix("./").lstrip("/")
    stem = str(PurePosixPath(plain).with_suffix("")) if plain.strip("/.") else plain
    head, images, tail = f"/{stem}".rpartition(f"/{IMAGES}/")
    return f"{head}/{LABELS}/{tail}".removeprefix("/") if images else stem.removeprefix("data/")


def without_layout(path: str) -> str:
    """Return the path of an image or label file without the folders that a layout puts before it."""
    parts = PurePosixPath(path.replace("\\", "/")).parts
    for at, part in enumerate(parts):
        if part in (LABELS, IMAGES):
            split = at + 1 < len(parts) - 1 and parts[at + 1] in SPLITS
            return "/".join(parts[at + 1 + split :])
        if part.startswith("obj_") and part.endswith("_data"):
            return "/".join(parts[at + 1 :])
    return "/".join(parts)


def find_layout(path: Path) -> Layout:
    """Return what stands in the folder at `path`, or in that of the file at `path`, which names the classes.

    Raises:
        FormatError: there are no names of classes, a file is broken, or names a file outside the folder.
    """
    file = _naming(path) if path.is_dir() else path
    folder = file.parent
    if file.suffix in _YAMLS:
        names, images = _of_yaml(file)
    elif file.suffix == ".data":
        names, images = _of_data(file)
    elif file.name == CLASSES:
        names, images = _numbered(_lines(file)), ()
    else:
        raise FormatError(f"{file}: does not name the classes; give the folder, or its {YAML}, {DATA} or {CLASSES}")
    return Layout(names, _label_files(folder, darknet=file.suffix == ".data"), images)


def _naming(folder: Path) -> Path:
    """Return the file that names the classes: data.yaml, or the only other YAML there is, obj.data, or classes.txt."""
    if (folder / YAML).exists():
        return folder / YAML
    others = sorted(file for suffix in _YAMLS for file in folder.glob(f"*{suffix}"))
    if len(others) == 1:
        return others[0]
    for name in (DATA, CLASSES):
        if (folder / name).exists():
            return folder / name
    raise FormatError(f"{folder}: the folder has neither {YAML} nor {DATA} nor {CLASSES}, which name the classes")


def _label_files(folder: Path, *, darknet: bool) -> Mapping[str, Path]:
    """Return the label files: lists, licences and notes lie outside the folders that layouts keep labels in."""
    found = {name: file for name, file in files_below(folder, ".txt") if not name.startswith(f"{FOLDER}/")}
    for belongs in _BELONGS[darknet]:
        chosen = {name: file for name, file in found.items() if belongs(name)}
        if chosen:
            return chosen
    return {name: file for name, file in found.items() if "/" in name or f"{name}.txt" not in _NO_LABELS}


def _is_below_labels(name: str) -> bool:
    return LABELS in name.split("/")[:-1]


def _is_below_data(name: str) -> bool:
    return bool(re.search(r"(^|/)obj_[^/]*_data/", name))


_BELONGS: Final = {True: (_is_below_data, _is_below_labels), False: (_is_below_labels,)}


def _of_yaml(where: Path) -> tuple[Mapping[int, str], tuple[str, ...]]:
    try:
        document = parse_yaml(read_file(where).decode("utf-8"))
    except UnicodeDecodeError as error:
        raise FormatError(f"{where}: not a text in UTF-8 (byte {error.start})") from error
    except yaml.YAMLError as error:
        raise FormatError(f"{where}: not a YAML document: {problem_in_words(error)}") from error
    if not isinstance(document, dict) or not isinstance(document.get("names"), (dict, list)):
        raise FormatError(f"{where}: 'names' must hold the names of the classes, as a list or by number")
    names = document["names"]
    numbered = dict(enumerate(names)) if isinstance(names, list) else names
    lists = [entry for split in SPLITS for entry in _as_list(document.get(split)) if str(entry).endswith(".txt")]
    images = tuple(image for name in dict.fromkeys(map(str, lists)) for image in _listed(where.parent, name, str(where)))
    return {_class_number(key, str(where)): str(name) for key, name in numbered.items()}, images


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _class_number(key: Any, where: str) -> int:
    if isinstance(key, bool) or not str(key).isdecimal() or len(str(key)) > 9:
        raise FormatError(f"{where}: 'names' has the key {str(key)[:40]!r}, which is not the number of a class")
    return int(key)


def _of_data(where: Path) -> tuple[Mapping[int, str], tuple[str, ...]]:
    folder = where.parent
    pairs = [line.partition("=") for line in _lines(where)]
    values = {key.strip(): value.strip() for key, _, value in pairs}
    if not values.get("names"):
        raise FormatError(f"{where}: has no line 'names = data/{NAMES}'")
    names = _numbered(_lines(_inside(folder, values["names"], str(where))))
    lists = [value for split in SPLITS if (value := values.get(split))]
    return names, tuple(image for name in dict.fromkeys(lists) for image in _listed(folder, name, str(where)))


def _listed(folder: Path, name: str, where: str) -> Iterator[str]:
    yield from _lines(_inside(folder, name, where))


def _inside(folder: Path, name: str, where: str) -> Path:
    """Return the file that a file of the layout names; darknet's own paths begin at the folder above, `data/...`."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise FormatError(f"{where}: names {name!r}, which leads out of the folder; put the file beside it")
    for parts in (path.parts, path.parts[1:]):
        file = folder.joinpath(*parts)
        if parts and _is_file(file):
            if folder.resolve() not in file.resolve().parents:
                raise FormatError(f"{file}: the link leads out of the folder; put a copy of the file in its place")
            return file
    raise FormatError(f"{where}: names {name!r}, but there is no such file")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # longer than a name may be
        return False


def _numbered(names: list[str]) -> Mapping[int, str]:
    return dict(enumerate(name.strip() for name in names))


def _lines(path: Path) -> list[str]:
    """Return the lines of a list that are not blank; only a line feed ends one."""
    return [line for line in read_text_lines(path) if line.strip()]
