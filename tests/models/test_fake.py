"""The fake predictor: right in form, the same everywhere, and honest about what it cannot read."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from contract.answers import check_answer
from contract.guideline import Guideline, LabelDefinition, SignalEvent
from contract.predictor import Predictor, Source
from contract.tables import Kind, State
from models.fake import FakePredictor

GUIDELINE = Guideline(
    version="1",
    classes=(LabelDefinition(name="cat", definition="a cat"), LabelDefinition(name="dog", definition="a dog")),
    sentiments=tuple(LabelDefinition(name=name, definition=name) for name in ("good", "bad", "mixed")),
    events=(SignalEvent(name="dark", definition="black", rule="black", min_seconds=1),),
)


def png(width: int, height: int, seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def image(item: str, data: bytes) -> Source:
    return Source(item, Kind.IMAGE, f"{item}.png", data)


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60), st.integers(0, 3)), max_size=5))
def test_boxes_lie_within_the_image(sizes: list[tuple[int, int, int]]) -> None:
    sources = [image(str(number), png(*size)) for number, size in enumerate(sizes)]
    fake = FakePredictor(Kind.IMAGE, guideline=GUIDELINE)
    answer = check_answer(Kind.IMAGE, sources, fake.predict(sources))
    for (width, height, _), row in zip(sizes, answer.to_pylist(), strict=True):
        for box in row["boxes"]:
            assert box["label"] in ("cat", "dog")
            assert box["w"] > 0
            assert box["h"] > 0
            assert 0 <= box["x"] <= box["x"] + box["w"] <= width
            assert 0 <= box["y"] <= box["y"] + box["h"] <= height
            assert 0 < box["score"] <= 1


def test_answers_depend_on_content_alone(tmp_path: Path) -> None:
    contents = [png(40, 30, seed) for seed in range(12)]
    sources = [image(str(number), content) for number, content in enumerate(contents)]
    (tmp_path / "a b.png").write_bytes(contents[3])
    fake = FakePredictor(Kind.IMAGE, guideline=GUIDELINE)
    together = fake.predict(sources).to_pylist()
    assert [fake.predict([source]).to_pylist()[0] for source in sources] == together
    for uri in (str(tmp_path / "a b.png"), (tmp_path / "a b.png").as_uri()):
        assert fake.predict([Source("3", Kind.IMAGE, uri)]).to_pylist() == [together[3]]
    assert len({str(row["boxes"]) for row in together}) > 6


def test_a_known_content_keeps_its_answer() -> None:
    row = FakePredictor(Kind.TEXT, guideline=GUIDELINE).predict([Source("t", Kind.TEXT, "t", "好".encode())]).to_pylist()[0]
    [sentiment] = row["sentiments"]
    assert sentiment["label"] == KNOWN[0]
    assert sentiment["score"] == pytest.approx(KNOWN[1], abs=1e-12)


KNOWN = ("good", 0.4462081128747795)  # of the first release: runs made with it stay comparable


def test_a_sideways_image_is_turned_before_it_is_measured() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.new("RGB", (400, 8)).save(file, "JPEG", exif=exif)
    for pad in range(8):  # some content that draws boxes
        [row] = FakePredictor(Kind.IMAGE).predict([image("a", file.getvalue() + bytes([pad]))]).to_pylist()
        assert all(box["x"] + box["w"] <= 8 for box in row["boxes"])


def test_what_cannot_be_read_is_rejected_beside_what_can() -> None:
    sources = [image("good", png(20, 20)), image("junk", b"junk"), Source("none", Kind.IMAGE, "/nowhere/a.png")]
    rows = FakePredictor(Kind.IMAGE).predict(sources).to_pylist()
    assert [row["state"] == State.REJECTED.value for row in rows] == [False, True, True]
    assert rows[1]["reason"] == "it is not an image of a known format"
    assert rows[2]["reason"] == "/nowhere/a.png: cannot be read (no such file or directory)"


@given(st.text(max_size=20))
def test_sentiments_are_a_distribution_over_the_guidelines_labels(text: str) -> None:
    [row] = FakePredictor(Kind.TEXT, guideline=GUIDELINE).predict([Source("t", Kind.TEXT, "", text.encode())]).to_pylist()
    if not text.strip():
        assert (row["state"], row["reason"]) == (State.REJECTED.value, "the text is empty")
        return
    [sentiment] = row["sentiments"]
    probabilities = dict(sentiment["probabilities"])
    assert list(probabilities) == ["good", "bad", "mixed"]
    assert sum(probabilities.values()) == pytest.approx(1)
    assert sentiment["score"] == probabilities[sentiment["label"]] == max(probabilities.values())


def test_bytes_that_are_no_text_are_rejected() -> None:
    [row] = FakePredictor(Kind.TEXT).predict([Source("t", Kind.TEXT, "", b"\xff\xfe\xff")]).to_pylist()
    assert (row["state"], row["reason"]) == (State.REJECTED.value, "it is not UTF-8")


def test_a_video_is_cut_into_shots_that_cover_it() -> None:
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        stream = output.add_stream("mpeg4", rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.width = stream.height = 32
        for level in range(23):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((32, 32, 3), level * 10, np.uint8), format="rgb24")))
        output.mux(stream.encode(None))
    sources = [Source("v", Kind.VIDEO, "v.mkv", file.getvalue()), Source("j", Kind.VIDEO, "j.mkv", b"junk")]
    fake = FakePredictor(Kind.VIDEO, guideline=GUIDELINE)
    row, junk = check_answer(Kind.VIDEO, sources, fake.predict(sources)).to_pylist()
    assert row["shots"][0]["start_frame"] == 0
    assert row["shots"][0]["transition"] == "start"
    assert row["shots"][-1]["end_frame"] == 23
    assert row["shots"][-1]["end_s"] == pytest.approx(2.3)
    for one, two in zip(row["shots"], row["shots"][1:], strict=False):
        assert one["end_frame"] == two["start_frame"]
    assert len(row["keyframes"]) == len(row["shots"])
    assert all(event["label"] == "dark" and 0 <= event["start_frame"] < event["end_frame"] <= 23 for event in row["events"])
    assert junk["state"] == State.REJECTED.value
    assert junk["reason"].startswith("it is no video")


def test_it_is_a_predictor_and_tells_its_labels() -> None:
    labels = {Kind.IMAGE: ("cat", "dog"), Kind.TEXT: ("good", "bad", "mixed"), Kind.VIDEO: ("dark",)}
    for kind, classes in labels.items():
        fake = FakePredictor(kind, guideline=GUIDELINE)
        assert isinstance(fake, Predictor)
        fake.load("cuda:7")
        assert fake.describe().classes == classes
        assert fake.describe().source == "fake@1"
