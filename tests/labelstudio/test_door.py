"""The door proved against a real Label Studio: it connects, asks, shows the regions, and tells of finished work."""

import base64
import contextlib
import io
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import av
import httpx
import numpy as np
import pytest
from PIL import Image
from starlette.types import ASGIApp, Receive, Scope, Send

from contract.formats.labelstudio.config import label_config
from contract.predictor import Source
from contract.tables import Kind, Task
from contract.workfolder import lot_folder
from goldgate.cli import run
from goldgate.inbox import FileInbox
from models.fake import FakePredictor
from prelabel.handoff import read_sealed
from serving.config import ModelSettings, ServeSettings
from serving.doors.labelstudio.door import labelstudio_door
from serving.doors.labelstudio.settings import LabelStudioHost, LabelStudioSettings, LotOfProject
from serving.lanes import local_backend
from tests.conftest import listening
from tests.labelstudio.browser import BROWSER, browsing
from tests.labelstudio.server import EMAIL, PASSWORD, LabelStudio, personal_token
from tests.oracles.labelstudiorules import violations
from tests.oracles.lots import GUIDELINE

pytestmark = [pytest.mark.labelstudio, pytest.mark.slow, pytest.mark.e2e]

ROOT = Path(__file__).resolve().parents[2]
FAKES = {kind: FakePredictor(kind, guideline=GUIDELINE) for kind in Kind}
CONFIGS = {kind: label_config(kind, GUIDELINE).decode() for kind in Kind}
SETTINGS = ServeSettings(models={kind: ModelSettings(name="fake") for kind in Kind})
VARIABLE = "GOLDGATE_TEST_LABEL_STUDIO"


def faked(kind: Kind, content: bytes) -> dict[str, Any]:
    (row,) = FAKES[kind].predict([Source("", kind, "", content)]).to_pylist()
    return cast("dict[str, Any]", row)


def picture(seed: int, *, orientation: int = 1) -> bytes:
    """Return a picture on which the fake sees something, from the seed on."""
    for number in range(seed, seed + 50):
        image = Image.fromarray(np.random.default_rng(number).integers(0, 256, (48, 64, 3), dtype=np.uint8))
        exif = image.getexif()
        exif[0x0112] = orientation
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", exif=exif)
        if faked(Kind.IMAGE, buffer.getvalue())["boxes"]:
            return buffer.getvalue()
    raise AssertionError("the fake sees nothing on fifty pictures")


def film() -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for shade in range(30):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), shade * 8, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


def inline(content: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


class BasicAuth:
    """Lets in who knows the password, as any proxy before the door would."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope["headers"]).get(b"authorization", b"")
        if given == b"Basic " + base64.b64encode(b"reviewers:open sesame"):
            await self._app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def door(labelstudio: LabelStudio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Open a door that trusts the running Label Studio, and return its address."""
    with contextlib.ExitStack() as stack:

        def opened(*, token: str = labelstudio.token, wrap: Any = None, lots: Any = ()) -> str:
            monkeypatch.setenv(VARIABLE, token)
            host = LabelStudioHost(url=labelstudio.url, token_env=VARIABLE)
            settings = SETTINGS.model_copy(update={"labelstudio": LabelStudioSettings(hosts=(host,), lots=tuple(lots))})
            app = labelstudio_door(local_backend(FAKES, settings), settings, FileInbox(tmp_path / "work"))
            return stack.enter_context(listening(wrap(app) if wrap else app))

        yield opened


def connect(labelstudio: LabelStudio, project: int, url: str, **more: Any) -> httpx.Response:
    return labelstudio.api.post("/api/ml/", json={"project": project, "url": url, "title": "goldgate", **more})


def predicted(labelstudio: LabelStudio, project: int, url: str, tasks: list[int]) -> list[dict[str, Any]]:
    """Connect the door, have all tasks labelled, and return what Label Studio then shows of each."""
    answer = connect(labelstudio, project, url)
    assert answer.status_code == 201, answer.text
    assert (answer.json()["readable_state"], answer.json()["model_version"]) in (
        ("Connected", "fake@1"),
        ("Disconnected", ""),
    )
    labelstudio.act(project, "retrieve_tasks_predictions")
    (backend,) = labelstudio.api.get("/api/ml/", params={"project": project}).json()
    assert (backend["readable_state"], backend["model_version"]) == ("Connected", "fake@1")
    found = []
    for task in tasks:
        (prediction,) = labelstudio.task(task)["predictions"]
        found.append(prediction)
    return found


def upload(labelstudio: LabelStudio, project: int, name: str, content: bytes) -> str:
    """Upload a file as a person does, and return the path that its task has."""
    answer = labelstudio.api.post(f"/api/projects/{project}/import", files={"file": (name, content)})
    assert answer.status_code == 201, answer.text
    (number,) = answer.json()["file_upload_ids"]
    return f"/data/{labelstudio.api.get(f'/api/import/file-upload/{number}').json()['file']}"


def share(labelstudio: LabelStudio, project: int, name: str, content: bytes) -> str:
    """Put a file into the folder that Label Studio serves to the project."""
    folder = labelstudio.files / f"project-{project}"
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    body = {"project": project, "path": str(folder), "use_blob_urls": True}
    assert labelstudio.api.post("/api/storages/localfiles", json=body).status_code == 201
    return f"/data/local-files/?d=project-{project}/{quote(name)}"


@pytest.mark.parametrize("personal", [False, True])
def test_pictures_wherever_they_lie(labelstudio: LabelStudio, door: Callable[..., str], personal: bool) -> None:
    project = labelstudio.create_project("pictures", CONFIGS[Kind.IMAGE])
    contents = [picture(seed, orientation=orientation) for seed, orientation in ((0, 1), (100, 6), (200, 3))]
    uris = [
        inline(contents[0], "image/jpeg"),
        upload(labelstudio, project, "upright.jpg", contents[1]),
        share(labelstudio, project, "a b.jpg", contents[2]),
    ]
    uploaded = [each["id"] for each in labelstudio.api.get("/api/tasks/", params={"project": project}).json()["tasks"]]
    tasks = labelstudio.import_tasks(project, [{"data": {"image": uris[0]}}, {"data": {"image": uris[2]}}])
    tasks.insert(1, uploaded[0])
    url = door(token=personal_token(labelstudio) if personal else labelstudio.token)
    predictions = predicted(labelstudio, project, url, tasks)
    for prediction, content in zip(predictions, contents, strict=True):
        assert violations(prediction, CONFIGS[Kind.IMAGE]) == []
        width, height = (48, 64) if content is contents[1] else (64, 48)
        boxes = faked(Kind.IMAGE, content)["boxes"]
        assert prediction["score"] == pytest.approx(min(box["score"] for box in boxes))
        for region, box in zip(prediction["result"], boxes, strict=True):
            assert (region["original_width"], region["original_height"]) == (width, height)
            assert region["value"]["rectanglelabels"] == [box["label"]]
            edges = [region["value"][name] for name in ("x", "y", "width", "height")]
            wanted = [box["x"] / width, box["y"] / height, box["w"] / width, box["h"] / height]
            assert edges == pytest.approx([100 * each for each in wanted])


def test_texts_and_what_is_asked_twice(labelstudio: LabelStudio, door: Callable[..., str]) -> None:
    project = labelstudio.create_project("texts", CONFIGS[Kind.TEXT])
    texts = ["很好用", "Broke after a week.", "", "Ünïcode 🙂"]
    tasks = labelstudio.import_tasks(project, [{"data": {"text": each}} for each in texts])
    predictions = predicted(labelstudio, project, door(), tasks)
    for text, prediction in zip(texts, predictions, strict=True):
        row = faked(Kind.TEXT, text.encode())
        assert [each["value"]["choices"] for each in prediction["result"]] == [[each["label"]] for each in row["sentiments"]]
        assert prediction["model_version"] == ("fake@1" if text else "fake@1 failed")
    labelstudio.act(project, "retrieve_tasks_predictions")
    counts = [len(labelstudio.task(task)["predictions"]) for task in tasks]
    assert counts == [1, 1, 2, 1]  # what failed is asked for again, and nothing else


def test_a_film_on_its_timeline(labelstudio: LabelStudio, door: Callable[..., str]) -> None:
    project = labelstudio.create_project("films", CONFIGS[Kind.VIDEO])
    content = film()
    tasks = labelstudio.import_tasks(project, [{"data": {"video": inline(content, "video/mp4"), "fps": 10}}])
    (prediction,) = predicted(labelstudio, project, door(), tasks)
    said = faked(Kind.VIDEO, content)
    spans = {Task.SHOTS: said["shots"], Task.EVENTS: said["events"]}
    wanted = [(task.value, each["start_frame"] + 1, each["end_frame"]) for task, rows in spans.items() for each in rows]
    wanted += [("keyframes", each["frame"] + 1, each["frame"] + 1) for each in said["keyframes"]]
    found = [
        (each["from_name"], *(each["value"]["ranges"][0][name] for name in ("start", "end")))
        for each in prediction["result"]
    ]
    assert sorted(found) == sorted(wanted)
    assert violations(prediction, CONFIGS[Kind.VIDEO]) == []


def test_one_picture_while_a_person_looks_at_it(labelstudio: LabelStudio, door: Callable[..., str]) -> None:
    project = labelstudio.create_project("interactive", CONFIGS[Kind.IMAGE])
    content = picture(300)
    (task,) = labelstudio.import_tasks(project, [{"data": {"image": inline(content, "image/jpeg")}}])
    backend = connect(labelstudio, project, door(), is_interactive=True).json()["id"]
    body = {"task": task, "context": {"result": [{"type": "rectanglelabels"}]}}
    answer = labelstudio.api.post(f"/api/ml/{backend}/interactive-annotating", json=body)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["data"]["result"]) == len(faked(Kind.IMAGE, content)["boxes"])


def test_behind_a_password(labelstudio: LabelStudio, door: Callable[..., str]) -> None:
    project = labelstudio.create_project("password", CONFIGS[Kind.TEXT])
    (task,) = labelstudio.import_tasks(project, [{"data": {"text": "fine"}}])
    url = door(wrap=BasicAuth)
    assert "authentication" in connect(labelstudio, project, url).text
    who = {"auth_method": "BASIC_AUTH", "basic_auth_user": "reviewers", "basic_auth_pass": "open sesame"}
    assert connect(labelstudio, project, url, **who).status_code == 201
    labelstudio.act(project, "retrieve_tasks_predictions")
    assert labelstudio.task(task)["predictions"][0]["result"]


@pytest.mark.skipif(BROWSER is None, reason="no Chromium to look with")
def test_a_person_sees_the_regions(labelstudio: LabelStudio, door: Callable[..., str], tmp_path: Path) -> None:
    project = labelstudio.create_project("seen", CONFIGS[Kind.IMAGE])
    content = picture(600, orientation=6)
    (task,) = labelstudio.import_tasks(project, [{"data": {"image": inline(content, "image/jpeg")}}])
    predicted(labelstudio, project, door(), [task])
    boxes = faked(Kind.IMAGE, content)["boxes"]
    with browsing(tmp_path / "profile") as page:
        page.open(f"{labelstudio.url}/projects/{project}/data?task={task}", session(labelstudio))
        words = page.until(f"{LISTED}.length == {3 * len(boxes)} && {LISTED}")
        page.until("Array.from(document.images).some(each => each.naturalWidth == 48 && each.naturalHeight == 64)")
    assert sorted(zip(words[1::3], words[2::3], strict=True)) == sorted(
        (box["label"], f"{box['score']:.2f}") for box in boxes
    )


LISTED = "document.body.innerText.split('By Time').slice(1).join(' ').split(/\\s+/).filter(Boolean)"
"""The list of regions beside the picture: number, label, score."""


def session(labelstudio: LabelStudio) -> dict[str, str]:
    """Log in as a person does and return the browser's cookies."""
    with httpx.Client(base_url=labelstudio.url, trust_env=False) as client:
        client.get("/user/login/")
        form = {"email": EMAIL, "password": PASSWORD, "csrfmiddlewaretoken": client.cookies["csrftoken"]}
        answer = client.post("/user/login/", data=form, headers={"referer": labelstudio.url})
        assert answer.status_code == 302, answer.text
        return dict(client.cookies)


CHECK = """
import json, sys
from label_studio_sdk.label_interface import LabelInterface
for config, predictions in json.load(sys.stdin):
    interface = LabelInterface(config)
    for prediction in predictions:
        for error in interface.validate_prediction(prediction, return_errors=True):
            print(error)
print("done")
"""


def test_the_sdk_finds_no_fault(labelstudio: LabelStudio, door: Callable[..., str]) -> None:
    contents = {
        Kind.IMAGE: [inline(picture(seed), "image/jpeg") for seed in range(400, 420)],
        Kind.TEXT: [f"text {number}" for number in range(20)],
        Kind.VIDEO: [inline(film(), "video/mp4")],
    }
    said = []
    with httpx.Client(base_url=door(), trust_env=False, timeout=60) as client:
        for kind, each in contents.items():
            tasks = [{"id": number, "data": {kind.value: content}} for number, content in enumerate(each)]
            body = {"tasks": tasks, "project": "1.2", "label_config": CONFIGS[kind], "params": {}}
            said.append((CONFIGS[kind], client.post("/predict", json=body).json()["results"]))
    assert sum(len(prediction["result"]) for _, predictions in said for prediction in predictions) > 40
    command = [str(labelstudio.python), "-c", CHECK]
    checked = subprocess.run(command, input=json.dumps(said), capture_output=True, text=True, check=True)  # noqa: S603
    assert checked.stdout == "done\n"


class Story:
    """A lot whose items are reviewed in Label Studio."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.work = folder / "work"
        self._capsys = capsys
        raw = folder / "raw"
        raw.mkdir()
        for number in range(3):
            (raw / f"{number}.jpg").write_bytes(picture(500 + 60 * number))
        (raw / "texts.csv").write_text("text\nfine\nbad\n", encoding="utf-8")
        self.do("intake", raw)

    def do(self, command: str, *words: Any, status: int = 0) -> Any:
        contract = ROOT / "configs" / "demo.yaml"
        where = ["-c", contract, "--lot", "made", "--work", self.work, "--json"]
        found = run([command, *map(str, [*words, *where])])
        out, err = self._capsys.readouterr()
        assert found == status, err
        return json.loads(out) if out else err

    @property
    def inbox(self) -> list[str]:
        return sorted(path.name for path in lot_folder(self.work, "DEMO-2025", "made").inbox.glob("*/*.json"))


def test_finished_work_becomes_a_submission(
    labelstudio: LabelStudio, door: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    story = Story(tmp_path, capsys)
    fakes = ["--model", "detector=fake", "--model", "sentiment=fake", "--model", "video=fake"]
    story.do("prelabel", *fakes)
    story.do("export", "--format", "labelstudio", "--out", tmp_path / "out")
    lots = [LotOfProject(project=f"DEMO {kind.value}", contract="DEMO-2025", lot="made") for kind in Kind]
    url = door(lots=lots)
    images, texts = (imported(labelstudio, kind, tmp_path / "out" / kind.value, url) for kind in (Kind.IMAGE, Kind.TEXT))
    for number, task in (*images.items(), *texts.items()):
        (prediction,) = task["predictions"]
        annotate(labelstudio, number, prediction["result"])
    assert len(story.inbox) == 5
    first, second, *_ = images
    box = {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0, "rectanglelabels": ["star"]}
    drawn = {
        "type": "rectanglelabels",
        "from_name": "boxes",
        "to_name": "image",
        "original_width": 64,
        "original_height": 48,
    }
    (annotation,) = labelstudio.task(first)["annotations"]
    changed = labelstudio.api.patch(f"/api/annotations/{annotation['id']}/", json={"result": [{**drawn, "value": box}]})
    assert changed.status_code == 200
    (annotation,) = labelstudio.task(second)["annotations"]
    assert labelstudio.api.delete(f"/api/annotations/{annotation['id']}/").status_code == 204
    assert len(story.inbox) == 7

    receipt = story.do("import", "--format", "labelstudio", "--as", "submission", "--from-inbox")
    assert (receipt["role"], receipt["number"], receipt["items"]) == ("submission", 1, 4)
    sealed = read_sealed(lot_folder(story.work, "DEMO-2025", "made"), "submission").labels
    by_item: dict[str, list[Any]] = {}
    for row in sealed.table(Task.BOXES).to_pylist():
        by_item.setdefault(row["item"], []).append(row)
    edited = images[first]["data"]["item"]
    assert [(row["label"], row["x"], row["y"], row["w"], row["h"]) for row in by_item.pop(edited)] == [
        ("star", pytest.approx(6.4), pytest.approx(9.6), pytest.approx(19.2), pytest.approx(19.2))
    ]
    assert images[second]["data"]["item"] not in by_item
    for item, rows in by_item.items():
        content = (tmp_path / "raw" / item).read_bytes()
        boxes = faked(Kind.IMAGE, content)["boxes"]
        assert [[row[name] for name in ("x", "y", "w", "h", "label")] for row in rows] == [
            [box[name] for name in ("x", "y", "w", "h", "label")] for box in boxes
        ]
    assert sealed.table(Task.SENTIMENTS).num_rows == 2
    assert story.do("lot", "status")["state"] == "returned"  # for an item is missing

    annotate(labelstudio, second, [])
    assert story.do("import", "--format", "labelstudio", "--as", "submission", "--from-inbox")["items"] == 5
    status = story.do("lot", "status")
    assert (status["submission"], status["state"]) == (2, "checked")


def imported(labelstudio: LabelStudio, kind: Kind, folder: Path, url: str) -> dict[int, dict[str, Any]]:
    """Make a project of what was exported, connect the door to it, and return its tasks by number."""
    config = (folder / "label_config.xml").read_text(encoding="utf-8")
    project = labelstudio.create_project(f"DEMO {kind.value}", config)
    numbers = labelstudio.import_tasks(project, json.loads((folder / "tasks.json").read_text(encoding="utf-8")))
    assert connect(labelstudio, project, url).status_code == 201
    return {number: labelstudio.task(number) for number in numbers}


def annotate(labelstudio: LabelStudio, task: int, result: list[Any]) -> None:
    answer = labelstudio.api.post(f"/api/tasks/{task}/annotations/", json={"result": result})
    assert answer.status_code == 201, answer.text
