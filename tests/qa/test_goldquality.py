import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa.goldquality import gold_ceiling, gold_error, observed_accuracy


@pytest.mark.parametrize(
    ("error", "true", "observed"),
    [
        (0.02, 0.92, 0.9024),
        (0.02, 0.95, 0.9315),
        (0.02, 1.0, 0.98),
        (0.03, 0.92, 0.8936),
        (0.05, 0.95, 0.90375),
        (0.05, 1.0, 0.95),
    ],
)
def test_observed_accuracy_of_the_reference(error: float, true: float, observed: float) -> None:
    assert observed_accuracy(true, gold_error=error, labels=3) == pytest.approx(observed, abs=1e-9)


@given(st.floats(0, 0.5), st.integers(2, 8))
def test_the_error_is_recovered_from_the_agreement_that_it_makes(error: float, labels: int) -> None:
    if error > 1 - 1 / labels:
        return
    twice = 10**9
    agreed = round(((1 - error) ** 2 + error**2 / (labels - 1)) * twice)
    found = gold_error(agreed, twice, labels=labels)
    assert found == pytest.approx(error, abs=1e-4)
    ceiling = gold_ceiling(agreed, twice, labels=labels)
    assert found is not None
    assert ceiling == 1 - found == pytest.approx(observed_accuracy(1.0, gold_error=error, labels=labels), abs=1e-4)


def test_what_cannot_be_estimated_is_none_or_refused() -> None:
    assert gold_error(0, 0, labels=3) is None
    assert gold_ceiling(0, 0, labels=3) is None
    assert gold_error(10, 100, labels=2) is None
    assert gold_error(50, 100, labels=2) == pytest.approx(0.5)
    assert gold_error(100, 100, labels=3) == 0
    with pytest.raises(ValueError, match="cannot have agreed"):
        gold_error(5, 4, labels=3)
    with pytest.raises(ValueError, match="nothing to choose"):
        observed_accuracy(0.9, gold_error=0.1, labels=1)
