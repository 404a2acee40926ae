"""A small lot on disk, and the command line as its users run it."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from goldgate.cli import run

ROOT = Path(__file__).resolve().parents[2]
FAKES = ["--model", "detector=fake", "--model", "sentiment=fake", "--model", "video=fake"]


class Cli:
    """Runs commands in this process and keeps what they print."""

    def __init__(self, capsys: pytest.CaptureFixture[str], work: Path) -> None:
        self._capsys = capsys
        self.work = work
        self.contract = ROOT / "configs" / "demo.yaml"
        self.out = self.err = ""

    def __call__(self, command: str, *arguments: str | Path) -> int:
        status = run([command, *map(str, arguments)])
        self.out, self.err = self._capsys.readouterr()
        return status

    def on_lot(self, command: str, *arguments: str | Path, lot: str = "made") -> int:
        return self(command, *arguments, "-c", self.contract, "--lot", lot, "--work", self.work)

    def json(self) -> Any:
        (line,) = self.out.splitlines()
        return json.loads(line)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    return Cli(capsys, tmp_path / "work")


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Images and texts as a client hands them over, a broken one among them."""
    folder = tmp_path / "raw"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for number in range(40):
        Image.fromarray(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)).save(folder / f"{number:02d}.png")
    whole = (folder / "00.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    with (folder / "texts.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["text"])
        table.writerows([f"第 {number} 条评论, 不错"] for number in range(40))
    return folder


@pytest.fixture
def drafted(cli: Cli, raw: Path) -> Cli:
    """A lot that was taken in and pre-labelled with the fakes."""
    assert cli.on_lot("intake", raw) == 0
    assert cli.on_lot("prelabel", *FAKES) == 0
    return cli
