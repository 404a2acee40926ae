"""The audit log over the main job, as both parties run and check it."""

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e


def entries(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_main_job_is_written_down_and_can_be_checked(lot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOLDGATE_OPERATOR", "anna")
    cli, tmp = lot.cli, lot.tmp
    lot.bring_gold(lot.right)
    lot.hand_in(lot.right)
    log = cli.work / "DEMO-2025" / "audit" / "log.jsonl"
    assert cli("keypair", "signing", "--name", "vendor.example", "--out", tmp / "vendor.key") == 0, cli.err
    assert "vendor.pub to the other party" in cli.out
    kept = ["--checkpoint", tmp / "kept.txt", "--signer", tmp / "vendor.pub"]
    assert cli("checkpoint", "-c", cli.contract, "--key", tmp / "vendor.key", "--out", kept[1], "--work", cli.work) == 0
    assert cli.out.startswith("goldgate/DEMO-2025/audit\n")
    verdict = lot.do("accept")
    actions = [entry["action"] for entry in entries(log)]
    assert actions == ["intake", "prelabel", "export", "gold", "sealed", "checked", "judged"]
    judged = entries(log)[-1]
    assert judged["who"] == "anna"
    assert set(judged["digests"]) == {"event", "verdict"}
    sealed = next(entry for entry in entries(log) if entry["action"] == "sealed")
    assert sealed["digests"]["seal"] in (lot.cli.work / "DEMO-2025/lots/made/submissions/1/receipt.json").read_text()
    assert "第 1 条评论" not in log.read_text(encoding="utf-8")
    assert verdict["verdict"] == "ACCEPT"

    assert cli("verify-log", cli.work / "DEMO-2025", *kept) == 0, cli.out
    assert "1 checkpoint(s) agree" in cli.out
    assert cli("verify-log", log) == 0
    assert "compared with no checkpoint" in cli.out
    whole = log.read_bytes()
    log.write_bytes(b"".join(whole.splitlines(keepends=True)[:4]))
    assert cli("verify-log", log) == 0
    assert cli("verify-log", log, *kept, "--json") == 2
    assert "its end was taken away" in cli.json()["problems"][0]
    log.write_bytes(whole.replace(b'"prelabel"', b'"relabel"', 1))
    assert cli("verify-log", log) == 2
    assert "PROBLEM: entry 2 does not follow" in cli.out


def test_keys_leave_their_trace_and_bad_calls_one_sentence(cli: Any, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    assert cli("keys", "add", "anna", "--scope", "predict", "--file", keys) == 0
    token = cli.out.strip()
    assert cli("keys", "revoke", "anna", "--file", keys) == 0
    log = tmp_path / "keys.audit.jsonl"
    assert [entry["action"] for entry in entries(log)] == ["keys.add", "keys.revoke"]
    assert token not in log.read_text()
    assert cli("verify-log", log) == 0
    for words, told in (
        (["verify-log", tmp_path / "absent"], "no audit log"),
        (["verify-log", log, "--checkpoint", log], "goes with --signer"),
        (["verify-log", log, "--signer", log], "goes with --checkpoint"),
        (["verify-log", log, "--checkpoint", log, "--signer", log], "not a public signing key"),
        (["keypair", "signing", "--name", "two words", "--out", tmp_path / "a.key"], "write letters"),
        (["keypair", "signing", "--name", "a", "--out", tmp_path / "a.key", "--expires", "soon"], "--expires"),
    ):
        assert cli(*words) == 2
        (line,) = cli.err.strip().splitlines()
        assert told in line, line
