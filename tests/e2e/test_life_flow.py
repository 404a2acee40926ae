"""A lot from seal to settlement by the command line: the draw on record, partial gold, disputes, rework."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
FAKES = ["--model", "detector=fake", "--model", "sentiment=fake", "--model", "video=fake"]
SIDES = ("client", "vendor")


class Lot:
    """A lot under terms of its own, and the few steps that every story repeats."""

    def __init__(self, cli: Any, raw: Path, tmp_path: Path, **changes: Any) -> None:
        document = yaml.safe_load(cli.contract.read_text(encoding="utf-8"))
        for path, value in changes.items():
            *parents, last = path.split("__")
            at = document
            for part in parents:
                at = at[part]
            at[last] = value
        cli.contract = tmp_path / "terms.yaml"
        cli.contract.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
        self.cli, self.tmp = cli, tmp_path
        assert cli.on_lot("intake", raw) == 0, cli.err
        assert cli.on_lot("prelabel", *FAKES) == 0, cli.err
        self.right = tmp_path / "right"
        assert cli.on_lot("export", "--format", "jsonl", "--out", self.right) == 0

    def do(self, *words: str | Path, status: int | tuple[int, ...] = 0) -> Any:
        """Run a command on the lot and return its JSON; samples differ from run to run, as the folders' names do."""
        found = self.cli.on_lot(*words, "--json")
        assert found in (status if isinstance(status, tuple) else (status,)), (words, self.cli.err)
        return self.cli.json()

    def refused(self, *words: str | Path) -> str:
        assert self.cli.on_lot(*words) == 2, words
        (line,) = self.cli.err.strip().splitlines()
        return str(line)

    def lines(self, name: str) -> list[dict[str, Any]]:
        text = (self.right / f"{name}.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def folder(self, name: str, *, wrong: Iterable[str] = (), only: Iterable[str] | None = None) -> Path:
        """Write the right labels of `only` some items, the sentiments of the `wrong` ones turned round."""
        place, turned = self.tmp / name, {"positive": "negative", "negative": "positive"}
        place.mkdir(exist_ok=True)
        wrongly, wanted = set(wrong), None if only is None else set(only)
        for task in ("boxes", "sentiments"):
            rows = [row for row in self.lines(task) if wanted is None or row["item"] in wanted]
            for row in rows:
                if task == "sentiments" and row["item"] in wrongly:
                    row |= {"label": turned[row["label"]], "probabilities": None}
            (place / f"{task}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return place

    def hand_in(self, folder: Path, *more: str) -> Any:
        return self.do("import", "--format", "jsonl", "--as", "submission", folder, *more)

    def bring_gold(self, folder: Path) -> Any:
        return self.do("import", "--format", "jsonl", "--as", "gold", folder)

    def commit(self) -> None:
        for side in SIDES:
            nonce = self.tmp / f"{side}.nonce"
            nonce.write_bytes(f"the nonce of the {side}, {len(self.status()['history'])}".encode())
            self.do("sample", "commit", "--party", side, "--nonce", nonce)

    def nonces(self) -> list[str | Path]:
        return [word for side in SIDES for word in (f"--{side}-nonce", self.tmp / f"{side}.nonce")]

    def draw(self, *more: str) -> Any:
        return self.do("sample", "draw", *self.nonces(), *more)

    def status(self) -> Any:
        return self.do("lot", "status")

    @property
    def texts(self) -> list[str]:
        return [row["item"] for row in self.lines("sentiments")]


@pytest.fixture
def lot(cli: Any, raw: Path, tmp_path: Path) -> Lot:
    return Lot(cli, raw, tmp_path)


def items(sample: Any, kind: str, mark: str | None = None) -> list[str]:
    return [each["item"] for each in sample["items"] if each["kind"] == kind and (mark is None or each[mark])]


def test_the_draw_is_the_plain_formula_and_binds_both_parties(lot: Lot) -> None:
    import hmac

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


def test_commitments_come_before_the_seal(lot: Lot) -> None:
    lot.hand_in(lot.folder("work"))
    said = lot.refused("sample", "commit", "--party", "client")
    assert "lot 'made' is checked" in said
    assert "both parties' commitments" in lot.refused("sample", "draw")
    assert not list(lot.tmp.glob("nonce-*"))


def test_a_nonce_is_made_where_none_is_given(lot: Lot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(lot.tmp)
    told = lot.do("sample", "commit", "--party", "vendor")
    made = (lot.tmp / told["nonce"]).read_bytes()
    assert len(made) == 64
    assert hashlib.sha256(made).hexdigest() == told["commitment"]
    assert "the vendor has published" in lot.refused("sample", "commit", "--party", "vendor")
    (lot.tmp / "short").write_bytes(b"guess me")
    assert "short: a nonce of 8 bytes" in lot.refused("sample", "commit", "--party", "client", "--nonce", lot.tmp / "short")


def test_the_whole_life(lot: Lot) -> None:
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
    history = [event["event"] for event in lot.status()["history"]]
    assert history[:4] == ["committed", "committed", "sealed", "checked"]
    assert history.count("judged") == 4


def test_a_verdict_without_a_draw_says_so(lot: Lot) -> None:
    lot.bring_gold(lot.right)
    lot.hand_in(lot.right)
    verdict = lot.do("accept")
    assert verdict["pins"]["sample"] is None
    assert any("not drawn on record" in reason for reason in verdict["reasons"])
    assert any("并非记录在案的抽样" in reason for reason in verdict["reasons_zh"])
    again = lot.do("accept")
    assert any("moves nothing; verdict 1 stands" in reason for reason in again["reasons"])
    assert lot.status()["verdict"] == 1


def test_a_file_that_fails_the_checks_goes_back_without_a_round(lot: Lot) -> None:
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


def test_rework_ends_with_the_rounds_of_the_terms(cli: Any, raw: Path, tmp_path: Path) -> None:
    lot = Lot(cli, raw, tmp_path, acceptance__rework__max_rounds=1)
    lot.bring_gold(lot.right)
    bad = lot.folder("bad", wrong=lot.texts[:20])
    for _ in range(2):
        lot.hand_in(bad)
        lot.do("accept", status=3)
    said = lot.refused("import", "--format", "jsonl", "--as", "submission", bad)
    assert "rejected (round 1 of 1)" in said
    assert "the inspection of every item at the vendor's cost" in said


def test_strata_of_the_terms(cli: Any, raw: Path, tmp_path: Path) -> None:
    lot = Lot(cli, raw, tmp_path, acceptance__sampling__stratify=["class"])
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


def test_gold_makers_get_the_sample_and_no_draft_of_its_blind_items(lot: Lot) -> None:
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
def test_touched_papers_are_found(lot: Lot, name: str) -> None:
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


def test_status_for_people(lot: Lot) -> None:
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


def test_what_is_owed_cites_verdicts(cli: Any, raw: Path, tmp_path: Path) -> None:
    deadline = {"start": "2020-01-01", "working_days": 1}  # long over: the cap of 10 % is reached
    lot = Lot(cli, raw, tmp_path, settlement=PRICES, deadline=deadline)
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
    verdict.write_text(verdict.read_text(encoding="utf-8").replace("ACCEPT", "ACCEPT "), encoding="utf-8")
    assert cli(*settle) == 2
    assert "verdicts/1.json: missing or changed" in cli.err


def test_without_prices_nothing_is_settled(lot: Lot) -> None:
    assert lot.cli("settle", "-c", lot.cli.contract, "--work", lot.cli.work) == 2
    assert "has no section settlement" in lot.cli.err
