"""A job on disk: `work/_jobs/<id>/job.json`, the one truth of what was ordered and how far it is.

work/_jobs/<id>/job.json              this record, replaced whole with every change
work/_jobs/<id>/sources/...           files that came with the order
work/_jobs/<id>/results/...           label files, made when first asked for
work/_jobs/.lock                      held by the service that runs the jobs
"""

import re
import secrets
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from contract.errors import LabelsError
from contract.files import read_json, write_json
from serving.jobs import JobStatus

FOLDER: Final = "_jobs"
_ID: Final = re.compile(r"[0-9a-f]{32}")
_FILE: Final = "job.json"
_KEYS_KEPT: Final = 8


class JobRecord(BaseModel):
    """An order that was taken on, and its status.

    Args:
        order_sha256: of terms, lot, sources and files; equal orders are one job.
        terms_sha256: of the contract.
        sources: absolute paths that intake takes in; empty where the lot stood already.
        keys: digests of idempotency keys that this job answered.
        taken_in: intake has signed the lot off.
        starts: how often the job was started since it last got on.
        status: what callers see.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    order_sha256: str
    terms_sha256: str
    sources: tuple[str, ...]
    keys: tuple[str, ...] = ()
    taken_in: bool = False
    starts: int = 0
    status: JobStatus

    def with_key(self, key: str | None) -> "JobRecord":
        """Return this record, known by `key` too."""
        if key is None or key in self.keys:
            return self
        return self.model_copy(update={"keys": (*self.keys, key)[-_KEYS_KEPT:]})

    def changed(self, **values: object) -> "JobRecord":
        """Return this record with another status, one revision on."""
        status = self.status.model_copy(update={**values, "revision": self.status.revision + 1})
        return self.model_copy(update={"status": status})


def new_id() -> str:
    """Return an id that nobody can guess."""
    return secrets.token_hex(16)


def write_record(jobs: Path, record: JobRecord) -> None:
    """Put `record` into its folder under `jobs`.

    Raises:
        StorageError: the disk is full.
    """
    write_json(jobs / record.status.id / _FILE, record.model_dump(mode="json"))


def read_records(jobs: Path) -> tuple[list[JobRecord], list[Path]]:
    """Return all records under `jobs` by age, and the folders whose order never became whole.

    A record that cannot be read is left alone and is no job.
    """
    records, leftovers = [], []
    for folder in jobs.iterdir() if jobs.is_dir() else ():
        if not _ID.fullmatch(folder.name):
            continue
        if not (folder / _FILE).exists():
            leftovers.append(folder)
            continue
        try:
            records.append(JobRecord.model_validate(read_json(folder / _FILE)))
        except (LabelsError, ValidationError):
            continue
    return sorted(records, key=lambda record: (record.status.created, record.status.id)), leftovers
