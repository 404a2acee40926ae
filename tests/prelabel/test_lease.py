"""One process at a time: a lease is refused while its holder lives, and taken over when it does not."""

import contextlib
import dataclasses
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from contract.errors import StageError
from prelabel.lease import Holder, Pace, _path, hold, this_process

ROOT = Path(__file__).resolve().parents[2]
QUICK = Pace(beat_s=0.05, stale_s=120, look_s=0.02)
SILENT = Pace(beat_s=600, stale_s=0.2, look_s=0.02)

HOLDER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from prelabel.lease import hold

with hold(Path(sys.argv[2])):
    print("held", flush=True)
    time.sleep(600)
"""


def elsewhere(name: str = "other") -> Holder:
    """A process on another machine."""
    return dataclasses.replace(this_process(), host=name, boot=f"boot of {name}")


def holding(place: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", HOLDER, str(ROOT), str(place)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own script
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_living_holder_is_left_alone_and_a_killed_one_followed_at_once(tmp_path: Path) -> None:
    with holding(tmp_path / "run") as process:
        with pytest.raises(StageError, match=f"under way in process {process.pid} on "), hold(tmp_path / "run"):
            pass
        process.kill()
        process.wait(timeout=30)
    with hold(tmp_path / "run", pace=Pace(stale_s=600)) as lease:
        lease.check()


def test_a_number_that_another_process_got_since_is_no_sign_of_life(tmp_path: Path) -> None:
    reborn = dataclasses.replace(this_process(), born="1")
    lease = hold(tmp_path / "run", holder=reborn)
    lease.__enter__()
    with hold(tmp_path / "run", pace=Pace(stale_s=600)) as second:
        second.check()
        lease.__exit__(None, None, None)
        second.check()  # what the old holder leaves behind is not this one's
        with pytest.raises(StageError, match="under way"), hold(tmp_path / "run"):
            pass


def test_a_holder_elsewhere_that_beats_is_left_alone(tmp_path: Path) -> None:
    with (
        hold(tmp_path / "run", pace=QUICK, holder=elsewhere()),
        pytest.raises(StageError, match=r"under way in process \d+ on other"),
        hold(tmp_path / "run", pace=QUICK),
    ):
        pass


def test_a_holder_elsewhere_that_is_silent_is_followed_and_finds_out(tmp_path: Path) -> None:
    with hold(tmp_path / "run", pace=SILENT, holder=elsewhere()) as silent:
        silent.check()
        with hold(tmp_path / "run", pace=SILENT) as follower:
            follower.check()
            with pytest.raises(StageError, match=r"taken over by process \d+ on .*stops here"):
                silent.check()
        with pytest.raises(StageError, match="taken over"):
            silent.check()


def test_a_holder_elsewhere_that_leaves_lets_the_next_one_in(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        with hold(tmp_path / "run", pace=SILENT, holder=elsewhere()):
            waiting = pool.submit(lambda: hold(tmp_path / "run", pace=Pace(stale_s=60, look_s=0.02)).__enter__())
            time.sleep(0.1)
        waiting.result(timeout=30).release()


@pytest.mark.parametrize("stands", ["nothing", "a stale lease", "one that was left", "rubbish"])
def test_of_many_that_come_at_once_one_wins(tmp_path: Path, stands: str) -> None:
    place = tmp_path / "run"
    if stands == "rubbish":
        _path(place, 1).write_bytes(b"\xff{")
    elif stands != "nothing":
        lease = hold(place, pace=SILENT, holder=elsewhere("dead"))
        lease.__enter__()
        if stands == "one that was left":
            lease.__exit__(None, None, None)
    start, finish = threading.Barrier(8, timeout=60), threading.Barrier(8, timeout=60)

    def compete(number: int) -> bool:
        start.wait()
        with contextlib.ExitStack() as stack:
            try:
                lease = stack.enter_context(hold(place, pace=SILENT))
            except StageError:
                finish.wait()
                return False
            finish.wait()
            lease.check()
            return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(compete, range(8))) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_no_clock_is_read_that_can_jump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def jumping() -> float:
        raise AssertionError("the time of day says nothing about a lease")

    monkeypatch.setattr(time, "time", jumping)
    with hold(tmp_path / "run", pace=SILENT, holder=elsewhere()), hold(tmp_path / "run", pace=SILENT) as lease:
        lease.check()
