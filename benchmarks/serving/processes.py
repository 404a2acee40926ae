"""Servers as processes: ports, waiting until they answer, stopping them, and what they hold of memory."""

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

START_TIMEOUT_S: Final = 240.0
STOP_TIMEOUT_S: Final = 60.0
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def free_port() -> int:
    """Return a port of the loopback that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until_up(url: str, process: "subprocess.Popen[bytes]") -> None:
    """Return when `url` answers 200.

    Raises:
        RuntimeError: the process ended, or it took too long.
    """
    until = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=5) as reply:  # noqa: S310 - an own address
                if reply.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"{url} did not answer in {START_TIMEOUT_S:.0f} s")


def stopped(process: "subprocess.Popen[bytes]") -> int:
    """Ask `process` to end, wait, and return its status; what is left of it and of its children is killed."""
    children = family(process.pid)
    process.send_signal(signal.SIGTERM)
    try:
        status = process.wait(timeout=STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        status = process.wait()
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    return status


def family(root: int) -> dict[int, str]:
    """Return the processes under `root`, itself among them: id -> name, by /proc."""
    parents: dict[int, int] = {}
    names: dict[int, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            text = (folder / "stat").read_text(encoding="utf-8")
        except OSError:
            continue  # it has ended meanwhile
        head, _, rest = text.rpartition(")")
        parents[int(folder.name)] = int(rest.split()[1])
        names[int(folder.name)] = head.partition("(")[2]
    found = {root}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return {each: names[each] for each in sorted(found) if each in names}


def resident_mib(pid: int) -> float:
    """Return the resident memory of a process without what it shares, in MiB; 0 where it has ended."""
    try:
        _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()
    except OSError:
        return 0.0
    return (int(resident) - int(shared)) * _PAGE / (1 << 20)


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has had, in seconds; 0 where it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_until_idle(root: int, *, cores: float = 0.2, step_s: float = 0.5, longest_s: float = 90.0) -> None:
    """Return when the processes under `root` take less than `cores`: callers that went away may have left work behind."""
    until = time.monotonic() + longest_s
    while time.monotonic() < until:
        before = {pid: cpu_seconds(pid) for pid in family(root)}
        time.sleep(step_s)
        if sum(cpu_seconds(pid) - used for pid, used in before.items()) < cores * step_s:
            return
