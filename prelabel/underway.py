"""Which chunks were under way when a job died, so that the next one handles them with care."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from contract.files import storage_errors
from contract.predictor import Predictor
from contract.tables import Kind
from prelabel.guarded import GuardedPredictor

Guard = Callable[[Kind], GuardedPredictor]


class UnderWay:
    """Marks in a hidden folder beside the run's, one for each chunk that is with a predictor.

    They outlive the process and need not outlive the machine, so that nothing waits for the disk. A job that ends by itself,
    however it ends, leaves none.

    Args:
        folder: of the run.
        guard: makes the predictor for chunks under which a job died; without it they are like all others.
    """

    def __init__(self, folder: Path, guard: Guard | None) -> None:
        self._marks = folder.with_name(f".{folder.name}.underway")
        self._guard = guard
        self._guarded: dict[Kind, GuardedPredictor] = {}
        self.suspects: frozenset[int] = frozenset()

    def __enter__(self) -> "UnderWay":
        with storage_errors(self._marks):
            self._marks.mkdir(parents=True, exist_ok=True)
            self.suspects = frozenset(int(path.name) for path in self._marks.iterdir() if path.name.isdigit())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for guarded in self._guarded.values():
            guarded.close()
        with contextlib.suppress(OSError):  # what stays makes the next job careful, no more
            for path in self._marks.iterdir():
                path.unlink(missing_ok=True)
            self._marks.rmdir()

    def begin(self, index: int) -> None:
        """Mark chunk `index`.

        Raises:
            StorageError: the folder cannot be written.
        """
        with storage_errors(self._marks):
            (self._marks / str(index)).touch()

    def end(self, index: int) -> None:
        """Take the mark away: the chunk stands."""
        (self._marks / str(index)).unlink(missing_ok=True)

    def predictor(self, kind: Kind, index: int, usual: Predictor) -> Predictor:
        """Return `usual`, or the guarded predictor if a job died under chunk `index`."""
        if self._guard is None or index not in self.suspects:
            return usual
        if kind not in self._guarded:
            self._guarded[kind] = self._guard(kind)
        return self._guarded[kind]
