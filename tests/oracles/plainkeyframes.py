"""Keyframes chosen frame by frame in plain Python: slow, and by nothing but the definition."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from contract.terms import KeyframeRule
from models.features import CHROMA_SIZE, Features
from models.frames import Timeline
from models.shots import Shot

Pick = tuple[int, float]


def plain_keyframes(features: Features, shots: Sequence[Shot], timeline: Timeline, rule: KeyframeRule) -> list[Pick]:
    """Return (frame, score) of every keyframe, ascending."""
    picked: list[Pick] = []
    for shot in shots:
        frames = usable(features, shot, timeline)
        if not frames:
            continue
        if rule.rule == "shot":
            scores = [score(features, frames, frame) for frame in frames]
            picked.append(first_best(frames, scores, scores))
        elif rule.rule == "interval":
            picked += of_intervals(features, frames, shot, timeline, rule)
        else:
            picked += of_sights(features, frames, timeline, rule)
    return picked


def usable(features: Features, shot: Shot, timeline: Timeline) -> list[int]:
    means = [float(np.mean(row, dtype=np.float64)) for row in features.luma]
    reach = max(1, round(0.3 * timeline.rate))
    margin = min(round(0.12 * timeline.rate), (shot.end - shot.start) // 4)

    def steady(frame: int) -> bool:
        around = means[max(shot.start, frame - reach) : min(shot.end, frame + reach + 1)]
        return abs(means[frame] - statistics.median_low(around)) <= 10

    def inside(frame: int) -> bool:
        after = shot.transition == "start" or frame - shot.start >= margin
        return after and (shot.end == features.frames or shot.end - frame > margin)

    lit = [f for f in range(shot.start, shot.end) if means[f] >= 20 or float(np.std(features.luma[f])) >= 10]
    tries = (
        [f for f in lit if steady(f) and inside(f)],
        [f for f in lit if steady(f)],
        [f for f in lit if inside(f)],
        lit,
    )
    return next((frames for frames in tries if frames), [])


def histograms(features: Features, frame: int) -> Any:
    parts = (features.luma[frame], features.chroma[frame, :CHROMA_SIZE], features.chroma[frame, CHROMA_SIZE:])
    return np.concatenate([np.histogram(part, bins=16, range=(0, 256))[0] / part.size / 3 for part in parts])


def exposure(luma: Sequence[int]) -> float:
    mean = sum(luma) / len(luma)
    spread = math.sqrt(sum((value - mean) ** 2 for value in luma) / len(luma))
    lost = sum(value <= 8 or value >= 247 for value in luma) / len(luma)
    return min(1, mean / 50, (255 - mean) / 50) * min(1, (1 - lost) / 0.9) * min(1, spread / 20)


def score(features: Features, frames: Sequence[int], frame: int) -> float:
    """How good `frame` is among `frames`: sharpness times exposure times likeness to their mean histogram."""
    full = float(np.percentile(features.sharpness[list(frames)], 95))
    sharp = min(1.0, float(features.sharpness[frame]) / full) if full > 0 else 1.0
    mean = np.mean([histograms(features, each) for each in frames], axis=0)
    typical = 1 - 0.5 * float(np.abs(histograms(features, frame) - mean).sum())
    return sharp * exposure(features.luma[frame].tolist()) * typical


def first_best(frames: Sequence[int], weighed: Sequence[float], scores: Sequence[float]) -> Pick:
    at = max(range(len(frames)), key=lambda place: (weighed[place], -place))
    return frames[at], scores[at]


def of_intervals(
    features: Features, frames: Sequence[int], shot: Shot, timeline: Timeline, rule: KeyframeRule
) -> list[Pick]:
    assert rule.seconds
    edges = timeline.edges.tolist()
    start, end = edges[shot.start], edges[shot.end]
    parts = 1
    while (end - start) / parts > rule.seconds * (1 + 1e-6) and (rule.most is None or parts < rule.most):
        parts += 1
    length = (end - start) / parts
    picked = []
    for part in range(parts):
        centre = start + (part + 0.5) * length
        middles = {f: (edges[f] + edges[f + 1]) / 2 for f in frames}
        last = part == parts - 1
        own = [f for f, t in middles.items() if part * length <= t - start and (last or t - start < (part + 1) * length)]
        if own:
            scores = [score(features, own, f) for f in own]
            weights = [1 - 0.5 * (2 * (middles[f] - centre) / length) ** 2 for f in own]
            picked.append(first_best(own, [s * w for s, w in zip(scores, weights, strict=True)], scores))
    return picked


def difference(features: Features, one: int, two: int) -> float:
    """Mean absolute difference of 16 x 9 blocks of luma plus that of chroma, as a share of full range."""

    def blocks(frame: int) -> Any:
        luma = features.luma[frame].astype(np.float64).reshape(27, 48)
        return np.array([[luma[3 * y : 3 * y + 3, 3 * x : 3 * x + 3].mean() for x in range(16)] for y in range(9)])

    chroma = np.abs(features.chroma[one].astype(int) - features.chroma[two].astype(int)).mean()
    return float((np.abs(blocks(one) - blocks(two)).mean() + chroma) / 255)


def of_sights(features: Features, frames: Sequence[int], timeline: Timeline, rule: KeyframeRule) -> list[Pick]:
    assert rule.novelty
    edges = timeline.edges.tolist()
    stretches = [[frames[0]]]
    for frame in frames[1:]:
        first = stretches[-1][0]
        long = edges[frame] >= edges[first] + 0.5
        if long and difference(features, first, frame) >= rule.novelty and edges[frames[-1]] - edges[frame] >= 0.5:
            stretches.append([frame])
        else:
            stretches[-1].append(frame)
    stretches.sort(key=lambda stretch: -(edges[stretch[-1] + 1] - edges[stretch[0]]))
    picked: list[Pick] = []
    for stretch in stretches:
        if rule.most is not None and len(picked) == rule.most:
            break
        scores = [score(features, stretch, f) for f in stretch]
        best = first_best(stretch, scores, scores)
        if all(difference(features, best[0], other) >= rule.novelty for other, _ in picked):
            picked.append(best)
    return sorted(picked)
