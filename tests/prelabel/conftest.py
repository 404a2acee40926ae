"""A lot of made items, signed off as intake would, for tests of what comes after intake."""

import datetime
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from contract.files import sha256_bytes, sha256_file, write_json, write_parquet
from contract.receipts import IntakeReceipt
from contract.tables import ITEMS, REJECTS, Kind, State
from contract.terms import Terms, load_terms
from contract.workfolder import LotFolder, lot_folder

ROOT = Path(__file__).resolve().parents[2]

MakeLot = Callable[..., LotFolder]


@pytest.fixture(scope="session")
def demo_terms() -> Terms:
    return load_terms(ROOT / "configs" / "demo.yaml")


def _item(name: str, kind: Kind, path: Path, content: bytes) -> dict[str, object]:
    return {
        "item": name,
        "kind": kind.value,
        "uri": str(path),
        "sha256": sha256_bytes(content),
        "bytes": len(content),
        "width": 32 if kind is Kind.IMAGE else None,
        "height": 24 if kind is Kind.IMAGE else None,
        "state": State.MISSING.value,
    }


@pytest.fixture
def make_lot(tmp_path: Path, demo_terms: Terms) -> MakeLot:
    def make(*, images: int = 10, texts: int = 7, broken: tuple[int, ...] = (), work: str = "work") -> LotFolder:
        source = tmp_path / "source"
        source.mkdir(exist_ok=True)
        rows = []
        for number in range(images):
            path = source / f"{number:03d}.png"
            if number in broken:
                path.write_bytes(b"this is no picture %d" % number)
            else:
                Image.fromarray(np.full((24, 32, 3), number, np.uint8)).save(path)
            rows.append(_item(path.name, Kind.IMAGE, path, path.read_bytes()))
        written = {f"reviews.csv:{number}": f"text number {number}" for number in range(texts)}
        rows += [_item(name, Kind.TEXT, source / "reviews.csv", text.encode()) for name, text in written.items()]
        lot = lot_folder(tmp_path / work, demo_terms.contract, "made")
        manifest = write_parquet(lot.manifest, pa.Table.from_pylist(rows, schema=ITEMS))
        rejects = write_parquet(lot.rejects, REJECTS.empty_table())
        write_parquet(lot.texts, pa.table({"item": list(written), "text": list(written.values())}))
        receipt = IntakeReceipt(
            contract=demo_terms.contract,
            lot="made",
            terms_sha256=demo_terms.sha256,
            guideline_sha256=demo_terms.guideline.sha256,
            items_by_kind={Kind.IMAGE: images, Kind.TEXT: texts},
            video_seconds=0.0,
            rejects_by_reason={},
            manifest_sha256=manifest,
            rejects_sha256=rejects,
            texts_sha256=sha256_file(lot.texts),
            roots=(str(source),),
            created=datetime.datetime(2025, 1, 1, tzinfo=datetime.timezone.utc),
        )
        write_json(lot.receipt, receipt.model_dump(mode="json"))
        return lot

    return make
