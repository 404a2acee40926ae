"""Which paths may stand in a package."""

from pathlib import Path, PurePosixPath, PureWindowsPath

from hypothesis import given, settings
from hypothesis import strategies as st

from delivery.safepath import clashes, path_problem

PIECES = st.sampled_from(["a", "..", ".", "", "b.png", "C:", "\\", "/", "\x00", "图片", " ", "a.", "~", "$HOME", "e\u0301"])


@settings(max_examples=100)
@given(st.lists(PIECES, max_size=5).map("/".join) | st.text(max_size=12))
def test_a_path_without_a_problem_stays_in_its_folder(path: str) -> None:
    if path_problem(path) is None:
        base = Path("/base/folder")
        joined = Path(f"{base}/{path}")
        assert joined.is_relative_to(base)
        assert ".." not in PurePosixPath(path).parts
        assert "." not in path.split("/")
        windows = PureWindowsPath(path)
        assert not windows.drive
        assert not windows.is_absolute()
        assert len(windows.parts) == len(path.split("/"))


def test_ordinary_paths_have_no_problem() -> None:
    for path in ("a", "lots/a b/media/图 片.png", "a/b/c/d.tar.gz", ".hidden", "a..b"):
        assert path_problem(path) is None


def test_clashes() -> None:
    assert clashes(["a", "b", "a/b"]) == ["a"]
    assert clashes(["a", "a"]) == ["a"]
    assert clashes(["a/b", "a/c", "ab"]) == []
