"""A project on a Label Studio server, over its REST API: tasks and predictions in, snapshots out.

Source: the API of Label Studio 1.23. Its own package label-studio-sdk holds OpenCV back to a release that goldgate's does
not go with, and is not needed for the few calls here.
"""

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from contract.errors import EndpointError, InputError
from serving.peers.labelstudiotokens import access_of, is_personal

_PAGE: Final = 500
_TIMEOUT_S: Final = 600.0
_CONNECT_TIMEOUT_S: Final = 10.0
_FIELDS: Final = "id,data,total_annotations,total_predictions,predictions_model_versions"
_SHOWN: Final = 300
_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 5.0


@dataclass(frozen=True)
class TaskFacts:
    """What a project holds of a task: the item it is about, and whose predictions stand there."""

    number: int
    item: str | None
    sha256: str | None
    annotations: int
    predictions: int
    versions: tuple[str, ...]
    """Each model_version once; `predictions` counts more where one stands twice."""

    def has(self, version: str) -> bool:
        """Tell whether a prediction of `version` stands there; a comma in its name cannot be told from two names."""
        return version in self.versions or f",{version}," in f",{','.join(self.versions)},"


class LabelStudioProject:
    """One project; a context manager.

    Args:
        url: of the server, with a path where it stands under one.
        project: its number.
        token: a personal access token, or a legacy token.
        timeout_s: bound of one call; a large import is one.

    Raises:
        InputError: `url` is not an http or https address.
    """

    def __init__(self, url: str, project: int, token: str, *, timeout_s: float = _TIMEOUT_S) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise InputError(f"{url}: not an http or https address, for example http://localhost:8080")
        self.url = url.rstrip("/")
        self.number = project
        timeout = httpx.Timeout(timeout_s, connect=_CONNECT_TIMEOUT_S)
        self._http = httpx.Client(auth=_TokenAuth(self.url, token), timeout=timeout)
        self._timeout_s = timeout_s

    def __enter__(self) -> "LabelStudioProject":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._http.close()

    @property
    def name(self) -> str:
        """The project in words."""
        return f"project {self.number} of {self.url}"

    def label_config(self) -> str:
        """Return the labelling interface, as XML."""
        document = self._json("GET", "")
        return str(document.get("label_config") or "")

    def set_label_config(self, document: str) -> None:
        """Give the project a labelling interface."""
        self._json("PATCH", "", json={"label_config": document})

    def tasks(self) -> Iterator[TaskFacts]:
        """Give all tasks, in the order in which they came in."""
        page, seen = 1, 0
        while True:
            query = {"project": self.number, "page": page, "page_size": _PAGE, "fields": "all", "include": _FIELDS}
            document = self._json("GET", "/api/tasks/", params=query)
            found = document["tasks"]
            yield from (_facts(task) for task in found)
            seen, page = seen + len(found), page + 1
            if not found or seen >= document["total"]:
                return

    def add_tasks(self, data: Sequence[Mapping[str, Any]]) -> None:
        """Add a task for each of `data`, without predictions; return when they stand in the project."""
        answer = self._json("POST", "/import", json=[{"data": each} for each in data])
        if "import" in answer:  # editions that import in the background
            self._wait(f"/imports/{answer['import']}/", "the import")

    def add_predictions(self, predictions: Sequence[Mapping[str, Any]]) -> None:
        """Add predictions, each with `task`, `result`, `score` and `model_version`; what stands there already stays."""
        self._json("POST", "/import/predictions", json=list(predictions))

    def predictions_of(self, task: int) -> list[tuple[int, str]]:
        """Return number and model_version of each prediction of `task`, the oldest first."""
        found = self._json("GET", "/api/predictions/", params={"project": self.number, "task": task})
        return sorted((int(each["id"]), str(each.get("model_version") or "")) for each in found)

    def remove_prediction(self, number: int) -> None:
        """Remove a prediction."""
        self._call("DELETE", f"/api/predictions/{number}/")

    def remove_task(self, number: int) -> None:
        """Remove a task with all that hangs on it."""
        self._call("DELETE", f"/api/tasks/{number}/")

    def snapshot(self) -> bytes:
        """Return all tasks with their annotations, as a JSON export; predictions, drafts and people by number alone.

        Raises:
            EndpointError: the server could not make it.
        """
        only = {"only_id": True}
        asked = {"drafts": only, "predictions": only, "annotations__completed_by": only, "include_annotation_history": False}
        made = self._json("POST", "/exports/", json={"title": "goldgate", "serialization_options": asked})
        place = f"/exports/{made['id']}"
        try:
            if made.get("status") != "completed":
                self._wait(place, "the snapshot")
            return self._call("GET", f"{place}/download", params={"exportType": "JSON"}).content
        finally:
            self._call("DELETE", place)

    def _wait(self, place: str, what: str) -> None:
        pause_s, until = _FIRST_PAUSE_S, time.monotonic() + self._timeout_s
        while True:
            status = self._json("GET", place).get("status")
            if status == "completed":
                return
            if status == "failed" or time.monotonic() > until:
                reason = "failed" if status == "failed" else f"was not done in {self._timeout_s:.0f} s"
                raise EndpointError(f"{what} of {self.name} {reason}; Label Studio's log says why")
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _json(self, method: str, place: str, **request: Any) -> Any:
        answer = self._call(method, place, **request)
        try:
            return answer.json()
        except ValueError as error:
            raise EndpointError(f"{self.url}: answers {place or 'the project'} with no JSON; is it Label Studio?") from error

    def _call(self, method: str, place: str, **request: Any) -> httpx.Response:
        """Call a place of the API, or of the project where `place` does not begin with /api/.

        Raises:
            InputError: the token is not taken, or there is no such project.
            EndpointError: the server refused for another reason, or did not answer.
        """
        path = place if place.startswith("/api/") else f"/api/projects/{self.number}{place or '/'}"
        try:
            answer = self._http.request(method, f"{self.url}{path}", **request)
        except httpx.HTTPError as error:
            raise EndpointError(
                f"{self.url}: does not answer ({type(error).__name__}); what has landed stands, and the same command goes on"
            ) from error
        if answer.is_success:
            return answer
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise InputError(f"{self.url}: the token is not taken (HTTP {answer.status_code}: {_words(answer)})")
        if answer.status_code == httpx.codes.NOT_FOUND and not place.startswith("/api/"):
            raise InputError(f"{self.url}: there is no project {self.number} that this token may see")
        raise EndpointError(f"{self.url}: refuses {method} {path} (HTTP {answer.status_code}: {_words(answer)})")


def _facts(task: Mapping[str, Any]) -> TaskFacts:
    data = task.get("data")
    data = data if isinstance(data, dict) else {}
    item, sha256 = data.get("item"), data.get("sha256")
    versions = (word.strip() for word in str(task.get("predictions_model_versions") or "").split(","))
    return TaskFacts(
        number=int(task["id"]),
        item=item if isinstance(item, str) else None,
        sha256=sha256 if isinstance(sha256, str) else None,
        annotations=int(task.get("total_annotations") or 0),
        predictions=int(task.get("total_predictions") or 0),
        versions=tuple(dict.fromkeys(word for word in versions if word)),
    )


def _words(answer: httpx.Response) -> str:
    """Return what the server says is wrong, in one line."""
    try:
        document = answer.json()
        said = document.get("validation_errors") or document.get("detail") or ""
    except (ValueError, AttributeError):
        said = answer.reason_phrase
    words = " ".join(str(said).split()) or "no reason given"
    return words if len(words) <= _SHOWN else f"{words[:_SHOWN]} ..."


class _TokenAuth(httpx.Auth):
    """A legacy token as it is; a personal access token by the short-lived ones that it is exchanged for."""

    requires_response_body = True

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token
        self._personal = is_personal(token)
        self._access: str | None = None

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign a request, and once more with a new access token where the old one has run out."""
        if not self._personal:
            request.headers["authorization"] = f"Token {self._token}"
            yield request
            return
        if self._access is not None:
            request.headers["authorization"] = f"Bearer {self._access}"
            answer = yield request
            if answer.status_code != httpx.codes.UNAUTHORIZED:
                return
        exchanged = yield httpx.Request("POST", f"{self._url}/api/token/refresh", json={"refresh": self._token})
        self._access = access_of(exchanged)
        if self._access is not None:
            request.headers["authorization"] = f"Bearer {self._access}"
        yield request
