"""Label Studio's webhooks: what people finish goes to whoever keeps it.

Source: labelstud.io, "Available Webhook Events"; ML backends are sent the same, and in older versions ANNOTATION_DELETED.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from contract.errors import InputError, StorageError
from serving.doors.labelstudio.settings import LabelStudioSettings
from serving.http.problems import ProblemError
from serving.inbox import Finished, Inbox, Place

KEPT: Final = frozenset({"ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED"})
DROPPED: Final = frozenset({"ANNOTATION_DELETED", "ANNOTATIONS_DELETED"})
UNKNOWN_EVENT: Final = "Unknown event"


async def receive(document: Mapping[str, Any], inbox: Inbox | None, settings: LabelStudioSettings) -> tuple[int, Any]:
    """Put the annotations of an event away and return the status and body of the answer.

    Raises:
        ProblemError: 422 the event lacks what it is about or its lot does not exist, 507 it cannot be written.
    """
    action = document.get("action")
    if not isinstance(action, str) or action not in KEPT | DROPPED:
        return 200, {"status": UNKNOWN_EVENT}
    number, title = _project(document)
    place = settings.place_of(number, title)
    if inbox is None or place is None:
        return 200, {"status": "Not kept", "detail": f"no lot is set for project {number}, so its annotations are not kept"}
    try:
        if action in KEPT:
            result = await asyncio.to_thread(_keep, inbox, place, list(_finished(document, number)))
        else:
            result = await asyncio.to_thread(_drop, inbox, place, number, _deleted(document))
    except StorageError as error:
        raise ProblemError(507, str(error)) from error
    except InputError as error:
        raise ProblemError(422, str(error)) from error
    return 201, {"result": result, "status": "ok"}


def _keep(inbox: Inbox, place: Place, finished: Sequence[Finished]) -> dict[str, int]:
    new = [inbox.keep(place, each) for each in finished]
    return {"kept": sum(new), "known": len(new) - sum(new)}


def _drop(inbox: Inbox, place: Place, project: int, annotations: Sequence[int]) -> dict[str, int]:
    known = [inbox.drop(place, project, each) for each in annotations]
    return {"deleted": sum(known), "unknown": len(known) - sum(known)}


def _project(document: Mapping[str, Any]) -> tuple[int, str | None]:
    project = document.get("project")
    if isinstance(project, Mapping):
        title = project.get("title")
        return _number(project, "project"), title if isinstance(title, str) else None
    return _number({"id": project}, "project"), None


def _finished(document: Mapping[str, Any], project: int) -> Iterator[Finished]:
    tasks = {_number(task, "task"): task for task in _objects(document, "task")}
    for annotation in _objects(document, "annotation"):
        number = annotation.get("task", next(iter(tasks), None) if len(tasks) == 1 else None)
        data = tasks[number].get("data") if isinstance(number, int) and number in tasks else None
        if not isinstance(data, Mapping):
            raise ProblemError(422, f"annotation {annotation.get('id')!r} comes without its task's data")
        yield Finished(project, number, _number(annotation, "annotation"), data, annotation)


def _deleted(document: Mapping[str, Any]) -> list[int]:
    name = "annotations" if "annotations" in document else "annotation"
    return [_number(each, name) for each in _objects(document, name)]


def _objects(document: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """Return one object or several under `name`."""
    value = document.get(name)
    given = value if isinstance(value, list) else [value]
    found = [each for each in given if isinstance(each, Mapping)]
    if not found or len(found) < len(given):
        raise ProblemError(422, f"the event has no {name}; let the webhook send its payload")
    return found


def _number(found: Mapping[str, Any], name: str) -> int:
    number = found.get("id")
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < 1 << 63:
        raise ProblemError(422, f"the event's {name} has no number; let the webhook send its payload")
    return number
