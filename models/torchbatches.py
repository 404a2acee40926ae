"""A detector in torch on one device from files to boxes: decoding, letterbox, network and suppression stay there.

On CUDA, JPEGs are decoded by nvJPEG, batch by batch; what it does not take, and everything on a CPU, by `models.images`.
Pictures that call for the same rectangle go through the network together. While one batch computes, the next is read and
decoded, on a stream of its own. Two waits a batch remain: for the number of likely cells, and for the boxes.
"""

import contextlib
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.ops import nms

from contract.errors import SourceError
from contract.predictor import Source
from models.boxes import Boxes, clipped
from models.content import read_content
from models.images import decode_within
from models.jpegs import jpeg_size, may_be_turned
from models.letterbox import GREY, Fit, fit, unfitted
from models.yolo import quiet_ultralytics

_APART: Final = 7680.0  # pixels between the boxes of two classes or two pictures; in doubles, so that none is moved
_SIDE: Final = 640
_END: Final = b"\xff\xd9"  # end of image, ITU-T T.81
_ROW: Final = 7  # picture, x1, y1, x2, y2, score, class


class Wanted(NamedTuple):
    """How boxes are found; see `models.detector.Settings`."""

    conf: float
    iou: float
    max_det: int
    classes: Collection[int]
    side: int | None
    rect: bool
    batch: int
    threads: int
    max_pixels: int


class Placed(NamedTuple):
    """A picture on the device, 3 x height x width, of any scale, and where it will lie in the network's input."""

    pixels: Tensor
    place: Fit


class TorchBatches:
    """A detector's network in torch; `look` is called by one thread at a time.

    Args:
        weights: Ultralytics' own .pt.
        device: cpu or cuda:N.
        dtype: of the network's arithmetic; boxes are decoded in single precision from what the head says.
        graphs: compile the network with torch.compile, into CUDA graphs where there is CUDA; batches are then filled up.
    """

    def __init__(self, weights: Path, wanted: Wanted, *, device: str, dtype: torch.dtype, graphs: bool) -> None:
        model = quiet_ultralytics().YOLO(str(weights), task="detect")
        network = model.model.fuse().eval().to(device=device, dtype=dtype).to(memory_format=torch.channels_last)
        self._side = wanted.side or int(model.overrides.get("imgsz", _SIDE))
        self._stride = int(max(network.stride)) if wanted.rect else None
        self._network: Any = torch.compile(network, mode="reduce-overhead", dynamic=False) if graphs else network
        self._wanted, self._filled = wanted, graphs
        self._device, self._dtype = torch.device(device), dtype
        self._cells: dict[tuple[tuple[int, int], ...], tuple[Tensor, Tensor]] = {}
        self._allowed = torch.zeros(len(model.names), dtype=torch.bool, device=self._device)
        self._allowed[sorted(wanted.classes)] = True
        self._aside: Any = torch.cuda.Stream(self._device) if self._device.type == "cuda" else None  # type: ignore[no-untyped-call]
        self._readers = ThreadPoolExecutor(wanted.threads, thread_name_prefix="decode")

    def look(self, sources: Sequence[Source]) -> list[Boxes | str]:
        """Return the boxes of each source, or in one sentence why there are none, in their order."""
        step = self._wanted.batch
        batches = [sources[start : start + step] for start in range(0, len(sources), step)]
        found: list[Boxes | str] = []
        with ThreadPoolExecutor(1, thread_name_prefix="ahead") as ahead:
            coming = [ahead.submit(self._prepare, batch) for batch in batches[:1]]
            for following in [*batches[1:], None]:
                if not coming:
                    break
                prepared = coming.pop().result()
                if following is not None:
                    coming.append(ahead.submit(self._prepare, following))
                found += self._found(prepared)
        return found

    def see(self, pictures: Sequence[NDArray[np.uint8]]) -> list[Boxes]:
        """Return the boxes of each RGB picture, height x width x 3."""
        step, found = self._wanted.batch, []
        for start in range(0, len(pictures), step):
            batch = pictures[start : start + step]
            with self._on_the_side():
                placed = [self._placed(self._sent(picture), *picture.shape[:2]) for picture in batch]
            found += self._found(placed)
        return [boxes for boxes in found if isinstance(boxes, Boxes)]

    @contextlib.contextmanager
    def _on_the_side(self) -> Iterator[None]:
        """Work on the stream of its own, and leave when all of it is done."""
        with torch.inference_mode():
            if self._aside is None:
                yield
                return
            with torch.cuda.stream(self._aside):
                yield
            self._aside.synchronize()

    def _prepare(self, sources: Sequence[Source]) -> list[Placed | str]:
        opened = list(self._readers.map(self._opened, sources))
        with self._on_the_side():
            by_device = self._decoded({at: one for at, one in enumerate(opened) if isinstance(one, bytes)})
            prepared: list[Placed | str] = []
            for at, one in enumerate(opened):
                if isinstance(one, str):
                    prepared.append(one)
                elif isinstance(one, bytes):
                    prepared.append(by_device[at])
                else:
                    pixels, height, width = one
                    prepared.append(self._placed(self._sent(pixels), height, width))
        return prepared

    def _opened(self, source: Source) -> Any:
        """Return a JPEG for the device as its bytes, any other picture decoded, and of a bad one the reason."""
        try:
            content = read_content(source)
            whole = self._aside is not None and content.rstrip(b"\x00").endswith(_END)  # nvJPEG would make up a missing end
            size = jpeg_size(content) if whole and not may_be_turned(content) else None
            if size is not None and size[0] * size[1] <= self._wanted.max_pixels:
                return content
            return self._by_processor(content)
        except SourceError as error:
            return str(error)

    def _by_processor(self, content: bytes) -> Any:
        return decode_within(content, within=(self._side, self._side), max_pixels=self._wanted.max_pixels)

    def _decoded(self, jpegs: Mapping[int, bytes]) -> dict[int, Placed | str]:
        """Decode JPEGs on the device together; if one is beyond it, all of them here, so that its reason is known."""
        if not jpegs:
            return {}
        encoded = [torch.frombuffer(bytearray(content), dtype=torch.uint8) for content in jpegs.values()]
        try:
            pictures = decode_jpeg(encoded, mode=ImageReadMode.RGB, device=self._device)
        except RuntimeError:
            return {at: self._alone(content) for at, content in jpegs.items()}
        return {at: self._placed(one, *one.shape[1:]) for at, one in zip(jpegs, pictures, strict=True)}

    def _alone(self, content: bytes) -> Placed | str:
        try:
            pixels, height, width = self._by_processor(content)
        except SourceError as error:
            return str(error)
        return self._placed(self._sent(pixels), height, width)

    def _sent(self, pixels: NDArray[np.uint8]) -> Tensor:
        here = torch.from_numpy(np.require(pixels, requirements=["C", "W"]))
        if self._aside is not None:
            here = here.pin_memory().to(self._device, non_blocking=True)
        return here.permute(2, 0, 1)

    def _placed(self, pixels: Tensor, height: int, width: int) -> Placed:
        place = fit(height, width, within=(self._side, self._side), stride=self._stride)
        return Placed(self._letterboxed(pixels, place), place)

    def _letterboxed(self, pixels: Tensor, place: Fit) -> Tensor:
        """Return the network's input for one picture, as bytes: OpenCV's bilinear resizing to about a grey level."""
        whole = torch.full((3, *place.shape), GREY, dtype=torch.uint8, device=self._device)
        if pixels.shape[1:] != (place.rows, place.columns):
            size = (place.rows, place.columns)
            pixels = interpolate(pixels[None].float(), size, mode="bilinear", align_corners=False)[0].round_()
        whole[:, place.top : place.top + place.rows, place.left : place.left + place.columns] = pixels
        return whole

    def _found(self, prepared: Sequence[Placed | str]) -> list[Boxes | str]:
        found: list[Boxes | str] = [one if isinstance(one, str) else "" for one in prepared]
        shapes: dict[tuple[int, int], list[int]] = {}
        for at, one in enumerate(prepared):
            if isinstance(one, Placed):
                shapes.setdefault(one.place.shape, []).append(at)
        for members in shapes.values():
            group = [one for one in (prepared[at] for at in members) if isinstance(one, Placed)]
            rows = self._rows(torch.stack([one.pixels for one in group]))
            bounds = np.searchsorted(rows[:, 0], np.arange(len(group) + 1))
            for number, (at, one) in enumerate(zip(members, group, strict=True)):
                own = rows[bounds[number] : bounds[number + 1]][: self._wanted.max_det, 1:]
                corners = unfitted(own[:, :4].astype(np.float32), one.place)
                size = (one.place.width, one.place.height)
                found[at] = clipped(np.concatenate([corners, own[:, 4:]], axis=1).astype(np.float64), size)
        return found

    @torch.inference_mode()
    def _rows(self, pictures: Tensor) -> NDArray[np.float64]:
        """Return rows of picture, x1, y1, x2, y2, score, class by picture and falling score, in pixels of the input."""
        count = len(pictures)
        if self._filled and count < self._wanted.batch:
            pictures = torch.cat([pictures, pictures[:1].expand(self._wanted.batch - count, -1, -1, -1)])
        entering = (pictures.to(self._dtype) / 255).contiguous(memory_format=torch.channels_last)
        result = self._network(entering)
        decoded, said = result if isinstance(result, tuple) else (result, {})
        if isinstance(said, dict) and {"boxes", "scores", "feats"} <= said.keys():
            rows = self._suppressed(self._likely(said, count, height=pictures.shape[2]))
        else:
            rows = self._end_to_end(decoded[:count]) if decoded.shape[-1] == _ROW - 1 else self._whole(decoded[:count])
        here: NDArray[np.float64] = rows.cpu().numpy()
        return here[np.argsort(here[:, 0], kind="stable")]

    def _likely(self, said: Mapping[str, Any], count: int, *, height: int) -> Tensor:
        """Return the boxes over the least score out of what the head says: of a class each, its likeliest."""
        best, kinds = said["scores"][:count].float().sigmoid().max(dim=1)
        picture, cell = ((best > self._wanted.conf) & self._allowed[kinds]).nonzero(as_tuple=True)
        bins = said["boxes"][picture, :, cell].float().unflatten(1, (4, -1))
        steps = torch.arange(bins.shape[2], device=self._device, dtype=torch.float32)
        sides = bins[:, :, 0] if len(steps) == 1 else bins.softmax(dim=2) @ steps
        sizes = tuple((int(level.shape[2]), int(level.shape[3])) for level in said["feats"])
        centres, strides = self._grid(sizes, height)
        corners = torch.cat([centres[cell] - sides[:, :2], centres[cell] + sides[:, 2:]], dim=1) * strides[cell, None]
        return _together(picture, corners, best[picture, cell], kinds[picture, cell])

    def _whole(self, decoded: Tensor) -> Tensor:
        """Return the same out of decoded predictions, pictures x (4 + classes) x cells."""
        best, kinds = decoded[:, 4:].float().max(dim=1)
        picture, cell = ((best > self._wanted.conf) & self._allowed[kinds]).nonzero(as_tuple=True)
        sides = decoded[picture, :4, cell].float()
        middle, half = sides[:, :2], sides[:, 2:] / 2
        corners = torch.cat([middle - half, middle + half], dim=1)
        return self._suppressed(_together(picture, corners, best[picture, cell], kinds[picture, cell]))

    def _end_to_end(self, decoded: Tensor) -> Tensor:
        """Return the same out of a network that suppresses by itself, pictures x boxes x 6."""
        kinds = decoded[..., 5].long()
        picture, row = ((decoded[..., 4] > self._wanted.conf) & self._allowed[kinds]).nonzero(as_tuple=True)
        kept = decoded[picture, row]
        return _together(picture, kept[:, :4], kept[:, 4], kept[:, 5])

    def _suppressed(self, rows: Tensor) -> Tensor:
        apart = (rows[:, :1] * len(self._allowed) + rows[:, 6:]) * _APART
        return rows[nms(rows[:, 1:5] + apart, rows[:, 5], self._wanted.iou)]

    def _grid(self, sizes: tuple[tuple[int, int], ...], height: int) -> tuple[Tensor, Tensor]:
        """Return the centres (x, y) in strides and the strides of all cells of maps of `sizes`, level by level."""
        if sizes not in self._cells:
            centres, strides = [], []
            for rows, columns in sizes:
                y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
                centres.append(torch.stack([x.flatten(), y.flatten()], dim=1) + 0.5)
                strides.append(torch.full((rows * columns,), float(math.ceil(height / rows))))
            self._cells[sizes] = (torch.cat(centres).to(self._device), torch.cat(strides).to(self._device))
        return self._cells[sizes]


def _together(picture: Tensor, corners: Tensor, scores: Tensor, kinds: Tensor) -> Tensor:
    return torch.cat([one.double() for one in (picture[:, None], corners, scores[:, None], kinds[:, None])], dim=1)
