"""One image or one text from the status page, labelled and drawn; nothing of it is kept."""

import asyncio
import base64
import time
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from contract.errors import SourceError
from contract.predictor import Description, Source
from contract.tables import Kind
from models.images import preview
from serving.backend import Backend
from serving.http.problems import ProblemError

_SIDE: Final = 1280
_MAX_PIXELS: Final = 40_000_000
_MOST_DRAWN: Final = 300
_MOST_LISTED: Final = 30
_MOST_TEXT: Final = 2000
# Dark enough for white letters, and told apart by people who see fewer colours (after Okabe and Ito).
_COLOURS: Final = ("#0072b2", "#a34700", "#00663f", "#8a2f6b", "#7a4b00", "#005a8e", "#a4161a", "#3e4c59")


@dataclass(frozen=True)
class Mark:
    """A box on the picture, in its pixels, and where its label stands."""

    x: float
    y: float
    w: float
    h: float
    text: str
    colour: str
    label_x: float
    label_y: float
    label_width: float


@dataclass(frozen=True)
class Picture:
    """The image as it is shown; `unit` is a line of the drawing in the image's pixels."""

    uri: str
    width: int
    height: int
    unit: float
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Line:
    """A box in words."""

    label: str
    score: str
    position: str


@dataclass(frozen=True)
class Bar:
    """A label and its probability; `width` is of 200."""

    label: str
    share: str
    width: float
    chosen: bool


@dataclass(frozen=True)
class Tried:
    """What became of a try.

    Args:
        kind: image or text; None where that is what was wrong.
        status: of the answer.
        problem: why there is none.
        model: name and version of what answered.
        ms: how long it took.
        reason: why the item was rejected.
        text: the text, or its beginning.
        picture: the image and its boxes.
        not_drawn: why there is no picture.
        lines: the boxes, the likeliest first.
        lines_left: boxes that are not listed.
        bars: labels of the text.
    """

    kind: Kind | None
    status: int = 200
    problem: str | None = None
    model: str = ""
    ms: str = ""
    reason: str | None = None
    text: str = ""
    picture: Picture | None = None
    not_drawn: str | None = None
    lines: tuple[Line, ...] = ()
    lines_left: int = 0
    bars: tuple[Bar, ...] = ()


class Bench:
    """Labels what people try, one picture drawn at a time.

    Args:
        backend: the models.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._drawing = asyncio.Semaphore(1)

    async def tried(self, request: Request) -> Tried:
        """Label what the form of `request` brings; whatever goes wrong is part of what is returned."""
        kind: Kind | None = None
        try:
            kind, data = await _of_form(request)
            return await self._label(kind, data)
        except ProblemError as problem:
            return Tried(kind, status=problem.status, problem=problem.detail)
        except HTTPException as error:
            return Tried(kind, status=error.status_code, problem=str(error.detail))

    async def _label(self, kind: Kind, data: bytes) -> Tried:
        started_s = time.perf_counter()
        model, (row,) = await self._backend.label(kind, [Source(item="try", kind=kind, uri="", data=data)])
        ms = f"{1000 * (time.perf_counter() - started_s):.0f}"
        if kind is Kind.TEXT:
            text = data.decode("utf-8", errors="replace")
            shown = text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}…"
            return Tried(kind, model=model.source, ms=ms, reason=row["reason"], text=shown, bars=_bars(row))
        boxes = row["boxes"] or []
        picture, trouble = None, None
        if row["reason"] is None:
            picture, trouble = await self._draw(data, boxes, model)
        return Tried(
            kind,
            model=model.source,
            ms=ms,
            reason=row["reason"],
            picture=picture,
            not_drawn=trouble,
            lines=tuple(_line(box) for box in boxes[:_MOST_LISTED]),
            lines_left=max(0, len(boxes) - _MOST_LISTED),
        )

    async def _draw(
        self, data: bytes, boxes: Sequence[Mapping[str, Any]], model: Description
    ) -> tuple[Picture | None, str | None]:
        try:
            async with self._drawing:
                return await asyncio.to_thread(_picture, data, boxes, model.classes), None
        except SourceError as error:
            return None, str(error)


async def _of_form(request: Request) -> tuple[Kind, bytes]:
    """Return what the form brings.

    Raises:
        ProblemError: 422 neither an image nor a text is in it.
    """
    async with request.form(max_files=1, max_fields=2) as form:
        image, text = form.get("image"), form.get("text")
        if isinstance(image, UploadFile):
            data = await image.read()
            if data:
                return Kind.IMAGE, data
        elif isinstance(text, str):
            return Kind.TEXT, text.encode("utf-8", errors="replace")
    raise ProblemError(422, "choose an image file, or write a text")


def _picture(data: bytes, boxes: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> Picture:
    jpeg, width, height = preview(data, side=_SIDE, max_pixels=_MAX_PIXELS)
    unit = max(width, height) / 640
    colours = {name: _COLOURS[index % len(_COLOURS)] for index, name in enumerate(classes)}
    marks = tuple(_mark(box, unit, width, colours.get(box["label"], _COLOURS[0])) for box in boxes[:_MOST_DRAWN])
    uri = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"
    # Drawn from the least likely on, so that what is likelier lies above.
    return Picture(uri, width, height, unit, marks[::-1])


def _mark(box: Mapping[str, Any], unit: float, width: int, colour: str) -> Mark:
    text = box["label"] if box["score"] is None else f"{box['label']} {box['score']:.2f}"
    ems = sum(1.0 if unicodedata.east_asian_width(letter) in "WF" else 0.6 for letter in text)
    label_width = (12 * ems + 8) * unit
    label_x = max(0.0, min(box["x"], width - label_width))
    label_y = box["y"] - 16 * unit if box["y"] >= 16 * unit else box["y"]
    return Mark(box["x"], box["y"], box["w"], box["h"], text, colour, label_x, label_y, label_width)


def _line(box: Mapping[str, Any]) -> Line:
    position = ", ".join(f"{box[key]:.1f}" for key in ("x", "y", "w", "h"))
    return Line(box["label"], "–" if box["score"] is None else f"{box['score']:.3f}", position)


def _bars(row: Mapping[str, Any]) -> tuple[Bar, ...]:
    bars: list[Bar] = []
    for sentiment in row["sentiments"] or []:
        shares = dict(sentiment["probabilities"] or {})
        if not shares and sentiment["score"] is not None:
            shares = {sentiment["label"]: sentiment["score"]}
        ordered = sorted(shares.items(), key=lambda pair: -pair[1])
        bars += [Bar(name, f"{100 * share:.1f} %", 200 * share, name == sentiment["label"]) for name, share in ordered]
    return tuple(bars)
