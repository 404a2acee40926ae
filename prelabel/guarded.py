"""A predictor in a process of its own, which may die on what it is given: its caller lives on and is told.

A decoder that crashes on a hostile file takes its whole process along. Where the model runs in the job's own process, the
chunks under way when a job died are labelled in here when it goes on, so that the file to blame is found by halving.
"""

import contextlib
import logging
import multiprocessing
import signal
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Final

import pyarrow as pa

from contract.errors import GoldgateError
from contract.predictor import Description, Predictor, Source

_log = logging.getLogger(__name__)

_ATTEMPTS_ALONE: Final = 2  # of one item: the first death may be somebody's kill

Build = Callable[[], Predictor]


class ModelDiedError(Exception):
    """The process of the model ended under the call."""


class GuardedPredictor:
    """A `contract.predictor.Predictor` that runs `build()`, which pickles and gives a loaded one, in a child process.

    The child starts with the first call and again after each death. Calls take turns.
    """

    def __init__(self, build: Build, description: Description) -> None:
        self._build = build
        self._description = description
        self._child: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None
        self._turn = threading.Lock()

    def describe(self) -> Description:
        """Tell which model the child runs."""
        return self._description

    def load(self, device: str) -> None:
        """Do nothing: the child builds the model loaded."""

    def predict(self, sources: Sequence[Source]) -> pa.Table:
        """Label `sources` in the child.

        Raises:
            ModelDiedError: it ended; a single item is given a second child first.
            Exception: what the model raised.
        """
        with self._turn:
            return self._predict(sources, _ATTEMPTS_ALONE if len(sources) == 1 else 1)

    def _predict(self, sources: Sequence[Source], attempts: int) -> pa.Table:
        try:
            return self._ask(sources)
        except ModelDiedError as error:
            _log.warning("the model died under %d items, first %r (%s)", len(sources), sources[0].item, error)
            self.close()
            if attempts == 1:
                raise
        return self._predict(sources, attempts - 1)

    def _ask(self, sources: Sequence[Source]) -> pa.Table:
        pipe = self._started()
        try:
            pipe.send(list(sources))
            answer = pipe.recv()
        except (EOFError, OSError) as error:
            raise ModelDiedError(self._cause()) from error
        if isinstance(answer, GoldgateError):
            raise answer
        if isinstance(answer, tuple):  # by the name that it would have here, since a reject's reason tells it
            name, sentence = answer
            raise type(name, (Exception,), {})(sentence)
        return pa.ipc.open_stream(answer).read_all()

    def _started(self) -> Connection:
        if self._pipe is None:
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._child = context.Process(target=_serve, args=(theirs, self._build), name="guarded", daemon=True)
            self._child.start()
            theirs.close()  # or the end of the child would not end the pipe
        return self._pipe

    def _cause(self) -> str:
        if self._child is None:
            return "it did not start"
        self._child.join(timeout=10)
        code = self._child.exitcode
        return f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit {code}"

    def close(self) -> None:
        """End the child."""
        if self._pipe is not None:
            self._pipe.close()
        if self._child is not None:
            self._child.kill()
            self._child.join()
        self._pipe = self._child = None


def _serve(pipe: Connection, build: Build) -> None:
    """Label what comes until the pipe ends; runs in the child."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's
    predictor: Predictor | None = None
    with contextlib.suppress(EOFError):
        while True:
            sources = pipe.recv()
            try:
                predictor = predictor or build()
                sink = pa.BufferOutputStream()
                answer = predictor.predict(sources)
                with pa.ipc.new_stream(sink, answer.schema) as stream:
                    stream.write_table(answer)
                pipe.send(sink.getvalue().to_pybytes())
            except GoldgateError as error:
                pipe.send(error)
            except Exception as error:  # noqa: BLE001 - a model may raise anything, and the parent decides what it means
                pipe.send((type(error).__name__, str(error)))
