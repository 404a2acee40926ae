"""A small lot on disk, and the command line as its users run it."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from goldgate.cli import run
from qa.verifier.report import verify

ROOT = Path(__file__).resolve().parents[2]
SIDES = ("client", "vendor")
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
def cli(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Cli]:
    """The command line; every report that a test leaves behind must agree with the files beside it."""
    work = tmp_path / "work"
    yield Cli(capsys, work)
    for page in sorted(work.glob("*/lots/*/scores/*/report.html")):
        assert verify(page.parent).disagreements == [], page


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


class Lot:
    """A lot under terms of its own, and the few steps that every story repeats."""

    def __init__(self, cli: Cli, raw: Path, tmp_path: Path, **changes: Any) -> None:
        document = yaml.safe_load(cli.contract.read_text(encoding="utf-8"))
        for path, value in changes.items():
            *parents, last = path.split("__")
            at = document
            for part in parents:
                at = at[part]
            at[last] = value
        cli.contract = tmp_path / "terms.yaml"
        cli.contract.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
        self.cli, self.tmp = cli, tmp_path
        assert cli.on_lot("intake", raw) == 0, cli.err
        assert cli.on_lot("prelabel", *FAKES) == 0, cli.err
        self.right = tmp_path / "right"
        assert cli.on_lot("export", "--format", "jsonl", "--out", self.right) == 0

    def do(self, command: str, *words: str | Path, status: int | tuple[int, ...] = 0) -> Any:
        """Run a command on the lot and return its JSON; samples differ from run to run, as the folders' names do."""
        found = self.cli.on_lot(command, *words, "--json")
        assert found in (status if isinstance(status, tuple) else (status,)), (command, words, self.cli.err)
        return self.cli.json()

    def refused(self, command: str, *words: str | Path) -> str:
        assert self.cli.on_lot(command, *words) == 2, (command, words)
        (line,) = self.cli.err.strip().splitlines()
        return str(line)

    def lines(self, name: str) -> list[dict[str, Any]]:
        text = (self.right / f"{name}.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def folder(self, name: str, *, wrong: Iterable[str] = (), only: Iterable[str] | None = None) -> Path:
        """Write the right labels of `only` some items, the sentiments of the `wrong` ones turned round."""
        place, turned = self.tmp / name, {"positive": "negative", "negative": "positive"}
        place.mkdir(exist_ok=True)
        wrongly, wanted = set(wrong), None if only is None else set(only)
        for task in ("boxes", "sentiments"):
            rows = [row for row in self.lines(task) if wanted is None or row["item"] in wanted]
            for row in rows:
                if task == "sentiments" and row["item"] in wrongly:
                    row |= {"label": turned[row["label"]], "probabilities": None}
            (place / f"{task}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return place

    def hand_in(self, folder: Path, *more: str) -> Any:
        return self.do("import", "--format", "jsonl", "--as", "submission", folder, *more)

    def bring_gold(self, folder: Path) -> Any:
        return self.do("import", "--format", "jsonl", "--as", "gold", folder)

    def commit(self) -> None:
        for side in SIDES:
            nonce = self.tmp / f"{side}.nonce"
            nonce.write_bytes(f"the nonce of the {side}, {len(self.status()['history'])}".encode())
            self.do("sample", "commit", "--party", side, "--nonce", nonce)

    def nonces(self) -> list[str | Path]:
        return [word for side in SIDES for word in (f"--{side}-nonce", self.tmp / f"{side}.nonce")]

    def draw(self, *more: str) -> Any:
        return self.do("sample", "draw", *self.nonces(), *more)

    def status(self) -> Any:
        return self.do("lot", "status")

    @property
    def texts(self) -> list[str]:
        return [row["item"] for row in self.lines("sentiments")]


@pytest.fixture
def make_lot(cli: Cli, raw: Path, tmp_path: Path) -> Callable[..., Lot]:
    """Take in a lot under the demo's terms with some fields changed: section__field=value."""
    return lambda **changes: Lot(cli, raw, tmp_path, **changes)


@pytest.fixture
def lot(make_lot: Callable[..., Lot]) -> Lot:
    return make_lot()
