"""Training of the bundled shot network on streams made on the fly: minutes on a CPU."""

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional

from contract.errors import InputError
from contract.files import sha256_bytes, write_bytes
from models.devices import resolve
from models.shot_decoding import decode
from models.shotnet import CLASSES, ShotNet, probabilities
from models.splices import Splice, make_splice
from models.takes import Take, read_material

WEIGHTS: Final = "shotnet.safetensors"
EDGE: Final = 24  # frames at both ends of a stream that are not learned from, for want of context
CUT_WEIGHT: Final = 1.0  # a cut that is none costs a reviewer as much as one that is missed
BORDER_WEIGHT: Final = 0.5
HELD_SEED: Final = 2**40  # no training seed comes near
TOLERANCE: Final = 2  # frames

Tell = Callable[[str], None]


@dataclasses.dataclass(frozen=True, slots=True)
class TrainSettings:
    """What decides the weights, besides the material."""

    steps: int = 3000
    batch: int = 12  # streams a step
    frames: int = 320  # of a stream
    fresh: int = 4  # streams a step that were not seen before; the others come from those made lately
    lately: int = 240
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warmup: float = 0.05
    average_decay: float = 0.995
    held_percent: int = 12  # of the takes are put aside for the validation stream
    held_streams: int = 48
    check: int = 250  # steps from one look at the validation stream to the next
    patience: int = 4  # looks without a better one before training ends
    seed: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """What the network should say of each frame: class number (int64), and both borders (0 to 1)."""

    kinds: Tensor
    borders: Tensor


def target_of(splice: Splice) -> Target:
    """Return the target of a stream; the neighbours of a border count half."""
    frames = len(splice.luma)
    kinds = torch.zeros(frames, dtype=torch.int64)
    borders = torch.zeros(frames, 2)
    for change in splice.transitions:
        if change.kind == "cut":
            kinds[change.start] = 1
            continue
        kinds[change.start : change.end] = CLASSES.index(change.kind)
        for column, at in ((0, change.start), (1, change.end)):
            for near, value in ((-1, 0.5), (1, 0.5), (0, 1.0)):
                if 0 < at + near < frames:
                    borders[at + near, column] = max(value, float(borders[at + near, column]))
    return Target(kinds, borders)


_TAKES: list[Take] = []  # of a process that makes streams


def _begin(takes: list[Take]) -> None:
    _TAKES[:] = takes


def _made(frames: int, seed: int) -> Splice:
    return make_splice(_TAKES, frames, seed=seed)


def _streams(takes: list[Take], settings: TrainSettings, workers: int) -> Iterator[Splice]:
    """Yield streams by ascending seed, made in other processes if there are `workers`."""
    total = settings.lately + settings.steps * settings.fresh
    seeds = range(settings.seed * total, (settings.seed + 1) * total)
    if not workers:
        for seed in seeds:
            yield make_splice(takes, settings.frames, seed=seed)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), _begin, (takes,)) as pool:
        waiting = []
        for seed in seeds:
            waiting.append(pool.submit(_made, settings.frames, seed))
            if len(waiting) >= 64:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()


Batch = tuple[Tensor, Tensor, Tensor, Tensor]  # luma, chroma, kinds, borders


def _batch(splices: Sequence[Splice], rng: np.random.Generator) -> Batch:
    """Stack streams, each as it is or backwards, mirrored or upside down."""
    rows = []
    for splice in splices:
        target = target_of(splice)
        luma, chroma = (
            torch.from_numpy(splice.luma.reshape(-1, 27, 48)),
            torch.from_numpy(splice.chroma.reshape(-1, 2, 9, 16)),
        )
        kinds, borders = target.kinds, target.borders
        if rng.random() < 0.5:
            backwards = target_of(reversed_splice(splice))
            luma, chroma, kinds, borders = luma.flip(0), chroma.flip(0), backwards.kinds, backwards.borders
        for axis in (-1, -2):
            if rng.random() < 0.5:
                luma, chroma = luma.flip(axis), chroma.flip(axis)
        rows.append((luma.flatten(1), chroma.flatten(1), kinds, borders))
    luma, chroma, kinds, borders = (torch.stack(column) for column in zip(*rows, strict=True))
    return luma, chroma, kinds, borders


def reversed_splice(splice: Splice) -> Splice:
    """Return the stream run backwards, with its truth."""
    frames = len(splice.luma)
    changes = [
        dataclasses.replace(change, start=frames - change.end, end=frames - change.start) for change in splice.transitions
    ]
    return Splice(splice.luma[::-1], splice.chroma[::-1], tuple(change for change in changes[::-1] if change.end > 0))


def loss_of(logits: Tensor, kinds: Tensor, borders: Tensor) -> Tensor:
    """Return the mean loss over the frames that have context on both sides."""
    inner = slice(EDGE, logits.shape[1] - EDGE)
    weights = torch.ones(len(CLASSES), device=logits.device)
    weights[1] = CUT_WEIGHT
    classes = functional.cross_entropy(
        logits[:, inner, : len(CLASSES)].flatten(0, 1), kinds[:, inner].flatten(), weights, label_smoothing=0.02
    )
    edges = functional.binary_cross_entropy_with_logits(logits[:, inner, len(CLASSES) :], borders[:, inner])
    return classes + BORDER_WEIGHT * edges


def _held(takes: Sequence[Take], percent: int) -> tuple[list[Take], list[Take]]:
    """Part the takes by their names' SHA-256; every shot of a file falls on one side."""
    train: list[Take] = []
    held: list[Take] = []
    for take in takes:
        file = take.name if take.frames == 1 else take.name.rsplit(" ", 1)[0]
        (held if int(sha256_bytes(file.encode())[:8], 16) % 100 < percent else train).append(take)
    if min(len(train), len(held)) < 2:
        raise InputError(f"{len(takes)} takes are too few to put some aside; name folders with more videos or pictures")
    return train, held


def _rate(step: int, settings: TrainSettings) -> float:
    rise = max(1, round(settings.steps * settings.warmup))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, settings.steps - rise)))


@torch.no_grad()
def validate(model: nn.Module, splices: Sequence[Splice], device: str) -> dict[str, float]:
    """Return loss, F1 within TOLERANCE frames and share of kinds named right, on `splices`."""
    losses, found, wrong, missed, named = [], 0, 0, 0, 0
    for splice in splices:
        target = target_of(splice)
        luma, chroma = torch.from_numpy(splice.luma)[None].to(device), torch.from_numpy(splice.chroma)[None].to(device)
        logits = model(luma, chroma)
        losses.append(loss_of(logits, target.kinds[None].to(device), target.borders[None].to(device)).item())
        inner = range(EDGE, len(splice.luma) - EDGE)
        left = [change for change in splice.transitions if change.start > 0 and change.end in inner]
        spare = [change for change in splice.transitions if change not in left]
        for change in decode(probabilities(logits)[0].cpu().numpy()):
            match = _match(change.end, left)
            if match is not None:
                left.remove(match)
                found, named = found + 1, named + (match.kind == change.kind)
            elif change.end in inner and _match(change.end, spare) is None:
                wrong += 1
        missed += len(left)
    f1 = 2 * found / max(1, 2 * found + wrong + missed)
    return {"loss": float(np.mean(losses)), "f1": f1, "kinds": named / max(1, found), "wrong": wrong, "missed": missed}


def _match(end: int, changes: Sequence[Any]) -> Any:
    return next((each for each in changes if each.start - TOLERANCE <= end <= each.end + TOLERANCE), None)


@dataclasses.dataclass(slots=True)
class _Best:
    """The averaged weights that did best on the validation stream so far, and how every look came out."""

    weights: dict[str, Tensor] = dataclasses.field(default_factory=dict)
    loss: float = math.inf
    looks: int = 0  # since then
    curve: list[dict[str, float]] = dataclasses.field(default_factory=list)


def _fit(model: ShotNet, takes: list[Take], held: Sequence[Splice], settings: TrainSettings, run: "_Run") -> _Best:
    """Train `model` until its steps are done or the validation stream gets no better."""
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    optimizer = torch.optim.AdamW(model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, settings))
    moving = torch.optim.swa_utils.get_ema_multi_avg_fn(settings.average_decay)  # type: ignore[no-untyped-call]
    average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=moving)
    streams = _streams(takes, settings, run.workers)
    lately = [next(streams) for _ in range(settings.lately)]
    best, losses, started = _Best(), [], time.monotonic()
    for step in range(1, settings.steps + 1):
        for _ in range(settings.fresh):
            lately[int(rng.integers(len(lately)))] = next(streams)
        chosen = rng.choice(len(lately), settings.batch, replace=False)
        batch = [column.to(run.device) for column in _batch([lately[at] for at in chosen.tolist()], rng)]
        loss = loss_of(model(batch[0], batch[1]), batch[2], batch[3])
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        average.update_parameters(model)
        losses.append(loss.item())
        if step % settings.check == 0 or step == settings.steps:
            measured = validate(average.module, held, run.device)
            best.curve.append(
                {"step": step, "minutes": (time.monotonic() - started) / 60, "train": float(np.mean(losses)), **measured}
            )
            run.tell(_line(best.curve[-1]))
            losses = []
            if not _better(best, average.module, measured["loss"], settings):
                break
    return best


def _better(best: _Best, model: nn.Module, loss: float, settings: TrainSettings) -> bool:
    """Keep `model` if it is the best so far; tell whether training should go on."""
    if loss < best.loss:
        best.loss, best.looks = loss, 0
        best.weights = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
        return True
    best.looks += 1
    return best.looks < settings.patience


def _line(look: dict[str, float]) -> str:
    return (
        f"step {look['step']:.0f}, {look['minutes']:.1f} min: loss {look['train']:.4f}, held out {look['loss']:.4f}, "
        f"F1 {look['f1']:.3f}, kinds {look['kinds']:.3f}, wrong {look['wrong']:.0f}, missed {look['missed']:.0f}"
    )


@dataclasses.dataclass(frozen=True, slots=True)
class _Run:
    device: str
    workers: int
    tell: Tell


def train_shots(
    out: Path,
    *,
    material: Sequence[Path],
    scenes: int = 40,
    settings: TrainSettings | None = None,
    device: str = "cpu",
    run: tuple[int, Tell] = (1, lambda line: None),
) -> dict[str, Any]:
    """Train the shot network and write `shotnet.safetensors` and `card.md` into `out`.

    Args:
        out: folder that gets both.
        material: folders of videos and pictures.
        scenes: rendered scenes that are added to them.
        settings: of the training.
        device: cpu, cuda or cuda:N.
        run: how many processes make streams beside this one, and what gets one line a look at the validation stream.

    Returns:
        The last look that was kept: loss, f1, kinds, wrong, missed, and the curve of all.

    Raises:
        InputError: the material is absent or too little.
        DeviceError: cuda was asked for and is absent.
    """
    settings = settings or TrainSettings()
    chosen = _Run(resolve(device), run[0], run[1])
    started = time.monotonic()
    takes = read_material(material, scenes=scenes, tell=chosen.tell)
    train, aside = _held(takes, settings.held_percent)
    chosen.tell(
        f"{len(train)} takes to train on, {len(aside)} put aside, {sum(take.frames for take in takes)} frames in all"
    )
    held = [make_splice(aside, settings.frames, seed=HELD_SEED + number) for number in range(settings.held_streams)]
    torch.manual_seed(settings.seed)
    model = ShotNet().to(chosen.device)
    best = _fit(model, train, held, settings, chosen)
    write_bytes(out / WEIGHTS, save({name: value.contiguous() for name, value in best.weights.items()}))
    kept = min(best.curve, key=lambda look: look["loss"])
    facts = {"takes": len(train), "aside": len(aside), "minutes": (time.monotonic() - started) / 60, "scenes": scenes}
    page = card(settings, best.curve, facts, [folder.name for folder in material])
    write_bytes(out / "card.md", page.encode())
    return {**kept, "curve": best.curve}


def card(settings: TrainSettings, curve: Sequence[dict[str, float]], facts: dict[str, Any], folders: Sequence[str]) -> str:
    """Return the page that tells what the weights came from and how the training went."""
    values = ", ".join(f"{field.name} {getattr(settings, field.name)}" for field in dataclasses.fields(settings))
    rows = "\n".join(
        f"| {look['step']:.0f} | {look['minutes']:.1f} | {look['train']:.4f} | {look['loss']:.4f} | {look['f1']:.3f} "
        f"| {look['kinds']:.3f} |"
        for look in curve
    )
    command = f"goldgate models train shots {' '.join(f'--material {folder}' for folder in folders)} --out DIR"
    return f"""# Card: shots

A network that labels every frame of a video: the same shot, a cut, or within a dissolve, a fade or a wipe.

- Command: `{command}`, {facts["minutes"]:.1f} minutes.
- Settings: {values}.
- Material: {facts["takes"]} takes and pictures to train on, {facts["aside"]} put aside for the validation stream by the
  SHA-256 of their files' names; {facts["scenes"]} rendered ones among them.

| step | minutes | loss | held out | F1 | kinds |
| --- | --- | --- | --- | --- | --- |
{rows}
"""
