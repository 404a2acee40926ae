"""Every format in the flow: drafts go out, come back untouched as a submission, and are the drafts."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from contract.formats.registry import FORMATS
from contract.labelset import LabelSet
from contract.tables import KIND_OF_TASK, Kind, Task
from contract.workfolder import LotFolder
from prelabel.handoff import read_drafts, read_sealed
from tests.oracles.lots import same

pytestmark = pytest.mark.e2e

FAKES = ["--model", "detector=fake", "--model", "sentiment=fake", "--model", "video=fake"]
CARRIES = {
    "coco": {Task.BOXES},
    "cvat": {Task.BOXES, Task.SHOTS, Task.KEYFRAMES, Task.EVENTS},
    "yolo": {Task.BOXES},
    "yolo-darknet": {Task.BOXES},
    "voc": {Task.BOXES},
    "xanylabeling": {Task.BOXES, Task.SHOTS, Task.KEYFRAMES, Task.EVENTS},
    "jsonl": set(Task),
    "activitynet": {Task.SHOTS, Task.KEYFRAMES, Task.EVENTS},
}
ELSEWHERE = {"labelstudio"}  # import wants annotations there, which drafts are not: test_flow.py


def test_every_format_is_named() -> None:
    assert set(CARRIES) | ELSEWHERE == set(FORMATS)


def clip(path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    with av.open(path, "w") as output:
        stream = output.add_stream("mpeg4", rate=Fraction(25))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(30):
            frame = av.VideoFrame.from_ndarray(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8), format="rgb24")
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def part(labels: LabelSet, tasks: set[Task]) -> LabelSet:
    """Return the labels of `tasks` and the states of the items that may have them, in the order of the items."""
    kinds = {KIND_OF_TASK[task].value for task in tasks}
    states = labels.states.filter([kind in kinds for kind in labels.states["kind"].to_pylist()])
    tables = {task: table.sort_by("item") for task, table in labels.tables.items() if task in tasks}
    return LabelSet(states, tables)


@pytest.mark.parametrize("name", CARRIES)
def test_drafts_come_back_as_they_were(cli: Any, raw: Path, tmp_path: Path, name: str) -> None:
    for number in range(3):
        (raw / "sub").mkdir(exist_ok=True)
        (raw / f"{number:02d}.png").rename(raw / "sub" / f"{number + 10:02d}.png")  # equal base names
    for seed in range(4):
        clip(raw / f"clip-{seed}.mp4", seed)
    assert cli.on_lot("intake", raw) == 0, cli.err
    assert cli.on_lot("prelabel", *FAKES) == 0, cli.err
    assert cli.on_lot("export", "--format", name, "--out", tmp_path / "out") == 0, cli.err
    assert len(cli.out) < 1000
    left = {kind.value for kind in Kind} - {kind.value for kind in FORMATS[name].kinds}
    assert all(f"{kind} items, for which {name} has no place" in cli.out or len(left) > 1 for kind in left)
    assert ("left out" in cli.out) == bool(left)
    assert cli.on_lot("import", "--format", name, "--as", "submission", tmp_path / "out") == 0, cli.err
    (place,) = (cli.work / "DEMO-2025" / "lots").iterdir()
    _, drafts = read_drafts(LotFolder(place))
    expected = part(drafts, CARRIES[name])
    assert expected.states.num_rows >= (40 if Task.BOXES in CARRIES[name] else 4)
    assert all(table.num_rows for table in expected.tables.values())
    assert {Kind(kind) for kind in expected.states["kind"].to_pylist()} == {KIND_OF_TASK[task] for task in CARRIES[name]}
    assert same(part(read_sealed(LotFolder(place), "submission", 1).labels, CARRIES[name]), expected)


def test_what_a_format_has_no_place_for_is_told(cli: Any, raw: Path, tmp_path: Path) -> None:
    for path in raw.glob("*.png"):
        path.unlink()
    assert cli.on_lot("intake", raw) == 0, cli.err
    assert cli.on_lot("prelabel", *FAKES) == 0, cli.err
    assert cli.on_lot("export", "--format", "yolo", "--out", tmp_path / "out") == 2
    assert "format 'yolo' has no place for text items, and there are no others" in cli.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", [name for name in CARRIES if FORMATS[name].many])
def test_label_files_are_not_mixed_with_older_ones(cli: Any, raw: Path, tmp_path: Path, name: str) -> None:
    assert cli.on_lot("intake", raw) == 0, cli.err
    assert cli.on_lot("prelabel", *FAKES) == 0, cli.err
    assert cli.on_lot("export", "--format", name, "--out", tmp_path / "out") == 0, cli.err
    assert cli.on_lot("export", "--format", name, "--out", tmp_path / "out") == 2
    assert "holds files already, and label files among them would count; name an empty folder" in cli.err
