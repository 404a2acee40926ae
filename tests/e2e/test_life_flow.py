"""A lot from seal to settlement by the command line: the draw on record, partial gold, rounds of rework, payment."""

import hashlib
import hmac
import json
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

SIDES = ("client", "vendor")


def items(sample: Any, kind: str, mark: str | None = None) -> list[str]:
    return [each["item"] for each in sample["items"] if each["kind"] == kind and (mark is None or each[mark])]


def test_the_draw_is_the_plain_formula_and_binds_both_parties(lot: Any) -> None:
    lot.commit()
    lot.hand_in(lot.folder("work"))
    other = lot.tmp / "other.nonce"
    other.write_bytes(b"a nonce that nobody committed to")
    said = lot.refused("sample", "draw", "--client-nonce", other, "--vendor-nonce", lot.tmp / "vendor.nonce")
    assert "other.nonce" in said
    assert "not the nonce" in said
    sample = lot.draw()
    nonces = [(lot.tmp / f"{side}.nonce").read_bytes() for side in SIDES]
    key = hashlib.sha256(b"|".join([*nonces, bytes.fromhex(sample["manifest_sha256"])])).digest()
    assert sample["key"] == key.hex()
    ranked = sorted(lot.texts, key=lambda item: hmac.digest(key, item.encode(), "sha256"))
    assert items(sample, "text") == ranked[:30]
    assert len(items(sample, "image", "blind")) == 6
    assert len(items(sample, "text", "double")) == 3
    assert "lot 'made' is sampled" in lot.refused("sample", "draw", *lot.nonces())
    assert lot.do("sample", "list") == sample


def test_commitments_come_before_the_seal(lot: Any) -> None:
    lot.hand_in(lot.folder("work"))
    said = lot.refused("sample", "commit", "--party", "client")
    assert "lot 'made' is checked" in said
    assert "both parties' commitments" in lot.refused("sample", "draw")
    assert not list(lot.tmp.glob("nonce-*"))


def test_a_nonce_is_made_where_none_is_given(lot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(lot.tmp)
    told = lot.do("sample", "commit", "--party", "vendor")
    made = (lot.tmp / told["nonce"]).read_bytes()
    assert len(made) == 64
    assert hashlib.sha256(made).hexdigest() == told["commitment"]
    nonce = ["--nonce", lot.tmp / told["nonce"]]
    (lot.cli.work / "DEMO-2025" / "lots" / "other").mkdir()
    assert lot.cli.on_lot("intake", lot.tmp / "raw", lot="other") == 0
    assert lot.cli.on_lot("sample", "commit", "--party", "vendor", *nonce, lot="other") == 2
    assert "lot 'made' was committed to with the same nonce" in lot.cli.err
    assert "the vendor has published" in lot.refused("sample", "commit", "--party", "vendor")
    (lot.tmp / "short").write_bytes(b"guess me")
    assert "short: a nonce of 8 bytes" in lot.refused("sample", "commit", "--party", "client", "--nonce", lot.tmp / "short")


def test_the_whole_life(lot: Any) -> None:
    lot.commit()
    wrong = lot.texts[:20]  # at least 10 of any 30
    lot.hand_in(lot.folder("first", wrong=wrong))
    sample = lot.draw("-n", "image=40", "-n", "text=10")
    assert lot.status()["state"] == "sampled"
    lot.bring_gold(lot.folder("gold", only=[each["item"] for each in sample["items"]]))
    few = lot.do("accept", status=4)
    assert few["pins"]["sample"] == 1
    larger = lot.do("sample", "extend", "-n", "text=30")
    assert items(larger, "text")[:10] == items(sample, "text")
    assert items(larger, "image") == items(sample, "image")
    assert set(items(sample, "text", "blind")) <= set(items(larger, "text", "blind"))
    partly = lot.do("accept", status=4)
    assert any("20 of the 30 texts of the sample have no gold yet" in reason for reason in partly["reasons"])
    assert any("text.sampled" in reason and "20" in reason for reason in partly["reasons_zh"])
    lot.bring_gold(lot.right)
    verdict = lot.do("accept", status=3)
    assert any("gold of 10 items outside it was not counted" in reason for reason in verdict["reasons"])
    found = next(each for each in verdict["criteria"] if each["name"] == "text.accuracy")
    assert found["estimate"] == pytest.approx(1 - len(set(wrong) & set(items(larger, "text"))) / 30)
    rejected = lot.status()
    assert (rejected["state"], rejected["round"], rejected["verdict"]) == ("rejected", 0, 3)
    assert rejected["rework_is_due"] == "2030-01-15"  # the contract's deadline, which is later than five working days
    assert rejected["gold_may_be_contested_until"] < rejected["rework_is_due"]
    lot.commit()
    still = [item for item in wrong if item not in items(larger, "text")]
    assert still
    lot.hand_in(lot.folder("second", wrong=still))
    fresh = lot.draw("-n", "image=40", "-n", "text=30")
    assert fresh["draw"] == 1
    assert fresh["key"] != larger["key"]
    assert set(items(fresh, "text")) != set(items(larger, "text"))
    reworked = lot.do("accept", status=(0, 3, 4))
    assert reworked["severity"] == "tightened"
    assert any(reason.startswith("Rework round 1 of 2: inside the earlier sample") for reason in reworked["reasons"])
    assert any("Only the sampled items were reworked" in reason for reason in reworked["reasons"])
    assert any("只改抽检项" in reason for reason in reworked["reasons_zh"])
    (scores,) = lot.cli.work.rglob("scores")
    for number in range(1, 5):
        assert lot.cli("verify-report", scores / str(number)) == 0, lot.cli.out
    history = [event["event"] for event in lot.status()["history"]]
    assert history[:4] == ["committed", "committed", "sealed", "checked"]
    assert history.count("judged") == 4


def test_a_verdict_without_a_draw_says_so(lot: Any) -> None:
    lot.bring_gold(lot.right)
    lot.hand_in(lot.right)
    verdict = lot.do("accept")
    assert verdict["pins"]["sample"] is None
    assert any("not drawn on record" in reason for reason in verdict["reasons"])
    assert any("并非记录在案的抽样" in reason for reason in verdict["reasons_zh"])
    again = lot.do("accept")
    assert any("moves nothing; verdict 1 stands" in reason for reason in again["reasons"])
    assert lot.status()["verdict"] == 1


def test_a_file_that_fails_the_checks_goes_back_without_a_round(lot: Any) -> None:
    broken = lot.folder("broken")
    (broken / "boxes.jsonl").write_text('{"item": "00.png", "boxes": [{"label": "circle"', encoding="utf-8")
    said = lot.refused("import", "--format", "jsonl", "--as", "submission", broken)
    assert "boxes.jsonl" in said
    status = lot.status()
    assert (status["state"], status["round"], status["history"][-1]["event"]) == ("open", 0, "returned")
    lot.hand_in(lot.folder("half", only=lot.texts[:20]))
    assert lot.status()["state"] == "returned"
    lot.hand_in(lot.right, "--replace", "1")
    assert lot.status()["state"] == "checked"


def test_gold_that_excuses_what_is_missing_completes_the_lot(lot: Any) -> None:
    lot.hand_in(lot.folder("most", only=[*lot.texts[2:], *(row["item"] for row in lot.lines("boxes"))]))
    assert lot.status()["state"] == "returned"
    rows = lot.lines("sentiments")
    for row in rows[:2]:
        row |= {"state": "excused", "label": None, "score": None, "probabilities": None}
    gold = lot.folder("gold")
    (gold / "sentiments.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    lot.bring_gold(gold)
    assert lot.status()["state"] == "checked"
    lot.do("accept")


def test_rework_ends_with_the_rounds_of_the_terms(make_lot: Any) -> None:
    lot = make_lot(acceptance__rework__max_rounds=1)
    lot.bring_gold(lot.right)
    bad = lot.folder("bad", wrong=lot.texts[:20])
    for _ in range(2):
        lot.hand_in(bad)
        lot.do("accept", status=3)
    said = lot.refused("import", "--format", "jsonl", "--as", "submission", bad)
    assert "rejected (round 1 of 1)" in said
    assert "the inspection of every item at the vendor's cost" in said


def test_nothing_is_accepted_before_the_draw_that_both_wait_for(lot: Any) -> None:
    lot.commit()
    lot.hand_in(lot.right)
    lot.bring_gold(lot.right)
    verdict = lot.do("accept", status=4)
    assert any("both parties are committed to a draw that is due" in reason for reason in verdict["reasons"])
    lot.draw("-n", "40")
    lot.do("accept")


def test_a_sample_may_grow_to_the_whole_lot(make_lot: Any) -> None:
    sampling = {"mode": "lower_bound", "min_items": 29, "extend_to": 30, "draw": "commit_reveal"}
    lot = make_lot(acceptance__sampling=sampling, acceptance__video=None, volumes__video_hours=0)
    lot.commit()
    lot.hand_in(lot.right)
    lot.draw()
    assert "the terms end at extend_to 30" in lot.refused("sample", "extend", "-n", "31")
    assert lot.do("sample", "extend")["strata"][0]["drawn"] == 30
    assert "would not grow" in lot.refused("sample", "extend")
    whole = lot.do("sample", "extend", "--whole")
    assert len(whole["items"]) == 80
    lot.bring_gold(lot.right)
    lot.do("accept")


def test_terms_that_check_every_item_draw_nothing(make_lot: Any) -> None:
    lot = make_lot(acceptance__sampling__draw="full")
    assert "the terms check every item" in lot.refused("sample", "commit", "--party", "client")
    lot.hand_in(lot.right)
    sample = lot.do("sample", "draw")
    assert (len(sample["items"]), sample["nonces"]) == (80, {})
    assert len(items(sample, "text", "blind")) == 8
    lot.bring_gold(lot.right)
    verdict = lot.do("accept")
    assert not any("not drawn on record" in reason for reason in verdict["reasons"])


def test_strata_of_the_terms(make_lot: Any) -> None:
    lot = make_lot(acceptance__sampling__stratify=["class"])
    lot.commit()
    lot.hand_in(lot.folder("work"))
    sample = lot.draw("-n", "20")
    labels = {row["item"]: row["label"] for row in lot.lines("sentiments")}
    rows = [row for row in sample["strata"] if row["kind"] == "text"]
    for row in rows:
        stratum = row["stratum"].removeprefix("class ")
        assert row["items"] == sum(label == stratum for label in labels.values())
        assert row["drawn"] == sum(labels[item] == stratum for item in items(sample, "text"))
        assert row["drawn"] >= 1
    assert sum(row["drawn"] for row in rows) == 20


def test_gold_makers_get_the_sample_and_no_draft_of_its_blind_items(lot: Any) -> None:
    lot.commit()
    lot.hand_in(lot.folder("work"))
    sample = lot.draw("-n", "20")
    out = lot.tmp / "for-gold"
    lot.do("export", "--format", "labelstudio", "--out", out, "--sample", "1")
    tasks = json.loads((out / "text" / "tasks.json").read_text(encoding="utf-8"))
    assert {task["data"]["item"] for task in tasks} == set(items(sample, "text"))
    bare = {task["data"]["item"] for task in tasks if not task["predictions"]}
    assert bare == set(items(sample, "text", "blind"))
    assert len(bare) == 4
    lot.do("export", "--format", "labelstudio", "--out", lot.tmp / "blind", "--sample", "1", "--blind")
    tasks = json.loads((lot.tmp / "blind" / "image" / "tasks.json").read_text(encoding="utf-8"))
    assert {task["data"]["item"] for task in tasks} == set(items(sample, "image", "blind"))
    assert "--sample" in lot.refused("export", "--format", "jsonl", "--out", out, "--blind")


@pytest.mark.parametrize("name", ["samples/1.json", "life/0003-sealed.json"])
def test_touched_papers_are_found(lot: Any, name: str) -> None:
    lot.commit()
    lot.hand_in(lot.folder("work"))
    lot.draw("-n", "40")
    lot.bring_gold(lot.right)
    lot.do("accept")
    (path,) = lot.cli.work.rglob(name)
    path.write_text(path.read_text(encoding="utf-8").replace('"vendor"', '"client"').replace("true", "false"))
    said = lot.refused("accept")
    assert name in said
    assert "changed since it was" in said


def test_status_for_people(lot: Any) -> None:
    lot.hand_in(lot.right)
    assert lot.cli.on_lot("lot", "status") == 0
    assert "lot made is checked; rounds of rework: 0 of 2" in lot.cli.out
    assert "gold (goldgate import --as gold)" in lot.cli.out
    assert "0001" in lot.cli.out


PRICES = {
    "currency": "CNY",
    "unit_price": {"image": "1.80", "text": "0.305", "video_hour": "100"},
    "basis": "accepted_items",
    "late_per_day": "0.001",
    "late_cap": "0.10",
}


def test_what_is_owed_cites_verdicts(make_lot: Any) -> None:
    deadline = {"start": "2020-01-01", "working_days": 1}  # long over: the cap of 10 % is reached
    lot = make_lot(settlement=PRICES, deadline=deadline)
    cli = lot.cli
    lot.bring_gold(lot.right)
    lot.hand_in(lot.right)
    settle = ["settle", "-c", cli.contract, "--work", cli.work]
    assert cli(*settle, "--json") == 0
    before = cli.json()
    assert (before["lines"], list(before["unpaid"]), before["due"]) == ([], ["made"], "0.00")
    assert cli(*settle, "--final") == 2
    assert "nothing new to settle" in cli.err
    lot.do("accept")
    assert cli(*settle, "--final", "--json") == 0
    owed = cli.json()
    (verdict,) = cli.work.rglob("verdicts/1.json")
    digest = hashlib.sha256(verdict.read_bytes()).hexdigest()
    assert all((line["verdict"], line["verdict_sha256"]) == (1, digest) for line in owed["lines"])
    # 40 x 1.80 and 40 x 0.305; the contract orders 120 x 1.80 + 116 x 0.305 + 0.04 h x 100 = 255.38
    assert [line["amount"] for line in owed["lines"]] == ["72.00", "12.20", "-25.54"]
    assert (owed["late_limit"], owed["net"], owed["due"]) == ("25.54", "58.66", "58.66")
    assert lot.status()["state"] == "settled"
    assert cli(*settle, "--json") == 0
    again = cli.json()
    assert (again["net"], again["paid_before"], again["due"]) == ("58.66", "58.66", "0.00")
    assert cli(*settle) == 0
    assert "验收合格 accepted: 72.00 (40 x 1.80 = 72.00" in cli.out
    assert "lot 'made' is settled" in lot.refused("import", "--format", "jsonl", "--as", "gold", lot.right)
    (paid,) = cli.work.rglob("settlements/1.json")
    whole = paid.read_bytes()
    paid.write_bytes(whole.replace(b"58.66", b"0.66"))
    assert cli(*settle) == 2
    assert "settlements/1.json: missing or changed" in cli.err
    paid.write_bytes(whole)
    judged = verdict.read_bytes()
    verdict.write_bytes(judged.replace(b"ACCEPT", b"ACCEPT "))
    assert cli(*settle) == 2
    assert "verdicts/1.json: missing or changed" in cli.err
    verdict.write_bytes(judged)


def test_without_prices_nothing_is_settled(make_lot: Any) -> None:
    lot = make_lot(settlement=None)
    assert lot.cli("settle", "-c", lot.cli.contract, "--work", lot.cli.work) == 2
    assert "has no section settlement" in lot.cli.err
