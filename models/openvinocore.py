"""OpenVINO's core, one for the whole life of the process.

Its CPU plugin gives the thread that loads it another stack for signals, and takes the memory away when the last core goes,
from whichever thread that happens in. The first thread is then left with a stack that is not there, and the next signal that
it handles ends the process. A core that stays never does that, and compiles models with what it has loaded already.
"""

import functools
from typing import Any, Final

_KEPT: Final[list[Any]] = []


@functools.cache
def openvino_core() -> Any:
    """Return the one core of this process."""
    import openvino

    return openvino.Core()


def keep(model: Any) -> None:
    """Let `model`, which somebody else made with a core of its own, stay as long as the process does."""
    _KEPT.append(model)
