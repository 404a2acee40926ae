"""The whole service as one Ray Serve application, for ``serve deploy configs/serve.yaml`` and KubeRay.

It is what `goldgate serve` runs, with Serve's own proxies before it: models, doors, jobs, and the inbox of review tools.
"""

import atexit
import contextlib
import logging
import time
from pathlib import Path
from typing import Final

from contract.errors import StageError
from contract.predictor import Predictor
from contract.tables import Kind
from goldgate.inbox import FileInbox
from goldgate.jobs.board import Board, open_board
from goldgate.jobs.carrying_out import Means
from serving.access.guard import Access
from serving.app import Application, named_model, with_front_door
from serving.backend import Backend
from serving.config import ServeSettings
from serving.front import Front
from serving.jobs import JobSettings
from serving.listen import settled
from serving.predictors import RayPredictor
from serving.watch.logs import log_service
from serving.watch.watching import watching

logger = logging.getLogger(__name__)

_LONGEST_WAIT_S: Final = 60.0
_PAUSE_S: Final = 1.0


def build(args: ServeSettings) -> Application:
    """Return the application: one deployment a model, and the front doors with all that they stand on before them."""
    return with_front_door(args, [named_model(kind, args) for kind in args.models], make_front)


def make_front(backend: Backend, settings: ServeSettings, application: str) -> Front:
    """Return what the doors stand on, inside the replica that runs them."""
    log_service(settings.watch.log)
    open_until_exit = contextlib.ExitStack()
    atexit.register(open_until_exit.close)
    watch = open_until_exit.enter_context(watching(settings.watch))
    open_until_exit.enter_context(settled())
    access = Access(settings.access)
    if settings.work is None:
        return Front(backend, settings, watch=watch, access=access)

    def predictor(kind: Kind) -> Predictor | None:
        return RayPredictor.of(application, kind) if kind in settings.models else None

    board = _board(open_until_exit, settings.work, Means(predictor, settings.jobs.calls_in_flight), settings.jobs)
    return Front(backend, settings, inbox=FileInbox(settings.work), watch=watch, jobs=board, access=access)


def _board(stack: contextlib.ExitStack, work: Path, means: Means, settings: JobSettings) -> Board:
    """Open the work folder's jobs; while a replica takes the place of another, that one has them for a moment yet.

    Raises:
        StageError: another service keeps them.
    """
    until = time.monotonic() + _LONGEST_WAIT_S
    while True:
        try:
            return stack.enter_context(open_board(work, means, settings))
        except StageError:
            if time.monotonic() > until:
                raise
        logger.info("the jobs of %s are another process's; waiting for them", work)
        time.sleep(_PAUSE_S)
