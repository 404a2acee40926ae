"""Runs a command again and again in processes of its own, and kills each at another moment of its writing.

As a program: its one argument is JSON with `command` (what `goldgate` is told, `--out` apart), `out` (a folder for the runs)
and `every` (how many writes lie between two kills). Prints JSON: the files of a run that went through, and for each moment
those that stood when it was killed and what the run after it left and said.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import goldgate.keyframes_command  # noqa: F401  once here instead of in every process
from goldgate.cli import run


def files_of(folder: Path) -> dict[str, tuple[str, int, int]]:
    """Return (content in hexadecimal, inode, nanoseconds of its last change) of each file below `folder`."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            facts = path.stat()
            found[path.relative_to(folder).as_posix()] = (path.read_bytes().hex(), facts.st_ino, facts.st_mtime_ns)
    return found


def in_a_process(work: Callable[[], None], said: Path) -> int:
    """Run `work` in a process of its own, whose words go to `said`; return how it ended, as `waitpid` tells it."""
    child = os.fork()
    if not child:
        with said.open("w", encoding="utf-8") as file:
            os.dup2(file.fileno(), 1)
            work()
        os._exit(0)
    return os.waitpid(child, 0)[1]


def killed_at(moment: int, command: list[str]) -> Callable[[], None]:
    """Return a run that kills itself, with no chance to clean up, when it waits for the disk for the `moment`-th time."""
    real, calls = os.fsync, iter(range(moment, -1, -1))

    def counting(of: int) -> None:
        if next(calls) == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        real(of)

    def work() -> None:
        os.fsync = counting  # type: ignore[assignment]
        run(command)

    return work


def through(command: list[str]) -> Callable[[], None]:
    """Return a run that is left alone."""

    def work() -> None:
        status = run(command)
        sys.stdout.flush()
        os._exit(status)

    return work


def story(command: list[str], out: Path, every: int) -> dict[str, Any]:
    """Tell what all the runs left."""
    said = out / "said"
    whole = out / "whole"
    assert in_a_process(through([*command, "--out", str(whole)]), said) == 0
    moments: list[dict[str, Any]] = []
    for moment in range(0, 10_000, every):
        folder = out / str(moment)
        again = [*command, "--out", str(folder)]
        ended = in_a_process(killed_at(moment, again), said)
        if not os.WIFSIGNALED(ended):
            break
        stood = files_of(folder)
        assert in_a_process(through(again), said) == 0
        moments.append({"stood": stood, "left": files_of(folder), "said": json.loads(said.read_text(encoding="utf-8"))})
    return {"whole": files_of(whole), "moments": moments}


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    sys.stdout.write(json.dumps(story(asked["command"], Path(asked["out"]), asked["every"])))
