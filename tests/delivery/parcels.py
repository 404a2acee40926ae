"""Packages made by the library itself, honest ones and others, for the tests of this folder."""

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract.files import sha256_bytes
from delivery import keys
from delivery.manifest import DeliveredFile, DeliveredLot, Manifest, Stored, Totals
from delivery.objects import Content
from delivery.package import Plan, finish, open_plan, write_objects

FILES = {
    "certificate.json": b"{}\n",
    "lots/a/jsonl/sentiments.jsonl": b'{"item": "t1", "state": "labelled", "label": "positive"}\n',
    "lots/a/media/one.png": bytes(range(256)) * 40,
    "lots/a/media/empty.bin": b"",
    "lots/a/media/图 片.png": b"picture",
}


def content(path: str, data: bytes, *, digest: str | None = None) -> Content:
    return Content(path, len(data), digest or sha256_bytes(data), lambda: io.BytesIO(data))


def contents(files: Mapping[str, bytes]) -> list[Content]:
    return [content(path, data) for path, data in files.items()]


@dataclass
class House:
    """A vendor and a client with their keys."""

    folder: Path

    def __post_init__(self) -> None:
        keys.make_signing_key(self.folder / "vendor.key", "vendor.example")
        keys.make_recipient_key(self.folder / "client.key", "client.example")
        self.signer = keys.read_signer(self.folder / "vendor.key")
        self.signatory = keys.read_signatory(self.folder / "vendor.pub")
        self.recipient = keys.read_recipient(self.folder / "client.pub")
        self.identity = keys.read_identity(self.folder / "client.key")

    def plan(self, folder: Path, *, contract: str = "C-1") -> Plan:
        return open_plan(folder, contract, 1, signer=self.signer, recipients=[self.recipient])

    def package(
        self,
        folder: Path,
        files: Mapping[str, bytes] = FILES,
        *,
        contract: str = "C-1",
        forge: Callable[[dict[str, Any]], None] = lambda document: None,
    ) -> Path:
        """Write a whole package; `forge` may change its manifest before it is signed, as a dishonest vendor would."""
        plan = self.plan(folder, contract=contract)
        stored, delivered = write_objects(folder, plan, contents(files))
        self.finish(folder, plan, stored, delivered, forge)
        return folder

    def finish(
        self,
        folder: Path,
        plan: Plan,
        stored: list[Stored],
        delivered: list[DeliveredFile],
        forge: Callable[[dict[str, Any]], None] = lambda document: None,
    ) -> None:
        digest = sha256_bytes(b"")
        lot = DeliveredLot(
            lot="a",
            submission=1,
            seal=digest,
            verdict=1,
            verdict_sha256=digest,
            manifest_sha256=digest,
            totals=Totals(items={}, labels={}),
        )
        manifest = Manifest(
            contract=plan.contract,
            purpose="test",
            number=plan.number,
            created=plan.created,
            signer=plan.signer,
            terms_sha256=digest,
            guideline_version="1",
            guideline_sha256=digest,
            formats=("jsonl",),
            lots=(lot,),
            files=tuple(delivered),
            checkpoint=None,
        )
        document = json.loads(manifest.model_dump_json())
        forge(document)
        finish(folder, plan, stored, json.dumps(document).encode(), self.signer)
