"""What a verification finds: disagreements, what was not recomputed, and tables read from the files."""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

TOLERANCE: Final = 1e-9
GIVEN: Final = frozenset(
    {
        *("reading", "reasons", "reason", "lot_items", "task", "kind", "excused", "without_gold", "method", "confidence"),
        *("first", "second", "counts", "epsilon_px", "run", "submission", "gold", "planted", "seeded", "texts", "labels"),
    }
)
WHY_NOT: Final = {
    "coco": "average precision ranks by scores, which these files do not hold",
    "coco_per_class": "average precision ranks by scores, which these files do not hold",
    "coco_curves": "average precision ranks by scores, which these files do not hold",
    "activitynet": "average precision ranks by scores, which these files do not hold",
    "lower": "resampled limits (bootstrap, Dirichlet) need the generator that drew them",
    "upper": "resampled limits (bootstrap, Dirichlet) need the generator that drew them",
    "ignored_gold": "what was left out before matching leaves no row",
    "ignored_labels": "what was left out before matching leaves no row",
    "incomplete": "the states of items are with the submission and the gold",
    "outcome": "the terms decide it, which are not among these files",
}


class Disagreement(Exception):  # noqa: N818 - it is what this program looks for
    """A file that is absent, unreadable, or contradicts another; the message is the line to print."""


@dataclass
class Findings:
    """What came of it: lines that disagree, paths that were not recomputed, and how many figures agree."""

    disagreements: list[str] = field(default_factory=list)
    not_recomputed: dict[str, str] = field(default_factory=dict)
    agreed: int = 0

    def compare(self, said: Any, ours: Any, where: str) -> None:
        """Compare a document with what was recomputed; keys that were not are noted, never passed over."""
        if isinstance(said, Mapping) and isinstance(ours, Mapping):
            for key in [*said, *(key for key in ours if key not in said)]:
                if key in ours:
                    self.compare(said.get(key, "absent"), ours[key], f"{where}.{key}")
                elif (
                    key not in GIVEN and (said[key] not in (None, []) or key == "incomplete") and not key.endswith("_reason")
                ):
                    self.not_recomputed[re.sub(r"\[.*?\]", "[]", f"{where}.{key}")] = WHY_NOT.get(key, "not in these files")
        elif isinstance(said, list) and isinstance(ours, list) and len(said) == len(ours):
            for place, (one, other) in enumerate(zip(said, ours, strict=True)):
                name = one.get("label") or one.get("size") or one.get("task") or place if isinstance(one, Mapping) else place
                self.compare(one, other, f"{where}[{name}]")
        elif _same(said, ours):
            self.agreed += 1
        else:
            self.disagreements.append(f"{where} is {_shown(said)}, but the files give {_shown(ours)}")


def _same(said: Any, ours: Any) -> bool:
    numbers = [isinstance(value, int | float) and not isinstance(value, bool) for value in (said, ours)]
    return math.isclose(said, ours, rel_tol=TOLERANCE, abs_tol=TOLERANCE) if all(numbers) else bool(said == ours)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else f"{text[:117]}..."


def read(folder: Path, name: str) -> Any:
    """Return the table in file `name`."""
    try:
        return pq.read_table(folder / name, partitioning=None)
    except FileNotFoundError:
        raise Disagreement(f"{name}: the file is not there") from None
    except (pa.ArrowException, OSError) as error:
        raise Disagreement(f"{name}: cannot be read ({str(error).splitlines()[0]})") from None


def counts(table: Any, *columns: str) -> Counter[Any]:
    """Return how often each value (or combination of values) of `columns` occurs."""
    rows = table.group_by(list(columns)).aggregate([([], "count_all")]).to_pylist()
    return Counter(
        {row[columns[0]] if len(columns) == 1 else tuple(row[c] for c in columns): row["count_all"] for row in rows}
    )
