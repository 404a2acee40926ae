"""Which files of the server a caller may name."""

from collections.abc import Sequence
from pathlib import Path

from serving.http.problems import ProblemError


def allowed_path(path: str, folders: Sequence[Path]) -> Path:
    """Return `path` with its links resolved if it lies under one of `folders`.

    Raises:
        ProblemError: 403 it does not, 422 it is no path.
    """
    try:
        resolved = Path(path).resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise ProblemError(422, f"{path!r} is not a path") from error
    if Path(path).is_absolute() and any(resolved.is_relative_to(folder.resolve()) for folder in folders):
        return resolved
    raise ProblemError(
        403, f"{path}: not under a folder that this service may read; upload the file, or set allowed_folders"
    )
