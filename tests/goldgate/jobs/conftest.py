"""A work folder, raw items, and models that wait to be let go."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from PIL import Image

from contract.predictor import Description, Predictor, Source
from contract.tables import Kind
from contract.terms import Terms, load_terms
from goldgate.jobs.board import Board, open_board
from goldgate.jobs.carrying_out import Means
from models.fake import FakePredictor
from serving.jobs import JobSettings, JobStatus

ROOT = Path(__file__).resolve().parents[3]
SIZES = {Kind.IMAGE: 2, Kind.TEXT: 3, Kind.VIDEO: 1}


class Gated:
    """The fake, that answers as many chunks as it was allowed to."""

    def __init__(self, kind: Kind, terms: Terms, allowed: threading.Semaphore) -> None:
        self._fake = FakePredictor(kind, guideline=terms.guideline)
        self._allowed = allowed

    def describe(self) -> Description:
        return self._fake.describe()

    def load(self, device: str) -> None:
        self._fake.load(device)

    def predict(self, sources: Sequence[Source]) -> pa.Table:
        assert self._allowed.acquire(timeout=60)
        return self._fake.predict(sources)


@pytest.fixture(scope="session")
def terms() -> Terms:
    return load_terms(ROOT / "configs" / "demo.yaml")


@pytest.fixture(scope="session")
def document() -> dict[str, Any]:
    """The demo contract as JSON."""
    loaded = yaml.safe_load((ROOT / "configs" / "demo.yaml").read_text(encoding="utf-8"))
    loaded["deadline"]["start"] = str(loaded["deadline"]["start"])
    assert isinstance(loaded, dict)
    return loaded


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Images, a broken one among them, and texts."""
    folder = tmp_path / "raw"
    folder.mkdir()
    for number in range(7):
        Image.fromarray(np.full((24, 32, 3), number, np.uint8)).save(folder / f"{number}.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nthis is no picture")
    (folder / "texts.csv").write_text("text\n" + "".join(f"text number {n}\n" for n in range(8)), encoding="utf-8")
    return folder


@pytest.fixture
def allowed() -> threading.Semaphore:
    """How many chunks the gated models may answer."""
    return threading.Semaphore(0)


MakeBoard = Callable[..., Any]


@pytest.fixture
def board_on(tmp_path: Path, terms: Terms, allowed: threading.Semaphore) -> MakeBoard:
    """Open a board on tmp_path/work, with free models or gated ones."""

    def make(*, gated: bool = False, **settings: int) -> Any:
        def predictor(kind: Kind) -> Predictor | None:
            if kind is Kind.VIDEO:
                return None
            return Gated(kind, terms, allowed) if gated else FakePredictor(kind, guideline=terms.guideline)

        return open_board(tmp_path / "work", Means(predictor, 1, SIZES), JobSettings.model_validate(settings))

    return make


def is_over(status: JobStatus) -> bool:
    return status.state.final


@pytest.fixture
def wait() -> Callable[..., JobStatus]:
    """Wait until a job is as a condition says."""

    def until(
        board: Board, job: str, condition: Callable[[JobStatus], bool] = lambda status: status.state.final
    ) -> JobStatus:
        for _ in range(3000):
            status = board.status(job)
            if condition(status):
                return status
            threading.Event().wait(0.01)
        raise AssertionError(f"the job stays {board.status(job)}")

    return until
