"""A model that is let go in another thread leaves the process able to take signals."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("openvino")

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import signal, threading
import numpy as np
import openvino
from openvino import opset13 as ops
from models.openvinocore import openvino_core

taken = []
signal.signal(signal.SIGUSR1, lambda number, frame: taken.append(number))
openvino_core().get_property("CPU", "FULL_DEVICE_NAME")  # loads the plugin in this thread

def use() -> None:
    given = ops.parameter([1, 4], np.float32)
    compiled = openvino_core().compile_model(openvino.Model([ops.relu(given)], [given]), "CPU", {})
    assert compiled({0: np.array([[-1, 0, 1, 2]], np.float32)})[0].tolist() == [[0, 0, 1, 2]]

for _ in range(2):
    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    signal.raise_signal(signal.SIGUSR1)
assert len(taken) == 2
print("alive")
"""


def test_signals_are_taken_after_models_went_in_other_threads() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr
