"""Words for messages: the nearest known name, and lists cut short."""

import difflib
from collections.abc import Iterable, Sequence


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" for the nearest of `known`, or nothing where none is near."""
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if not near:
        low = word.casefold()
        near = [name for name in names if low and (name.casefold().startswith(low) or low.startswith(name.casefold()))]
    return f"; did you mean {near[0]!r}?" if near else ""


def cut_short(clauses: Sequence[str], *, total: int | None = None, shown: int = 5) -> str:
    """Return the first `shown` clauses joined by semicolons, and how many more of `total` there are."""
    left = (len(clauses) if total is None else total) - min(shown, len(clauses))
    return "; ".join(clauses[:shown]) + (f"; and {left} more" if left > 0 else "")
