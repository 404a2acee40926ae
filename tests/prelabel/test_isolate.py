"""One failing item never fails its neighbours."""

from collections.abc import Sequence

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.answers import build_answer, labelled
from contract.errors import EndpointError, LabelsError, PredictorError
from contract.predictor import Description, Source
from contract.tables import Kind
from prelabel.isolate import predict_isolated


class Fragile:
    """Labels every source, but raises on whole calls that hold a guilty one."""

    def __init__(self, guilty: set[str], error: type[Exception] = RuntimeError) -> None:
        self.guilty = guilty
        self.error = error

    def describe(self) -> Description:
        return Description(
            name="fragile", version="1", kind=Kind.TEXT, classes=(), weights_sha256=None, runtime="python", precision="none"
        )

    def load(self, device: str) -> None:
        return None

    def predict(self, sources: Sequence[Source]) -> pa.Table:
        if any(source.item in self.guilty for source in sources):
            raise self.error("boom")
        return build_answer(Kind.TEXT, [labelled(source.item, Kind.TEXT, {}) for source in sources])


def sources(count: int) -> list[Source]:
    return [Source(f"t{n}", Kind.TEXT, "u", b"x") for n in range(count)]


@given(count=st.integers(2, 40), data=st.data())
def test_only_the_guilty_are_rejected(count: int, data: st.DataObject) -> None:
    guilty = data.draw(st.sets(st.sampled_from(range(count)), max_size=count - 1))
    answer = predict_isolated(Fragile({f"t{n}" for n in guilty}), Kind.TEXT, sources(count))
    assert answer["item"].to_pylist() == [f"t{n}" for n in range(count)]
    assert {n for n, state in enumerate(answer["state"].to_pylist()) if state == "rejected"} == guilty
    assert all("boom" in reason for reason in answer["reason"].to_pylist() if reason)


def test_a_model_that_fails_on_everything_is_not_the_items_fault() -> None:
    with pytest.raises(PredictorError, match=r"all 3 items.*boom"):
        predict_isolated(Fragile({"t0", "t1", "t2"}), Kind.TEXT, sources(3))


def test_a_lone_failing_item_is_rejected() -> None:
    assert predict_isolated(Fragile({"t0"}), Kind.TEXT, sources(1))["state"].to_pylist() == ["rejected"]


def test_a_gone_server_stops_the_job() -> None:
    with pytest.raises(EndpointError):
        predict_isolated(Fragile({"t1"}, EndpointError), Kind.TEXT, sources(3))


def test_an_answer_in_another_order_is_refused() -> None:
    class Shuffling(Fragile):
        def predict(self, sources: Sequence[Source]) -> pa.Table:
            return super().predict(list(reversed(sources)))

    with pytest.raises(LabelsError, match="another order"):
        predict_isolated(Shuffling(set()), Kind.TEXT, sources(3))
