import json

import pytest

from contract.errors import InputError
from goldgate.planning import plan_samples


def test_a_plan_in_words_and_as_a_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert plan_samples(0.9, 0.95, confidence=0.95, vendor=0.95, lot=None, as_json=False) == 0
    said = capsys.readouterr().out
    assert "n=298, c=21" in said
    assert "序贯概率比检验" in said
    assert plan_samples(0.9, 0.95, confidence=0.95, vendor=0.95, lot=1000, as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["procedures"][0]["most"] == 298


def test_a_plan_that_cannot_be_is_one_sentence() -> None:
    with pytest.raises(InputError, match="plan: good work must be better than the threshold"):
        plan_samples(0.9, 0.8, confidence=0.95, vendor=0.95, lot=None, as_json=False)
