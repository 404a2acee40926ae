"""`goldgate export --to-url` and `import --from-url`: a project of Label Studio over its API, without files in between.

The server is asked what it has before anything is sent and after; that, and no note of ours, decides what is still to send.
The command may thus be killed at any moment and run again: a task an item, a prediction a task and model version.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

from contract.errors import EndpointError, FormatError, InputError
from contract.files import canonical_json, write_bytes, write_json
from contract.formats.labelstudio.config import label_config
from contract.formats.labelstudio.tags import LabelInterface, read_label_config
from contract.formats.labelstudio.tasks import tasks_of
from contract.tables import Kind
from goldgate.console import EXIT_DONE, emit_json, emit_text, progress_of_files, say
from goldgate.exchange import Asked, outgoing
from goldgate.stages import Stage, shown
from serving.peers.labelstudio import LabelStudioProject, TaskFacts

_CHUNK: Final = 500
_CHUNK_BYTES: Final = 8 << 20

Task = dict[str, Any]


@dataclass(frozen=True)
class At:
    """A project of Label Studio, and the variable that holds the token for it.

    Args:
        url: of the server.
        project: its number.
        token_env: name of an environment variable.
        media: address before the name of each image and video; None leaves the manifest's own.
    """

    url: str
    project: int
    token_env: str
    media: str | None = None

    def open(self) -> LabelStudioProject:
        """Return the project.

        Raises:
            InputError: the variable is not set, or the address is none.
        """
        token = os.environ.get(self.token_env, "").strip()
        if not token:
            raise InputError(f"the environment variable {self.token_env} is not set; it holds the token for {self.url}")
        return LabelStudioProject(self.url, self.project, token)

    @property
    def key(self) -> str:
        """The project as a file name."""
        parts = urlsplit(self.url)
        plain = "".join(letter if letter.isalnum() or letter in ".-" else "-" for letter in f"{parts.netloc}{parts.path}")
        return f"labelstudio-{plain.strip('-').lower()}-{self.project}"

    def address(self, item: str) -> str:
        """Return where Label Studio finds the image or video `item`."""
        return f"{self.media or ''}{quote(item)}"


def at_of(url: str, project: int | None, token_env: str, media: str | None, *, format_name: str) -> At:
    """Return the project that a command's options name.

    Raises:
        InputError: one is missing, or the format has no such server.
    """
    if format_name != "labelstudio":
        raise InputError(f"--format {format_name}: projects are reached over the API of labelstudio alone")
    if project is None:
        raise InputError(f"{url}: give the number of the project by --project")
    return At(url, project, token_env, media)


@dataclass
class Sent:
    """What came of a run."""

    kind: Kind
    items: int
    tasks: int = 0
    predictions: int = 0
    removed: int = 0


def send_labels(stage: Stage, at: At, asked: Asked, *, as_json: bool) -> int:
    """Bring labels of the lot into a project of Label Studio as predictions, and print what was sent."""
    going = outgoing(stage, asked)
    view = going.view
    by_kind = tasks_of(going.labels, view, media=at.address if at.media is not None else None)
    lot = Lot(frozenset(view.rows), blind=asked.portion is not None)
    with at.open() as project:
        kind = _kind_of(project, by_kind, stage)
        if kind is not Kind.TEXT and at.media is None:
            say(f"goldgate: {kind.value}s are named as in the manifest; --media names where Label Studio finds them")
        sent = Sending(project, by_kind[kind], stage.lot.reviews / f"{at.key}.json", lot).run(kind)
    left = {other.value: len(tasks) for other, tasks in sorted(by_kind.items()) if other is not kind}
    if as_json:
        counts = {"items": sent.items, "tasks_added": sent.tasks, "predictions_added": sent.predictions}
        document = {"format": "labelstudio", "from": asked.from_, "url": at.url, "project": at.project, "kind": kind.value}
        emit_json({**document, **counts, "duplicates_removed": sent.removed, "left_out": left})
        return EXIT_DONE
    emit_text(f"{sent.items} {kind.value}s: {sent.tasks} tasks and {sent.predictions} predictions are new in {project.name}")
    if left:
        emit_text(f"left out: {', '.join(f'{count} {name}' for name, count in left.items())} items, of other kinds")
    return EXIT_DONE


def _kind_of(project: LabelStudioProject, by_kind: Mapping[Kind, Sequence[Task]], stage: Stage) -> Kind:
    """Return the kind of item that the project labels; a project without an interface gets the lot's.

    Raises:
        FormatError: the interface has no place for what would be sent, or does not say which kind.
    """
    document = project.label_config()
    interface = read_label_config(document) if document.strip() else None
    if interface is None or not interface.controls:
        if len(by_kind) != 1:
            several = " and ".join(kind.value for kind in by_kind)
            raise FormatError(f"{project.name} has no labelling interface, and there are {several} items; give it one first")
        (kind,) = by_kind
        project.set_label_config(label_config(kind, stage.terms.guideline).decode())
        return kind
    kinds = [target.kind for target in interface.targets if target.key == target.kind.value and target.kind in by_kind]
    if not kinds:
        fields = ", ".join(f"${target.key}" for target in interface.targets)
        wanted = " or ".join(f"${kind.value}" for kind in by_kind)
        raise FormatError(f"{project.name} labels {fields}, and the items are {wanted}; use the exported label_config.xml")
    _check_places(project, interface, by_kind[kinds[0]])
    return kinds[0]


def _check_places(project: LabelStudioProject, interface: LabelInterface, tasks: Iterable[Task]) -> None:
    labels = {(control.name, control.target.name): control.labels for control in interface.controls}
    for region in (region for task in tasks for region in _regions(task)):
        control = region["from_name"], region["to_name"]
        if control not in labels:
            raise FormatError(
                f"{project.name} has no control {control[0]!r} on {control[1]!r}, so that it would "
                "not show the labels; give it the exported label_config.xml"
            )
        absent = next((label for label in region["value"][region["type"]] if label not in labels[control]), None)
        if absent is not None:
            raise FormatError(
                f"{project.name} has no label {absent!r} in its control {control[0]!r}, so that it would drop "
                "the prediction; give it the exported label_config.xml"
            )


def _regions(task: Task) -> Iterator[Mapping[str, Any]]:
    for prediction in task["predictions"]:
        yield from prediction["result"]


@dataclass(frozen=True)
class Lot:
    """What a run must know beyond what it sends.

    Args:
        items: all items of the lot, so that a task of one is not taken for another of equal content.
        blind: whether what has no prediction is to be labelled by people who see none.
    """

    items: frozenset[str]
    blind: bool = False


class Sending:
    """One run of an export into a project.

    Args:
        project: where to.
        tasks: what the project is to hold.
        record: the file that says what has landed.
        lot: of the tasks' items; made of them alone if left out.
    """

    def __init__(self, project: LabelStudioProject, tasks: Sequence[Task], record: Path, lot: Lot | None = None) -> None:
        self._project = project
        self._tasks = tasks
        self._lot = lot or Lot(frozenset(task["data"]["item"] for task in tasks))
        self._versions = {guess["model_version"] for task in tasks for guess in task["predictions"]}
        self._items = {task["data"]["item"]: task["data"]["sha256"] for task in tasks}
        self._record = record

    def run(self, kind: Kind) -> Sent:
        """Send what the project lacks, see that it stands there once, and write that down.

        Raises:
            FormatError: an item stands there with other content, or in two tasks.
            InputError, EndpointError: the server refused, or did not answer.
        """
        sent = Sent(kind, len(self._tasks))
        found = list(self._project.tasks())
        before = {facts.number for facts in found}
        known = self._known(found, before, sent)
        self._check_blind(known)
        new = [task["data"] for task in self._tasks if task["data"]["item"] not in known]
        self._each_chunk("tasks", new, self._project.add_tasks)
        sent.tasks = len(new)
        if new:
            known = self._known(self._project.tasks(), before, sent)
        absent = next((item for item in self._items if item not in known), None)
        if absent is not None:
            raise EndpointError(
                f"{self._project.name} took item {absent!r} and does not show it; run the same command again"
            )
        wanted = [
            {**prediction, "task": known[task["data"]["item"]].number}
            for task in self._tasks
            for prediction in task["predictions"]
            if not known[task["data"]["item"]].has(prediction["model_version"])
        ]
        self._each_chunk("predictions", wanted, self._project.add_predictions)
        sent.predictions = len(wanted)
        landed = self._known(self._project.tasks(), before, sent)
        for facts in landed.values():
            self._once_each(facts, sent)
        self._write_record(landed)
        self._check_landed(landed, sent)
        return sent

    def _check_blind(self, known: Mapping[str, TaskFacts]) -> None:
        for task in self._tasks if self._lot.blind else ():
            item = task["data"]["item"]
            if not task["predictions"] and item in known and known[item].predictions:
                raise FormatError(
                    f"{self._project.name}: task {known[item].number} shows predictions for item {item!r}, which is to be "
                    "labelled blind; take another project"
                )

    def _check_landed(self, landed: Mapping[str, TaskFacts], sent: Sent) -> None:
        """Label Studio passes over a prediction that it holds for invalid, and answers as if it stood there."""
        absent = [
            task["data"]["item"]
            for task in self._tasks
            for prediction in task["predictions"]
            if task["data"]["item"] not in landed or not landed[task["data"]["item"]].has(prediction["model_version"])
        ]
        if absent:
            raise EndpointError(
                f"{self._project.name}: of {sent.predictions} predictions that were sent {len(absent)} do not stand there, "
                f"such as that of item {absent[0]!r}; Label Studio's log says what it holds against them"
            )

    def _known(self, found: Iterable[TaskFacts], before: set[int], sent: Sent) -> dict[str, TaskFacts]:
        """Return item -> its task of those that were found.

        Raises:
            FormatError: an item stands there with other content, or in two tasks.
        """
        by_hash = {sha256: item for item, sha256 in self._items.items()}
        known: dict[str, TaskFacts] = {}
        for facts in found:
            # As on the way back: the name counts where the lot has it, and else the content.
            item = facts.item if facts.item in self._lot.items else by_hash.get(facts.sha256 or "")
            if item is None or item not in self._items:
                continue
            if facts.sha256 is not None and facts.sha256 != self._items[item]:
                raise FormatError(
                    f"{self._project.name}: task {facts.number} holds item {item!r} with other content; take another project"
                )
            if item not in known:
                known[item] = facts
            elif facts.number in before or facts.annotations:
                raise FormatError(
                    f"{self._project.name}: item {item!r} stands in tasks {known[item].number} and {facts.number}; "
                    "remove one of them"
                )
            else:
                # Came in with us: what an interrupted run had sent was still on its way when this one looked.
                self._project.remove_task(facts.number)
                sent.removed += 1
        return known

    def _once_each(self, facts: TaskFacts, sent: Sent) -> None:
        """Remove what stands twice of one model version: an interrupted run's predictions that came in after we looked."""
        if facts.predictions <= len(facts.versions):
            return
        seen = set()
        for number, version in self._project.predictions_of(facts.number):
            if version in seen and version in self._versions:
                self._project.remove_prediction(number)
                sent.removed += 1
            seen.add(version)

    def _each_chunk(self, what: str, things: Sequence[Any], send: Callable[[Sequence[Any]], None]) -> None:
        done = 0
        with progress_of_files(f"{what} to Label Studio") as show:
            for chunk in chunks(things):
                send(chunk)
                done += len(chunk)
                show(done, len(things))

    def _write_record(self, landed: Mapping[str, TaskFacts]) -> None:
        items = {item: {"task": facts.number, "predictions": list(facts.versions)} for item, facts in sorted(landed.items())}
        write_json(self._record, {"url": self._project.url, "project": self._project.number, "items": items})


def chunks(things: Sequence[Any], *, most: int = _CHUNK, most_bytes: int = _CHUNK_BYTES) -> Iterator[list[Any]]:
    """Cut `things` so that no piece has more than `most` of them, or more than `most_bytes` as JSON unless one alone has."""
    piece: list[Any] = []
    size = 0
    for thing in things:
        length = len(canonical_json(thing))
        if piece and (len(piece) == most or size + length > most_bytes):
            yield piece
            piece, size = [], 0
        piece.append(thing)
        size += length
    if piece:
        yield piece


def fetch_export(stage: Stage, at: At) -> list[Path]:
    """Take a snapshot of a project into the lot's folder and return where it lies, for `goldgate import` to read.

    Raises:
        StageError: there is no such lot.
        InputError, EndpointError: the project cannot be read.
    """
    folder = stage.lot.require().reviews
    with at.open() as project:
        content = project.snapshot()
    number = 1 + max((int(past.stem.rpartition("-")[2]) for past in folder.glob(f"{at.key}-export-*.json")), default=0)
    path = folder / f"{at.key}-export-{number}.json"
    write_bytes(path, content)
    say(f"goldgate: the export of {project.name} lies in {shown(path)}")
    return [path]
