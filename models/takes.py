"""Material of the shot model's training: takes from any folder of videos and pictures, filmed by a moving camera.

All is small: what is filmed are the thumbnails that `models.features` measures, from pictures two to eight times as wide.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from contract.errors import InputError, SourceError
from contract.predictor import Source
from contract.tables import Kind
from models.features import CHROMA, GREY, LUMA, FeatureLog
from models.frames import Plane, VideoReader
from models.scenes import render_scene
from models.shotfinders import bounced
from models.shots import find_transitions, shots_between

VIDEOS: Final = frozenset({".mp4", ".mkv", ".webm", ".avi", ".mov", ".mpg", ".m4v", ".ogv", ".ts"})
PICTURES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
FILM: Final = (96, 54)  # width, height at which frames of videos are kept
LEVELS: Final = (8, 4, 2)  # pictures are kept at these multiples of the thumbnail, the finest first
SHORTEST: Final = 20  # frames; shorter takes are left out
LONGEST: Final = 400  # frames that are kept of one take
TRIM: Final = 4  # frames beside a change of shot that are left out, since its place is an estimate
MOST_FRAMES: Final = 40_000  # of all videos together: 250 MB

Planes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Take:
    """What one camera saw: `luma` (n x h x w) and `chroma` (n x h' x w' x 2: Cb, Cr) by level, the finest first.

    A picture has n = 1 and three levels, a video one level.
    """

    name: str
    luma: tuple[Planes, ...]
    chroma: tuple[Planes, ...]

    @property
    def frames(self) -> int:
        """How many frames it has; 1 for a picture."""
        return len(self.luma[0])


@dataclass(slots=True)
class Strip:
    """Frames being put together: `luma` n x 27 x 48 and `chroma` n x 2 x 9 x 16, float32 of 0 to 255."""

    luma: NDArray[np.float32]
    chroma: NDArray[np.float32]

    @property
    def frames(self) -> int:
        """How many frames it has."""
        return len(self.luma)

    def __getitem__(self, frames: slice | NDArray[np.intp]) -> "Strip":
        """Return the chosen frames; a slice shares memory."""
        return Strip(self.luma[frames], self.chroma[frames])


def joined(strips: Sequence[Strip]) -> Strip:
    """Return `strips` one after the other."""
    return Strip(np.concatenate([strip.luma for strip in strips]), np.concatenate([strip.chroma for strip in strips]))


def blank(frames: int, level: float) -> Strip:
    """Return `frames` grey frames of luma `level`."""
    luma = np.full((frames, LUMA[1], LUMA[0]), level, np.float32)
    return Strip(luma, np.full((frames, 2, CHROMA[1], CHROMA[0]), 128.0, np.float32))


@dataclass(frozen=True, slots=True)
class Camera:
    """Where the camera looks, frame by frame: `x`, `y` (centre, 0 to 1), `width` (share of the picture), `angle` (rad)."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    width: NDArray[np.float64]
    angle: NDArray[np.float64]


def read_material(folders: Sequence[Path], *, scenes: int = 0, tell: Callable[[str], None] | None = None) -> list[Take]:
    """Read every video and picture below `folders`, sorted by name; videos are parted at their changes of shot.

    Args:
        folders: where videos and pictures lie, at any depth; files that cannot be read are told and left out.
        scenes: how many rendered scenes are added as pictures.
        tell: gets one line a file that is left out.

    Raises:
        InputError: a folder is absent, or there is no material at all.
    """
    takes: list[Take] = []
    kept = 0
    for path in _files(folders):
        try:
            found = list(_video_takes(path, MOST_FRAMES - kept)) if path.suffix.lower() in VIDEOS else [_picture_take(path)]
        except SourceError as error:
            if tell is not None:
                tell(f"{path.name} is left out: {error}")
            continue
        kept += sum(take.frames for take in found if take.frames > 1)
        takes += found
    takes += [_pyramid(f"scene {seed}", render_scene(seed, width=384, height=216)[0]) for seed in range(scenes)]
    if len(takes) < 2:
        raise InputError(
            f"{', '.join(map(str, folders))}: fewer than two takes to learn from; name folders of videos or pictures"
        )
    return takes


def _files(folders: Sequence[Path]) -> list[Path]:
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder; name folders of videos and pictures")
    found = {path.resolve() for folder in folders for path in folder.rglob("*") if path.suffix.lower() in VIDEOS | PICTURES}
    return sorted(found, key=lambda path: (path.name, path.as_posix()))


def _picture_take(path: Path) -> Take:
    picture = cv2.imread(str(path), cv2.IMREAD_REDUCED_COLOR_2)
    if picture is None or min(picture.shape[:2]) < LUMA[1]:
        raise SourceError("it cannot be read as a picture, or is too small")
    return _pyramid(path.name, picture[..., ::-1])


def _pyramid(name: str, rgb: Planes) -> Take:
    luma, chroma = [], []
    whole = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2YCrCb)
    for level in LEVELS:
        first = cv2.resize(whole[..., 0], (level * LUMA[0], level * LUMA[1]), interpolation=cv2.INTER_AREA)
        others = cv2.resize(whole[..., 2:0:-1], (level * CHROMA[0], level * CHROMA[1]), interpolation=cv2.INTER_AREA)
        studio = np.rint((others - 128.0) * (224 / 255) + 128.0)  # as videos store chroma
        luma.append(first[None])
        chroma.append(studio.astype(np.uint8)[None])
    return Take(name, tuple(luma), tuple(chroma))


def _video_takes(path: Path, limit: int) -> Iterator[Take]:
    log = FeatureLog()
    luma: list[Planes] = []
    chroma: list[Planes] = []
    with VideoReader(Source(path.name, Kind.VIDEO, str(path))) as reader:
        for frame in reader.frames():
            log.add(frame)
            if len(luma) < limit:
                planes = frame.planes(width=4 * FILM[0], height=4 * FILM[1])
                small = _eight_bits(planes.luma, FILM)
                luma.append(small if planes.full_range else _full_range(small))
                sides = [_eight_bits(plane, (FILM[0] // 3, FILM[1] // 3)) for plane in planes.chroma]
                chroma.append(np.stack(sides or [np.full((FILM[1] // 3, FILM[0] // 3), GREY, np.uint8)] * 2, axis=-1))
        rate = reader.timeline().rate
    features = log.features()
    for shot in shots_between(find_transitions(features, rate=rate), features.frames):
        start = shot.start + TRIM * (shot.start > 0)
        end = min(shot.end - TRIM * (shot.end < features.frames), start + LONGEST, len(luma))
        if end - start >= SHORTEST:
            yield Take(f"{path.name} {start}", (np.stack(luma[start:end]),), (np.stack(chroma[start:end]),))


def _eight_bits(plane: Plane, size: tuple[int, int]) -> Planes:
    small = cv2.resize(plane.shown, size, interpolation=cv2.INTER_AREA)
    eight: Planes = (small >> (plane.bits - 8)).astype(np.uint8)
    return eight


def _full_range(luma: Planes) -> Planes:
    full: Planes = np.clip(np.rint((luma.astype(np.float32) - 16.0) * (255.0 / 219.0)), 0, 255).astype(np.uint8)
    return full


def film(take: Take, moments: NDArray[np.float64], camera: Camera) -> Strip:
    """Film `take` at its frames `moments` (rounded down; beyond its ends it runs backwards) through `camera`."""
    frames = bounced(np.floor(moments).astype(np.intp), take.frames)
    level = _level(take, float(camera.width.min()))
    luma, chroma = take.luma[level], take.chroma[level]
    strip = Strip(
        np.empty((len(frames), LUMA[1], LUMA[0]), np.float32), np.empty((len(frames), 2, CHROMA[1], CHROMA[0]), np.float32)
    )
    wide = _matrices(camera, (luma.shape[2], luma.shape[1]), LUMA)
    narrow = _matrices(camera, (chroma.shape[2], chroma.shape[1]), CHROMA)
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    for at, frame in enumerate(frames.tolist()):
        strip.luma[at] = cv2.warpAffine(luma[frame], wide[at], LUMA, flags=how, borderMode=cv2.BORDER_REFLECT_101)
        sides = cv2.warpAffine(chroma[frame], narrow[at], CHROMA, flags=how, borderMode=cv2.BORDER_REFLECT_101)
        strip.chroma[at] = sides.transpose(2, 0, 1)
    return strip


def _level(take: Take, width: float) -> int:
    """The coarsest level that still has a pixel for each of the thumbnail's."""
    for level in range(len(take.luma) - 1, 0, -1):
        if take.luma[level].shape[2] * width >= LUMA[0]:
            return level
    return 0


def _matrices(camera: Camera, size: tuple[int, int], out: tuple[int, int]) -> NDArray[np.float64]:
    """One 2 x 3 matrix a frame from pixels of the thumbnail (integers are centres) to pixels of the picture."""
    cos, sin = np.cos(camera.angle) * camera.width, np.sin(camera.angle) * camera.width
    a, b = cos * size[0] / out[0], -sin * size[0] / out[1]
    d, e = sin * size[1] / out[0], cos * size[1] / out[1]
    middle = (out[0] - 1) / 2, (out[1] - 1) / 2
    tx = camera.x * size[0] - 0.5 - a * middle[0] - b * middle[1]
    ty = camera.y * size[1] - 0.5 - d * middle[0] - e * middle[1]
    return np.stack([np.stack([a, b, tx], axis=-1), np.stack([d, e, ty], axis=-1)], axis=1)
