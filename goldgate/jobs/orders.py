"""Orders: the contract that they name, the files that come along, and the digest that makes two of them one."""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

import yaml

from contract.errors import InputError, SourceError, StageError
from contract.files import sha256_file, sha256_json, write_bytes, write_pieces
from contract.terms import Terms, load_terms, parse_terms
from contract.workfolder import LotFolder, lot_folder
from serving.jobs import Content, JobConflictError, JobOrder

_CONTRACT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PIECE_BYTES: Final = 1 << 20
_LONGEST_NAME: Final = 200
_DEEPEST: Final = 16


@dataclass(frozen=True)
class Ordered:
    """An order whose contract and lot are known."""

    terms: Terms
    lot_name: str
    lot: LotFolder

    @property
    def due(self) -> Any:
        """The contract's last day."""
        return self.terms.deadline.due_date()


def resolve(work: Path, order: JobOrder) -> Ordered:
    """Return what `order` is about.

    Raises:
        InputError: its contract is unknown or not valid, its lot no plain name, or neither lot nor sources are there.
        JobConflictError: other terms stand under the contract's id.
    """
    terms = _terms_of(work, order.contract)
    if len(order.lot.encode()) > _LONGEST_NAME or order.lot.startswith("."):
        raise InputError(f"lot name {order.lot[:40]!r} begins with a dot or is longer than {_LONGEST_NAME} bytes")
    lot = lot_folder(work, terms.contract, order.lot)
    if not (order.sources or order.contents or lot.receipt.exists()):
        raise InputError(f"there is no lot {order.lot} of contract {terms.contract} yet; name its sources or send its files")
    return Ordered(terms, order.lot, lot)


def _terms_of(work: Path, contract: str | dict[str, Any]) -> Terms:
    if isinstance(contract, str):
        # The name becomes a path, so it is held against the form of contract ids first.
        if not _CONTRACT.fullmatch(contract) or not _signed(work, contract).is_file():
            raise InputError(f"contract {contract[:64]!r} is not in the work folder of this service; send its document")
        return load_terms(_signed(work, contract))
    terms = parse_terms(contract, origin="contract")
    signed = _signed(work, terms.contract)
    if signed.exists() and load_terms(signed).sha256 != terms.sha256:
        raise JobConflictError(f"contract {terms.contract} was signed with other terms; give new terms a new contract id")
    return terms


def _signed(work: Path, contract: str) -> Path:
    return work / contract / "contract.yaml"


def sign(work: Path, terms: Terms) -> None:
    """Keep the terms in the work folder, where the command line compares with them.

    Raises:
        StorageError: the disk is full.
    """
    signed = _signed(work, terms.contract)
    if not signed.exists():
        text = yaml.safe_dump(terms.model_dump(mode="json"), allow_unicode=True, sort_keys=False)
        write_bytes(signed, text.encode())


def read_terms(work: Path, contract: str, sha256: str) -> Terms:
    """Return the signed terms of a job.

    Raises:
        StageError: they are not those of the order any more.
    """
    terms = load_terms(_signed(work, contract))
    if terms.sha256 != sha256:
        raise StageError(f"{_signed(work, contract)}: changed since the job was ordered; order another lot under new terms")
    return terms


def keep_contents(folder: Path, contents: Sequence[Content]) -> dict[str, str]:
    """Write the files that came with an order below `folder` and return name -> SHA-256.

    Raises:
        SourceError: a name leads elsewhere, is used twice, or is of no use as a file's.
        StorageError: the disk is full.
    """
    digests: dict[str, str] = {}
    for content in contents:
        check_name(content.name)
        path = folder / content.name
        if content.name in digests or path.exists():
            raise SourceError(f"{content.name}: two files of the order have this name; give each a name of its own")
        try:
            write_pieces(path, _pieces(content.file))
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise SourceError(f"{content.name}: the name of one file is the folder of another") from error
        digests[content.name] = sha256_file(path)
    return digests


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(_PIECE_BYTES):
        yield piece


def check_name(name: str) -> None:
    """Refuse a name that is no plain path below a folder.

    Raises:
        SourceError: names it.
    """
    parts = name.split("/")
    plain = (
        (
            len(parts) <= _DEEPEST
            and PurePosixPath(name).as_posix() == name
            and all(part and not part.startswith(".") and len(os.fsencode(part)) <= _LONGEST_NAME for part in parts)
            and not any(ord(character) < 0x20 or character in "\\\x7f" for character in name)
        )
        if _is_text(name)
        else False
    )
    if not plain:
        raise SourceError(f"file name {name[:80]!r} is not a plain relative path such as photos/a.jpg")


def _is_text(name: str) -> bool:
    """Tell whether UTF-8 can carry `name`; JSON may hold halves of characters."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def order_digest(ordered: Ordered, sources: Sequence[str], digests: dict[str, str]) -> str:
    """Return the digest that tells one order from another."""
    facts = {
        "terms_sha256": ordered.terms.sha256,
        "lot": ordered.lot_name,
        "sources": sorted(set(sources)),
        "contents": sorted(digests.items()),
    }
    return sha256_json(facts)


def remove_folder(folder: Path) -> None:
    """Remove what an order that was not taken on has left."""
    shutil.rmtree(folder, ignore_errors=True)
