"""The Label Studio door over real sockets, with the fake models behind it."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import httpx
import pytest

from contract.tables import Kind
from serving.config import Door as DoorName
from serving.config import Limits
from serving.front import Front, build_door, build_front
from serving.lanes import local_backend
from tests.oracles.labelstudiorules import violations
from tests.oracles.lots import GUIDELINE
from tests.serving.doors.labelstudio.asking import (
    CONFIGS,
    FAKES,
    SETTINGS,
    Door,
    asked,
    faked,
    film,
    inline,
    picture,
    results,
    task,
)


@pytest.mark.parametrize("path", ["/", "/health"])
def test_it_is_up(door: Door, path: str) -> None:
    answer = door().get(path)
    assert (answer.status_code, answer.json()) == (200, {"status": "UP", "model_class": "Goldgate"})


def test_routes_that_no_backend_has(door: Door) -> None:
    client = door()
    assert (client.get("/metrics").status_code, client.get("/metrics").json()) == (200, {})
    for path in ("/versions", "/validate", "/duplicate_model", "/delete", "/job_status", "/train", "/openapi.json"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert {"status", "detail", "request", "result"} <= set(answer.json())


@pytest.mark.parametrize("project", ["7.1712345678", 7, None])
@pytest.mark.parametrize("kind", list(Kind))
def test_setup_tells_the_version(door: Door, kind: Kind, project: Any) -> None:
    body = {
        "project": project, "schema": CONFIGS[kind], "hostname": "http://ls:8080", "access_token": "t", "extra_params": None,
    }  # fmt: skip
    answer = door().post("/setup", json=body)
    assert (answer.status_code, answer.json()) == (200, {"model_version": "fake@1"})


def test_images_in_percent_of_the_upright_picture(door: Door) -> None:
    contents = [picture(seed, size=(64, 48), orientation=6 if seed % 2 else None) for seed in range(12)]
    body = asked(Kind.IMAGE, [task(100 + index, image=inline(each)) for index, each in enumerate(contents)])
    entries = results(door(), body)
    regions = 0
    for content, entry, seed in zip(contents, entries, range(12), strict=True):
        assert violations(entry, CONFIGS[Kind.IMAGE]) == []
        width, height = (48, 64) if seed % 2 else (64, 48)
        boxes = faked(Kind.IMAGE, content)["boxes"]
        assert [(region["original_width"], region["original_height"]) for region in entry["result"]] == [
            (width, height)
        ] * len(boxes)
        for region, box in zip(entry["result"], boxes, strict=True):
            value = region["value"]
            assert value["rectanglelabels"] == [box["label"]]
            assert [value[name] for name in ("x", "y", "width", "height")] == pytest.approx(
                [box["x"] / width * 100, box["y"] / height * 100, box["w"] / width * 100, box["h"] / height * 100]
            )
            assert region["score"] == box["score"]
        assert entry["score"] == min((box["score"] for box in boxes), default=None)
        assert entry["model_version"] == "fake@1"
        regions += len(boxes)
    assert regions > 10


def test_texts(door: Door) -> None:
    texts = ["很好用", "Broke after a week.", "Ünïcode 🙂"]
    entries = results(door(), asked(Kind.TEXT, [task(index, text=each) for index, each in enumerate(texts)]))
    for text, entry in zip(texts, entries, strict=True):
        (sentiment,) = faked(Kind.TEXT, text.encode())["sentiments"]
        (region,) = entry["result"]
        assert (region["from_name"], region["to_name"], region["type"]) == ("sentiment", "text", "choices")
        assert (region["value"], region["score"]) == ({"choices": [sentiment["label"]]}, sentiment["score"])
        assert entry["score"] == sentiment["score"]


@pytest.mark.parametrize("data", [{"fps": 10}, {"fps": "10.00001", "more": 1}])
def test_frames_count_from_one_and_both_ends_belong(door: Door, data: dict[str, Any]) -> None:
    content = film()
    (entry,) = results(door(), asked(Kind.VIDEO, [task(1, video=inline(content, "video/mp4"), **data)]))
    said = faked(Kind.VIDEO, content)
    assert violations(entry, CONFIGS[Kind.VIDEO]) == []
    found = [(each["from_name"], each["value"]["timelinelabels"], each["value"]["ranges"]) for each in entry["result"]]
    assert found == [
        *(
            ("shots", [shot["transition"]], [{"start": shot["start_frame"] + 1, "end": shot["end_frame"]}])
            for shot in said["shots"]
        ),
        *(
            ("keyframes", ["keyframe"], [{"start": each["frame"] + 1, "end": each["frame"] + 1}])
            for each in said["keyframes"]
        ),
        *(
            ("events", [event["label"]], [{"start": event["start_frame"] + 1, "end": event["end_frame"]}])
            for event in said["events"]
        ),
    ]


@pytest.mark.parametrize("rate", [5, 20, 24, None])
def test_frames_of_the_rate_that_the_config_counts_with(door: Door, rate: int | None) -> None:
    content = next(each for frames in range(20, 60) if len(faked(Kind.VIDEO, each := film(frames))["shots"]) > 2)
    body = asked(Kind.VIDEO, [task(1, video=inline(content, "video/mp4"), fps=rate)])
    if rate is None:
        del body["tasks"][0]["data"]["fps"]
        rate = 24  # with which Label Studio's player counts where nothing is said
    (entry,) = results(door(), body)
    shots = [each["value"]["ranges"][0] for each in entry["result"] if each["from_name"] == "shots"]
    said = faked(Kind.VIDEO, content)["shots"]
    assert len(shots) == len(said)
    for span, shot in zip(shots, said, strict=True):
        start, end = (math.floor(Fraction(shot[name] * rate, 10) + Fraction(1, 2)) for name in ("start_frame", "end_frame"))
        assert span == {"start": start + 1, "end": max(start + 1, end)}


def test_one_entry_for_every_task_whatever_it_holds(door: Door) -> None:
    good = inline(picture(3))
    tasks = [
        task(1, image=good),
        task(2, image=inline(b"no image at all")),
        task(3, image="data:image/png;base64,!!!"),
        task(4, image="s3://bucket/a.jpg"),
        task(5, image="/data/upload/1/a.jpg"),
        task(6),
        {"id": 7},
        "not even a task",
        task(9, image=None),
        task(10, image="http://127.0.0.1:9/a.jpg"),
        task(11, image=["http://127.0.0.1:9/a.jpg"]),
        task(12, image=good),
    ]
    entries = results(door(), asked(Kind.IMAGE, tasks))
    assert len(entries) == len(tasks)
    assert entries[0] == entries[-1]
    assert entries[0]["result"]
    for entry in entries[1:-1]:
        assert (entry["result"], entry["score"], entry["model_version"]) == ([], None, "fake@1 failed")
        assert entry["error"]
    assert "labelstudio.hosts" in entries[4]["error"]


def test_an_empty_picture_is_not_a_failed_one(door: Door) -> None:
    empty = next(content for seed in range(99) if not faked(Kind.IMAGE, content := picture(seed))["boxes"])
    (entry,) = results(door(), asked(Kind.IMAGE, [task(1, image=inline(empty))]))
    assert entry == {"model_version": "fake@1", "score": None, "result": []}


def test_what_the_config_lacks_is_dropped(door: Door) -> None:
    first, *others = GUIDELINE.class_names
    config = (
        '<View><Image name="img" value="$picture"/><RectangleLabels name="all" toName="img" model_score_threshold="0.6">'
        f'<Label value="Thing" predicted_values="{first.upper()},{others[0]}"/></RectangleLabels></View>'
    )
    contents = [picture(seed) for seed in range(20)]
    tasks = [task(index, picture=inline(each)) for index, each in enumerate(contents)]
    found = 0
    for content, entry in zip(contents, results(door(), asked(Kind.IMAGE, tasks, label_config=config)), strict=True):
        assert violations(entry, config) == []
        wanted = [
            box for box in faked(Kind.IMAGE, content)["boxes"] if box["label"] in (first, others[0]) and box["score"] >= 0.6
        ]
        assert [region["score"] for region in entry["result"]] == [box["score"] for box in wanted]
        assert entry["score"] == min((box["score"] for box in wanted), default=None)
        found += len(wanted)
    assert found


def test_a_config_with_a_text_and_a_picture(door: Door) -> None:
    config = (
        '<View><Image name="i" value="$image"/><Text name="t" value="$text"/>'
        + "".join(
            CONFIGS[kind].split("\n", 2)[2].rsplit("</View>", 1)[0].replace(f'toName="{kind.value}"', f'toName="{name}"')
            for kind, name in ((Kind.IMAGE, "i"), (Kind.TEXT, "t"))
        )
        + "</View>"
    )
    content = next(each for seed in range(99) if faked(Kind.IMAGE, each := picture(seed))["boxes"])
    both, half = results(
        door(), asked(Kind.IMAGE, [task(1, image=inline(content), text="fine"), task(2, text="fine")], label_config=config)
    )
    assert {region["to_name"] for region in both["result"]} == {"i", "t"}
    assert {region["to_name"] for region in half["result"]} == {"t"}
    assert (both["model_version"], half["model_version"]) == ("fake@1 fake@1", "fake@1 fake@1")
    assert "error" in half
    assert violations(both, config) + violations(half, config) == []


@pytest.mark.parametrize(
    "more", [{"model_version": "old@1"}, {"project": 7}, {"params": {"context": {"result": []}}}, {"params": None}]
)
def test_what_other_versions_send_is_tolerated(door: Door, more: dict[str, Any]) -> None:
    plain, other = (results(door(), asked(Kind.TEXT, [task(1, text="fine")], **each)) for each in ({}, more))
    assert plain == other


def test_the_config_of_setup_stands_in_for_one_that_is_missing(door: Door) -> None:
    client = door(local_backend(FAKES, SETTINGS))
    body = asked(Kind.TEXT, [task(1, text="fine")], label_config=None)
    assert client.post("/predict", json=body).status_code == 422
    client.post("/setup", json={"project": "7.1712345678", "schema": CONFIGS[Kind.TEXT]})
    assert results(client, body)[0]["result"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"tasks": 1}', b'{"tasks": [{"id": NaN}]}', b"[" * 100_000, b'{"tasks": [], "label_config": "<"}'],
)
def test_what_is_no_request(door: Door, body: bytes) -> None:
    answer = door().post("/predict", content=body)
    assert answer.status_code == 422
    said = answer.json()
    assert (said["status"], said["request"], said["result"]) == (422, {}, {})
    assert said["detail"]


def test_a_body_too_large(door: Door) -> None:
    client = door(limits=Limits(max_body_bytes=1000))
    answer = client.post("/predict", json=asked(Kind.TEXT, [task(1, text="x" * 2000)]))
    assert answer.status_code == 413


def test_more_tasks_than_a_call_takes(door: Door) -> None:
    backend = local_backend(FAKES, SETTINGS)
    texts = [f"text {number}" for number in range(300)]
    entries = results(door(backend), asked(Kind.TEXT, [task(index, text=each) for index, each in enumerate(texts)]))
    labels = [entry["result"][0]["value"]["choices"] for entry in entries]
    assert labels == [[faked(Kind.TEXT, each.encode())["sentiments"][0]["label"]] for each in texts]


def test_it_stands_beside_the_other_doors(listen: Callable[[Any], str]) -> None:
    front = Front(local_backend(FAKES, SETTINGS), SETTINGS)
    for app, prefix in ((build_front(front), "/labelstudio"), (build_door(DoorName.LABELSTUDIO, front), "")):
        with httpx.Client(base_url=f"{listen(app)}{prefix}", trust_env=False) as client:
            assert client.get("/health").json()["status"] == "UP"
            assert client.get("").json()["status"] == "UP"
            assert results(client, asked(Kind.TEXT, [task(1, text="text 1")]))[0]["result"]
