"""What a format has no place for, in a folder `goldgate` beside its files: labels as they were drawn, states of items.

A reader trusts a label there only while the format's own file still says what was drawn, so that a correction always wins;
and the state of an item only where the item has no file. Without the folder the files are read for what they say.
"""

from pathlib import Path
from typing import Final

from contract.formats.lotview import LotView
from contract.labelset import LabelSet, read_labels, write_labels
from contract.tables import STATES, State
from contract.validate import validate_tables

FOLDER: Final = "goldgate"
_UNANNOTATED: Final = frozenset({State.EXCUSED.value, State.MISSING.value, State.REJECTED.value})


def write_sidecar(folder: Path, labels: LabelSet) -> list[Path]:
    """Write `labels` beside the files in `folder`, nothing where there are none, and return the paths."""
    if not labels.states.num_rows:
        return []
    return [folder / FOLDER / name for name in write_labels(folder / FOLDER, labels)]


def read_sidecar(folder: Path) -> LabelSet:
    """Return what `write_sidecar` left in `folder`, or an empty set.

    Raises:
        LabelsError: it is damaged.
    """
    place = folder / FOLDER
    if not (place / "items.parquet").exists():
        return LabelSet(STATES.empty_table())
    labels = read_labels(place)
    validate_tables(labels, origin=str(place))
    return labels


def unannotated(kept: LabelSet, lot: LotView, *, where: str) -> dict[str, str]:
    """Return item -> state of the items that nobody had annotated; one whose file is gone since is missing.

    Raises:
        FormatError: an item is not in the lot.
    """
    states: dict[str, str] = {}
    for row in kept.states.to_pylist():
        item = lot.join(row["item"], None, where=f"{where}/{FOLDER}")
        states[item] = row["state"] if row["state"] in _UNANNOTATED else State.MISSING.value
    return states
