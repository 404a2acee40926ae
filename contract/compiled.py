"""Loops compiled to machine code by numba, with types that a reader and mypy can follow.

A compiled function releases the GIL, so that threads of one pool run it side by side, and keeps IEEE arithmetic as written:
no reassociation and no fused multiply-add, so that its results are those of the plain version to the bit.
"""

import functools
import hashlib
import importlib.util
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar, cast

import numba

_LOG = logging.getLogger(__name__)
_IMPORT: Final = re.compile(r"^(?:from|import) ([\w.]+)", re.MULTILINE)

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """Return `function` compiled at its first call for the types that it is called with.

    The machine code is kept beside the module, or in the user's cache folder; where neither may be written, it is made
    anew by every process. It is also made anew where a module has changed that the function's own imports, since the code
    of what it calls and the constants that it uses stand in it.
    """
    name = function.__qualname__
    # numba itself looks at the function's own file only; its cache is found by this name.
    function.__qualname__ = f"{name}-{_digest_of_imports(function.__module__)}"
    try:
        return cast(Function, numba.njit(nogil=True, cache=True)(function))
    except RuntimeError:  # numba's way to say that no folder for the cache may be written
        _LOG.info("%s is compiled anew by every process: no folder for its cache may be written", name)
        return cast(Function, numba.njit(nogil=True)(function))
    finally:
        function.__qualname__ = name


def inlined(function: Function) -> Function:
    """Return `function` to be compiled as a part of each compiled function that calls it.

    For one that is called from one place and takes many arrays: numba hands each on as five to seven numbers.
    """
    return cast(Function, numba.njit(nogil=True, inline="always")(function))


@functools.cache
def _digest_of_imports(module: str) -> str:
    """Return a digest of `module` and of what it imports, directly or not, from its own package or from this one."""
    packages = {module.partition(".")[0], __name__.partition(".")[0]}
    digest = hashlib.sha256()
    waiting, seen = [module], {module}
    while waiting:
        path = _source(waiting.pop())
        text = path.read_text(encoding="utf-8") if path else ""
        digest.update(text.encode())
        for found in _IMPORT.findall(text):
            if found.partition(".")[0] in packages and found not in seen:
                seen.add(found)
                waiting.append(found)
    return digest.hexdigest()[:12]


def _source(module: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):  # a script, or a module that something else than a finder made
        return None
    return Path(spec.origin) if spec and spec.origin and Path(spec.origin).is_file() else None
