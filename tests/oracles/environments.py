"""Programs of others in environments of their own: what they need never moves a version that goldgate runs with."""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

_INSTALL_TIMEOUT_S: Final = 420


class CannotInstallError(Exception):
    """The registry cannot be reached, or has no release for this Python."""


def installed(name: str, version: str) -> Path:
    """Return the python of an environment that has `name`==`version`; installs it on the first call on a machine.

    Raises:
        CannotInstallError: with what the installer said last.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = base / "goldgate-tests" / f"{name}-{version}-py{sys.version_info.major}{sys.version_info.minor}"
    python, done = home / "venv" / "bin" / "python", home / "installed"
    with _locked(home.with_suffix(f"{home.suffix}.lock")):
        if not done.exists():
            shutil.rmtree(home, ignore_errors=True)
            uv, what = Path(sys.executable).with_name("uv"), f"{name}=={version}"
            if uv.exists():
                _run([uv, "venv", "-q", "-p", sys.executable, home / "venv"])
                _run([uv, "pip", "install", "-q", "-p", python, what])
            else:
                _run([sys.executable, "-m", "venv", home / "venv"])
                _run([python, "-m", "pip", "install", "-q", what])
            done.touch()
    return python


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(command: list[Any]) -> None:
    what = " ".join(map(str, command[-2:]))
    try:
        ran = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=_INSTALL_TIMEOUT_S)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise CannotInstallError(f"{what}: cannot be installed here: not done in {_INSTALL_TIMEOUT_S} s") from error
    if ran.returncode:
        said = (ran.stderr.strip() or "the installer failed without a word").splitlines()
        raise CannotInstallError(f"{what}: cannot be installed here: {said[-1]}")
