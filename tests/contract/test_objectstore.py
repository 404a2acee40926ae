"""Objects over real HTTP, by Arrow's own client."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.errors import SourceError
from contract.objectstore import exists, fetch_object, is_object, list_objects, looks_remote, open_object, read_object
from tests.oracles import s3server
from tests.oracles.s3server import Store

_serial = itertools.count()  # a bucket's client is kept, and each test's store listens elsewhere


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    with s3server.running() as running:
        for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": running.url}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
        yield running


@pytest.fixture
def bucket() -> str:
    return f"bucket-{next(_serial)}"


def test_listing_is_whole_and_sorted_beyond_a_page(store: Store, bucket: str) -> None:
    names = [f"raw/{number:02d}.jpg" for number in range(10)] + ["raw/deep/er/a b+c%41#1.jpg", "other/x.jpg"]
    store.objects = {f"{bucket}/{name}": name.encode() for name in reversed(names)}
    found = list_objects(f"s3://{bucket}/raw/")
    assert [each.uri for each in found] == sorted(f"s3://{bucket}/{name}" for name in names if name.startswith("raw/"))
    assert [read_object(each.uri) for each in found] == [each.uri.partition(f"{bucket}/")[2].encode() for each in found]
    assert [each.size for each in found] == [len(each.uri) - len(f"s3://{bucket}/") for each in found]
    assert [each.uri for each in list_objects(f"s3://{bucket}/raw/03.jpg")] == [f"s3://{bucket}/raw/03.jpg"]
    assert list_objects(f"s3://{bucket}/none/") == []


def test_an_object_is_read_at_any_place(store: Store, bucket: str, tmp_path: Path) -> None:
    content = bytes(range(256)) * 50_000
    store.objects = {f"{bucket}/a.bin": content}
    with open_object(f"s3://{bucket}/a.bin") as file:
        assert file.read(10) == content[:10]
        file.seek(-7, 2)
        assert file.read() == content[-7:]
        file.seek(6_000_000)
        assert file.read(300) == content[6_000_000:6_000_300]
        assert file.tell() == 6_000_300
    fetch_object(f"s3://{bucket}/a.bin", tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == content
    assert exists(f"s3://{bucket}/a.bin")


def test_what_is_not_there_is_one_sentence(store: Store, bucket: str) -> None:
    store.objects = {f"{bucket}/a.bin": b"a"}
    with pytest.raises(SourceError, match=rf"^s3://{bucket}/b.bin: cannot be read \("):
        read_object(f"s3://{bucket}/b.bin")
    assert not exists(f"s3://{bucket}/b.bin")
    store.down = True
    with pytest.raises(SourceError, match=rf"^s3://{bucket}/: cannot be read \(the object store says: .*"):
        list_objects(f"s3://{bucket}/")
    assert not exists(f"s3://{bucket}/a.bin")


def test_addresses_are_told_from_paths() -> None:
    assert is_object("s3://b/k")
    assert is_object("gs://b")
    assert not any(map(is_object, ("/data/a.jpg", "file:///a", "http://h/a", "s3:/b", "s3")))
    assert looks_remote(Path("s3://b/k"))
    assert not any(looks_remote(Path(path)) for path in ("/data", "work", "./s3:", "a:b/c"))
