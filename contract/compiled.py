"""Loops compiled to machine code by numba, with types that a reader and mypy can follow.

A compiled function releases the GIL, so that threads of one pool run it side by side, and keeps IEEE arithmetic as written:
no reassociation and no fused multiply-add, so that its results are those of the plain version to the bit.
"""

import logging
from collections.abc import Callable
from typing import TypeVar, cast

import numba

_LOG = logging.getLogger(__name__)

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """Return `function` compiled at its first call for the types that it is called with.

    The machine code is kept beside the module, or in the user's cache folder; where neither may be written, it is made
    anew by every process.
    """
    try:
        return cast(Function, numba.njit(nogil=True, cache=True)(function))
    except RuntimeError:  # numba's way to say that no folder for the cache may be written
        _LOG.info("%s is compiled anew by every process: no folder for its cache may be written", function.__name__)
        return cast(Function, numba.njit(nogil=True)(function))
