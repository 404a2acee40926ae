"""COCO files by themselves, read in a stream into columns: instances, and the bare list of results.

No box is ever a Python object, but for those that a message is about. Ids are whole numbers of 64 bits or texts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contract.errors import FormatError
from contract.formats.columns import Columns, Mask
from contract.formats.jsonfile import field, number, number_or_none
from contract.formats.jsonstream import tokens
from contract.formats.jsonstream.columns import JsonStream, Streaming, open_stream, read_object
from contract.formats.jsonstream.parts import Field, Fields
from contract.formats.jsonstream.records import KEYS, NUMBERS, QUADS, TEXTS
from contract.labelset import LabelSet
from contract.tables import CODED, SCHEMAS, STATES, Kind, State, Task
from contract.words import did_you_mean

NOT_ANNOTATED: Final = "not_annotated"  # our own list beside COCO's: items that nobody has found empty
_IMAGES: Final = Fields(
    (
        Field("id", KEYS),
        Field("file_name", TEXTS),
        Field("sha256", TEXTS),
        Field("width", NUMBERS),
        Field("height", NUMBERS),
    )
)
_CATEGORIES: Final = Fields((Field("id", KEYS), Field("name", TEXTS)))
_UNTOUCHED: Final = Fields((Field("file_name", TEXTS), Field("state", TEXTS)))
_BOX_FIELDS: Final = (
    Field("image_id", KEYS),
    Field("category_id", KEYS),
    Field("bbox", QUADS),
    Field("score", NUMBERS),
    Field("iscrowd", NUMBERS),
    Field("area", NUMBERS),
    Field("source", TEXTS),
)
_BOXES: Final = pa.schema(
    [each.with_type(CODED) if each.type == pa.string() else each for each in SCHEMAS[Task.BOXES]]
)  # no text for each of ten million boxes
_RESULTS: Final = Fields(_BOX_FIELDS)
_ANNOTATIONS: Final = Fields((Field("id", KEYS), *_BOX_FIELDS))
_LISTS: Final = {
    "images": (_IMAGES, "images[{}]", 0),
    "annotations": (_ANNOTATIONS, "annotation {}", 1),
    "categories": (_CATEGORIES, "categories[{}]", 0),
    NOT_ANNOTATED: (_UNTOUCHED, NOT_ANNOTATED + "[{}]", 0),
}
_LIST, _OBJECT = b"[{"
Ids = Mapping[int | str, str]


@dataclass(frozen=True)
class CocoFile:
    """An instances file: its ids, and its labels in the file's own order.

    Args:
        path: where it was read from.
        images: image id -> item (the file name).
        categories: category id -> class name.
        labels: states of all images, and the boxes, their texts coded, with crowd and area where the file gives them.
        annotations: id of the annotation of each row of the boxes, null where the file gives none; texts if one of them is.
        sha256: item -> the content's hash, where the file gives it.
        sizes: item -> (width, height) in pixels, where the file gives them.
    """

    path: Path
    images: Ids
    categories: Ids
    labels: LabelSet
    annotations: pa.ChunkedArray
    sha256: Mapping[str, str]
    sizes: Mapping[str, tuple[int, int]]


def is_results(path: Path) -> bool:
    """Return whether the file at `path` is a bare list, as of results.

    Raises:
        FormatError: it is empty or cannot be read.
    """
    with open_stream(path) as stream:
        return stream.peek() == _LIST


def read_coco(path: Path, streaming: Streaming | None = None) -> CocoFile:
    """Read an instances file by itself: items are its file names, ids may count from 0 or from 1.

    Raises:
        FormatError: the file is cut off, lacks a key, repeats a name or an id, or holds a number that is not finite.
    """
    with open_stream(path, streaming) as stream:
        if stream.peek() == _LIST:
            raise FormatError(f"{path}: a bare list of results, which needs the gold's instances file beside it")
        _require(stream, _OBJECT, "it must be an object")
        lists = read_object(stream, _LISTS)
    where = str(path)
    images = _ids(_list(lists, "images", where), name_of="images", name="file_name", where=where)
    categories = _ids(_list(lists, "categories", where), name_of="categories", name="name", where=where)
    annotations = _list(lists, "annotations", where)
    table, with_boxes = _boxes(annotations, images=images, categories=categories, where=where)
    states = pa.concat_tables([_states(images, with_boxes), _read_not_annotated(lists.get(NOT_ANNOTATED), images, where)])
    ids = _annotation_ids(annotations, where)
    sha256, sizes = _facts(lists["images"])
    return CocoFile(path, images, categories, LabelSet(states, {Task.BOXES: table}), ids, sha256, sizes)


def read_results(path: Path, gold: CocoFile, streaming: Streaming | None = None) -> LabelSet:
    """Read a bare list of results by the ids of `gold`, in the file's order; every image of `gold` has been looked at.

    Raises:
        FormatError: the file is broken, or names an image or a category that `gold` has not.
    """
    with open_stream(path, streaming) as stream:
        _require(stream, _LIST, "a list of results must be a list")
        results = stream.entries(_RESULTS, name="annotation {}", first=1)
        stream.end()
    table, with_boxes = _boxes(results, images=gold.images, categories=gold.categories, where=str(path))
    return LabelSet(_states(gold.images, with_boxes), {Task.BOXES: table})


def _require(stream: JsonStream, byte: int, what: str) -> None:
    found = stream.peek()
    if found == byte:
        return
    if found < 0 or chr(found) not in '[{"-0123456789tfn':
        stream.refuse("expected a list or an object")
    raise FormatError(f"{stream.path}: {what}")


def _list(lists: Mapping[str, Columns], name: str, where: str) -> Columns:
    if name not in lists:
        raise FormatError(f"{where}: {name!r} is missing")
    return lists[name]


def _ids(entries: Columns, *, name_of: str, name: str, where: str) -> dict[int | str, str]:
    """Return id -> name of images or categories."""
    whole = entries.are("id", tokens.WHOLE)
    ids: list[Any] = entries.wholes("id").tolist()
    if not whole.all():
        texts = entries.texts("id").to_pylist()
        ids = [number if is_whole else text for number, text, is_whole in zip(ids, texts, whole.tolist(), strict=True)]
    names = entries.texts(name).to_pylist()
    result: dict[int | str, str] = dict(zip(ids, names, strict=True))
    if None in result or len(result) < len(ids) or not all(names) or len(set(names)) < len(names):
        _explain_ids(entries, name_of=name_of, name=name, where=where)
    return result


def _explain_ids(entries: Columns, *, name_of: str, name: str, where: str) -> None:
    found: dict[int | str, str] = {}
    names: set[str] = set()
    word = {"images": "image", "categories": "category"}[name_of]
    for row in range(len(entries)):
        place = f"{where}: {name_of}[{row}]"
        entry = entries.entry(row)
        of, called = _id(field(entry, "id", where=place), place), field(entry, name, where=place)
        if not isinstance(called, str) or not called:
            raise FormatError(f"{place}: {name} is {called!r}, which is not a name")
        if of in found:
            raise FormatError(f"{where}: {word} id {of!r} stands for both {found[of]!r} and {called!r}")
        if called in names:
            raise FormatError(f"{where}: two {name_of} are called {called!r}")
        found[of] = called
        names.add(called)


def _facts(images: Columns) -> tuple[dict[str, str], dict[str, tuple[int, int]]]:
    """Return the hashes and the sizes of the images that have some."""
    names = images.texts("file_name").to_pylist()
    hashes = images.texts("sha256").to_pylist() if images.has_texts("sha256") else []
    sized = (images.are("width", tokens.WHOLE) & images.are("height", tokens.WHOLE)).tolist()
    sizes = zip(images.numbers("width").tolist(), images.numbers("height").tolist(), strict=True)
    return (
        {name: sha256 for name, sha256 in zip(names, hashes, strict=False) if sha256 is not None},
        {name: (int(w), int(h)) for name, (w, h), known in zip(names, sizes, sized, strict=True) if known},
    )


class _Index:
    """Ids and what they stand for, to look up whole columns."""

    def __init__(self, ids: Ids) -> None:
        self.names = pa.array(ids.values(), pa.string())
        whole = [(of, place) for place, of in enumerate(ids) if isinstance(of, int)]
        text = [(of, place) for place, of in enumerate(ids) if isinstance(of, str)]
        pairs = np.array(sorted(whole), np.int64).reshape(-1, 2)
        self._wholes, self._places = pairs[:, 0].copy(), pairs[:, 1].astype(np.int32)
        self._texts = pa.array([of for of, _ in text], pa.string())
        self._text_places = np.array([place for _, place in text] + [-1], np.int32)

    def codes(self, entries: Columns, name: str) -> NDArray[np.int32]:
        """Return the index into `names` for every cell of the column, -1 where there is none."""
        codes = np.where(entries.are(name, tokens.WHOLE), self._codes_of_wholes(entries.wholes(name)), np.int32(-1))
        if entries.has_texts(name):
            texts = entries.texts(name)
            pieces = [self._codes_of_texts(chunk) for chunk in texts.chunks]
            codes = np.where(entries.are(name, tokens.TEXT), np.concatenate(pieces), codes)
        return codes

    def _codes_of_wholes(self, wholes: NDArray[np.int64]) -> NDArray[np.int32]:
        if not self._wholes.size:
            return np.full(wholes.size, -1, np.int32)
        low, high = int(self._wholes[0]), int(self._wholes[-1])
        if high - low > 4 * self._wholes.size + (1 << 16):
            at = np.minimum(np.searchsorted(self._wholes, wholes), self._wholes.size - 1)
            return np.where(self._wholes[at] == wholes, self._places[at], np.int32(-1))
        table = np.full(high - low + 1, -1, np.int32)
        table[self._wholes - low] = self._places
        inside = (wholes >= low) & (wholes <= high)
        if inside.all():
            return table[wholes - low]
        return np.where(inside, table[np.where(inside, wholes, low) - low], np.int32(-1))

    def _codes_of_texts(self, texts: pa.DictionaryArray) -> NDArray[np.int32]:
        places = pc.fill_null(pc.index_in(texts.dictionary, value_set=self._texts), len(self._texts)).to_numpy()
        indices = pc.fill_null(texts.indices, len(places)).to_numpy()
        return np.asarray(np.append(self._text_places[places], np.int32(-1))[indices], np.int32)


def _boxes(entries: Columns, *, images: Ids, categories: Ids, where: str) -> tuple[pa.Table, Mask]:
    """Return the table of boxes, and which of the images has one."""
    image_index, category_index = _Index(images), _Index(categories)
    with_boxes = np.zeros(len(images), np.bool_)
    tables = []
    for start, part in entries.starts():
        image, category = image_index.codes(part, "image_id"), category_index.codes(part, "category_id")
        wrong = (image < 0) | (category < 0) | _wrong_values(part)
        if wrong.any():
            row = int(wrong.argmax())
            _explain_box(part.entry(row), start + row + 1, images=images, categories=categories, where=where)
        with_boxes[image] = True
        names = (_named(image, image_index.names), _named(category, category_index.names))
        tables.append(pa.table([*names, *_values(part)], schema=_BOXES))
    return pa.concat_tables(tables) if tables else _BOXES.empty_table(), with_boxes


def _named(codes: NDArray[np.int32], names: pa.Array) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes), names)


def _wrong_values(part: Columns) -> Mask:
    """Return which entries have a box, score, area or crowd mark that cannot be."""
    wrong = ~part.are("bbox", tokens.QUAD)
    for place in range(4):
        wrong |= ~np.isfinite(part.numbers("bbox", place))
    for name in ("score", "area"):
        wrong |= ~part.are(name, tokens.ABSENT, tokens.NULL, tokens.WHOLE, tokens.FLOAT)
        wrong |= ~np.isfinite(part.numbers(name))
    crowd = part.numbers("iscrowd")
    return np.asarray(wrong | part.are("iscrowd", tokens.ODD) | ((crowd != 0) & (crowd != 1)), np.bool_)


def _values(part: Columns) -> list[pa.Array]:
    """Return the columns of the table of boxes behind item and label."""
    unmarked = part.are("iscrowd", tokens.ABSENT, tokens.NULL)
    crowd = pa.array(part.numbers("iscrowd") == 1, pa.bool_(), mask=unmarked)
    return [
        *(pa.array(part.numbers("bbox", place)) for place in range(4)),
        _nullable(part, "score"),
        pa.nulls(len(part), pa.bool_()) if unmarked.all() else crowd,
        _nullable(part, "area"),
        part.texts("source").combine_chunks(),
    ]


def _nullable(part: Columns, name: str) -> pa.Array:
    known = part.are(name, tokens.WHOLE, tokens.FLOAT)
    if not known.any():
        return pa.nulls(len(part), pa.float64())
    return pa.array(part.numbers(name), mask=None if known.all() else ~known)


def _explain_box(entry: Mapping[str, Any], index: int, *, images: Ids, categories: Ids, where: str) -> NoReturn:
    """Say what is wrong with a box."""
    place = f"{where}: annotation {index}"
    image = _id(field(entry, "image_id", where=place), place)
    if image not in images:
        raise FormatError(f"{place}: image_id {image!r} is not among the images")
    place = f"{place} of item {images[image]!r}"
    category = _id(field(entry, "category_id", where=place), place)
    if category not in categories:
        raise FormatError(f"{place}: category_id {category!r} is not among the categories")
    bbox = field(entry, "bbox", where=place)
    if not isinstance(bbox, list) or len(bbox) != 4:
        raise FormatError(f"{place}: bbox must be [x, y, width, height], but is {bbox!r}")
    for at, value in enumerate(bbox):
        number(value, name=f"bbox[{at}]", where=place)
    for name in ("score", "area"):
        number_or_none(entry.get(name), name=name, where=place)
    raise FormatError(f"{place}: iscrowd must be 0 or 1, but is {entry.get('iscrowd')!r}")


def _id(value: Any, where: str) -> int | str:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise FormatError(f"{where}: id {value!r} is neither a whole number nor a text")
    if isinstance(value, int) and abs(value) >= 2**63:
        raise FormatError(f"{where}: id {value} is no whole number of 64 bits")
    return value


def _annotation_ids(annotations: Columns, where: str) -> pa.ChunkedArray:
    """Return the annotations' own ids.

    Raises:
        FormatError: two annotations have the same.
    """
    whole = annotations.are("id", tokens.WHOLE)
    ids = pa.chunked_array([pa.array(annotations.wholes("id"), mask=~whole)])
    if annotations.has_texts("id"):
        ids = pa.chunked_array(
            [pc.coalesce(ids.cast(pa.string()), annotations.texts("id").cast(pa.string())).combine_chunks()]
        )
    known = ids.drop_null()
    if pc.count_distinct(known).as_py() < len(known):
        counts = pc.value_counts(known)
        twice = counts.filter(pc.greater(counts.field("counts"), 1))[0]["values"]
        rows = np.flatnonzero(pc.equal(ids, twice).fill_null(False).to_numpy())[:2] + 1
        raise FormatError(f"{where}: annotations {rows[0]} and {rows[1]} have the same id {twice.as_py()!r}")
    return ids


def _read_not_annotated(entries: Columns | None, images: Ids, where: str) -> pa.Table:
    rows = []
    names = set(images.values())
    known = tuple(state.value for state in (State.EXCUSED, State.MISSING, State.REJECTED))
    for index in range(0 if entries is None else len(entries)):
        entry = entries.entry(index) if entries is not None else {}
        place = f"{where}: {NOT_ANNOTATED}[{index}]"
        name, state = field(entry, "file_name", where=place), field(entry, "state", where=place)
        if not isinstance(name, str) or not name:
            raise FormatError(f"{place}: file_name is {name!r}, which is not a name")
        if name in names:
            raise FormatError(f"{place}: item {name!r} stands twice in the file")
        if state not in known:
            raise FormatError(f"{place}: state {state!r} of item {name!r} is unknown{did_you_mean(str(state), known)}")
        names.add(name)
        rows.append({"item": name, "kind": Kind.IMAGE.value, "state": state})
    return pa.Table.from_pylist(rows, schema=STATES)


def _states(images: Ids, with_boxes: Mask) -> pa.Table:
    state = pa.array([State.EMPTY.value, State.LABELLED.value]).take(pa.array(with_boxes.astype(np.int8)))
    kind = pa.array([Kind.IMAGE.value]).take(pa.array(np.zeros(len(images), np.int8)))
    return pa.table([pa.array(images.values(), pa.string()), kind, state], schema=STATES)
