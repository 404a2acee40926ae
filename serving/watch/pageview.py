"""What the status page shows, as plain values: its template decides nothing."""

import datetime
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from contract.tables import Kind
from serving.config import Door, ServeSettings
from serving.jobs import JobState, JobStatus
from serving.watch.gpu import Gpu
from serving.watch.pagewords import Language, spoken
from serving.watch.rates import Figures
from serving.watch.roster import Serving

_MOST_JOBS: Final = 50
_WIDTH: Final = 600
_HEIGHT: Final = 80
_DASH: Final = "–"
_BAR: Final = 120


@dataclass(frozen=True)
class Tile:
    """One figure."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class ModelRow:
    """One model."""

    kind: str
    name: str
    version: str
    weights: str | None
    runtime: str
    device: str
    classes: tuple[str, ...]
    loaded: bool | None


@dataclass(frozen=True)
class FlowRow:
    """What went to one model in the last minute."""

    kind: str
    items_per_s: str
    mean_batch: str
    largest_batch: str
    waiting: int
    rejected: int


@dataclass(frozen=True)
class JobRow:
    """One job; `filled` is the width of its bar, of `JobRow.BAR`."""

    name: str
    state: str
    word: str
    counts: str
    share: str
    filled: float
    rate: str
    left: str
    due: str
    days: str
    in_time: bool | None
    bar: int = _BAR


@dataclass(frozen=True)
class DoorRow:
    """One door."""

    name: str
    addresses: tuple[str, ...]
    connect: str


@dataclass(frozen=True)
class Course:
    """Two lines over time, as points of an SVG."""

    width: int
    height: int
    requests: str
    items: str
    most_requests: str
    most_items: str


def amount(value: float | None) -> str:
    """Return a number with three significant digits, and a dash for none."""
    if value is None:
        return _DASH
    if value >= 100 or value == 0:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def duration(seconds: float | None) -> str:
    """Return a short time in the unit that suits it."""
    if seconds is None:
        return _DASH
    return f"{1000 * seconds:.3g} ms" if seconds < 0.9995 else f"{seconds:.3g} s"


def clock(seconds: float | None) -> str:
    """Return a long time as hours and minutes, or minutes and seconds."""
    if seconds is None:
        return _DASH
    whole = math.ceil(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    return f"{hours}:{minutes:02} h" if hours else f"{minutes}:{whole % 60:02} min"


def size(count: float | None) -> str:
    """Return a number of bytes in a binary unit."""
    if count is None:
        return _DASH
    return f"{count / (1 << 30):.1f} GiB" if count >= 1 << 30 else f"{count / (1 << 20):.0f} MiB"


def tiles(
    language: Language, figures: Figures, waiting: Mapping[Kind, int], memory: float | None, gpus: Sequence[Gpu]
) -> list[Tile]:
    """Return the figures of the last minute."""

    def tile(key: str, value: str) -> Tile:
        return Tile(spoken(language, key), value)

    found = [
        tile("requests_per_s", amount(figures.requests_per_s)),
        tile("items_per_s", amount(sum(figures.items_per_s.values()))),
        tile("p50", duration(figures.p50_s)),
        tile("p95", duration(figures.p95_s)),
        tile("queue", str(sum(waiting.values()))),
        tile("shed", str(figures.shed)),
        tile("failed", str(figures.failed)),
    ]
    if memory is not None:
        found.append(tile("memory", size(memory)))
    return found + [_gpu_tile(language, gpu) for gpu in gpus]


def _gpu_tile(language: Language, gpu: Gpu) -> Tile:
    note = "" if gpu.busy is None else spoken(language, "busy", share=f"{gpu.busy:.0%}")
    return Tile(spoken(language, "gpu", index=gpu.index), f"{size(gpu.used_bytes)} / {size(gpu.total_bytes)}", note)


def model_rows(language: Language, models: Sequence[Serving], settings: ServeSettings) -> list[ModelRow]:
    """Return a row a model; what a model has not told yet is a dash."""
    return [_model_row(language, each, settings) for each in models]


def _model_row(language: Language, model: Serving, settings: ServeSettings) -> ModelRow:
    set_up = settings.models.get(model.kind)
    device = _DASH if set_up is None else set_up.device
    kind = spoken(language, model.kind.value)
    told = model.description
    if told is None:
        return ModelRow(kind, _DASH if set_up is None else set_up.name, _DASH, None, _DASH, device, (), model.loaded)
    runtime = f"{told.runtime} / {told.precision}"
    return ModelRow(kind, told.name, told.version, told.weights_sha256, runtime, device, told.classes, model.loaded)


def flow_rows(language: Language, kinds: Sequence[Kind], figures: Figures, waiting: Mapping[Kind, int]) -> list[FlowRow]:
    """Return a row a model, with what went to it in the last minute."""
    return [
        FlowRow(
            spoken(language, kind.value),
            amount(figures.items_per_s.get(kind, 0)),
            amount(figures.mean_batch.get(kind)),
            str(figures.largest_batch.get(kind, _DASH)),
            waiting.get(kind, 0),
            figures.rejected.get(kind, 0),
        )
        for kind in kinds
    ]


def job_rows(language: Language, jobs: Sequence[JobStatus], today: datetime.date) -> tuple[list[JobRow], int]:
    """Return a row for each of the newest jobs, and how many older ones there are."""
    return [_job_row(language, job, today) for job in jobs[:_MOST_JOBS]], max(0, len(jobs) - _MOST_JOBS)


def _job_row(language: Language, job: JobStatus, today: datetime.date) -> JobRow:
    state = job.state.value
    share = job.done / job.items if job.items else None
    days = (job.due - today).days
    word = {"failed": "failed_job"}.get(state, state)
    return JobRow(
        name=f"{job.contract} / {job.lot}",
        state=state,
        word=spoken(language, word),
        counts=_DASH if job.items is None else f"{job.done:,} / {job.items:,}",
        share=_DASH if share is None else f"{math.floor(100 * share)} %",
        filled=_BAR * min(1.0, share or 0.0),
        rate=amount(job.items_per_s),
        left=clock(job.seconds_left) if job.state is JobState.RUNNING else _DASH,
        due=job.due.isoformat(),
        days=_days(language, days),
        in_time=job.in_time,
    )


def _days(language: Language, days: int) -> str:
    if days == 0:
        return spoken(language, "today")
    return spoken(language, "days_left" if days > 0 else "days_over", days=abs(days))


def door_rows(language: Language, settings: ServeSettings, prefixes: Mapping[Door, str], base: str) -> list[DoorRow]:
    """Return a row for each open door, with its addresses as a browser that came to `base` may reach them."""
    rows = []
    scheme, _, rest = base.partition("://")
    host = rest.rpartition(":")[0] if rest.rpartition(":")[2].isdigit() else rest
    for door, prefix in prefixes.items():
        of_door = settings.doors[door]
        if door is not Door.REST and not of_door.open:
            continue
        own = () if of_door.port is None else (f"{scheme}://{host}:{of_door.port}",)
        # CVAT knows hosts and ports alone, so the path would lead nowhere.
        shared = () if door is Door.CVAT else (f"{base}{prefix or '/'}",)
        addresses = (*shared, *own)
        rows.append(DoorRow(spoken(language, door.value), addresses, spoken(language, f"{door.value}_connect")))
    return rows


def course(rates: Callable[[], tuple[list[float], list[float]]]) -> Course:
    """Return the two lines of the last minutes, each on a scale of its own."""
    requests, items = rates()
    return Course(_WIDTH, _HEIGHT, _line(requests), _line(items), amount(max(requests)), amount(max(items)))


def _line(values: Sequence[float]) -> str:
    most = max(values) or 1.0
    step = _WIDTH / max(1, len(values) - 1)
    return " ".join(
        f"{index * step:.1f},{_HEIGHT - 2 - (_HEIGHT - 6) * each / most:.1f}" for index, each in enumerate(values)
    )
