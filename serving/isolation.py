"""Calls that outlive a replica: retry, and when an item kills every replica that sees it, find that item.

A chunk whose replica dies is sent again. When it has killed `attempts` replicas it is halved until single
items stand alone, and an item that kills its replica alone `attempts` times more becomes a rejected row.
While that search runs no other call of this client is in flight, so that nobody is convicted for having
stood beside the guilty one.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from contract.answers import build_answer, rejected
from contract.errors import EndpointError
from contract.predictor import Source
from contract.tables import Kind

logger = logging.getLogger(__name__)


class ReplicaDiedError(Exception):
    """The process that ran the call died before it answered."""


class UnavailableError(Exception):
    """Nobody could take the call just now; it was not run, or its answer was lost on the way."""


class Patience(BaseModel):
    """How long to try.

    `attempts` bounds the deaths a chunk may cause before it is halved, and a single item before it is
    rejected; `unavailable_s` bounds the wait for a service that takes no calls.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    attempts: int = 3
    first_pause_s: float = 0.5
    longest_pause_s: float = 10.0
    unavailable_s: float = 300.0


class Gate:
    """Many may pass together, or one alone (a readers-writer lock that lets the one go first)."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._passing = 0
        self._waiting_alone = 0
        self._alone = False

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Hold the gate beside others."""
        with self._changed:
            self._changed.wait_for(lambda: not self._alone and not self._waiting_alone)
            self._passing += 1
        try:
            yield
        finally:
            with self._changed:
                self._passing -= 1
                self._changed.notify_all()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the gate with nobody else inside."""
        with self._changed:
            self._waiting_alone += 1
            try:
                self._changed.wait_for(lambda: not self._alone and not self._passing)
            finally:
                self._waiting_alone -= 1
                self._changed.notify_all()
            self._alone = True
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()


class Isolation:
    """Runs a call on a chunk until every source of it has a row.

    Args:
        kind: of the sources and the answer.
        call: labels a chunk, or raises ReplicaDiedError or UnavailableError.
        patience: bounds.
        sleep: pauses for seconds; given by tests.
    """

    def __init__(
        self,
        kind: Kind,
        call: Callable[[Sequence[Source]], pa.Table],
        *,
        patience: Patience,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._kind = kind
        self._call = call
        self._patience = patience
        self._sleep = sleep
        self._gate = Gate()

    def run(self, sources: Sequence[Source]) -> pa.Table:
        """Return the answer for `sources`, one row each, in order.

        Raises:
            EndpointError: the service took no call for longer than the patience.
        """
        with self._gate.together():
            try:
                return self._attempt(sources, self._patience.attempts)
            except ReplicaDiedError:
                logger.warning(
                    "%d items killed %d replicas; looking for the guilty one", len(sources), self._patience.attempts
                )
        with self._gate.alone():
            return pa.concat_tables(self._search(sources)).combine_chunks()

    def _search(self, sources: Sequence[Source]) -> Iterator[pa.Table]:
        if len(sources) == 1:
            yield self._last_chance(sources[0])
            return
        middle = len(sources) // 2
        for part in (sources[:middle], sources[middle:]):
            yield from self._half(part)

    def _half(self, part: Sequence[Source]) -> Iterator[pa.Table]:
        if len(part) > 1:
            try:
                yield self._attempt(part, 1)
            except ReplicaDiedError:
                logger.info("the guilty item is among %d", len(part))
            else:
                return
        yield from self._search(part)

    def _last_chance(self, source: Source) -> pa.Table:
        attempts = self._patience.attempts
        try:
            return self._attempt([source], attempts)
        except ReplicaDiedError:
            reason = f"the model's process died on this item each of the {attempts} times that it ran alone"
            logger.warning("%s: %s", source.item, reason)
            return build_answer(self._kind, [rejected(source.item, self._kind, reason)])

    def _attempt(self, sources: Sequence[Source], attempts: int) -> pa.Table:
        deaths = 0
        waited_s = 0.0
        pause_s = self._patience.first_pause_s
        while True:
            try:
                return self._call(sources)
            except ReplicaDiedError as error:
                deaths, waited_s = deaths + 1, 0.0
                logger.warning(
                    "a replica died under a call of %d items (%d of %d): %s", len(sources), deaths, attempts, error
                )
                if deaths >= attempts:
                    raise
            except UnavailableError as error:
                if waited_s >= self._patience.unavailable_s:
                    raise EndpointError(f"{error}; it took no call for {waited_s:.0f} s, see that it runs") from error
            self._sleep(pause_s)
            waited_s += pause_s
            pause_s = min(2 * pause_s, self._patience.longest_pause_s)
