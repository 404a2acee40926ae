"""The end of a contract: what is deleted, what is kept, and the certificate."""

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e


@pytest.fixture
def ended(cli: Any, raw: Path, tmp_path: Path) -> Any:
    """A contract with one lot, a link to somewhere else in its folder, and a key."""
    assert cli.on_lot("intake", raw) == 0
    assert cli("keypair", "signing", "--name", "vendor.example", "--out", tmp_path / "vendor.key") == 0
    home = cli.work / "DEMO-2025"
    (home / "lots" / "outside").symlink_to(raw)
    (home / "link").symlink_to(raw)
    (home / "audit" / "pseudonyms.key").write_text("secret")
    return cli


def destroy(cli: Any, tmp_path: Path, *more: str) -> Any:
    return cli("destroy", "-c", cli.contract, "--work", cli.work, "--key", tmp_path / "vendor.key", *more)


def test_all_data_go_and_the_certificate_says_so(ended: Any, raw: Path, tmp_path: Path) -> None:
    cli, home = ended, ended.work / "DEMO-2025"
    given = {path.name: path.read_bytes() for path in raw.iterdir()}
    assert destroy(cli, tmp_path, "--confirm", "DEMO", "--unsettled") == 2
    assert "repeat the contract's id, 'DEMO-2025'" in cli.err
    assert destroy(cli, tmp_path, "--confirm", "DEMO-2025") == 2
    assert "lot 'made' is open, not settled" in cli.err
    assert (home / "lots" / "made" / "manifest.parquet").exists()
    told = json.loads((home / "lots" / "made" / "receipt.json").read_bytes())
    assert destroy(cli, tmp_path, "--confirm", "DEMO-2025", "--unsettled", "--verifier", "li.lei", "--json") == 0, cli.err
    document = cli.json()
    (lot,) = document["lots"]
    assert lot["manifest_sha256"] == told["manifest_sha256"]
    assert lot["items"] == told["items_by_kind"]
    assert (document["left"], document["verifier"], document["method"], document["key_id"]) == ([], "li.lei", "Clear", None)
    assert document["files"] == 4 + 2 + 1  # manifest, rejects, texts and receipt; two links; the secret of the pseudonyms
    assert sorted(path.name for path in home.iterdir()) == ["audit", "contract.yaml", "destructions"]
    assert not (home / "audit" / "pseudonyms.key").exists()
    assert {path.name: path.read_bytes() for path in raw.iterdir()} == given, "a link was followed"
    folder = Path(document["folder"])
    page = (folder / "certificate.html").read_text(encoding="utf-8")
    for words in ("数据销毁证书", "Certificate of destruction", "cannot vouch for copies outside", "不能保证", "li.lei"):
        assert words in page
    check = ["verify-certificate", folder, "--signer", tmp_path / "vendor.pub"]
    assert cli(*check) == 0, cli.err
    assert "left over: nothing" in cli.out
    (tmp_path / "kept.txt").write_text(document["checkpoint"])
    assert cli("verify-log", home, "--checkpoint", tmp_path / "kept.txt", "--signer", tmp_path / "vendor.pub") == 0, cli.out
    (folder / "certificate.json").write_bytes((folder / "certificate.json").read_bytes().replace(b"li.lei", b"li.bai"))
    assert cli(*check) == 2
    assert "is not what was signed" in cli.err


def test_a_command_that_was_stopped_goes_on_with_the_same_certificate(
    ended: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli = ended

    def stuck(path: Any, *rest: Any, **named: Any) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patched:
        patched.setattr("delivery.destruction.shutil.rmtree", stuck)
        assert destroy(cli, tmp_path, "--confirm", "DEMO-2025", "--unsettled") == 2
    assert "cannot delete" in cli.err
    assert "permission denied" in cli.err
    (begun,) = cli.work.rglob("begun.json")
    files = json.loads(begun.read_bytes())["files"]
    assert destroy(cli, tmp_path, "--confirm", "DEMO-2025", "--unsettled", "--json") == 0, cli.err
    document = cli.json()
    assert (document["number"], document["files"], len(document["lots"])) == (1, files, 1)
    assert destroy(cli, tmp_path, "--confirm", "DEMO-2025", "--json") == 0, "nothing is left that is not settled"
    assert (cli.json()["number"], cli.json()["files"]) == (2, 0)
