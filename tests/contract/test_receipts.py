"""Receipts: the same facts give the same bytes, and what is not a receipt is refused."""

import datetime
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from contract.files import canonical_json
from contract.predictor import Description
from contract.receipts import IntakeReceipt, LabelsReceipt, RunDocument, ShardReceipt
from contract.tables import Kind

SHA = "0" * 64
SHARD = {
    "run": "r", "chunk": 0, "kind": "image", "items": 3, "labelled": 1, "empty": 1, "rejected": 1, "inputs_sha256": SHA,
    "config_sha256": SHA, "weights_sha256": None, "shard_sha256": SHA,
}  # fmt: skip
LOT = {"contract": "C", "lot": "L", "manifest_sha256": SHA, "terms_sha256": SHA, "guideline_sha256": SHA}
INTAKE = LOT | {
    "items_by_kind": {"image": 3}, "video_seconds": 0.0, "rejects_by_reason": {"truncated": 1}, "rejects_sha256": SHA,
    "texts_sha256": None, "roots": ["/data"], "created": "2025-09-01T08:00:00+00:00",
}  # fmt: skip
LABELS = LOT | {
    "role": "gold", "number": 1, "origins": {"x.json": SHA, "folder": None}, "format": "coco",
    "files": {"boxes.parquet": SHA}, "items": 3, "labels": {"boxes": 7}, "labels_sha256": SHA,
}  # fmt: skip
DETECTOR = Description(
    name="tiny", version="1", kind=Kind.IMAGE, classes=("star",), weights_sha256=SHA, runtime="torch", precision="fp32"
)
RUN = LOT | {"run": "r", "chunks": 1, "items": 3, "descriptions": {"image": DETECTOR.model_dump(mode="json")}}
ALL: list[tuple[type[BaseModel], dict[str, Any]]] = [
    (IntakeReceipt, INTAKE), (ShardReceipt, SHARD), (LabelsReceipt, LABELS), (RunDocument, RUN),
]  # fmt: skip


@pytest.mark.parametrize(("model", "document"), ALL)
def test_receipt_survives_its_file(model: type[BaseModel], document: dict[str, Any]) -> None:
    receipt = model.model_validate(document)
    again = model.model_validate_json(receipt.model_dump_json())
    assert again == receipt
    assert canonical_json(again.model_dump(mode="json")) == canonical_json(receipt.model_dump(mode="json"))


@pytest.mark.parametrize(("model", "document"), ALL)
def test_receipt_with_a_strange_or_missing_field_is_refused(model: type[BaseModel], document: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        model.model_validate(document | {"note": "x"})
    for name in document:
        with pytest.raises(ValidationError):
            model.model_validate({key: value for key, value in document.items() if key != name})
    for name in (name for name, value in document.items() if value == SHA):
        with pytest.raises(ValidationError):
            model.model_validate(document | {name: "abc"})


def test_receipt_of_a_shard_holds_no_time() -> None:
    types = {field.annotation for field in ShardReceipt.model_fields.values()}
    assert not types & {datetime.datetime, datetime.date, float}
