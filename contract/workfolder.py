"""Where each stage of a contract keeps its files under the work folder.

work/<contract>/contract.yaml, contract.json
work/<contract>/lots/<lot>/manifest.parquet, rejects.parquet, texts.parquet, receipt.json
    .../drafts/<run>/shard-00007.parquet, receipt-00007.json, run.json
    .../submissions/<n>/   .../gold/<version>/   .../scores/<n>/   .../verdicts/<n>.json
    .../life/0001-sealed.json   .../samples/<n>.json   .../inbox/<role>/<project>-<annotation>-<time>.json
work/<contract>/settlements/<n>.json
"""

from dataclasses import dataclass
from pathlib import Path

from contract.errors import StageError
from contract.objectstore import looks_remote


@dataclass(frozen=True)
class LotFolder:
    """The paths of one lot."""

    root: Path

    @property
    def manifest(self) -> Path:
        """Accepted items: the table `tables.ITEMS`."""
        return self.root / "manifest.parquet"

    @property
    def rejects(self) -> Path:
        """Items refused at intake: the table `tables.REJECTS`."""
        return self.root / "rejects.parquet"

    @property
    def texts(self) -> Path:
        """The content of text items: columns item, text."""
        return self.root / "texts.parquet"

    @property
    def receipt(self) -> Path:
        """The signed-off count and digest of what came in."""
        return self.root / "receipt.json"

    @property
    def drafts(self) -> Path:
        """One folder a run."""
        return self.root / "drafts"

    @property
    def submissions(self) -> Path:
        """One numbered folder a submission."""
        return self.root / "submissions"

    @property
    def gold(self) -> Path:
        """One numbered folder a version of the gold."""
        return self.root / "gold"

    @property
    def scores(self) -> Path:
        """One numbered folder a score."""
        return self.root / "scores"

    @property
    def verdicts(self) -> Path:
        """One numbered file a verdict."""
        return self.root / "verdicts"

    @property
    def life(self) -> Path:
        """One numbered file an event."""
        return self.root / "life"

    @property
    def samples(self) -> Path:
        """One numbered file a sample or its extension."""
        return self.root / "samples"

    @property
    def inbox(self) -> Path:
        """Annotations as review tools sent them: a folder for submissions and one for gold, one file an event."""
        return self.root / "inbox"

    @property
    def reviews(self) -> Path:
        """What went to projects of review tools over their API, and the exports that came from them."""
        return self.root / "reviews"

    def require(self) -> "LotFolder":
        """Return this folder if intake has signed it off.

        Raises:
            StageError: the lot does not exist.
        """
        if not self.receipt.exists():
            raise StageError(f"{self.root}: there is no such lot; run 'goldgate intake' first")
        return self


def lot_folder(work: Path, contract: str, lot: str) -> LotFolder:
    """Return the folder of `lot`.

    Raises:
        StageError: `lot` is not a plain name, or `work` is an address.
    """
    if looks_remote(work):
        raise StageError(
            f"--work {work}: an object store cannot be the work folder, for it has neither rename nor link, by which files "
            "here are whole or absent; name a folder of this machine, or one that all machines share (NFS, CephFS, Lustre)"
        )
    if not lot or lot in {".", ".."} or not all(character.isalnum() or character in "._-" for character in lot):
        raise StageError(f"lot name {lot!r} may hold letters, digits, '.', '_' and '-' only")
    return LotFolder(work / contract / "lots" / lot)


def lot_names(work: Path, contract: str) -> list[str]:
    """Return the lots of `contract` that intake has signed off, in order."""
    base = work / contract / "lots"
    return sorted(path.parent.name for path in base.glob("*/receipt.json")) if base.is_dir() else []


def numbers(folder: Path) -> list[int]:
    """Return the numbers used for entries of `folder` (1, 2, 2.json, ...), ascending."""
    if not folder.is_dir():
        return []
    return sorted(int(entry.name.split(".")[0]) for entry in folder.iterdir() if entry.name.split(".")[0].isdigit())


def next_number(folder: Path) -> int:
    """Return the number that the next entry of `folder` gets, from 1."""
    return max(numbers(folder), default=0) + 1
