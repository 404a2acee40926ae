"""A Label Studio project in memory, for what the real server does too rarely to wait for: delays, races, other editions."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

TOKEN = "0123456789abcdef"  # noqa: S105 - of a server in this process
PERSONAL = "eyJhbGciOiAiSFMyNTYifQ.e30.c2ln"


@dataclass
class Memory:
    """Tasks and predictions of project 1, and how the server misbehaves.

    Args:
        config: the labelling interface.
        in_background: whether imports and exports take a few looks until they are done.
        outcome: what a background work ends in.
        access_lives: requests that an access token is good for.
    """

    config: str = ""
    in_background: bool = False
    outcome: str = "completed"
    access_lives: int = 1_000_000
    tasks: dict[int, dict[str, Any]] = field(default_factory=dict)
    predictions: dict[int, dict[str, Any]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    refreshed: int = 0
    late: Callable[["Memory", str], None] = lambda memory, what: None
    """Called when something was imported: what an interrupted run had sent before may come in now."""
    drops: Callable[[dict[str, Any]], bool] = lambda prediction: False
    """Which predictions it holds for invalid, which the real server passes over without a word."""
    _looks: int = 0
    _used: int = 0

    def add_task(self, data: dict[str, Any], annotations: int = 0) -> int:
        number = len(self.calls) * 1000 + len(self.tasks) + 1
        self.tasks[number] = {"id": number, "data": data, "annotations": annotations}
        return number

    def add_prediction(self, prediction: dict[str, Any]) -> int:
        number = len(self.calls) * 1000 + len(self.predictions) + 1
        self.predictions[number] = {**prediction, "id": number}
        return number

    def app(self) -> Starlette:
        place = "/api/projects/1"
        routes = [
            Route(f"{place}/", self._project, methods=["GET", "PATCH"]),
            Route("/api/tasks/", self._tasks),
            Route("/api/tasks/{number:int}/", self._remove, methods=["DELETE"]),
            Route(f"{place}/import", self._import, methods=["POST"]),
            Route(f"{place}/imports/7/", self._look),
            Route(f"{place}/import/predictions", self._import_predictions, methods=["POST"]),
            Route("/api/predictions/", self._predictions),
            Route("/api/predictions/{number:int}/", self._remove, methods=["DELETE"]),
            Route(f"{place}/exports/", self._export, methods=["POST"]),
            Route(f"{place}/exports/3", self._look, methods=["GET", "DELETE"]),
            Route(f"{place}/exports/3/download", self._download),
            Route("/api/token/refresh", self._refresh, methods=["POST"]),
        ]
        return Starlette(routes=[Route(each.path, self._checked(each.endpoint), methods=each.methods) for each in routes])

    def _checked(self, endpoint: Any) -> Any:
        async def answer(request: Request) -> Response:
            self.calls.append(f"{request.method} {request.url.path}")
            if not request.url.path.endswith("/refresh") and not self._may(request.headers.get("authorization", "")):
                return JSONResponse({"detail": "Invalid token."}, status_code=401)
            found = await endpoint(request)
            assert isinstance(found, Response)
            return found

        return answer

    def _may(self, word: str) -> bool:
        if word == f"Token {TOKEN}":
            return True
        self._used += 1
        return word == f"Bearer access-{self.refreshed}" and self._used <= self.access_lives

    async def _refresh(self, request: Request) -> Response:
        if (await request.json()) != {"refresh": PERSONAL}:
            return JSONResponse({"detail": "Token is invalid"}, status_code=401)
        self.refreshed += 1
        self._used = 0
        return JSONResponse({"access": f"access-{self.refreshed}"})

    async def _project(self, request: Request) -> Response:
        if request.method == "PATCH":
            self.config = (await request.json())["label_config"]
        return JSONResponse({"id": 1, "label_config": self.config})

    async def _tasks(self, request: Request) -> Response:
        page, size = int(request.query_params["page"]), int(request.query_params["page_size"])
        numbers = sorted(self.tasks)[(page - 1) * size : page * size]
        if not numbers and page > 1:
            return JSONResponse({"detail": "Invalid page."}, status_code=404)
        return JSONResponse({"total": len(self.tasks), "tasks": [self._row(self.tasks[number]) for number in numbers]})

    def _row(self, task: dict[str, Any]) -> dict[str, Any]:
        versions = [each["model_version"] for each in self.predictions.values() if each["task"] == task["id"]]
        return {
            "id": task["id"],
            "data": task["data"],
            "total_annotations": task["annotations"],
            "total_predictions": len(versions),
            "predictions_model_versions": ",".join(sorted(set(versions))),
        }

    async def _import(self, request: Request) -> Response:
        for each in await request.json():
            self.add_task(each["data"])
        self.late(self, "tasks")
        return JSONResponse({"import": 7} if self.in_background else {"task_count": 1}, status_code=201)

    async def _import_predictions(self, request: Request) -> Response:
        kept = [each for each in await request.json() if not self.drops(each)]
        for each in kept:
            assert each["task"] in self.tasks
            self.add_prediction(each)
        self.late(self, "predictions")
        return JSONResponse({"created": len(kept)}, status_code=201)

    async def _predictions(self, request: Request) -> Response:
        wanted = int(request.query_params["task"])
        return JSONResponse([each for each in self.predictions.values() if each["task"] == wanted])

    async def _remove(self, request: Request) -> Response:
        number = request.path_params["number"]
        del (self.tasks if "/tasks/" in request.url.path else self.predictions)[number]
        return Response(status_code=204)

    async def _export(self, request: Request) -> Response:
        return JSONResponse({"id": 3, "status": "in_progress" if self.in_background else "completed"}, status_code=201)

    async def _look(self, request: Request) -> Response:
        self._looks += 1
        return JSONResponse({"status": self.outcome if self._looks % 3 == 0 else "in_progress"})

    async def _download(self, request: Request) -> Response:
        tasks = [{"id": number, "data": task["data"], "annotations": []} for number, task in self.tasks.items()]
        return Response(json.dumps(tasks).encode(), media_type="application/json")
