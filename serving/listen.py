"""Doors on ports of this process: uvicorn, over whatever runs the models.

Nothing stands between the socket and the doors, so that a call costs one hop to its model. The shared port and those of
single doors, TLS, draining at the end, and a change of models while it runs are all here.
"""

import asyncio
import contextlib
import gc
import logging
import os
import queue
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from types import FrameType, TracebackType
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp

from contract.errors import EndpointError, GoldgateError, InputError
from contract.tables import Kind
from serving.access.pace import TimelyHeads
from serving.backend import LaneBackend
from serving.config import Address, ServeSettings
from serving.front import Front, open_door, open_front
from serving.running import Models

logger = logging.getLogger(__name__)

_BACKLOG: Final = 2048
_KEEP_ALIVE_S: Final = 30
_START_TIMEOUT_S: Final = 30.0


class Listener:
    """Applications on their ports, in a thread with an event loop of its own.

    Args:
        apps: port -> application, where port 0 takes a free one.
        address: host and certificate of all ports.
        drain_s: how long answers under way may take at the end.

    Raises:
        InputError: a port is taken, the host is not this machine's, or the certificate cannot be used.
    """

    def __init__(self, apps: Sequence[tuple[int, ASGIApp]], address: Address, *, drain_s: float) -> None:
        _check_certificate(address)
        with contextlib.ExitStack() as stack:
            self._sockets = [stack.enter_context(_bound(address.host, port)) for port, _ in apps]
            stack.pop_all()
        self.ports: Final = tuple(int(bound.getsockname()[1]) for bound in self._sockets)
        """The ports, in the order of `apps`."""
        configs = [_uvicorn_config(app, address, drain_s) for _, app in apps]
        self._servers = [uvicorn.Server(config) for config in configs]
        self._loop = (configs[0].get_loop_factory() or asyncio.new_event_loop)()
        self._thread = threading.Thread(target=self._run, name="doors", daemon=True)

    def __enter__(self) -> "Listener":
        self._thread.start()
        until = time.monotonic() + _START_TIMEOUT_S
        while not all(server.started for server in self._servers):
            if time.monotonic() > until or not self._thread.is_alive():
                raise EndpointError(f"the doors did not open in {_START_TIMEOUT_S:.0f} s; the log says why")
            time.sleep(0.01)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Take no more calls, and return when those under way are answered."""
        for server in self._servers:
            server.should_exit = True
        self._thread.join()

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` in the doors' event loop and wait for it."""
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        pairs = zip(self._servers, self._sockets, strict=True)
        await asyncio.gather(*(server.serve(sockets=[bound]) for server, bound in pairs))


@contextlib.contextmanager
def open_doors(models: Models, address: Address, make_front: Callable[[LaneBackend], Front]) -> Iterator["OpenDoors"]:
    """Open every door of the settings before `models`: all on the address's port, and those with a port of their own."""
    settings = models.settings
    backend = LaneBackend({kind: models.lane(kind) for kind in settings.models}, settings)
    front = make_front(backend)
    own = [(door, each.port) for door, each in settings.doors.items() if each.open and each.port is not None]
    apps: list[tuple[int, ASGIApp]] = [(address.port, open_front(front))]
    apps += [(port, open_door(door, front)) for door, port in own]
    with Listener(apps, address, drain_s=settings.limits.drain_s) as listener:
        yield OpenDoors(models, backend, listener)


class OpenDoors:
    """Doors that are open, and the models behind them."""

    def __init__(self, models: Models, backend: LaneBackend, listener: Listener) -> None:
        self._models = models
        self._backend = backend
        self.ports = listener.ports
        self._listener = listener

    def change(self, settings: ServeSettings) -> list[Kind]:
        """Exchange each model that `settings` change, without a dropped call; return their kinds.

        Raises:
            GoldgateError: what kept a new model from loading; the one before it stays in service.
        """
        changed = []
        for kind, lane in self._models.change(settings):
            self._listener.run(self._backend.change(kind, lane, settings.models[kind].batching))
            changed.append(kind)
        return changed


def serve_forever(
    models: Models,
    address: Address,
    *,
    make_front: Callable[[LaneBackend], Front],
    reload: Callable[[], ServeSettings] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, then drain; nothing is printed. SIGHUP reads the settings again.

    Args:
        models: that run already; whoever started them stops them.
        address: where the shared port listens.
        make_front: gives what the doors stand on.
        reload: reads the settings; on SIGHUP their models take the place of those in service.

    Raises:
        GoldgateError: what kept the doors from opening.
    """
    with _signals() as signals, settled(), open_doors(models, address, make_front) as doors:
        logger.info("serving %s on port %d", ", ".join(kind.value for kind in models.settings.models), doors.ports[0])
        while (number := signals.get()) == signal.SIGHUP:
            if reload is not None:
                _reload(doors, reload)
        logger.info("draining on %s", signal.Signals(number).name)


@contextlib.contextmanager
def settled() -> Iterator[None]:
    """Take what stands in memory by now out of the garbage collector's rounds, until the end.

    The libraries of the models are half a million objects that stay; a full round through them halts every request, and
    /healthz with them, for half a second.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()  # some libraries complain at the end of what was never collected


def _reload(doors: OpenDoors, reload: Callable[[], ServeSettings]) -> None:
    try:
        changed = doors.change(reload())
    except GoldgateError as error:
        logger.error("the models stay as they are: %s", error)
    else:
        logger.info("models changed: %s", ", ".join(kind.value for kind in changed) or "none")


@contextlib.contextmanager
def _signals() -> Iterator["queue.SimpleQueue[int]"]:
    """Collect the signals that matter here, and leave the handlers as they were."""
    received: queue.SimpleQueue[int] = queue.SimpleQueue()

    def collect(number: int, _: FrameType | None) -> None:
        received.put(number)

    # Set only now: Ray, too, sets a handler for SIGTERM when it starts.
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, collect) for number in numbers}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _uvicorn_config(app: ASGIApp, address: Address, drain_s: float) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=TimelyHeads,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, round(drain_s)),
        ssl_certfile=address.ssl_certfile,
        ssl_keyfile=address.ssl_keyfile,
    )


def _bound(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        # Python adds the address to the message, which stands here already; a resolver has numbers of its own.
        reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise InputError(f"{host}:{port}: cannot listen there ({reason}); choose another host or port") from error


def _check_certificate(address: Address) -> None:
    if address.ssl_certfile is None:
        return
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(address.ssl_certfile, address.ssl_keyfile)
    except (OSError, ssl.SSLError) as error:
        raise InputError(f"{address.ssl_certfile}: no usable certificate and key ({error})") from error
