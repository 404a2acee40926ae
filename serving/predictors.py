"""Predictors that run elsewhere: on a Ray Serve deployment, or behind HTTP. A job cannot tell them from a local one."""

import concurrent.futures
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import httpx
import pyarrow as pa
from ray import exceptions as ray_errors
from ray import serve
from ray.serve import exceptions as serve_errors

from contract.answers import build_answer, check_answer, rejected
from contract.errors import EndpointError, GoldgateError, LabelsError, SourceError
from contract.predictor import Description, Source
from contract.tables import Kind
from models.content import read_content
from serving.client.errors import RefusedError, UnreachableError
from serving.client.shells import Client
from serving.config import MIB
from serving.http.problems import REPLICA_DIED
from serving.http.wire import decode_answer
from serving.isolation import Isolation, Patience, ReplicaDiedError, UnavailableError

logger = logging.getLogger(__name__)

_DEATHS: Final = (ray_errors.RayActorError, ray_errors.WorkerCrashedError, ray_errors.NodeDiedError)
_ABSENCES: Final = (
    ray_errors.ObjectLostError,
    serve_errors.BackPressureError,
    serve_errors.DeploymentUnavailableError,
    serve_errors.ReplicaUnavailableError,
)
_TIMEOUTS: Final = (TimeoutError, concurrent.futures.TimeoutError)  # one class from Python 3.11 on

_BUSY_STATUSES: Final = frozenset({429, 502, 503, 504})


class RayPredictor:
    """A `contract.predictor.Predictor` on a deployment of this cluster; safe to share among threads.

    A call that loses its replica is sent again, so a killed replica costs no item; an item that kills
    every replica becomes a rejected row (`serving.isolation`).

    Args:
        handle: of a deployment of `serving.deployment.ModelDeployment`.
        kind: what it labels.
        patience: how long to try.
        timeout_s: bound of one call.
    """

    def __init__(self, handle: Any, kind: Kind, *, patience: Patience | None = None, timeout_s: float = 3600.0) -> None:
        self._handle = handle
        self._kind = kind
        self._timeout_s = timeout_s
        self._isolation = Isolation(kind, self._call, patience=patience or Patience())

    @classmethod
    def of(cls, application: str, kind: Kind, *, patience: Patience | None = None) -> "RayPredictor":
        """Return the predictor of `kind` in a running application.

        Raises:
            EndpointError: there is no such application, or it has no model of this kind.
        """
        try:
            handle = serve.get_deployment_handle(kind.value, app_name=application)
        except (KeyError, ray_errors.RayError, serve_errors.RayServeException) as error:
            raise EndpointError(
                f"Ray has no application {application} with a model of kind {kind.value}; deploy it"
            ) from error
        return cls(handle, kind, patience=patience)

    def describe(self) -> Description:
        """Ask the deployment which model it runs.

        Raises:
            EndpointError: it did not answer.
        """
        try:
            return cast("Description", self._handle.describe.remote().result(timeout_s=self._timeout_s))
        except (*_DEATHS, *_ABSENCES, *_TIMEOUTS) as error:
            raise EndpointError(f"the {self._kind.value} deployment did not describe itself; see that it runs") from error

    def load(self, device: str) -> None:
        """Wait until a replica is up; the device was chosen when the model was deployed."""
        self.describe()

    def predict(self, sources: Sequence[Source]) -> pa.Table:
        """Label `sources` in the deployment.

        Raises:
            EndpointError: the deployment takes no calls, or its model raised.
            GoldgateError: what the model raised, if it was one of ours.
        """
        return check_answer(self._kind, sources, self._isolation.run(sources))

    def _call(self, sources: Sequence[Source]) -> pa.Table:
        columns = (
            [source.item for source in sources],
            [source.uri for source in sources],
            [source.data for source in sources],
        )
        try:
            answer = self._handle.predict_many.remote(*columns).result(timeout_s=self._timeout_s)
        except ray_errors.RayTaskError as error:  # first, for it is an instance of what the model raised, too
            raise self._raised(error) from error
        except _DEATHS as error:
            raise ReplicaDiedError(type(error).__name__) from error
        except _ABSENCES as error:
            raise UnavailableError(f"the {self._kind.value} deployment is unavailable ({type(error).__name__})") from error
        except _TIMEOUTS as error:
            count, seconds = len(sources), self._timeout_s
            raise EndpointError(
                f"the {self._kind.value} deployment did not answer {count} items in {seconds:.0f} s; send fewer"
            ) from error
        try:
            return decode_answer(answer, self._kind)
        except LabelsError as error:
            told = f"the {self._kind.value} deployment: {error}"
            raise EndpointError(f"{told}; check that client and server are of one version") from error

    def _raised(self, error: Any) -> GoldgateError:
        cause = error.cause
        if isinstance(cause, GoldgateError):
            return cause
        return EndpointError(f"the {self._kind.value} model raised {type(cause).__name__}: {' '.join(str(cause).split())}")


@dataclass(frozen=True)
class Access:
    """How to reach a server: the key to show (else GOLDGATE_KEY's), certificates to trust, seconds that a call may take."""

    key: str | None = None
    ca_file: Path | None = None
    timeout_s: float = 600.0


class HttpPredictor:
    """A `contract.predictor.Predictor` behind a server elsewhere, which sees content and none of our paths.

    Files are read here and sent; calls are cut so that none carries more than `max_call_bytes` of content
    (unless one file alone does) or `max_call_items` items.

    Args:
        base_url: of the service, for example http://gpu1:8000.
        kind: what to label there.
        patience: how long to try.
        access: the key to show, the certificates to trust, and the bound of one call.
        max_call_bytes: content of one call; keep it under the server's max_body_bytes.
        max_call_items: items of one call; keep it under the server's max_job_items.

    Raises:
        InputError: `base_url` is not an http or https address.
    """

    def __init__(
        self,
        base_url: str,
        kind: Kind,
        *,
        patience: Patience | None = None,
        access: Access | None = None,
        max_call_bytes: int = 48 * MIB,
        max_call_items: int = 256,
    ) -> None:
        access = access or Access()
        self._client = Client(base_url, key=access.key, ca_file=access.ca_file, timeout_s=access.timeout_s)
        self._url = self._client.url
        self._kind = kind
        self._max_call_bytes = max_call_bytes
        self._max_call_items = max_call_items
        self._isolation = Isolation(kind, self._call, patience=patience or Patience())

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def describe(self) -> Description:
        """Ask the server which model it runs for this kind.

        Raises:
            EndpointError: it did not answer, or has none.
        """
        try:
            models = self._client.models()
        except UnreachableError as error:
            raise EndpointError(f"{error}; see that the service runs there") from error
        for model in models:
            if model.kind is self._kind:
                return model
        raise EndpointError(f"{self._url} serves no model of kind {self._kind.value}; add one to its settings")

    def load(self, device: str) -> None:
        """Check that the server has the model; its device was chosen there."""
        self.describe()

    def predict(self, sources: Sequence[Source]) -> pa.Table:
        """Label `sources` on the server.

        Raises:
            EndpointError: the server refused, or took no call for longer than the patience.
        """
        if not sources:
            return build_answer(self._kind, [])
        parts = [self._answer(part) for part in self._parts(sources)]
        return check_answer(self._kind, sources, pa.concat_tables(parts).combine_chunks())

    def _answer(self, part: "Sequence[Source] | dict[str, Any]") -> pa.Table:
        if isinstance(part, dict):
            return build_answer(self._kind, [part])
        return self._isolation.run(part)

    def _parts(self, sources: Sequence[Source]) -> Iterator["list[Source] | dict[str, Any]"]:
        """Cut into calls; a file that cannot be read here is a row by itself. Files are read as their call comes up."""
        part: list[Source] = []
        size = 0
        for source in sources:
            loaded = _with_content(source)
            if isinstance(loaded, dict):
                if part:
                    yield part
                part, size = [], 0
                yield loaded
                continue
            length = len(loaded.data or b"")
            if part and (size + length > self._max_call_bytes or len(part) >= self._max_call_items):
                yield part
                part, size = [], 0
            part.append(loaded)
            size += length
        if part:
            yield part

    def _call(self, sources: Sequence[Source]) -> pa.Table:
        try:
            return self._client.label_chunk(self._kind, sources)
        except UnreachableError as error:
            raise UnavailableError(str(error)) from error
        except RefusedError as error:
            if error.status == httpx.codes.REQUEST_ENTITY_TOO_LARGE and len(sources) == 1:
                reason = f"its {len(sources[0].data or b'')} bytes are more than the server takes in one call"
                return build_answer(self._kind, [rejected(sources[0].item, self._kind, reason)])
            if error.kind == REPLICA_DIED:
                raise ReplicaDiedError(str(error)) from error
            if error.status in _BUSY_STATUSES:
                raise UnavailableError(str(error)) from error
            raise


def _with_content(source: Source) -> "Source | dict[str, Any]":
    """Return `source` with its content and without its path, or the row that rejects it."""
    try:
        return Source(item=source.item, kind=source.kind, uri="", data=read_content(source))
    except SourceError as error:
        return rejected(source.item, source.kind, str(error))
