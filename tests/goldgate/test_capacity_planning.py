"""Rates as the times of a run's files tell them, and as they are typed."""

import datetime
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from contract.errors import InputError, StageError
from contract.files import sha256_bytes, write_json, write_parquet
from contract.predictor import Description
from contract.receipts import IntakeReceipt, RunDocument, ShardReceipt
from contract.tables import ITEMS, Kind
from contract.workfolder import LotFolder
from goldgate.capacity_planning import rates_of, rates_of_run
from tests.oracles.lots import item_row

NONE = sha256_bytes(b"")
SECONDS_AGO = 1_700_000_000


def lot_with_run(root: Path, receipts: list[tuple[Kind, int, float]], *, begun: float = 0.0) -> LotFolder:
    """A lot with a finished run; each receipt is (kind, items, seconds after the start at which it was written)."""
    lot = LotFolder(root)
    rows: list[dict[str, Any]] = []
    names: list[list[str]] = []
    for chunk, (kind, count, _) in enumerate(receipts):
        own = [f"{kind.value}-{chunk}-{number}" for number in range(count)]
        names.append(own)
        rows += [item_row(item, kind, duration_s=1800.0 if kind is Kind.VIDEO else None) for item in own]
    digest = write_parquet(lot.manifest, pa.Table.from_pylist(rows, schema=ITEMS))
    intake = IntakeReceipt(
        contract="C",
        lot="x",
        terms_sha256=NONE,
        guideline_sha256=NONE,
        items_by_kind={},
        video_seconds=0,
        rejects_by_reason={},
        manifest_sha256=digest,
        rejects_sha256=NONE,
        texts_sha256=None,
        roots=(),
        created=datetime.datetime(2025, 1, 1, tzinfo=datetime.timezone.utc),
    )
    write_json(lot.receipt, intake.model_dump(mode="json"))
    folder = lot.drafts / "run1"
    model = Description(
        name="m", version="1", kind=Kind.IMAGE, classes=(), weights_sha256=None, runtime="none", precision="none"
    )
    document = RunDocument(
        run="run1",
        contract="C",
        lot="x",
        manifest_sha256=digest,
        terms_sha256=NONE,
        guideline_sha256=NONE,
        chunks=len(receipts),
        items=len(rows),
        descriptions={Kind.IMAGE: model},
    )
    write_json(folder / "run.json", document.model_dump(mode="json"))
    os.utime(folder / "run.json", (SECONDS_AGO + begun, SECONDS_AGO + begun))
    for chunk, (kind, count, at) in enumerate(receipts):
        receipt = ShardReceipt(
            run="run1",
            chunk=chunk,
            kind=kind,
            items=count,
            labelled=count,
            empty=0,
            rejected=0,
            inputs_sha256=NONE,
            config_sha256=NONE,
            weights_sha256=None,
            shard_sha256=write_parquet(folder / f"shard-{chunk:05d}.parquet", pa.table({"item": names[chunk]})),
        )
        path = folder / f"receipt-{chunk:05d}.json"
        write_json(path, receipt.model_dump(mode="json"))
        os.utime(path, (SECONDS_AGO + at, SECONDS_AGO + at))
    return lot


def test_each_kinds_rate_is_its_items_over_its_own_time(tmp_path: Path) -> None:
    receipts = [
        (Kind.IMAGE, 100, 10.0),
        (Kind.IMAGE, 100, 20.0),
        (Kind.IMAGE, 40, 24.0),
        (Kind.TEXT, 500, 29.0),
        (Kind.VIDEO, 1, 129.0),
        (Kind.VIDEO, 1, 229.0),
    ]
    found = rates_of_run(lot_with_run(tmp_path, receipts))
    assert found == pytest.approx({Kind.IMAGE: 10.0, Kind.TEXT: 100.0, Kind.VIDEO: 2 * 1800 / 200})


def test_an_interruption_is_no_work(tmp_path: Path) -> None:
    steady = [(Kind.IMAGE, 100, 10.0 * (n + 1)) for n in range(6)]
    slept = [*steady, (Kind.IMAGE, 100, 5_000.0), (Kind.IMAGE, 100, 5_010.0)]
    assert rates_of_run(lot_with_run(tmp_path, slept)) == pytest.approx({Kind.IMAGE: 10.0})


def test_a_run_that_was_taken_up_again_counts_from_there(tmp_path: Path) -> None:
    receipts = [(Kind.IMAGE, 100, 10.0), (Kind.IMAGE, 100, 20.0), (Kind.IMAGE, 100, 1_030.0)]
    # the first receipt has nothing before it that would tell when its work began
    assert rates_of_run(lot_with_run(tmp_path, receipts, begun=1_020.0)) == pytest.approx({Kind.IMAGE: 10.0})


def test_a_run_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="there is no finished run other"):
        rates_of_run(lot_with_run(tmp_path, [(Kind.IMAGE, 1, 1.0)]), "other")


def test_rates_that_are_typed() -> None:
    assert rates_of(["image=32", "video=12.5"]) == {Kind.IMAGE: 32.0, Kind.VIDEO: 12.5}


@pytest.mark.parametrize(
    "text", ["image", "image=", "image=fast", "sound=1", "image=0", "image=-1", "image=nan", "image=inf"]
)
def test_rates_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match="--rate"):
        rates_of([text])


def test_a_rate_that_stands_twice_is_refused() -> None:
    with pytest.raises(InputError, match="each once"):
        rates_of(["image=1", "image=2"])
