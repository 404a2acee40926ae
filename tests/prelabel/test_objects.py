"""Sources in an object store: taken in, labelled, and verified as if they lay in a folder."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from contract.errors import SourceError, StageError
from contract.tables import Kind
from contract.terms import Terms
from contract.workfolder import LotFolder, lot_folder
from models.fake import FakePredictor
from prelabel.intake import take_in
from prelabel.run import Job, run_job
from prelabel.verify import verify
from tests.oracles import numberedvideos, s3server
from tests.oracles.s3server import Store

KINDS = tuple(Kind)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[Store, str]]:
    """A store with a bucket that no other test has, since a bucket's client is kept."""
    bucket = f"b{abs(hash(tmp_path)) % 10**12}"
    with s3server.running() as running:
        for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": running.url}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
        yield running, bucket


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    (folder / "deep er").mkdir(parents=True)
    for number in range(5):
        encoded = io.BytesIO()
        Image.fromarray(np.full((24, 32, 3), 40 * number, np.uint8)).save(encoded, "JPEG")
        (folder / "deep er" / f"{number}.jpg").write_bytes(encoded.getvalue())
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff no")
    (folder / "empty.jpg").write_bytes(b"")
    (folder / ".hidden.jpg").write_bytes(b"x")
    (folder / "texts.csv").write_text("text\nvery good\n很好\n", encoding="utf-8")
    (folder / "clip.mp4").write_bytes(numberedvideos.make(numberedvideos.Making(frames=12)))
    return folder


def upload(store: Store, bucket: str, folder: Path) -> str:
    for path in folder.rglob("*"):
        if path.is_file():
            store.objects[f"{bucket}/in/{path.relative_to(folder).as_posix()}"] = path.read_bytes()
    return f"s3://{bucket}/in"


def take(lot: LotFolder, terms: Terms, source: str) -> LotFolder:
    take_in([source], lot=lot, terms=terms, lot_name="made")
    return lot


def job_of(lot: LotFolder, terms: Terms) -> Job:
    return Job(lot, terms, {kind: FakePredictor(kind, guideline=terms.guideline) for kind in KINDS})


def test_a_bucket_gives_what_a_folder_gives(store: tuple[Store, str], raw: Path, demo_terms: Terms, tmp_path: Path) -> None:
    uri = upload(*store, raw)
    here = take(lot_folder(tmp_path / "here", demo_terms.contract, "made"), demo_terms, str(raw))
    there = take(lot_folder(tmp_path / "there", demo_terms.contract, "made"), demo_terms, uri)
    tables = [pq.read_table(lot.manifest).to_pylist() for lot in (here, there)]
    assert len(tables[0]) == 5 + 2 + 1
    for local, remote in zip(*tables, strict=True):
        assert remote.pop("uri") == local.pop("uri").replace(str(raw), uri)
        assert remote == local
    refused = [
        {
            (row["item"], row["reason"], row["detail"].replace("object", "file"))
            for row in pq.read_table(lot.rejects).to_pylist()
        }
        for lot in (here, there)
    ]
    assert refused[0] == refused[1]
    assert len(refused[0]) == 3
    shards = []
    for lot in (here, there):
        summary = run_job(job_of(lot, demo_terms))
        assert (summary.items, summary.rejected) == (8, 0)
        shards.append({path.name: path.read_bytes() for path in summary.folder.glob("shard-*")})
    assert shards[0] == shards[1]


def test_changes_in_a_bucket_are_found(store: tuple[Store, str], raw: Path, demo_terms: Terms, tmp_path: Path) -> None:
    running, bucket = store
    uri = upload(running, bucket, raw)
    lot = take(lot_folder(tmp_path / "work", demo_terms.contract, "made"), demo_terms, uri)
    assert verify(lot) == []
    running.objects[f"{bucket}/in/deep er/1.jpg"] += b"x"
    running.objects[f"{bucket}/in/texts.csv"] = "text\nvery good\n不好\n".encode()
    running.objects[f"{bucket}/in/new.jpg"] = b"x"
    del running.objects[f"{bucket}/in/deep er/2.jpg"]
    found = {(finding.kind, finding.uri.removeprefix(f"{uri}/")) for finding in verify(lot)}
    assert found == {
        ("changed", "deep er/1.jpg"),
        ("changed", "texts.csv#3"),
        ("extra", "new.jpg"),
        ("missing", "deep er/2.jpg"),
    }


def test_a_store_that_refuses_stops_the_job(store: tuple[Store, str], raw: Path, demo_terms: Terms, tmp_path: Path) -> None:
    running, bucket = store
    lot = take(lot_folder(tmp_path / "work", demo_terms.contract, "made"), demo_terms, upload(running, bucket, raw))
    running.down = True
    with pytest.raises(SourceError, match=rf"s3://{bucket}/in/deep er/0.jpg: gone"):
        run_job(job_of(lot, demo_terms))
    running.down = False
    summary = run_job(job_of(lot, demo_terms))
    assert (summary.items, summary.rejected) == (8, 0)


def test_nothing_there_is_told(store: tuple[Store, str], demo_terms: Terms, tmp_path: Path) -> None:
    lot = lot_folder(tmp_path / "work", demo_terms.contract, "made")
    with pytest.raises(SourceError, match=f"s3://{store[1]}/none: no such file"):
        take(lot, demo_terms, f"s3://{store[1]}/none")


def test_an_object_store_is_no_work_folder(demo_terms: Terms) -> None:
    with pytest.raises(StageError, match=r"--work s3:/bucket/work: an object store cannot be the work folder"):
        lot_folder(Path("s3://bucket/work"), demo_terms.contract, "made")
