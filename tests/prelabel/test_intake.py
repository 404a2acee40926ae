"""A delivery becomes a lot: nothing lost, nothing half-written, the same however it is named."""

import io
import os
import shutil
import wave
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from contract.errors import InputError, SourceError, StageError, StorageError
from contract.files import sha256_bytes, sha256_file
from contract.tables import ITEMS, REJECTS, Kind
from contract.terms import Terms
from contract.workfolder import LotFolder, lot_folder
from prelabel.intake import TEXTS, take_in

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def picture(seed: int, form: str = "JPEG", size: tuple[int, int] = (32, 24)) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)).save(sink, form)
    return sink.getvalue()


def clip(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for number in range(25):
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(np.full((32, 32, 3), number * 9, np.uint8), format="rgb24"))
            )
        container.mux(stream.encode(None))


def sound(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(4000))


@pytest.fixture
def lot(tmp_path: Path, demo_terms: Terms) -> LotFolder:
    return lot_folder(tmp_path / "work", demo_terms.contract, "one")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


@pytest.fixture
def mixed(source: Path) -> Path:
    """A delivery with every kind and every common fault."""
    (source / "good.jpg").write_bytes(picture(1))
    (source / "really_png.jpg").write_bytes(picture(2, "PNG"))
    (source / "copy.jpg").write_bytes(picture(1))
    (source / "cut.jpg").write_bytes(picture(3)[:-2])
    (source / "text.jpg").write_text("I am a text")
    (source / "empty.mp4").write_bytes(b"")
    (source / "huge.png").write_bytes(picture(4, "PNG", (3000, 1500)))
    (source / "photo.heic").write_bytes(b"\x00\x00\x00\x18ftypheic" + bytes(100))
    (source / "notes.json").write_text('{"a": 1}')
    clip(source / "clip.mp4")
    sound(source / "sound.mp4")
    (source / "one.txt").write_bytes("房间很大，服务不错".encode("gb18030"))
    (source / "french.txt").write_bytes("café à côté".encode("latin-1"))
    (source / "wide.txt").write_bytes("wide".encode("utf-16"))
    (source / "reviews.csv").write_text(
        "text,label\n很好，还会再来,positive\n\ngood film,positive\n很好，还会再来 ,x\n,y\n", "utf-8"
    )
    return source


def rows(path: Path) -> list[dict[str, object]]:
    return list(pq.read_table(path).to_pylist())


def test_every_kind_and_every_fault(mixed: Path, lot: LotFolder, demo_terms: Terms) -> None:
    calls: list[tuple[int, int]] = []
    receipt = take_in(
        [str(mixed)], lot=lot, terms=demo_terms, lot_name="one", progress=lambda done, total: calls.append((done, total))
    )
    manifest, rejects = rows(lot.manifest), rows(lot.rejects)
    assert {row["item"]: row["media"] for row in manifest} == {
        "clip.mp4": "video/mp4",
        "copy.jpg": "image/jpeg",
        "one.txt": "text/plain",
        "really_png.jpg": "image/png",
        "reviews.csv:2": "text/csv",
        "reviews.csv:4": "text/csv",
    }
    assert {row["item"]: row["reason"] for row in rejects} == {
        "cut.jpg": "truncated",
        "empty.mp4": "empty",
        "french.txt": "encoding",
        "good.jpg": "duplicate",
        "huge.png": "oversized",
        "notes.json": "unsupported",
        "photo.heic": "corrupt" if find_spec("pillow_heif") else "unsupported",
        "reviews.csv:5": "duplicate",
        "reviews.csv:6": "empty",
        "sound.mp4": "no_video",
        "text.jpg": "unsupported",
        "wide.txt": "encoding",
    }
    details = {row["item"]: str(row["detail"]) for row in rejects}
    assert "holds text, not an image" in details["text.jpg"]
    assert "copy.jpg" in details["good.jpg"]
    assert "reviews.csv:2" in details["reviews.csv:5"]
    assert calls == [(done, 15) for done in range(1, 16)]
    assert receipt.items_by_kind == {Kind.IMAGE: 2, Kind.TEXT: 3, Kind.VIDEO: 1}
    assert receipt.rejects_by_reason == dict(Counter(str(row["reason"]) for row in rejects))
    assert receipt.video_seconds == pytest.approx(1.0)


def test_the_files_of_a_lot_agree(mixed: Path, lot: LotFolder, demo_terms: Terms) -> None:
    receipt = take_in([str(mixed)], lot=lot, terms=demo_terms, lot_name="one")
    assert pq.read_schema(lot.manifest).equals(ITEMS)
    assert pq.read_schema(lot.rejects).equals(REJECTS)
    assert pq.read_schema(lot.texts).equals(TEXTS)
    assert receipt.manifest_sha256 == sha256_file(lot.manifest)
    assert receipt.rejects_sha256 == sha256_file(lot.rejects)
    assert receipt.texts_sha256 == sha256_file(lot.texts)
    assert receipt.model_validate_json(lot.receipt.read_bytes()) == receipt
    assert (receipt.terms_sha256, receipt.guideline_sha256) == (demo_terms.sha256, demo_terms.guideline.sha256)
    texts = {row["item"]: str(row["text"]) for row in rows(lot.texts)}
    assert texts == {"one.txt": "房间很大，服务不错", "reviews.csv:2": "很好，还会再来", "reviews.csv:4": "good film"}
    for row in rows(lot.manifest):
        assert row["state"] == "missing"
        if row["kind"] == "text":
            assert row["sha256"] == sha256_bytes(texts[row["item"]].encode())
        else:
            assert row["sha256"] == sha256_file(Path(str(row["uri"])))
    assert {row["item"]: (row["encoding"], row["language"]) for row in rows(lot.manifest) if row["kind"] == "text"} == {
        "one.txt": ("gb18030", "zh"),
        "reviews.csv:2": ("utf-8", "zh"),
        "reviews.csv:4": ("utf-8", "en"),
    }
    assert sorted(path.name for path in lot.root.iterdir()) == [
        "manifest.parquet",
        "receipt.json",
        "rejects.parquet",
        "texts.parquet",
    ]


def test_the_order_of_arguments_does_not_matter(mixed: Path, tmp_path: Path, demo_terms: Terms) -> None:
    arguments = [str(path) for path in mixed.iterdir()]
    digests = set()
    for number, paths in enumerate((arguments, arguments[::-1], [str(mixed)], [str(mixed / "*")])):
        lot = lot_folder(tmp_path / "work", demo_terms.contract, f"lot{number}")
        receipt = take_in(paths, lot=lot, terms=demo_terms, lot_name="same")
        digests.add((receipt.manifest_sha256, receipt.rejects_sha256, receipt.texts_sha256))
    assert len(digests) == 1


def test_the_same_again_changes_nothing_and_another_is_refused(mixed: Path, lot: LotFolder, demo_terms: Terms) -> None:
    first = take_in([str(mixed)], lot=lot, terms=demo_terms, lot_name="one")
    before = lot.receipt.stat().st_mtime_ns
    assert take_in([str(mixed)], lot=lot, terms=demo_terms, lot_name="one") == first
    assert lot.receipt.stat().st_mtime_ns == before
    other = demo_terms.model_copy(update={"title": "other"})
    with pytest.raises(StageError, match="--lot"):
        take_in([str(mixed)], lot=lot, terms=other, lot_name="one")
    (mixed / "new.jpg").write_bytes(picture(9))
    with pytest.raises(StageError, match="other content; choose another --lot name"):
        take_in([str(mixed)], lot=lot, terms=demo_terms, lot_name="one")
    assert lot.receipt.stat().st_mtime_ns == before


def test_colliding_ids_name_both(tmp_path: Path, lot: LotFolder, demo_terms: Terms) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").write_bytes(picture(seed))
    take_in([str(tmp_path / "b"), str(tmp_path / "a")], lot=lot, terms=demo_terms, lot_name="one")
    (reject,) = rows(lot.rejects)
    assert reject["reason"] == "duplicate_id"
    assert str(tmp_path / "a" / "1.jpg") in str(reject["detail"])
    assert str(tmp_path / "b" / "1.jpg") in str(reject["detail"])


def test_ids_that_are_paths_out_of_a_folder_are_refused(source: Path, lot: LotFolder, demo_terms: Terms) -> None:
    (source / "a.csv").write_text("id,text\n../x,one\n/etc/passwd,two\nfine,three\na/../../b,four\n")
    take_in([str(source)], lot=lot, terms=demo_terms, lot_name="one")
    assert [row["item"] for row in rows(lot.manifest)] == ["fine"]
    assert {row["reason"] for row in rows(lot.rejects)} == {"name"}


def test_a_ready_manifest_must_agree_with_its_files(source: Path, lot: LotFolder, demo_terms: Terms) -> None:
    for number in range(3):
        (source / f"{number}.jpg").write_bytes(picture(number))
    digests = [sha256_file(source / "0.jpg"), "0" * 64, None]
    table = pa.table({"uri": ["0.jpg", "1.jpg", "2.jpg"], "item": ["x", "y", "z"], "sha256": digests})
    pq.write_table(table, source / "ready.parquet")
    take_in([str(source / "ready.parquet")], lot=lot, terms=demo_terms, lot_name="one")
    assert [row["item"] for row in rows(lot.manifest)] == ["x", "z"]
    assert [(row["item"], row["reason"]) for row in rows(lot.rejects)] == [("y", "sha256_mismatch")]
    assert not lot.texts.exists()


@pytest.mark.parametrize("content", [b"", b"only text", b"\x00\x01\x02\x03"])
def test_a_lot_without_an_item_is_an_error_and_writes_nothing(
    source: Path, lot: LotFolder, demo_terms: Terms, tmp_path: Path, content: bytes
) -> None:
    (source / "a.jpg").write_bytes(content)
    with pytest.raises(SourceError, match=r"a\.jpg") as caught:
        take_in([str(source)], lot=lot, terms=demo_terms, lot_name="one")
    assert isinstance(caught.value, InputError)
    assert not (tmp_path / "work").exists()


def test_no_path_that_matches_is_an_error(source: Path, lot: LotFolder, demo_terms: Terms, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        take_in([str(source / "none*")], lot=lot, terms=demo_terms, lot_name="one")
    assert not (tmp_path / "work").exists()


def test_a_failure_while_writing_leaves_nothing(source: Path, lot: LotFolder, demo_terms: Terms) -> None:
    (source / "a.jpg").write_bytes(picture(1))
    lot.root.mkdir(parents=True)
    (lot.root / "rejects.parquet").mkdir()  # a folder in the place of a file: the second write must fail
    with pytest.raises(OSError):  # noqa: PT011 - whatever the system says
        take_in([str(source)], lot=lot, terms=demo_terms, lot_name="one")
    assert [path.name for path in lot.root.iterdir()] == ["rejects.parquet"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write and read everywhere")
def test_folders_without_permission(source: Path, lot: LotFolder, demo_terms: Terms, tmp_path: Path) -> None:
    (source / "a.jpg").write_bytes(picture(1))
    (source / "closed.jpg").write_bytes(picture(2))
    (source / "closed.jpg").chmod(0)
    take_in([str(source)], lot=lot, terms=demo_terms, lot_name="one")
    assert [row["reason"] for row in rows(lot.rejects)] == ["unreadable"]
    shutil.rmtree(lot.root)
    (tmp_path / "work").chmod(0o500)
    with pytest.raises(StorageError):
        take_in([str(source)], lot=lot, terms=demo_terms, lot_name="one")


class Stop(BaseException):
    """As Ctrl-C would."""


def test_an_interruption_writes_nothing(mixed: Path, lot: LotFolder, demo_terms: Terms, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise Stop

    with pytest.raises(Stop):
        take_in([str(mixed)], lot=lot, terms=demo_terms, lot_name="one", progress=stop)
    assert not (tmp_path / "work").exists()


def test_five_thousand_small_files(source: Path, lot: LotFolder, demo_terms: Terms) -> None:
    for number in range(5000):
        folder = source / f"{number % 50:02d}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.txt").write_text(f"text number {number // 2 if number < 200 else number}")
    receipt = take_in([str(source)], lot=lot, terms=demo_terms, lot_name="one")
    assert receipt.items_by_kind[Kind.TEXT] == 4900
    assert receipt.rejects_by_reason == {"duplicate": 100}


@pytest.mark.parametrize(("folder", "kind", "count"), [("detection/images", Kind.IMAGE, 64), ("clips", Kind.VIDEO, 4)])
def test_real_deliveries(folder: str, kind: Kind, count: int, lot: LotFolder, demo_terms: Terms) -> None:
    if not (SHARED / folder).exists():
        pytest.skip(f"{SHARED / folder} is not here")
    receipt = take_in([str(SHARED / folder)], lot=lot, terms=demo_terms, lot_name="one")
    assert receipt.items_by_kind[kind] == count
    assert receipt.rejects_by_reason == {}
