import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import av
import httpx
import numpy as np
import pytest
from PIL import Image

from contract.predictor import Source
from contract.tables import Kind
from models.fake import FakePredictor
from serving.http.wire import MEDIA_TYPE, encode_answer, encode_sources
from serving.predictors import HttpPredictor

pytestmark = pytest.mark.e2e

ARROW = {"content-type": MEDIA_TYPE}


def picture(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def film() -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for shade in range(0, 200, 10):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), shade, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


@pytest.fixture(scope="module")
def client(service: Any) -> Iterator[httpx.Client]:
    assert service.url is not None
    with httpx.Client(base_url=service.url, timeout=60) as client:
        yield client


def test_health_and_models(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"status": "up"}
    assert client.get("/readyz").json() == {"status": "ready"}
    models = client.get("/v1/models").json()["models"]
    assert [(model["name"], model["kind"]) for model in models] == [("fake", kind.value) for kind in Kind]


def answered(client: httpx.Client, path: str, **request: Any) -> list[dict[str, Any]]:
    reply = client.post(path, **request)
    assert reply.status_code == 200, reply.text
    document = reply.json()
    assert document["model"] == {"name": "fake", "version": "1"}
    results = document["results"]
    assert isinstance(results, list)
    return results


def locally(kind: Kind, *contents: bytes) -> list[dict[str, Any]]:
    sources = [Source(item="", kind=kind, uri="", data=content) for content in contents]
    return cast("list[dict[str, Any]]", FakePredictor(kind).predict(sources).to_pylist())


def test_detect_takes_files_and_base64(client: httpx.Client) -> None:
    pictures = [picture(seed) for seed in range(3)]
    files = [("file", (f"{index}.png", data)) for index, data in enumerate(pictures)]
    encoded = [{"item": f"{index}.png", "data": base64.b64encode(data).decode()} for index, data in enumerate(pictures)]
    wanted = [
        {"item": f"{index}.png", "state": row["state"], "boxes": row["boxes"]}
        for index, row in enumerate(locally(Kind.IMAGE, *pictures))
    ]
    assert any(result["boxes"] for result in wanted)
    assert answered(client, "/v1/detect", files=files) == wanted
    assert answered(client, "/v1/detect", json={"images": encoded}) == wanted
    assert answered(client, "/v1/detect", files=files[:1]) == wanted[:1]
    assert answered(client, "/v1/detect", json={"images": encoded[:1]}) == wanted[:1]


def test_a_bad_image_fails_no_neighbour(client: httpx.Client) -> None:
    files = [("file", ("good.png", picture(1))), ("file", ("bad.png", b"no picture")), ("file", ("none.png", b""))]
    good, bad, none = answered(client, "/v1/detect", files=files)
    assert good["state"] in {"labelled", "empty"}
    assert "reason" not in good
    assert (bad["state"], bad["boxes"], none["state"]) == ("rejected", [], "rejected")
    assert bad["reason"]


def test_sentiment_takes_one_text_or_several(client: httpx.Client) -> None:
    contents = ["很好用", "Broke after a week."]
    rows = locally(Kind.TEXT, *(content.encode() for content in contents))
    wanted = [
        {
            "item": str(index),
            "state": "labelled",
            "sentiments": [{**each, "probabilities": dict(each["probabilities"])} for each in row["sentiments"]],
        }
        for index, row in enumerate(rows)
    ]
    assert answered(client, "/v1/sentiment", json={"texts": contents}) == wanted
    assert answered(client, "/v1/sentiment", json={"text": contents[0]}) == wanted[:1]


def test_video_takes_a_file_or_an_allowed_path(client: httpx.Client, videos: Path) -> None:
    data = film()
    (videos / "film.mp4").write_bytes(data)
    (row,) = locally(Kind.VIDEO, data)
    wanted = [{key: row[key] for key in ("state", "shots", "keyframes", "events")} | {"item": "film.mp4"}]
    assert wanted[0]["shots"]
    assert answered(client, "/v1/video", files={"file": ("film.mp4", data)}) == wanted
    assert answered(client, "/v1/video", json={"path": str(videos / "film.mp4")}) == wanted


def test_a_path_outside_of_the_folders_is_refused(client: httpx.Client, videos: Path, tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"x")
    (videos / "link.mp4").symlink_to(tmp_path / "film.mp4")
    outside = [str(tmp_path / "film.mp4"), str(videos / "link.mp4"), f"{videos}/../film.mp4", "film.mp4", "/etc/passwd"]
    for path in outside:
        check_problem(client.post("/v1/video", json={"path": path}), 403, "not under a folder")
        stream = encode_sources([Source(item="a", kind=Kind.VIDEO, uri=path)])
        check_problem(client.post("/v1/predict/video", content=stream, headers=ARROW), 403, "not under a folder")
    check_problem(client.post("/v1/video", json={"path": f"{videos}/absent.mp4"}), 422, "no such file on the server")


def check_problem(reply: httpx.Response, status: int, sentence: str) -> None:
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["status"] == status
    assert sentence in reply.json()["detail"]


BAD_REQUESTS: list[tuple[str, dict[str, Any], int, str]] = [
    ("/v1/detect", {"json": {}}, 422, "images: Field required"),
    ("/v1/detect", {"json": {"images": []}}, 422, "at least 1 item"),
    ("/v1/detect", {"json": {"images": [{"data": "!"}]}}, 422, "images.0.data: not base64"),
    ("/v1/detect", {"json": {"images": [{"data": "é"}]}}, 422, "images.0.data: not base64"),
    ("/v1/detect", {"json": {"images": [{"url": "http://x/a.jpg"}]}}, 422, "given as uri"),
    ("/v1/detect", {"json": {"images": [{"uri": "https://x/a.jpg"}]}}, 403, "fetches nothing by URI"),
    ("/v1/detect", {"json": {"images": [{"uri": "s3://a/b.jpg"}]}}, 403, "fetches nothing by URI"),
    ("/v1/detect", {"json": {"images": [{"uri": "file:///etc/passwd"}]}}, 403, "not under a folder"),
    ("/v1/detect", {"json": {"images": [{"uri": "data:,", "data": ""}]}}, 422, "either data or uri"),
    ("/v1/detect", {"json": {"images": [{"data": ""}] * 5}}, 413, "a call may carry 4 items"),
    ("/v1/detect", {"files": [("file", (f"{index}.png", b"x")) for index in range(5)]}, 413, "a call may carry 4 items"),
    ("/v1/detect", {"files": [("file", (f"{index}.png", b"x")) for index in range(9)]}, 400, "Too many files"),
    ("/v1/detect", {"files": {"field": (None, b"x")}}, 422, "holds no file"),
    ("/v1/detect", {"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400, "boundary"),
    ("/v1/detect", {"content": b"{", "headers": {"content-type": "application/json"}}, 422, "Invalid JSON"),
    ("/v1/detect", {"content": b"x", "headers": {"content-type": "image/png"}}, 415, "content-type image/png"),
    ("/v1/detect", {"content": b"x"}, 415, "content-type absent"),
    ("/v1/detect", {"content": b"x" * 200_001}, 413, "larger than 200000 bytes"),
    ("/v1/sentiment", {"json": {}}, 422, "either text or texts"),
    ("/v1/sentiment", {"json": {"text": "a", "texts": ["b"]}}, 422, "either text or texts"),
    ("/v1/sentiment", {"json": {"text": 1}}, 422, "text: Input should be a valid string"),
    ("/v1/sentiment", {"json": {"texts": ["a"] * 5}}, 413, "a call may carry 4 items"),
    ("/v1/sentiment", {"json": [1]}, 422, "body: Input should be"),
    ("/v1/video", {"json": {"uri": "https://x/a.mp4"}}, 403, "fetches nothing by URI"),
    ("/v1/video", {"json": {}}, 422, "either path or uri"),
    ("/v1/video", {"content": b"x" * 300_001}, 413, "larger than 300000 bytes"),
    ("/v1/predict/image", {"json": {}}, 415, "must be application/vnd.apache.arrow.stream"),
    ("/v1/predict/image", {"content": b"x", "headers": ARROW}, 422, "not an Arrow IPC stream"),
    ("/v1/predict/sound", {"content": b"x", "headers": ARROW}, 422, "path.kind"),
    ("/v1/nothing", {}, 404, "Not Found"),
    ("/healthz", {}, 405, "Method Not Allowed"),
]


@pytest.mark.parametrize(("path", "request_", "status", "sentence"), BAD_REQUESTS)
def test_bad_request_gets_one_sentence(
    client: httpx.Client, path: str, request_: dict[str, Any], status: int, sentence: str
) -> None:
    check_problem(client.post(path, **request_), status, sentence)


def test_a_wrong_method_is_told_the_right_one(client: httpx.Client) -> None:
    assert client.post("/healthz").headers["allow"] == "GET"
    assert client.put("/v1/jobs/job-1").headers["allow"] == "DELETE, GET"


def test_a_body_of_unknown_length_is_cut_off(client: httpx.Client) -> None:
    pieces = iter([b"x" * 30_000] * 10)
    reply = client.post("/v1/detect", content=pieces, headers={"content-type": "application/json"})
    check_problem(reply, 413, "larger than 200000 bytes")


def test_a_chunk_may_carry_so_many_items(client: httpx.Client) -> None:
    stream = encode_sources([Source(item=str(index), kind=Kind.TEXT, uri="", data=b"x") for index in range(9)])
    check_problem(client.post("/v1/predict/text", content=stream, headers=ARROW), 413, "a call may carry 8 items")


def test_http_predictor_equals_local(service: Any, tmp_path: Path) -> None:
    assert service.url is not None
    (tmp_path / "a.png").write_bytes(picture(5))
    sources = [Source(item=f"i{seed}", kind=Kind.IMAGE, uri="", data=picture(seed)) for seed in range(12)]
    sources += [
        Source(item="file", kind=Kind.IMAGE, uri=str(tmp_path / "a.png")),
        Source(item="absent", kind=Kind.IMAGE, uri=str(tmp_path / "absent.png")),
    ]
    predictor = HttpPredictor(service.url, Kind.IMAGE, max_call_items=8, max_call_bytes=100_000)
    predictor.load("auto")
    assert predictor.describe() == FakePredictor(Kind.IMAGE).describe()
    local = FakePredictor(Kind.IMAGE).predict(sources)
    assert encode_answer(predictor.predict(sources)) == encode_answer(local)
    assert service.predictor(Kind.IMAGE).predict(sources).equals(local)
    predictor.close()


def test_openapi_has_an_example_for_every_call(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    for path, tasks in (("detect", ["boxes"]), ("sentiment", ["sentiments"]), ("video", ["shots", "keyframes", "events"])):
        call = document["paths"][f"/v1/{path}"]["post"]
        for request in call["requestBody"]["content"]["application/json"]["examples"].values():
            assert client.post(f"/v1/{path}", json=request["value"]).status_code == (403 if path == "video" else 200)
        example = call["responses"]["200"]["content"]["application/json"]["example"]
        assert set(tasks) <= example["results"][0].keys()
    assert {"/healthz", "/readyz", "/v1/models", "/v1/predict/{kind}"} <= document["paths"].keys()
