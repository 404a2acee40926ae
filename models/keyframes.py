"""Keyframes: the frame of each shot that is sharp and looks like the rest of the shot."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.features import CHROMA_SIZE, Features
from models.shots import Shot

BINS: Final = 16  # of luma, of Cb and of Cr each
BLACK_BRIGHTNESS: Final = 20.0  # mean luma (0 to 255) at which a frame is black, if its contrast is low as well
BLACK_CONTRAST: Final = 10.0  # standard deviation of the luma thumbnail
SHARP_PERCENTILE: Final = 95.0  # of a shot's sharpness: what counts as fully sharp


@dataclass(frozen=True, slots=True)
class Keyframe:
    """One frame that stands for its shot; score in [0, 1] is sharpness times likeness to the shot."""

    frame: int
    score: float


def black_frames(features: Features) -> NDArray[np.bool_]:
    """Tell which frames are black: dark on the whole and nearly without contrast."""
    black: NDArray[np.bool_] = (features.brightness < BLACK_BRIGHTNESS) & (features.contrast < BLACK_CONTRAST)
    return black


def pick_keyframes(features: Features, shots: Sequence[Shot]) -> list[Keyframe]:
    """Return one keyframe for each of `shots` that is not black throughout, the earliest among equals."""
    black = black_frames(features)
    picked = []
    for shot in shots:
        frames = np.flatnonzero(~black[shot.start : shot.end]) + shot.start
        if not len(frames):
            continue
        scores = _sharpness(features.sharpness[frames]) * _typical(features, frames)
        best = int(np.argmax(scores))
        picked.append(Keyframe(int(frames[best]), float(scores[best])))
    return picked


def _sharpness(values: NDArray[np.float32]) -> NDArray[np.float64]:
    full = float(np.percentile(values, SHARP_PERCENTILE))
    shares: NDArray[np.float64] = np.clip(values / full, 0.0, 1.0).astype(np.float64) if full > 0 else np.ones(len(values))
    return shares


def _typical(features: Features, frames: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return 1 minus half the L1 distance of each frame's histograms from their mean over `frames`, in [0, 1]."""
    histograms = np.concatenate([_histograms(features, frames[at : at + 1024]) for at in range(0, len(frames), 1024)])
    result: NDArray[np.float64] = 1.0 - 0.5 * np.abs(histograms - histograms.mean(axis=0)).sum(axis=1)
    return np.clip(result, 0.0, 1.0)


def _histograms(features: Features, frames: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return histograms of luma, Cb and Cr, n x 3 BINS, each a third of a sum of 1."""
    chroma = features.chroma[frames]
    parts = (features.luma[frames], chroma[:, :CHROMA_SIZE], chroma[:, CHROMA_SIZE:])
    rows = np.arange(len(frames))[:, None] * BINS
    columns = []
    for part in parts:
        filled = np.bincount((part // (256 // BINS) + rows).ravel(), minlength=len(frames) * BINS)
        columns.append(filled.reshape(len(frames), BINS) / (3.0 * part.shape[1]))
    return np.concatenate(columns, axis=1)
