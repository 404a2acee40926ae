"""Sampling plans by acceptance quality limit: ISO 2859-1:1999 and GB/T 2828.1-2012, single sampling, AQL 0.010 to 10.

The master tables are built from the rule that their numbers follow: along a diagonal, sample size rises by one step as
the AQL falls by one step, and the acceptance number stays. The numbers are facts of the standards; their text was not
quoted here. A cell without a plan points to the first plan below or above it, and then that plan's sample size holds
too. Where the sample would reach the lot, the whole lot is inspected.
"""

from typing import Final, NamedTuple

from contract.inspection import AQLS, LEVELS, Level, Severity

LETTERS: Final = "ABCDEFGHJKLMNPQR"
DOWN: Final = "v"
UP: Final = "^"

_BEYOND: Final = "S"  # one plan of tightened inspection lies below the last row
_SIZES: Final = (2, 3, 5, 8, 13, 20, 32, 50, 80, 125, 200, 315, 500, 800, 1250, 2000, 3150)
_REDUCED_SIZES: Final = (2, 2, 2, 3, 5, 8, 13, 20, 32, 50, 80, 125, 200, 315, 500, 800, 1250)

# Largest lot of each row and its letters under LEVELS; the last row has no largest lot.
_ROWS: Final = (
    (8, "AAAAAAB"),
    (15, "AAAAABC"),
    (25, "AABBBCD"),
    (50, "ABBCCDE"),
    (90, "BBCCCEF"),
    (150, "BBCDDFG"),
    (280, "BCDEEGH"),
    (500, "BCDEFHJ"),
    (1_200, "CCEFGJK"),
    (3_200, "CDEGHKL"),
    (10_000, "CDFGJLM"),
    (35_000, "CDFHKMN"),
    (150_000, "DEGJLNP"),
    (500_000, "DEGJMPQ"),
    (None, "DEHKNQR"),
)

# Place of the letter plus place of the AQL -> acceptance number; beyond the last diagonal stands UP, elsewhere DOWN.
_DIAGONALS: Final[dict[Severity, dict[int, int | str]]] = {
    "normal": {14: 0, 15: UP, 17: 1, 18: 2, 19: 3, 20: 5, 21: 7, 22: 10, 23: 14, 24: 21},
    "tightened": {15: 0, 18: 1, 19: 2, 20: 3, 21: 5, 22: 8, 23: 12, 24: 18},
    "reduced": {14: 0, 15: UP, 18: 1, 19: 2, 20: 3, 21: 5, 22: 6, 23: 8, 24: 10},
}
_LAST_DIAGONAL: Final = 24


class Plan(NamedTuple):
    """A single sampling plan: of n items, up to `accept` nonconforming ones pass and `reject` or more fail."""

    letter: str  # of the row that the arrows lead to
    n: int
    accept: int
    reject: int
    whole_lot: bool = False


def code_letter(lot: int, level: Level = "II") -> str:
    """Return the sample size code letter of a lot of `lot` items.

    Raises:
        ValueError: fewer than two items, of which no lot is made, or no such level.
    """
    if lot < 2:
        raise ValueError(f"a lot of {lot} is outside the tables, which begin at 2 items")
    if level not in LEVELS:
        raise ValueError(f"{level!r} is no inspection level; there are {', '.join(LEVELS)}")
    return next(letters for most, letters in _ROWS if most is None or lot <= most)[LEVELS.index(level)]


def cell(letter: str, aql: float, *, severity: Severity = "normal") -> int | str:
    """Return what stands in a master table: an acceptance number, or DOWN or UP.

    Raises:
        ValueError: no such letter or AQL.
    """
    return _cell(_row(letter), _column(aql), severity)


def plan_of(letter: str, aql: float, *, severity: Severity = "normal") -> Plan:
    """Return the plan that a cell stands for or points to, for a lot that is larger than its sample.

    Raises:
        ValueError: no such letter or AQL.
    """
    start, column = _row(letter), _column(aql)
    found = _cell(start, column, severity)
    step = -1 if found == UP else 1
    row = start
    while not isinstance(found, int):
        row += step
        if row >= len(_SIZES):  # nothing below: what an arrow off the edge means is the plan above
            row, step = start - 1, -1
        found = _cell(row, column, severity)
    sizes = _REDUCED_SIZES if severity == "reduced" else _SIZES
    return Plan((LETTERS + _BEYOND)[row], sizes[row], found, found + 1)


def plan(lot: int, *, aql: float, level: Level = "II", severity: Severity = "normal") -> Plan:
    """Return the plan for a lot: `n` is the whole lot where the table's sample would reach it.

    Args:
        lot: items of the lot.
        aql: the limit in per cent, one of `contract.inspection.AQLS`.
        level: the inspection level.
        severity: which master table holds.

    Raises:
        ValueError: the lot, AQL or level is outside the tables.
    """
    found = plan_of(code_letter(lot, level), aql, severity=severity)
    if found.n >= lot:
        return found._replace(n=lot, whole_lot=True)
    return found


def tighter(aql: float) -> float | None:
    """Return the next smaller AQL; None below the smallest."""
    column = _column(aql)
    return AQLS[column - 1] if column else None


def _row(letter: str) -> int:
    if len(letter) != 1 or letter not in LETTERS:
        raise ValueError(f"{letter!r} is no code letter; there are {', '.join(LETTERS)}")
    return LETTERS.index(letter)


def _column(aql: float) -> int:
    if aql not in AQLS:
        raise ValueError(f"{aql:g} is no preferred AQL; there are {', '.join(f'{limit:g}' for limit in AQLS)}")
    return AQLS.index(aql)


def _cell(row: int, column: int, severity: Severity) -> int | str:
    diagonal = row + column
    if diagonal > _LAST_DIAGONAL:
        return UP
    found = _DIAGONALS[severity].get(diagonal, DOWN)
    return DOWN if found == UP and row == 0 else found  # nothing is above the first row
