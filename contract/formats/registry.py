"""The exchange formats by name: a closed table, so that a typo is refused before anything is read or written."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, get_args

from contract.errors import FormatError
from contract.formats import activitynet, coco, jsonl, voc
from contract.formats.cvat import files as cvat
from contract.formats.labelstudio import tasks as labelstudio
from contract.formats.lotview import LotView
from contract.formats.xanylabeling import images as xanylabeling
from contract.formats.yolo import files as yolo
from contract.labelset import LabelSet
from contract.tables import Kind
from contract.terms import Format
from contract.words import did_you_mean

__all__ = ["FORMATS", "Exchange", "LotView", "exchange"]

Writer = Callable[[Path, LabelSet, LotView], list[Path]]
Reader = Callable[[Path, LotView], LabelSet]


@dataclass(frozen=True)
class Exchange:
    """How one format is written into a folder and read back.

    Args:
        name: of the format.
        write: writes labels of the lot's items into a folder.
        read: reads a file or folder and joins it to the lot.
        kinds: the items that it has a place for.
        many: whether each item has a label file of its own.
    """

    name: str
    write: Writer
    read: Reader
    kinds: tuple[Kind, ...] = tuple(Kind)
    many: bool = False


_IMAGES: Final = (Kind.IMAGE,)
_MEDIA: Final = (Kind.IMAGE, Kind.VIDEO)
FORMATS: Final = MappingProxyType(
    {
        "coco": Exchange("coco", coco.write, coco.read, _IMAGES),
        "labelstudio": Exchange("labelstudio", labelstudio.write, labelstudio.read),
        "cvat": Exchange("cvat", cvat.write, cvat.read, _MEDIA),
        "yolo": Exchange("yolo", yolo.write, yolo.read, _IMAGES, many=True),
        "yolo-darknet": Exchange("yolo-darknet", yolo.write_darknet, yolo.read, _IMAGES, many=True),
        "voc": Exchange("voc", voc.write, voc.read, _IMAGES, many=True),
        "xanylabeling": Exchange("xanylabeling", xanylabeling.write, xanylabeling.read, _MEDIA, many=True),
        "jsonl": Exchange("jsonl", jsonl.write, jsonl.read),
        "activitynet": Exchange("activitynet", activitynet.write, activitynet.read, (Kind.VIDEO,)),
    }
)


def exchange(name: str) -> Exchange:
    """Return the format called `name`.

    Raises:
        FormatError: there is no such format.
    """
    if name not in FORMATS:
        raise FormatError(
            f"format {name!r} is unknown; it may be {', '.join(get_args(Format))}{did_you_mean(name, FORMATS)}"
        )
    return FORMATS[name]
