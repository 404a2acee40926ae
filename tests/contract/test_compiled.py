"""Compiled functions follow the sources: also those of the modules that they call into."""

import os
import subprocess
import sys
from pathlib import Path

from contract.compiled import compiled

ROOT = Path(__file__).resolve().parents[2]
CALLER = """
from contract.compiled import compiled
from kernels.callee import STEP, step

@compiled
def twice(value: int) -> int:
    return step(step(value)) + STEP
"""
CALLEE = """
from contract.compiled import compiled

STEP = {constant}

@compiled
def step(value: int) -> int:
    return value + {increment}
"""


def answer(folder: Path) -> list[int]:
    """Return what a process of its own computes, and how often it took the code from the cache."""
    program = "from kernels.caller import twice; print(twice(0), sum(twice.stats.cache_hits.values()))"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{folder}", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True
    )
    return [int(word) for word in done.stdout.split()]


def test_the_cache_follows_what_a_function_calls_and_the_constants_it_uses(tmp_path: Path) -> None:
    package = tmp_path / "kernels"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "caller.py").write_text(CALLER, encoding="utf-8")
    callee = package / "callee.py"
    callee.write_text(CALLEE.format(constant=100, increment=1), encoding="utf-8")
    assert answer(tmp_path) == [102, 0]
    assert answer(tmp_path) == [102, 1]
    callee.write_text(CALLEE.format(constant=100, increment=7), encoding="utf-8")
    assert answer(tmp_path) == [114, 0]
    callee.write_text(CALLEE.format(constant=200, increment=7), encoding="utf-8")
    assert answer(tmp_path) == [214, 0]


def test_a_compiled_function_keeps_its_name() -> None:
    @compiled
    def increment(value: int) -> int:
        return value + 1

    assert increment(1) == 2
    assert increment.__name__ == "increment"
