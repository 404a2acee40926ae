"""Streams for training and judging the shot model: takes put together by cuts, dissolves, fades and wipes.

The same takes and seed give the same stream on every machine with the same NumPy and OpenCV.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.disturbances import GRIDS, Random, disturb, finish
from models.gradual import Transition, likeness
from models.takes import Camera, Strip, Take, blank, film, joined

SHARES: Final = {"cut": 0.52, "dissolve": 0.2, "fade": 0.14, "wipe": 0.14}
VISIBLE: Final = 0.03  # a dissolve begins and ends where this share of the other picture shows
MIN_DIFFERENCE: Final = 9.0  # mean absolute difference of luma between the pictures on both sides of a change
MAX_LIKENESS: Final = 0.85
TRIES: Final = 6  # draws of a shot that differs visibly from the one before it
LEAD: Final = 40  # frames at the beginning of which the stream keeps a random part, so that it may begin anywhere


@dataclass(frozen=True, slots=True)
class Splice:
    """A stream with its truth: `luma` n x 1296 and `chroma` n x 288 uint8 as in `Features`, and its changes of shot."""

    luma: NDArray[np.uint8]
    chroma: NDArray[np.uint8]
    transitions: tuple[Transition, ...]


@dataclass(frozen=True, slots=True)
class _Part:
    """A shot of `length` frames by itself, and the change before it."""

    kind: str
    out: int  # frames that the shot before goes on for
    hold: int  # blank frames
    into: int  # frames of this shot within the change
    length: int


@dataclass(frozen=True, slots=True)
class _Mixed:
    strip: Strip
    first: int  # first frame that shows the change
    last: int  # first that shows the new shot alone


def make_splice(takes: Sequence[Take], frames: int, *, seed: int) -> Splice:
    """Return a stream of `frames` frames with changes of shot and distractors drawn by `seed`.

    Args:
        takes: at least two.
        frames: how many; the stream begins and ends anywhere in a shot or a change.
        seed: 0 or more.
    """
    rng = np.random.default_rng(seed)
    quiet = rng.random() < 0.35  # one long shot or two in which much happens
    parts = _planned(frames + LEAD, quiet, rng)
    trouble = float(rng.uniform(2.0, 7.0) if quiet else rng.uniform(0.2, 1.5))
    shots = _filmed(takes, parts, trouble, rng)
    strips: list[Strip] = []
    transitions: list[Transition] = []
    at = 0
    for index, (part, shot) in enumerate(zip(parts, shots, strict=True)):
        if index:
            before = shots[index - 1]
            mixed = _change(part, before[slice(before.frames - part.out, before.frames)], shot[slice(0, part.into)], rng)
            transitions.append(Transition(part.kind, at + mixed.first, at + mixed.last))
            strips.append(mixed.strip)
            at += mixed.strip.frames
        strips.append(shot[slice(part.into, part.into + part.length)])
        at += part.length
    start = int(rng.integers(0, LEAD))
    window = _repeated(np.arange(start, start + frames), rng)
    stream = joined(strips)[window]
    finish(stream, rng, _texture(takes, rng))
    luma = np.clip(np.rint(stream.luma), 0, 255).astype(np.uint8).reshape(frames, -1)
    chroma = np.clip(np.rint(stream.chroma), 0, 255).astype(np.uint8).reshape(frames, -1)
    return Splice(luma, chroma, _shown(transitions, window))


def _planned(frames: int, quiet: bool, rng: Random) -> list[_Part]:
    shortest = float(frames if quiet else np.exp(rng.uniform(np.log(5), np.log(60))))
    longest = shortest * float(rng.uniform(1.5, 5.0))
    parts: list[_Part] = []
    at = 0
    while at < frames:
        kind = str(rng.choice(list(SHARES), p=list(SHARES.values())))
        out, hold, into = _lengths(kind, rng) if parts else (0, 0, 0)
        length = int(np.exp(rng.uniform(np.log(shortest), np.log(longest))))
        parts.append(_Part(kind, out, hold, into, length))
        at += length + hold + (out + into if kind == "fade" else into)
    return parts


def _lengths(kind: str, rng: Random) -> tuple[int, int, int]:
    if kind == "cut":
        return 0, 0, 0
    length = int(np.exp(rng.uniform(np.log(4), np.log(60))))
    if kind != "fade":
        return length, 0, length
    hold, half = int(rng.choice([0, 1, 2, 5, 12, 30])), max(3, length // 2)
    sided = rng.random()  # at times one side of a fade is a cut
    if sided < 0.2:
        return (0, max(1, hold), half) if sided < 0.1 else (half, max(1, hold), 0)
    return half, hold, half if sided < 0.7 else max(3, int(half * rng.uniform(0.5, 2.0)))


def _filmed(takes: Sequence[Take], parts: Sequence[_Part], trouble: float, rng: Random) -> list[Strip]:
    shots: list[Strip] = []
    take = takes[int(rng.integers(len(takes)))]
    for index, part in enumerate(parts):
        out = parts[index + 1].out if index + 1 < len(parts) else 0
        total = part.into + part.length + out
        for _ in range(TRIES):
            if index and rng.random() > 0.25:  # else another view of the same place
                take = takes[int(rng.integers(len(takes)))]
            shot = _shot(take, total, trouble, rng)
            if not index or _differs(shots[-1], shot):
                break
        shots.append(shot)
    for shot in shots:
        for _ in range(int(rng.poisson(trouble * min(1.5, shot.frames / 80)))):
            disturb(shot, rng, _texture(takes, rng))
    return shots


def _differs(before: Strip, after: Strip) -> bool:
    one, two = before.luma[-1:].reshape(1, -1), after.luma[:1].reshape(1, -1)
    return float(np.abs(one - two).mean()) >= MIN_DIFFERENCE and float(likeness(one, two)[0]) < MAX_LIKENESS


def _texture(takes: Sequence[Take], rng: Random) -> Strip:
    take = takes[int(rng.integers(len(takes)))]
    whole = np.array([0.5])
    return film(take, rng.uniform(0, take.frames, 1), Camera(whole, whole, np.array([1.0]), np.array([0.0])))


def _shot(take: Take, frames: int, trouble: float, rng: Random) -> Strip:
    """Film `take` from a place, with a speed and a shaking hand of its own, mirrored at times."""
    still = take.frames == 1
    width = float(rng.uniform(0.25, 0.95) if still else rng.uniform(0.55, 1.0))
    start = 0.5 + (1 - width) * rng.uniform(-0.5, 0.5, 2)
    speed = width * float(np.exp(rng.uniform(np.log(2e-4), np.log(0.02)))) * (rng.random() < (0.9 if still else 0.4))
    turn = rng.uniform(0, 2 * np.pi)
    way = np.arange(frames)[:, None] * speed * np.array([np.cos(turn), np.sin(turn)])
    hand = width * float(np.exp(rng.uniform(np.log(1e-4), np.log(0.006)))) * (rng.random() < 0.5)
    shaken = _smooth(rng.normal(0, hand, (frames, 2)))
    zoom = np.exp(float(rng.normal(0, 0.004)) * (rng.random() < 0.4) * np.arange(frames))
    widths = np.clip(width * zoom, 0.2, 1.0)
    jolt, blurred = _jolts(frames, trouble, rng)
    places = start + way + shaken + width * jolt
    angle = float(rng.normal(0, 0.03)) + _smooth(rng.normal(0, 0.2 * hand, (frames, 1)))[:, 0]
    pace = float(rng.choice([0.5, 1.0, 1.0, 1.0, 2.0]) * rng.uniform(0.8, 1.2))
    moments = np.asarray(rng.uniform(0, take.frames) + pace * np.arange(frames), np.float64)
    strip = film(take, moments, Camera(places[:, 0], places[:, 1], widths, angle))
    for frame in np.flatnonzero(blurred).tolist():  # what moves fast while the shutter is open is smeared
        step = np.linspace(0, 1, 6)[:, None] * (places[frame] - places[max(0, frame - 1)])
        path = Camera(places[frame, 0] - step[:, 0], places[frame, 1] - step[:, 1], widths[[frame] * 6], angle[[frame] * 6])
        smeared = film(take, moments[[frame] * 6], path)
        strip.luma[frame], strip.chroma[frame] = smeared.luma.mean(axis=0), smeared.chroma.mean(axis=0)
    if rng.random() < 0.5:
        strip = Strip(strip.luma[..., ::-1].copy(), strip.chroma[..., ::-1].copy())
    return strip


def _smooth(noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """Let each step die away over the frames after it: a hand that is pushed and comes back."""
    dying = 0.85 ** np.arange(40)
    return np.stack([np.convolve(column, dying)[: len(column)] for column in noise.T], axis=1)


def _jolts(frames: int, trouble: float, rng: Random) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return how far shaking and fast pans move the camera, in widths of the view, and which frames they smear."""
    moved, blurred = np.zeros((frames, 2)), np.zeros(frames, np.bool_)
    for _ in range(int(rng.poisson(trouble * min(1.0, frames / 120)))):
        length = int(rng.integers(4, 20))
        at = int(rng.integers(0, max(1, frames - length)))
        span = slice(at, min(at + length, frames))
        count = span.stop - at
        turn = rng.uniform(0, 2 * np.pi)
        if rng.random() < 0.5:
            moved[span] += rng.uniform(0.02, 0.15) * rng.uniform(-1, 1, (count, 2))
        else:  # away with a swing, and stays there
            share = 0.5 - 0.5 * np.cos(np.pi * (np.arange(count) + 1) / count)
            whole = rng.uniform(0.3, 2.5) * np.array([np.cos(turn), 0.4 * np.sin(turn)])
            moved[span] += share[:, None] * whole
            moved[span.stop :] += whole * share[-1]
            blurred[span] = True
    return moved, blurred


def _change(part: _Part, tail: Strip, head: Strip, rng: Random) -> _Mixed:
    if part.kind == "cut":
        return _Mixed(blank(0, 0.0), 0, 0)
    if part.kind == "dissolve":
        return _dissolve(tail, head, rng)
    if part.kind == "fade":
        return _fade(part.hold, tail, head, rng)
    return _push(tail, head, rng) if rng.random() < 0.2 else _wipe(tail, head, rng)


def _mix(tail: Strip, head: Strip, luma: NDArray[np.float32], chroma: NDArray[np.float32]) -> Strip:
    return Strip(tail.luma + luma * (head.luma - tail.luma), tail.chroma + chroma * (head.chroma - tail.chroma))


def _ramp(frames: int, rng: Random) -> NDArray[np.float32]:
    share = (np.arange(frames) + 1) / (frames + 1)
    if rng.random() < 0.35:
        share = 0.5 - 0.5 * np.cos(np.pi * share)
    return share.astype(np.float32)


def _dissolve(tail: Strip, head: Strip, rng: Random) -> _Mixed:
    share = _ramp(tail.frames, rng)
    seen = np.flatnonzero((share > VISIBLE) & (share < 1 - VISIBLE))
    mixed = _mix(tail, head, share[:, None, None], share[:, None, None, None])
    return _Mixed(mixed, int(seen[0]), int(seen[-1]) + 1)


def _fade(hold: int, tail: Strip, head: Strip, rng: Random) -> _Mixed:
    level = float(rng.choice([0.0, 0.0, 0.0, 255.0]))
    parts = []
    for strip, share in ((tail, _ramp(tail.frames, rng)), (blank(hold, level), None), (head, _ramp(head.frames, rng)[::-1])):
        if share is not None:
            strip = _mix(strip, blank(strip.frames, level), share[:, None, None], share[:, None, None, None])
        parts.append(strip)
    mixed = joined(parts)
    return _Mixed(mixed, 0, mixed.frames)


def _wipe(tail: Strip, head: Strip, rng: Random) -> _Mixed:
    """Uncover the new picture along a line, a circle, a clock's hand, two doors or blinds, with a sharp or soft edge."""
    form, soft = int(rng.integers(0, 8)), np.float32(rng.choice([0.01, 0.03, 0.12]))
    turn = float(rng.choice(8)) * np.pi / 4 if rng.random() < 0.8 else float(rng.uniform(0, 2 * np.pi))
    blinds, flipped = int(rng.integers(3, 9)), rng.random() < 0.5
    progress = _ramp(tail.frames, rng)[:, None, None] * (1 + soft)
    shares = []
    for x, y in GRIDS:
        if form < 4:
            field = (x - 0.5) * np.cos(turn) + (y - 0.5) * np.sin(turn)
            field = field / (abs(np.cos(turn)) + abs(np.sin(turn))) + 0.5
        elif form == 4:
            field = np.hypot(x - 0.5, y - 0.5) * np.sqrt(2)
        elif form == 5:
            field = (np.arctan2(y - 0.5, x - 0.5) + np.pi) / (2 * np.pi)
        elif form == 6:
            field = np.abs((x if blinds % 2 else y) - 0.5) * 2
        else:
            field = np.mod((x if blinds % 2 else y) * blinds, 1.0)
        field = 1 - field if flipped else field
        shares.append(np.clip((progress - field) / soft, 0, 1).astype(np.float32))
    return _Mixed(_mix(tail, head, shares[0], shares[1][:, None]), 0, tail.frames)


def _push(tail: Strip, head: Strip, rng: Random) -> _Mixed:
    """Let the new picture push the old one out, or glide over it."""
    glides, axis, way = rng.random() < 0.4, int(rng.integers(1, 3)), 1 if rng.random() < 0.5 else -1
    share = _ramp(tail.frames, rng)
    mixed = Strip(tail.luma.copy(), tail.chroma.copy())
    for old, new, out in ((tail.luma, head.luma, mixed.luma), (tail.chroma, head.chroma, mixed.chroma)):
        along = axis + out.ndim - 3
        size = out.shape[along]
        for frame in range(tail.frames):
            shift = round(float(share[frame]) * size)
            both = np.concatenate([old[frame], new[frame]] if way > 0 else [new[frame], old[frame]], axis=along - 1)
            first = shift if way > 0 else size - shift
            out[frame] = np.take(both, np.arange(first, first + size), axis=along - 1)
            if glides:
                keep = np.arange(0, size - shift) if way > 0 else np.arange(shift, size)
                index: list[slice | int] = [slice(None)] * (out.ndim - 1)
                index[along - 1] = slice(int(keep[0]), int(keep[-1]) + 1) if len(keep) else slice(0, 0)
                out[frame][tuple(index)] = old[frame][tuple(index)]
    return _Mixed(mixed, 0, tail.frames)


def _repeated(window: NDArray[np.intp], rng: Random) -> NDArray[np.intp]:
    """Repeat frames as films at another rate do: every frame twice or thrice, 3:2, one in five, or now and then."""
    kind = rng.random()
    steps = np.ones(len(window), np.intp)
    if kind < 0.06:
        steps[1::2] = 0
    elif kind < 0.09:
        steps = (np.arange(len(window)) % 3 == 0).astype(np.intp)
    elif kind < 0.13:
        steps[4::5] = 0
    elif kind < 0.17:
        steps = np.resize(np.array([1, 0, 1, 0, 0]), len(window))
    elif kind < 0.22:
        steps[rng.random(len(window)) < 0.05] = 0
    steps[0] = 0
    shown: NDArray[np.intp] = window[0] + np.cumsum(steps)
    return shown


def _shown(transitions: Sequence[Transition], frames: NDArray[np.intp]) -> tuple[Transition, ...]:
    """Return the changes as they fall when the stream shows `frames`, ascending, one after the other."""
    shown = []
    for change in transitions:
        start, end = (int(np.searchsorted(frames, at)) for at in (change.start, change.end))
        if end > 0 and start < len(frames):
            shown.append(Transition(change.kind if end > start else "cut", start, end))
    return tuple(shown)
