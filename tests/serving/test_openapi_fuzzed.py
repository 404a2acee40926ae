"""What the OpenAPI document says is so: cases drawn from it, and against it; benchmarks/fuzz_serve.py draws many more."""

import contextlib
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis

import tests.oracles.openapi  # noqa: F401 - registers what schemathesis cannot make
from contract.tables import Kind
from models.fake import FakePredictor
from serving.config import ServeSettings
from serving.front import Front, build_front
from serving.lanes import local_backend
from tests.conftest import listening


@pytest.fixture(scope="module")
def document() -> Iterator[Any]:
    settings = ServeSettings.of(dict.fromkeys(Kind, "fake"), device="cpu")
    backend = local_backend({kind: FakePredictor(kind) for kind in Kind}, settings)
    with listening(build_front(Front(backend, settings))) as url:
        yield schemathesis.openapi.from_url(f"{url}/openapi.json")


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_answers_are_as_documented(document: Any, mode: schemathesis.GenerationMode) -> None:
    operations = [each.ok() for each in document.get_all_operations()]
    assert len(operations) >= 7
    drawn = 0
    for operation in operations:

        @hypothesis.settings(max_examples=20, database=None, suppress_health_check=list(hypothesis.HealthCheck))
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def check(case: Any) -> None:
            nonlocal drawn
            drawn += 1
            damaged = [schemathesis.checks.positive_data_acceptance] if case.path.startswith("/v1/predict") else []
            case.call_and_validate(excluded_checks=damaged)

        # Of a call that takes anything, or nothing, there are no cases against the document.
        with contextlib.suppress(*([] if mode.is_positive else [hypothesis.errors.Unsatisfiable])):
            check()
    assert drawn >= 10 * len(operations) // 2
