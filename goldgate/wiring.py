"""Which predictors a job runs on: in this process, on a Ray cluster, or behind an HTTP address."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contract.errors import InputError
from contract.predictor import Predictor
from contract.tables import Kind
from contract.terms import Terms

ROLES: Final = {"detector": Kind.IMAGE, "sentiment": Kind.TEXT, "video": Kind.VIDEO}
_REMOTE_CALLS_IN_FLIGHT: Final = 4


@dataclass(frozen=True)
class Wired:
    """Predictors that are ready, and how many calls may be under way at once."""

    predictors: Mapping[Kind, Predictor]
    calls_in_flight: int


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


def named_models(terms: Terms, options: Sequence[str]) -> dict[Kind, str]:
    """Return kind -> model name: what the options say, else what the terms say."""
    of_terms = {Kind.IMAGE: terms.prelabel.detector, Kind.TEXT: terms.prelabel.sentiment, Kind.VIDEO: terms.prelabel.video}
    return {kind: name for kind, name in of_terms.items() if name} | parse_models(options)


@contextlib.contextmanager
def wire(
    terms: Terms, names: Mapping[Kind, str], *, address: str, device: str, models_file: Path | None = None
) -> Iterator[Wired]:
    """Give predictors for `names` at `address`: local, ray, or an http address.

    Raises:
        InputError: the address is of no known form, or the models' labels are not the guideline's.
    """
    if address == "local":
        wired = contextlib.nullcontext(_local(terms, names, device=device, models_file=models_file))
    elif address == "ray":
        wired = _on_ray(terms, names, device)
    elif address.startswith(("http://", "https://")):
        wired = contextlib.nullcontext(_over_http(names, address))
    else:
        raise InputError(f"--address {address!r}: write local, ray, or an http address")
    with wired as ready:
        for kind, predictor in ready.predictors.items():
            _check_labels(terms, kind, predictor)
        yield ready


def _local(terms: Terms, names: Mapping[Kind, str], *, device: str, models_file: Path | None) -> Wired:
    from models.registry import build_predictor  # late: torch takes seconds that other commands need not pay

    predictors = {kind: build_predictor(name, kind, terms=terms, models_file=models_file) for kind, name in names.items()}
    for predictor in predictors.values():
        predictor.load(device)
    return Wired(predictors, calls_in_flight=1)


def _check_labels(terms: Terms, kind: Kind, predictor: Predictor) -> None:
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
