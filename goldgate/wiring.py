"""Which predictors a job runs on: in this process, on a Ray cluster, or behind an HTTP address."""

import contextlib
import functools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contract.errors import InputError
from contract.predictor import Predictor, calls_at_once
from contract.tables import Kind
from contract.terms import Terms
from prelabel.guarded import GuardedPredictor
from prelabel.underway import Guard

ROLES: Final = {"detector": Kind.IMAGE, "sentiment": Kind.TEXT, "video": Kind.VIDEO}
_REMOTE_CALLS_IN_FLIGHT: Final = 4
_LOCAL_CALLS_IN_FLIGHT: Final = 2  # one is labelled while another is written; a call keeps all threads busy


@dataclass(frozen=True)
class Where:
    """Where the models of a job run: `address` is local, ray, or an http address.

    `device` and `models_file` count for the first two, `replicas` of each model for ray; `key_file` (else GOLDGATE_KEY) and
    `ca_file` for the last.
    """

    address: str = "local"
    device: str = "auto"
    models_file: Path | None = None
    key_file: Path | None = None
    ca_file: Path | None = None
    replicas: int = 1


@dataclass(frozen=True)
class Wired:
    """Predictors that are ready, how many calls may be under way at once, and what takes their place where one crashed."""

    predictors: Mapping[Kind, Predictor]
    calls_in_flight: int
    guard: Guard | None = None


def parse_models(options: Sequence[str]) -> dict[Kind, str]:
    """Return kind -> model name from options of the form ROLE=NAME.

    Raises:
        InputError: an option has another form or an unknown role.
    """
    chosen = {}
    for option in options:
        role, separator, name = option.partition("=")
        if not separator or not name or role not in ROLES:
            raise InputError(f"--model {option!r}: write ROLE=NAME with a role of {', '.join(ROLES)}")
        chosen[ROLES[role]] = name
    return chosen


def models_of_terms(terms: Terms) -> dict[Kind, str]:
    """Return kind -> model name where the terms name one."""
    named = {Kind.IMAGE: terms.prelabel.detector, Kind.TEXT: terms.prelabel.sentiment, Kind.VIDEO: terms.prelabel.video}
    return {kind: name for kind, name in named.items() if name}


def named_models(
    terms: Terms, options: Sequence[str], kinds: Iterable[Kind], *, models_file: Path | None = None
) -> dict[Kind, str]:
    """Return kind -> model name for `kinds`: what the options say, else the terms, else the models file's default."""
    from models.registry import default_model

    chosen = models_of_terms(terms) | parse_models(options)
    return {kind: chosen.get(kind) or default_model(kind, models_file=models_file) for kind in kinds}


@contextlib.contextmanager
def wire(terms: Terms, names: Mapping[Kind, str], where: Where) -> Iterator[Wired]:
    """Give loaded predictors for `names`.

    Raises:
        InputError: the address is of no known form, or the models' labels are not the guideline's.
    """
    wired: contextlib.AbstractContextManager[Wired]
    if where.address == "local":
        wired = contextlib.nullcontext(_local(terms, names, where))
    elif where.address == "ray":
        wired = _on_ray(terms, names, where)
    elif where.address.startswith(("http://", "https://")):
        wired = _over_http(names, where)
    else:
        raise InputError(f"--address {where.address!r}: write local, ray, or an http address")
    with wired as ready:
        for kind, predictor in ready.predictors.items():
            check_labels(terms, kind, predictor)
        yield ready


def _local(terms: Terms, names: Mapping[Kind, str], where: Where) -> Wired:
    predictors = {kind: _loaded(name, kind, terms, where) for kind, name in names.items()}
    at_once = min(map(calls_at_once, predictors.values()), default=1)

    def guard(kind: Kind) -> GuardedPredictor:
        again = functools.partial(_loaded, names[kind], kind, terms, where)
        return GuardedPredictor(again, predictors[kind].describe())

    return Wired(predictors, min(_LOCAL_CALLS_IN_FLIGHT, at_once), guard)


def _loaded(name: str, kind: Kind, terms: Terms, where: Where) -> Predictor:
    from models.registry import build_predictor  # late: torch takes seconds that other commands need not pay

    predictor = build_predictor(name, kind, terms=terms, models_file=where.models_file)
    predictor.load(where.device)
    return predictor


@contextlib.contextmanager
def _on_ray(terms: Terms, names: Mapping[Kind, str], where: Where) -> Iterator[Wired]:
    from serving.config import ModelSettings, Scaling, ServeSettings
    from serving.running import start_serving  # late: Ray takes seconds that other commands need not pay

    threads = os.cpu_count()  # Ray gives a replica of less than one CPU one thread, and only one model works at a time
    model = ModelSettings(
        name="set below",
        device=where.device,
        models_file=where.models_file,
        threads=threads,
        scaling=Scaling(min_replicas=where.replicas, max_replicas=where.replicas),
    )
    models = {kind: model.model_copy(update={"name": name}) for kind, name in names.items()}
    with start_serving(ServeSettings(models=models, terms=terms.model_dump(mode="json"))) as serving:
        in_flight = max(_REMOTE_CALLS_IN_FLIGHT, 2 * where.replicas)  # one at work and one waiting at each
        yield Wired({kind: serving.predictor(kind) for kind in names}, in_flight)


@contextlib.contextmanager
def _over_http(kinds: Iterable[Kind], where: Where) -> Iterator[Wired]:
    from serving.predictors import Access, HttpPredictor

    access = Access(_key(where.key_file), where.ca_file)
    with contextlib.ExitStack() as stack:
        predictors = {
            kind: stack.enter_context(contextlib.closing(HttpPredictor(where.address, kind, access=access)))
            for kind in kinds
        }
        yield Wired(predictors, _REMOTE_CALLS_IN_FLIGHT)


def _key(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        key = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: the key cannot be read from it") from error
    if not key:
        raise InputError(f"{path}: holds no key; write into it what 'goldgate keys add' shows")
    return key


def check_labels(terms: Terms, kind: Kind, predictor: Predictor) -> None:
    """Refuse a model that speaks labels which the guideline does not have.

    Raises:
        InputError: names them.
    """
    guideline = terms.guideline
    known = {Kind.IMAGE: guideline.class_names, Kind.TEXT: guideline.sentiment_names, Kind.VIDEO: guideline.event_names}[
        kind
    ]
    description = predictor.describe()
    foreign = [label for label in description.classes if label not in known]
    if foreign:
        raise InputError(
            f"{description.source} labels {', '.join(map(repr, foreign[:5]))}, which the guideline does not have; "
            "map it by 'model_names' in the guideline, and start a server with --contract"
        )
