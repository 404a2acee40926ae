"""docs/rest.md is true: its blocks run against a service, as they stand."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from contract.tables import Kind
from contract.terms import load_terms
from goldgate.jobs.board import open_board
from goldgate.jobs.carrying_out import Means
from models.fake import FakePredictor
from serving.access.guard import Access
from serving.access.keys import Scope, add_key
from serving.access.settings import AccessSettings
from serving.config import ModelSettings, ServeSettings
from serving.front import Front, open_front
from serving.jobs import JobSettings
from serving.lanes import local_backend

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "rest.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files that the page speaks of."""
    for number, name in enumerate(("a.png", "b.png")):
        Image.fromarray(np.full((24, 32, 3), number, np.uint8)).save(tmp_path / name)
    with av.open(str(tmp_path / "film.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for shade in range(0, 200, 10):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), shade, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return tmp_path


@pytest.fixture
def environment(folder: Path, listen: Callable[[Any], str]) -> Iterator[dict[str, str]]:
    """A service, and what the page takes for granted."""
    terms = load_terms(ROOT / "configs" / "demo.yaml")
    models = {kind: FakePredictor(kind, guideline=terms.guideline) for kind in Kind}
    settings = ServeSettings(models=dict.fromkeys(Kind, ModelSettings(name="fake")), work=folder / "work")
    _, key = add_key(folder / "keys.json", "page", [Scope.PREDICT, Scope.JOBS])
    access = Access(AccessSettings(keys_file=folder / "keys.json"))
    with open_board(folder / "work", Means(models.get, 1), JobSettings()) as board:
        url = listen(open_front(Front(local_backend(models, settings), settings, jobs=board, access=access)))
        contract = json.dumps(terms.model_dump(mode="json"))
        yield os.environ | {"URL": url, "GOLDGATE_KEY": key, "CONTRACT": contract, "PYTHONPATH": str(ROOT)}


def run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(  # noqa: S603  the page's own blocks
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_is_true(folder: Path, environment: dict[str, str]) -> None:
    shell = shutil.which("curl") and shutil.which("bash")
    said = [run([shell, "-euo", "pipefail", "-c", block], folder, environment) for block in blocks("sh")] if shell else []
    if said:
        assert len(said) == 4
        lines = [json.loads(line) for line in said[1].splitlines()]
        assert [(line["line"], line["item"], line["state"]) for line in lines] == [
            (1, "r1", "labelled"),
            (2, "2", "rejected"),
            (3, "3", "labelled"),
        ]
        assert json.loads(said[2].splitlines()[-1])["shots"]
        assert "event: end" in said[3]
        assert pq.read_table(folder / "sentiments.parquet")["item"].to_pylist() == ["text-0", "r2"]
    else:
        add_contract(folder)
    at_once, many, job = (
        run([sys.executable, "-c", f"import os; URL = os.environ['URL']\n{block}"], folder, environment)
        for block in blocks("python")
    )
    assert at_once.startswith("a.png ")
    assert 0 < int(many) < 1000
    assert "done 2 of 2" in job
    assert "0 entries without labels" in job


def add_contract(folder: Path) -> None:
    """Put the contract where the curl calls would have left it."""
    signed = folder / "work" / "DEMO-2025" / "contract.yaml"
    signed.parent.mkdir(parents=True)
    shutil.copy(ROOT / "configs" / "demo.yaml", signed)
