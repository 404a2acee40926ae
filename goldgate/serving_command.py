"""`goldgate serve`: the HTTP service in the foreground."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from contract.errors import InputError
from contract.predictor import Predictor
from contract.tables import Kind
from contract.terms import Terms, load_terms
from goldgate.console import EXIT_DONE, say
from goldgate.inbox import FileInbox
from goldgate.jobs.board import Board, open_board
from goldgate.jobs.carrying_out import Means
from goldgate.wiring import models_of_terms
from models.registry import default_models_file
from serving.access.guard import Access
from serving.access.settings import AccessSettings
from serving.config import Address, ServeSettings, load_settings
from serving.doors.labelstudio.hosts import check_tokens
from serving.front import Front
from serving.listen import serve_forever
from serving.running import LocalModels, Models, start_serving
from serving.watch.logs import log_service
from serving.watch.watching import watching

_STARTS: dict[str, Callable[[ServeSettings], Models]] = {"ray": start_serving, "local": LocalModels}


@dataclass(frozen=True)
class Listening:
    """What the command line says of the address; None leaves it to the settings."""

    host: str | None = None
    port: int | None = None
    certificate: Path | None = None
    key: Path | None = None
    keys: Path | None = None
    no_auth: bool = False

    def over(self, address: Address) -> Address:
        """Return `address` with what was said here in its place."""
        said = {"host": self.host, "port": self.port, "ssl_certfile": self.certificate, "ssl_keyfile": self.key}
        return Address.model_validate(
            address.model_dump() | {name: value for name, value in said.items() if value is not None}
        )

    def access(self, settings: AccessSettings) -> AccessSettings:
        """Return `settings` with what was said here in its place.

        Raises:
            InputError: --keys with --no-auth.
        """
        if self.keys is not None and self.no_auth:
            raise InputError("give --keys or --no-auth, not both")
        if self.no_auth:
            return settings.model_copy(update={"auth": "none"})
        return settings if self.keys is None else settings.model_copy(update={"auth": "keys", "keys_file": self.keys})


def serve_models(config: Path | None, contract: Path | None, listening: Listening, *, run_on: str) -> int:
    """Serve until Ctrl-C or SIGTERM; SIGHUP reads the settings again and exchanges the models that they change.

    Args:
        config: settings; configs/serve.yaml if None.
        contract: terms whose labels to speak.
        listening: goes before the address of the settings.
        run_on: ray, or local for models in this process.
    """
    if run_on not in _STARTS:
        raise InputError(f"--address {run_on!r}: write ray or local")
    path = config or default_models_file().with_name("serve.yaml")
    settings, address = _read(path, contract)
    check_tokens(settings.labelstudio)
    address = listening.over(address)
    access = _access(listening.access(settings.access), address)
    log_service(settings.watch.log)
    with (
        contextlib.closing(_STARTS[run_on](settings)) as models,
        watching(settings.watch) as watch,
        _jobs(models) as board,
    ):
        kinds = ", ".join(kind.value for kind in settings.models)
        if settings.watch.log == "text":
            say(f"goldgate: serving {kinds} on {address.scheme}://{address.host}:{address.port} (Ctrl-C stops)")
        serve_forever(
            models,
            address,
            make_front=lambda backend: Front(
                backend, settings, inbox=_inbox(settings), watch=watch, jobs=board, access=access
            ),
            reload=lambda: _read(path, contract)[0],
        )
    return EXIT_DONE


def _access(settings: AccessSettings, address: Address) -> Access:
    if settings.auth == "none" and not address.is_loopback:
        raise InputError(
            f"{address.host}: others can reach this address, so that calls need keys; make one by 'goldgate keys add' "
            "and give --keys"
        )
    return Access(settings)


def _inbox(settings: ServeSettings) -> FileInbox | None:
    return None if settings.work is None else FileInbox(settings.work)


@contextlib.contextmanager
def _jobs(models: Models) -> Iterator[Board | None]:
    """Run the jobs of the work folder that the settings name, if they do, on `models` as they are at the time."""
    settings = models.settings
    if settings.work is None:
        yield None
        return

    def predictor(kind: Kind) -> Predictor | None:
        return models.predictor(kind) if kind in models.settings.models else None

    with open_board(settings.work, Means(predictor, settings.jobs.calls_in_flight), settings.jobs) as board:
        yield board


def _read(config: Path, contract: Path | None) -> tuple[ServeSettings, Address]:
    settings, address = load_settings(config)
    return (settings if contract is None else _under(load_terms(contract), settings)), address


def _under(terms: Terms, settings: ServeSettings) -> ServeSettings:
    """Return `settings` with the labels of `terms`, and with the models that they name."""
    named = models_of_terms(terms)
    models = {
        kind: model.model_copy(update={"name": named[kind]}) if kind in named else model
        for kind, model in settings.models.items()
    }
    return settings.model_copy(update={"terms": terms.model_dump(mode="json"), "models": models})
