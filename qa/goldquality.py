"""What errors of the gold do to a measured accuracy.

Model: the gold is wrong with probability e, independently of the submission, and a wrong label is any of the K - 1
others with the same probability.
"""

import math


def observed_accuracy(true: float, *, gold_error: float, labels: int) -> float:
    """Return the accuracy that is measured against gold of which a share `gold_error` is wrong.

    a (1 - e) + (1 - a) e / (K - 1): even a perfect submission is measured at 1 - e, the gold's ceiling.

    Raises:
        ValueError: fewer than two labels.
    """
    _check(labels)
    return true * (1 - gold_error) + (1 - true) * gold_error / (labels - 1)


def gold_error(agreed: int, twice: int, *, labels: int) -> float | None:
    """Estimate the share of wrong gold from items that two people labelled without seeing each other's answer.

    Two answers agree where both are right or both are wrong in the same way: A = (1 - e)**2 + e**2 / (K - 1); the
    smaller root is returned. An item that is later settled by a third person has fewer errors than this.

    Args:
        agreed: items with two equal answers.
        twice: items labelled twice.
        labels: labels to choose from, K.

    Returns:
        None with no item labelled twice, or where they agree less than two who guess.

    Raises:
        ValueError: fewer than two labels, or more items agreed than were labelled twice.
    """
    _check(labels)
    if not 0 <= agreed <= twice:
        raise ValueError(f"{agreed} of {twice} cannot have agreed")
    if not twice:
        return None
    ratio = labels / (labels - 1)
    inside = 1 - ratio * (1 - agreed / twice)
    if inside < -1e-12:
        return None
    return (1 - math.sqrt(max(inside, 0.0))) / ratio


def gold_ceiling(agreed: int, twice: int, *, labels: int) -> float | None:
    """Return the accuracy that even a perfect submission is measured at, 1 - e; None where e cannot be estimated."""
    error = gold_error(agreed, twice, labels=labels)
    return None if error is None else 1 - error


def _check(labels: int) -> None:
    if labels < 2:
        raise ValueError(f"{labels} labels leave nothing to choose")
