"""What every command needs first: the terms as signed, and the lot they are about."""

import os
from dataclasses import dataclass
from pathlib import Path

from contract.errors import StageError
from contract.files import write_bytes
from contract.terms import Terms, load_terms
from contract.workfolder import LotFolder, lot_folder


@dataclass(frozen=True)
class Stage:
    """A contract, its work folder, and one lot of it."""

    work: Path
    terms: Terms
    lot_name: str
    lot: LotFolder


def open_stage(contract: Path, lot_name: str, work: Path) -> Stage:
    """Return the stage for `lot_name` under the terms at `contract`, which must be those that were signed.

    Raises:
        TermsError: the terms are not valid.
        StageError: the work folder holds other terms under this contract's id.
    """
    terms = load_terms(contract)
    signed = work / terms.contract / "contract.yaml"
    if signed.exists() and load_terms(signed).sha256 != terms.sha256:
        raise StageError(
            f"{contract}: differs from the terms signed under {terms.contract!r} ({signed}); "
            "use those, or give new terms a new contract id"
        )
    return Stage(work, terms, lot_name, lot_folder(work, terms.contract, lot_name))


def sign(stage: Stage, contract: Path) -> None:
    """Keep a copy of the terms in the work folder, where later commands compare with it."""
    signed = stage.work / stage.terms.contract / "contract.yaml"
    if not signed.exists():
        write_bytes(signed, contract.read_bytes())


def shown(path: Path) -> str:
    """Return `path` relative to the current folder where it lies below it."""
    text = os.path.relpath(path)
    return str(path) if text.startswith("..") else text
