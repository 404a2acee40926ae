"""Packages: written, resumed, checked, opened."""

import errno
import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyrage
import pytest

from contract.errors import DeliveryError, StorageError
from delivery import keys, objects, package
from delivery.manifest import note_text, read_package
from delivery.opening import unpack, verify_package
from delivery.package import OBJECT_BYTES, grouped, open_plan, write_objects
from tests.delivery.parcels import FILES, House, content, contents

NO_LABELS = {path: data for path, data in FILES.items() if "jsonl" not in path}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects of a few files only."""
    monkeypatch.setattr(package, "OBJECT_BYTES", 5000)


@pytest.fixture
def parcel(house: House, tmp_path: Path, small: None) -> Path:
    return house.package(tmp_path / "parcel", NO_LABELS)


def files_below(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_packed_is_unpacked(house: House, parcel: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    found = unpack(parcel, house.signatory, out, identity=house.identity, contract="C-1", step=lambda done, of: None)
    assert found.problems == []
    assert found.files == len(NO_LABELS)
    assert files_below(out) == NO_LABELS
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert verify_package(parcel, house.signatory, identity=house.identity).files == len(NO_LABELS)
    outside = verify_package(parcel, house.signatory)
    assert (outside.problems, outside.manifest, outside.files) == ([], None, 0)
    assert outside.objects == len(list((parcel / "objects").iterdir())) + 1 > 2


def test_age_and_tar_alone_open_an_object(house: House, parcel: Path) -> None:
    read: dict[str, bytes] = {}
    for path in sorted((parcel / "objects").iterdir()):
        plain = pyrage.decrypt(path.read_bytes(), [house.identity])
        with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
            read |= {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    assert read == NO_LABELS


def test_nothing_of_the_content_can_be_read_without_the_key(parcel: Path) -> None:
    whole = b"".join(files_below(parcel).values())
    for secret in (b"picture", b"one.png", "图 片".encode(), b"certificate", bytes(range(256))):
        assert secret not in whole


def test_another_key_opens_nothing(house: House, parcel: Path, tmp_path: Path) -> None:
    keys.make_recipient_key(tmp_path / "other.key", "other")
    other = keys.read_identity(tmp_path / "other.key")
    with pytest.raises(DeliveryError, match=r"manifest\.age: is not encrypted to this key"):
        unpack(parcel, house.signatory, tmp_path / "out", identity=other, step=lambda done, of: None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.key", "other.pub", "parcel"]


def test_a_package_of_another_signer_or_contract(house: House, parcel: Path, tmp_path: Path) -> None:
    keys.make_signing_key(tmp_path / "mallory.key", "vendor.example")
    with pytest.raises(DeliveryError, match="with another key than that of"):
        verify_package(parcel, keys.read_signatory(tmp_path / "mallory.pub"))
    with pytest.raises(DeliveryError, match="is a package of contract C-1, not of C-2"):
        verify_package(parcel, house.signatory, contract="C-2")


def test_a_foreign_signature_over_somebody_elses_objects(house: House, parcel: Path, tmp_path: Path) -> None:
    """Whoever signs another's encrypted files as their own is given away by the manifest inside."""
    keys.make_signing_key(tmp_path / "mallory.key", "mallory.example")
    mallory = keys.read_signer(tmp_path / "mallory.key")
    document = read_package(parcel, house.signatory).model_copy(update={"signer": str(mallory.verifier)})
    data = document.model_dump_json().encode()
    (parcel / "package.json").write_bytes(data)
    (parcel / "package.note").write_text(mallory.sign(note_text("C-1", 1, data)))
    with pytest.raises(DeliveryError, match="is the manifest of another package"):
        verify_package(parcel, keys.read_signatory(tmp_path / "mallory.pub"), identity=house.identity)


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def _swap(one: Path, other: Path) -> None:
    kept = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(kept)


def _link(path: Path) -> None:
    kept = path.rename(path.parent.parent.parent / "elsewhere")
    path.symlink_to(kept)


CHANGES: dict[str, tuple[Callable[[Path], Any], list[str]]] = {
    "a flipped bit": (lambda p: _flip(p / "objects/000001.age"), ["objects/000001.age: was changed"]),
    "a cut object": (
        lambda p: (p / "objects/000000.age").write_bytes((p / "objects/000000.age").read_bytes()[:-20]),
        ["objects/000000.age: was changed"],
    ),
    "two swapped": (
        lambda p: _swap(p / "objects/000000.age", p / "objects/000001.age"),
        ["objects/000000.age: was changed", "objects/000001.age: was changed"],
    ),
    "a missing object": (lambda p: (p / "objects/000001.age").unlink(), ["objects/000001.age: is missing"]),
    "a missing manifest": (lambda p: (p / "manifest.age").unlink(), ["manifest.age: is missing"]),
    "an added object": (
        lambda p: shutil.copy(p / "objects/000001.age", p / "objects/000009.age"),
        ["objects/000009.age: was added"],
    ),
    "an added file": (lambda p: (p / "run_me.sh").write_text("rm"), ["run_me.sh: was added"]),
    "a hidden folder": (lambda p: (p / ".progress").mkdir(), [".progress: was added"]),
    "a link": (lambda p: _link(p / "objects/000001.age"), ["objects/000001.age: is no file but a link"]),
    "an added link": (lambda p: (p / "etc").symlink_to("/etc"), ["etc: was added"]),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("inside", [False, True])
def test_every_change_is_named_and_nothing_is_opened(
    change: str, inside: bool, house: House, parcel: Path, tmp_path: Path
) -> None:
    make, told = CHANGES[change]
    make(parcel)
    identity = house.identity if inside else None
    problems = verify_package(parcel, house.signatory, identity=identity).problems
    assert len(problems) == len(told)
    for problem, beginning in zip(problems, told, strict=True):
        assert problem.startswith(beginning)
    assert unpack(parcel, house.signatory, tmp_path / "out", identity=house.identity, step=lambda *_: None).problems
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("package.json", _flip, "package.json: was changed"),
        ("package.note", _flip, "package.note"),
        ("package.note", Path.unlink, "has no package.note; fetch"),
        ("package.json", Path.unlink, "package.json: cannot be read"),
        ("package.json", lambda path: path.rename(path.with_name("x")) and path.symlink_to("x"), "a link stands in"),
    ],
)
def test_without_its_signature_a_package_is_none(
    name: str, change: Callable[[Path], Any], told: str, house: House, parcel: Path
) -> None:
    change(parcel / name)
    with pytest.raises(DeliveryError, match=told):
        verify_package(parcel, house.signatory, identity=house.identity)


def test_a_key_that_had_expired_when_it_signed(house: House, parcel: Path) -> None:
    created = read_package(parcel, house.signatory).created
    over = house.signatory.public.model_copy(update={"expires": created})
    with pytest.raises(DeliveryError, match=r"the key of vendor\.example expired"):
        verify_package(parcel, keys.Signatory(over, house.signatory.verifier))
    expired = keys.Signer(over, house.signer.private)
    with pytest.raises(DeliveryError, match="the signing key: the key of"):
        open_plan(parcel.parent / "new", "C-1", 1, signer=expired, recipients=[house.recipient])
    gone = house.recipient.model_copy(update={"expires": created})
    with pytest.raises(DeliveryError, match="the recipient's key: the key of"):
        open_plan(parcel.parent / "new", "C-1", 1, signer=house.signer, recipients=[gone])
    assert not (parcel.parent / "new").exists()


# What a dishonest vendor, or one whose key was stolen, may sign.


LEADS_OUT = (
    "../evil",
    "/etc/evil",
    "a/../../evil",
    "a\\..\\evil",
    "C:evil",
    "a//b",
    "",
    "a/./b",
    "a\nb",
    "x" * 300,
    "a/ b",
    "a.",
)


@pytest.mark.parametrize("path", LEADS_OUT)
def test_a_path_that_leads_out_is_refused(path: str, house: House, tmp_path: Path) -> None:
    def forge(document: dict[str, Any]) -> None:
        document["files"][0]["path"] = path

    parcel = house.package(tmp_path / "parcel", NO_LABELS, forge=forge)
    with pytest.raises(DeliveryError, match=r"manifest\.age: refused: path"):
        verify_package(parcel, house.signatory, identity=house.identity)
    with pytest.raises(DeliveryError, match=r"manifest\.age: refused: path"):
        unpack(parcel, house.signatory, tmp_path / "out", identity=house.identity, step=lambda *_: None)
    assert [each.name for each in tmp_path.iterdir()] == ["parcel"]
    with pytest.raises(DeliveryError, match="cannot stand in a package"):
        write_objects(tmp_path / "other", house.plan(tmp_path / "other"), [content(path, b"")])


def test_two_files_of_one_path_and_a_file_that_is_a_folder(house: House, tmp_path: Path) -> None:
    for number, paths in enumerate((["a", "a"], ["a", "a/b"])):
        folder = tmp_path / str(number)
        with pytest.raises(DeliveryError, match="another file of the package has the same path"):
            write_objects(folder, house.plan(folder), [content(path, b"") for path in paths])


def _member(name: str, **facts: Any) -> bytes:
    info = tarfile.TarInfo(name)
    for key, value in facts.items():
        setattr(info, key, value)
    return info.tobuf()


@pytest.mark.parametrize(
    ("tar", "told"),
    [
        (_member("certificate.json", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "is no file but a link"),
        (_member("certificate.json", type=tarfile.LNKTYPE, linkname="../../x"), "is no file but a link"),
        (_member("certificate.json", type=tarfile.FIFOTYPE), "is no file but something else"),
        (_member("../evil"), "which the manifest does not have there"),
        (_member("certificate.json"), "is not the file that the manifest names"),
        (b"", "lacks 'certificate.json'"),
        (b"no tar at all" * 100, "was changed or cut"),
    ],
)
def test_an_object_with_other_members_than_the_manifest(
    tar: bytes, told: str, house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "tar_pieces", lambda files, mtime: iter((tar, bytes(1024))))
    parcel = house.package(tmp_path / "parcel", {"certificate.json": b"{}\n"})
    out = tmp_path / "out"
    try:
        found = unpack(parcel, house.signatory, out, identity=house.identity, step=lambda *_: None)
        said = "; ".join(found.problems)
    except DeliveryError as error:
        said = str(error)
    assert told in said
    assert [each.name for each in tmp_path.iterdir()] == ["parcel"]


# Interruptions.


class InterruptedJobError(Exception):
    """Stands for a killed command."""


def _until(calls: int, really: Callable[..., Any], error: Exception) -> Callable[..., Any]:
    left = [calls]

    def limited(*arguments: Any, **named: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise error
        return really(*arguments, **named)

    return limited


def test_an_interrupted_package_goes_on_where_it_was(
    house: House, tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "parcel"
    plan = house.plan(folder)
    with monkeypatch.context() as patched:
        patched.setattr(package, "write_object", _until(1, objects.write_object, InterruptedJobError()))
        with pytest.raises(InterruptedJobError):
            write_objects(folder, plan, contents(NO_LABELS))
    first = folder / "objects/000000.age"
    before = first.read_bytes()
    with pytest.raises(DeliveryError, match="half a package: run the same 'goldgate deliver' again"):
        verify_package(folder, house.signatory)
    (folder / "objects" / ".000001.age.part").write_bytes(b"half")
    told: list[package.Progress] = []
    again = house.plan(folder)
    assert again == plan
    stored, delivered = write_objects(folder, again, contents(NO_LABELS), on_progress=told.append)
    assert told[-1].resumed == 1
    assert told[-1].objects == len(stored) > 1
    house.finish(folder, again, stored, delivered)
    assert first.read_bytes() == before
    assert verify_package(folder, house.signatory, identity=house.identity).problems == []
    with pytest.raises(DeliveryError, match="holds a finished package already"):
        house.plan(folder)


def test_a_full_disk_leaves_what_was_finished_and_nothing_readable(
    house: House, tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "parcel"
    plan = house.plan(folder)
    really = Path.open

    class Full(io.FileIO):
        def write(self, data: Any) -> int:
            if self.tell() + len(data) > 8000:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)

    def open_full(self: Path, mode: str = "r", *rest: Any, **named: Any) -> Any:
        return Full(self, "wb") if self.name.endswith(".part") else really(self, mode, *rest, **named)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", open_full)
        with pytest.raises(StorageError, match="no space left on device"):
            write_objects(folder, plan, contents(NO_LABELS))
    assert [path.name for path in (folder / "objects").iterdir()] == ["000000.age"]
    assert not list((folder / "objects").glob(".*"))
    assert b"picture" not in b"".join(files_below(folder).values())
    stored, delivered = write_objects(folder, house.plan(folder), contents(NO_LABELS))
    house.finish(folder, plan, stored, delivered)
    assert verify_package(folder, house.signatory, identity=house.identity).problems == []


def test_a_full_disk_while_it_is_opened_leaves_nothing(
    house: House, parcel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = Path.open

    def full(self: Path, mode: str = "r", *rest: Any, **named: Any) -> Any:
        if mode == "xb" and self.name == "one.png":
            raise OSError(errno.ENOSPC, "No space left on device")
        return really(self, mode, *rest, **named)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(StorageError, match="no space left on device"):
        unpack(parcel, house.signatory, tmp_path / "out", identity=house.identity, step=lambda *_: None)
    assert [each.name for each in tmp_path.iterdir()] == ["parcel"]


def test_an_unfinished_package_of_something_else_is_left_alone(house: House, tmp_path: Path) -> None:
    house.plan(tmp_path / "parcel")
    with pytest.raises(DeliveryError, match=r"with another contract \(C-1\)"):
        house.plan(tmp_path / "parcel", contract="C-2")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("")
    with pytest.raises(DeliveryError, match="is not empty and holds no package"):
        house.plan(tmp_path / "mine")
    (tmp_path / "parcel/.progress/plan.json").write_text("{}")
    with pytest.raises(DeliveryError, match="not a plan of a package"):
        house.plan(tmp_path / "parcel")


def test_a_file_that_changed_since_intake_is_not_delivered(house: House, tmp_path: Path) -> None:
    changed = content("a.png", b"changed", digest="0" * 64)

    def gone() -> Any:
        raise FileNotFoundError(2, "No such file or directory")

    missing = objects.Content("b.png", 3, "0" * 64, gone, item="b.png")
    for each, told in ((changed, "a.png: is not what it was"), (missing, r"b.png: cannot be read \(no such file")):
        folder = tmp_path / each.path
        with pytest.raises(DeliveryError, match=told):
            write_objects(folder, house.plan(folder), [each])
        assert not list((folder / "objects").glob("*"))


def test_files_are_put_together_in_their_order() -> None:
    sizes = [10, OBJECT_BYTES, 5, 5, OBJECT_BYTES - 5, OBJECT_BYTES * 3, 1]
    made = [objects.Content(str(number), size, "", io.BytesIO) for number, size in enumerate(sizes)]
    assert [[each.bytes for each in group] for group in grouped(made)] == [
        [10],
        [OBJECT_BYTES],
        [5, 5],
        [OBJECT_BYTES - 5],
        [OBJECT_BYTES * 3],
        [1],
    ]
    assert list(grouped([])) == []
