"""A video with damage in its middle, from intake to drafts and label files; a whole one beside it."""

from pathlib import Path

import pytest

from contract.files import read_parquet
from contract.formats.lotview import LotView
from contract.formats.registry import exchange
from contract.tables import KIND_OF_TASK, Kind, Task
from contract.terms import load_terms
from contract.workfolder import lot_folder
from models.video import VideoPredictor
from prelabel.handoff import read_drafts
from prelabel.intake import take_in
from prelabel.run import Job, read_intake_receipt, read_manifest, read_texts, run_job
from tests.oracles import longvideos

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("form", ["activitynet", "labelstudio", "jsonl"])
def test_what_damage_hides_is_told_and_the_rest_is_labelled(tmp_path: Path, form: str) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    whole = longvideos.encode(longvideos.pictures(100), options={"g": "20"}, container="mpegts")
    first = len(whole) // 188 // 2
    (raw / "torn.ts").write_bytes(whole[: 188 * first] + whole[188 * (first + 3) :])
    (raw / "whole.ts").write_bytes(whole)
    (raw / "cut.ts").write_bytes(whole[: 188 * first + 60])
    terms = load_terms(ROOT / "configs" / "demo.yaml")
    lot = lot_folder(tmp_path / "work", terms.contract, "week-1")
    take_in([str(raw)], lot=lot, terms=terms, lot_name="week-1")
    run = run_job(Job(lot, terms, {Kind.VIDEO: VideoPredictor()}))
    rows = {row["item"]: row for shard in run.folder.glob("shard-*.parquet") for row in read_parquet(shard).to_pylist()}
    names = {Path(row["uri"]).name: rows[row["item"]] for row in read_manifest(lot, read_intake_receipt(lot)).to_pylist()}
    assert names["whole.ts"]["reason"] is None
    assert "the data is damaged from" in names["torn.ts"]["reason"]
    assert {names[name]["state"] for name in ("torn.ts", "whole.ts")} == {"labelled"}
    document, labels = read_drafts(lot)
    assert set(labels.states["state"].to_pylist()) == {"labelled"}
    view = LotView(
        read_manifest(lot, read_intake_receipt(lot)),
        terms.guideline,
        read_texts(lot),
        document.descriptions[KIND_OF_TASK[Task.SHOTS]].source,
    )
    written = exchange(form).write(tmp_path / "out", labels, view)
    assert written
