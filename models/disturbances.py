"""What happens within a shot and is no change of it: flashes, banners, things that pass, exposure, faults, grain.

Each takes frames 0 to 255 as a `Strip`, changes them in place and draws all its choices from one generator.
"""

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from models.features import CHROMA, LUMA
from models.takes import Strip

Random = np.random.Generator
Field = NDArray[np.float32]


def _grid(size: tuple[int, int]) -> tuple[Field, Field]:
    x = (np.arange(size[0], dtype=np.float32) + np.float32(0.5)) / np.float32(size[0])
    y = (np.arange(size[1], dtype=np.float32) + np.float32(0.5)) / np.float32(size[1])
    across, down = np.meshgrid(x, y)
    return across, down


GRIDS: Final = (_grid(LUMA), _grid(CHROMA))  # pixel centres, 0 to 1, of luma and of chroma

Shape = Callable[[Field, Field], Field]  # (x, y) -> share from 0 to 1


def paint(strip: Strip, frame: int, shape: Shape, colour: tuple[float, float, float], texture: Strip | None = None) -> None:
    """Lay a colour (Y, Cb, Cr), or the picture `texture` (one frame), over `frame` where `shape` is 1."""
    for target, (x, y), lumas in ((strip.luma, GRIDS[0], True), (strip.chroma, GRIDS[1], False)):
        share = shape(x, y)
        here = target[frame]
        if texture is not None:
            paint_of = texture.luma[0] if lumas else texture.chroma[0]
        else:
            paint_of = np.float32(colour[0]) if lumas else np.array(colour[1:], np.float32)[:, None, None]
        here += share * (paint_of - here)


def _colour(rng: Random) -> tuple[float, float, float]:
    return float(rng.uniform(0, 255)), float(rng.normal(128, 25)), float(rng.normal(128, 25))


def flash(strip: Strip, rng: Random) -> None:
    """Light or darken one to five frames, all over or around a place; at times again and again."""
    length = int(rng.integers(1, 6))
    times = int(rng.integers(3, 9)) if rng.random() < 0.25 else 1
    at = int(rng.integers(0, max(1, strip.frames - length)))
    level = 0.0 if rng.random() < 0.25 else 255.0
    whole = rng.random() < 0.7
    x0, y0, radius = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.2, 0.8)
    strength, falls = rng.uniform(0.3, 1.0), rng.random() < 0.6
    for _ in range(times):
        for step in range(min(length, strip.frames - at)):
            share = np.float32(strength * ((1 - step / length) if falls else 1.0))

            def light(x: Field, y: Field, share: np.float32 = share) -> Field:
                if whole:
                    return np.full_like(x, share)
                spot: Field = share * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / np.float32(radius**2))
                return spot

            paint(strip, at + step, light, (level, 128.0, 128.0))
        at += length + int(rng.integers(1, 12))
        if at >= strip.frames:
            return


def banner(strip: Strip, rng: Random, texture: Strip) -> None:
    """Let a caption, bar or small picture come, at once or gliding or growing dense, and go or stay."""
    wide, high = (rng.uniform(0.5, 1.05), rng.uniform(0.08, 0.42)) if rng.random() < 0.6 else rng.uniform(0.15, 0.55, 2)
    left = rng.uniform(0, max(0.0, 1 - wide))
    top = rng.uniform(0.55, 1.0) * (1 - high) if rng.random() < 0.7 else rng.uniform(0, 1 - high)
    begin = int(rng.integers(-8, strip.frames))
    end = begin + int(np.exp(rng.uniform(np.log(6), np.log(150))))
    ramp = int(rng.choice([1, 1, 3, 6, 12]))
    slides, dense, striped = rng.random() < 0.4, rng.uniform(0.5, 1.0), rng.random() < 0.5
    colour, picture = _colour(rng), texture if rng.random() < 0.35 else None
    stripes = rng.uniform(10, 60)
    for at in range(max(0, begin), min(end, strip.frames)):
        share = min(1.0, (at - begin + 1) / ramp, (end - at) / ramp)
        shift = (1 - share) * (1 - top) if slides else 0.0

        def inside(x: Field, y: Field, share: float = share, shift: float = shift) -> Field:
            area = (x >= left) & (x < left + wide) & (y >= top + shift) & (y < top + shift + high)
            drawn = area * np.float32(dense * (1.0 if slides else share))
            if striped and picture is None:
                drawn = drawn * (0.75 + 0.25 * np.sin(stripes * x + 0.7 * stripes * y)).astype(np.float32)
            shown: Field = drawn.astype(np.float32)
            return shown

        paint(strip, at, inside, colour, picture)


def passer(strip: Strip, rng: Random, texture: Strip) -> None:
    """Let something large pass close before the camera, in 4 to 30 frames."""
    length = int(np.exp(rng.uniform(np.log(4), np.log(30))))
    at = int(rng.integers(0, max(1, strip.frames - length)))
    wide, high = rng.uniform(0.15, 0.7), rng.uniform(0.3, 1.2)
    y0, slope = rng.uniform(0.3, 0.9), rng.uniform(-0.3, 0.3)
    way = 1 if rng.random() < 0.5 else -1
    colour, picture = _colour(rng), texture if rng.random() < 0.6 else None
    soft = np.float32(rng.uniform(0.02, 0.2))
    for step in range(min(length, strip.frames - at)):
        where = (step + 0.5) / length * (1 + 2 * wide) - wide
        where = where if way > 0 else 1 - where

        def body(x: Field, y: Field, where: float = where) -> Field:
            away = np.sqrt(((x - where) / wide) ** 2 + ((y - y0 - slope * x) / high) ** 2)
            shape: Field = np.clip((1 - away) / soft, 0, 1).astype(np.float32)
            return shape

        paint(strip, at + step, body, colour, picture)


def exposure(strip: Strip, rng: Random) -> None:
    """Change gain and colour of the light from one frame on, at once or within a few frames, at times back again."""
    at = int(rng.integers(0, strip.frames))
    ramp = int(rng.choice([1, 1, 2, 4, 10, 25]))
    gain = float(np.exp(rng.uniform(np.log(0.35), np.log(2.2))))
    tint = rng.normal(0, 8, (2, 1, 1)) * (rng.random() < 0.5)
    share = np.clip((np.arange(strip.frames) - at + 1) / ramp, 0, 1)
    if rng.random() < 0.3:
        share *= np.clip((at + ramp + int(rng.integers(2, 60)) - np.arange(strip.frames)) / ramp, 0, 1)
    strip.luma *= (1 + share * (gain - 1)).astype(np.float32)[:, None, None]
    strip.chroma += (share[:, None, None, None] * tint).astype(np.float32)
    np.clip(strip.luma, 0, 255, out=strip.luma)


def fault(strip: Strip, rng: Random) -> None:
    """Damage one or two frames as a broken stream does: blocks displaced, grey, or another frame repeated."""
    at = int(rng.integers(0, strip.frames))
    for frame in range(at, min(at + int(rng.integers(1, 3)), strip.frames)):
        kind = rng.random()
        row = int(rng.integers(0, LUMA[1] - 6))
        if kind < 0.4:
            strip.luma[frame, row:] = np.roll(strip.luma[frame, row:], int(rng.integers(2, 24)), axis=1)
        elif kind < 0.8:
            strip.luma[frame, row:] = 120 + 0.2 * (strip.luma[frame, row:] - 120)
            strip.chroma[frame, :, row // 3 :] = 128
        else:
            other = max(0, frame - int(rng.integers(1, 10)))
            strip.luma[frame], strip.chroma[frame] = strip.luma[other], strip.chroma[other]


def defocus(strip: Strip, rng: Random) -> None:
    """Pull the focus away and back."""
    length = int(rng.integers(8, 50))
    at = int(rng.integers(0, strip.frames))
    widest = rng.uniform(1.0, 5.0)
    for step in range(min(length, strip.frames - at)):
        sigma = float(widest * np.sin(np.pi * (step + 1) / (length + 1)))
        strip.luma[at + step] = cv2.GaussianBlur(strip.luma[at + step], (0, 0), 0.05 + sigma)


def disturb(strip: Strip, rng: Random, texture: Strip) -> None:
    """Do one of these to `strip`, some more often than others; `texture` is one frame of other material."""
    kind = rng.random()
    if kind < 0.28:
        flash(strip, rng)
    elif kind < 0.5:
        banner(strip, rng, texture)
    elif kind < 0.68:
        passer(strip, rng, texture)
    elif kind < 0.86:
        exposure(strip, rng)
    elif kind < 0.93:
        fault(strip, rng)
    else:
        defocus(strip, rng)


def finish(strip: Strip, rng: Random, texture: Strip) -> None:
    """Give the whole stream what lies over shots and changes alike: bars, a logo, a curve of tones, grain, a codec."""
    if rng.random() < 0.25:
        strip.luma *= np.float32(rng.uniform(0.35, 1.0))
        strip.luma += np.float32(rng.uniform(0, 30))
    if rng.random() < 0.12:
        strip.chroma[:] = 128 + np.float32(rng.choice([0.0, 0.3])) * (strip.chroma - 128)
    if rng.random() < 0.2:
        _graphics(strip, rng, texture)
    if rng.random() < 0.25:
        _bars(strip, rng)
    _codec(strip, rng)


def _graphics(strip: Strip, rng: Random, texture: Strip) -> None:
    """A logo or a frame around the picture that stays through all changes."""
    wide, high = rng.uniform(0.05, 1.0), rng.uniform(0.05, 0.3)
    left, top = rng.uniform(0, 1 - wide), float(rng.choice([0.0, 1.0])) * (1 - high)
    colour, picture = _colour(rng), texture if rng.random() < 0.4 else None
    dense = np.float32(rng.uniform(0.4, 1.0))
    for frame in range(strip.frames):
        paint(
            strip,
            frame,
            lambda x, y: dense * ((x >= left) & (x < left + wide) & (y >= top) & (y < top + high)).astype(np.float32),
            colour,
            picture,
        )


def _bars(strip: Strip, rng: Random) -> None:
    share = float(rng.choice([0.04, 0.08, 0.12, 0.16]))
    across = rng.random() < 0.3
    for target, size in ((strip.luma, LUMA), (strip.chroma, CHROMA)):
        edge = max(1, round(share * size[0 if across else 1]))
        level = 128.0 if target.ndim == 4 else 0.0
        if across:
            target[..., :edge] = target[..., -edge:] = level
        else:
            target[..., :edge, :] = target[..., -edge:, :] = level


def _codec(strip: Strip, rng: Random) -> None:
    """Grain that the thumbnail leaves, and detail that changes at the first frame of each group of pictures."""
    grain = float(np.exp(rng.uniform(np.log(0.05), np.log(3.0)))) if rng.random() < 0.8 else 0.0
    for target in (strip.luma, strip.chroma):
        if grain:
            target += np.float32(grain if target.ndim == 3 else grain / 2) * _noise(target.shape, rng)
    if rng.random() < 0.5:
        group = int(rng.choice([12, 25, 50, 120]))
        depth = np.float32(rng.uniform(0.3, 2.0))
        for start in range(-int(rng.integers(0, group)), strip.frames, group):
            span = slice(max(0, start), max(0, start + group))
            strip.luma[span] += depth * rng.standard_normal(strip.luma.shape[1:], np.float32)


def _noise(shape: tuple[int, ...], rng: Random) -> Field:
    """Normal noise, each frame a random piece of one long row: a tenth of the time of fresh numbers."""
    size = int(np.prod(shape[1:]))
    row = rng.standard_normal(64 * size, np.float32)
    starts = rng.integers(0, len(row) - size, shape[0])
    return np.stack([row[start : start + size] for start in starts.tolist()]).reshape(shape)
