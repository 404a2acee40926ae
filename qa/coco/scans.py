"""Counts over tensors by one scan: torch's scan is fast on CUDA for one long row, and slow for few long rows."""

import torch
from torch import Tensor


def running(flags: Tensor) -> Tensor:
    """Return how many of the elements before each place hold, over all of `flags`, flattened; one element longer.

    The difference of two places is the count between them; int32 where that can hold it.
    """
    kind = torch.int32 if flags.numel() < 2**31 else torch.int64
    result = torch.zeros(flags.numel() + 1, dtype=kind, device=flags.device)
    torch.cumsum(flags.reshape(-1), 0, dtype=kind, out=result[1:])
    return result


def places_of(flags: Tensor) -> Tensor:
    """Return the places of a one-dimensional mask that hold, ascending. Waits for the device."""
    return flags.nonzero().squeeze(1)


def starts_of_runs(ordered: Tensor) -> Tensor:
    """Return where each run of equal elements starts, and the end of the last. Waits for the device."""
    new = torch.ones(len(ordered) + 1, dtype=torch.bool, device=ordered.device)
    new[1:-1] = ordered[1:] != ordered[:-1]
    return places_of(new)
