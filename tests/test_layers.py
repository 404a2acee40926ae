"""The star of docs/architecture.md: who may import whom, and which third party may be imported where."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

OURS = {
    "contract": set(),
    "models": {"contract"},
    "serving": {"contract", "models"},
    "prelabel": {"contract"},
    "qa": {"contract"},
    "delivery": {"contract"},
    "goldgate": {"contract", "models", "serving", "prelabel", "qa", "delivery"},
}

OWNERS = {
    "torch": {"models", "qa"},
    "torchvision": {"models"},
    "torchcodec": {"models"},
    "ultralytics": {"models"},
    "lap": {"models"},
    "transformers": {"models"},
    "tokenizers": {"models"},
    "safetensors": {"models"},
    "cv2": {"models"},
    "av": {"models", "prelabel", "goldgate"},
    "simplejpeg": {"models"},
    "nncf": {"models"},
    "pillow_heif": {"models", "prelabel"},
    "PIL": {"models", "prelabel", "qa", "goldgate"},
    "ray": {"serving"},
    "fastapi": {"serving"},
    "starlette": {"serving"},
    "uvicorn": {"serving"},
    "httpx": {"serving"},
    "prometheus_client": {"serving"},
    "opentelemetry": {"serving"},
    "pynvml": {"serving"},
    "numba": {"contract"},
    "scipy": {"models", "qa"},
    "matplotlib": {"qa"},
    "jinja2": {"qa", "serving"},
    "cryptography": {"delivery"},
    "pyrage": {"delivery"},
    "typer": {"goldgate"},
    "rich": {"goldgate"},
}

FORBIDDEN_NAMES = {"utils", "common", "helpers", "core"}


def modules() -> Iterator[Path]:
    for package in OURS:
        yield from sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def test_there_is_code_to_check() -> None:
    assert len(list(modules())) >= 10


@pytest.mark.parametrize("path", list(modules()), ids=lambda path: str(path.relative_to(ROOT)))
def test_module_keeps_the_star(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    names = set(imported(path))
    assert not (names & set(OURS)) - OURS[package] - {package}
    assert not {name for name in names if name in OWNERS and package not in OWNERS[name]}


@pytest.mark.parametrize("path", list(modules()), ids=lambda path: str(path.relative_to(ROOT)))
def test_module_has_a_telling_name_and_house_size(path: Path) -> None:
    assert path.stem not in FORBIDDEN_NAMES
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
