"""What is found below files, folders, patterns and manifests, and what is kept out."""

import json
import os
import random
from pathlib import Path

import pytest

from contract.errors import SourceError
from prelabel.refusal import Reason
from prelabel.sources import Found, find


@pytest.fixture
def delivery(tmp_path: Path) -> Path:
    root = tmp_path / "delivery"
    for name in ("b.jpg", "a.jpg", "sub/c.jpg", "sub/deep/d.jpg"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def told(found: list[Found]) -> dict[str, str]:
    return {entry.item: entry.refusal.reason.value if entry.refusal else "" for entry in found}


def test_a_folder_is_walked_in_order(delivery: Path) -> None:
    found = find([str(delivery)])
    assert [entry.item for entry in found] == ["a.jpg", "b.jpg", "sub/c.jpg", "sub/deep/d.jpg"]
    assert [entry.uri for entry in found] == [str(delivery / entry.item) for entry in found]


def test_the_order_of_arguments_does_not_matter_and_a_file_counts_once(delivery: Path) -> None:
    arguments = [
        str(delivery),
        str(delivery / "sub"),
        str(delivery / "sub" / "c.jpg"),
        str(delivery / "*.jpg"),
        str(delivery) + "/",
    ]
    expected = find([str(delivery)])
    for seed in range(5):
        random.Random(seed).shuffle(arguments)  # noqa: S311
        assert find(arguments) == expected


@pytest.mark.parametrize(
    ("pattern", "items"),
    [
        ("*.jpg", ["a.jpg", "b.jpg"]),
        ("sub/*.jpg", ["c.jpg"]),
        ("**/*.jpg", ["a.jpg", "b.jpg", "sub/c.jpg", "sub/deep/d.jpg"]),
        ("*", ["a.jpg", "b.jpg", "sub/c.jpg", "sub/deep/d.jpg"]),
        ("s*/c.jp[g]", ["sub/c.jpg"]),
    ],
)
def test_patterns(delivery: Path, pattern: str, items: list[str]) -> None:
    assert [entry.item for entry in find([str(delivery / pattern)])] == items


def test_a_name_with_pattern_characters_is_a_name(delivery: Path) -> None:
    (delivery / "x[1].jpg").write_bytes(b"x")
    assert told(find([str(delivery / "x[1].jpg")])) == {"x[1].jpg": ""}


def test_relative_arguments(delivery: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(delivery / "sub")
    assert [entry.uri for entry in find(["../a.jpg", "c.jpg"])] == [str(delivery / "a.jpg"), str(delivery / "sub/c.jpg")]


@pytest.mark.parametrize("argument", ["nothing", "no*match", "empty"])
def test_an_argument_that_matches_nothing_is_an_error(delivery: Path, argument: str) -> None:
    (delivery / "empty").mkdir()
    with pytest.raises(SourceError, match=r"check the path"):
        find([str(delivery / "a.jpg"), str(delivery / argument)])


def test_links_and_special_files(delivery: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key.jpg").write_bytes(b"key")
    (delivery / "out.jpg").symlink_to(tmp_path / "secret" / "key.jpg")
    (delivery / "outdir").symlink_to(tmp_path / "secret")
    (delivery / "up").symlink_to("..")
    (delivery / "loop").symlink_to(delivery)
    (delivery / "inside.jpg").symlink_to("a.jpg")
    (delivery / "dangling.jpg").symlink_to("gone.jpg")
    (delivery / "self.jpg").symlink_to("self.jpg")
    (delivery / ".git").mkdir()
    (delivery / ".git" / "x.jpg").write_bytes(b"x")
    (delivery / ".DS_Store").write_bytes(b"x")
    (delivery / "Thumbs.db").write_bytes(b"x")
    os.mkfifo(delivery / "pipe.jpg")
    expected = {
        ".DS_Store": "hidden",
        ".git": "hidden",
        "Thumbs.db": "hidden",
        "a.jpg": "",
        "b.jpg": "",
        "dangling.jpg": "missing",
        "inside.jpg": "",
        "loop": "link",
        "out.jpg": "outside",
        "outdir": "outside",
        "pipe.jpg": "special",
        "self.jpg": "unreadable",
        "sub/c.jpg": "",
        "sub/deep/d.jpg": "",
        "up": "outside",
    }
    assert told(find([str(delivery)])) == expected
    shown = {name: reason for name, reason in expected.items() if not name.startswith(".")}
    assert told(find([str(delivery / "*")])) == shown
    assert told(find([str(delivery / "*" / "*.jpg")])) == {"sub/c.jpg": "", "outdir": "outside", "loop": "link"}
    assert told(find([str(delivery / "out.jpg")])) == {"out.jpg": "outside"}
    assert told(find([str(delivery / "outdir")])) == {"key.jpg": ""}  # asked for by name


def test_a_linked_root_is_meant(delivery: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(delivery)
    assert find([str(tmp_path / "link")]) == find([str(delivery)])


def test_a_name_that_is_no_utf8(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path / "in") + b"/\xff\xfe.jpg")).write_bytes(b"x")
    (found,) = find([str(tmp_path / "in")])
    assert found.refusal is not None
    assert found.refusal.reason is Reason.NAME
    assert (found.item + found.uri).encode()


def manifest(folder: Path, rows: list[dict[str, object]], name: str = "list.jsonl") -> str:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_a_manifest_names_files_below_its_folder(delivery: Path, tmp_path: Path) -> None:
    (delivery / "out.jpg").symlink_to(tmp_path / "outside.jpg")
    (tmp_path / "outside.jpg").write_bytes(b"x")
    rows: list[dict[str, object]] = [
        {"uri": "a.jpg", "item": "first", "sha256": "AB" * 32},
        {"path": str(delivery / "sub/c.jpg")},
        {"uri": (delivery / "b.jpg").as_uri()},
        {"uri": "../delivery/a.jpg", "item": "dots"},
        {"uri": "sub/../a.jpg", "item": "inner dots"},
        {"uri": str(tmp_path / "outside.jpg"), "item": "absolute"},
        {"uri": "file:///etc/%2e%2e/passwd", "item": "escaped"},
        {"uri": "out.jpg", "item": "link"},
        {"uri": "s3://bucket/key", "item": "remote"},
        {"uri": "gone.jpg", "item": "gone"},
        {"uri": "sub", "item": "folder"},
        {"uri": "a.jpg", "item": "digest", "sha256": "12"},
        {"uri": None, "item": "none"},
        {"uri": 5, "item": "number"},
    ]
    found = find([manifest(delivery, rows)])
    assert told(found) == {
        "first": "",
        "sub/c.jpg": "",
        "b.jpg": "",
        "dots": "outside",
        "inner dots": "outside",
        "absolute": "outside",
        "escaped": "outside",
        "link": "outside",
        "remote": "unsupported",
        "gone": "missing",
        "folder": "unsupported",
        "digest": "corrupt",
        "none": "corrupt",
        "number": "corrupt",
    }
    assert {entry.sha256 for entry in found} == {"ab" * 32, None}
    assert all(entry.row for entry in found)


def test_a_csv_manifest_and_a_table_of_texts_differ_by_their_columns(delivery: Path) -> None:
    (delivery / "list.csv").write_text("uri,item\na.jpg,x\n")
    (delivery / "texts.csv").write_text("text,uri\nhello,a.jpg\n")
    assert told(find([str(delivery / "list.csv")])) == {"x": ""}
    assert told(find([str(delivery / "texts.csv")])) == {"texts.csv": ""}


def test_a_broken_manifest_is_an_error(delivery: Path) -> None:
    (delivery / "list.csv").write_text('uri,item\na.jpg,x\n"b.jpg\n')
    with pytest.raises(SourceError, match=r"list.csv: the manifest cannot be read"):
        find([str(delivery / "list.csv")])
