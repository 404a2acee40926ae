"""What the life of a lot adds to a verdict."""

import pytest

from contract.tables import Kind
from contract.verdict import Criterion, Outcome, Pins, Verdict
from qa.words import lifewords
from qa.words.sentences import Sentence

PINS = Pins(
    contract="C",
    lot="l",
    submission=1,
    gold=1,
    terms_sha256="",
    guideline_sha256="",
    manifest_sha256="",
    submission_sha256={},
    gold_sha256={},
)


def verdict(outcome: Outcome) -> Verdict:
    return Verdict(verdict=outcome, rule="lower_bound", reasons=("r",), reasons_zh=("因",), criteria=(), pins=PINS)


@pytest.mark.parametrize(
    ("outcome", "found"),
    [(Outcome.ACCEPT, Outcome.EXTEND), (Outcome.EXTEND, Outcome.EXTEND), (Outcome.REJECT, Outcome.REJECT)],
)
@pytest.mark.parametrize(
    "lacking", [lifewords.undrawn(Kind.TEXT), lifewords.missing_gold(Kind.TEXT, sampled=4, missing=["a"])]
)
def test_what_lacks_gold_or_a_draw_is_extended_at_best(
    outcome: Outcome, found: Outcome, lacking: tuple[Criterion, Sentence]
) -> None:
    said = lifewords.amended(verdict(outcome), [lifewords.not_drawn()], missing=[lacking])
    assert said.verdict is found
    assert [each.name for each in said.criteria] == ["text.sampled"]
    assert said.criteria[0].outcome is Outcome.EXTEND
    assert said.reasons == (lacking[1].english, "r", lifewords.not_drawn().english)
    assert said.reasons_zh == (lacking[1].chinese, "因", lifewords.not_drawn().chinese)


def test_remarks_decide_nothing() -> None:
    for outcome in Outcome:
        assert lifewords.amended(verdict(outcome), [lifewords.on_record_only(3)]).verdict is outcome


def test_the_share_that_is_covered() -> None:
    criterion, sentence = lifewords.missing_gold(Kind.IMAGE, sampled=20, missing=[f"i{number}" for number in range(15)])
    assert (criterion.estimate, criterion.units) == (0.25, 20)
    assert "15 of the 20 images of the sample have no gold yet" in sentence.english
    assert "i9, ..." in sentence.english
    assert "i10" not in sentence.english
    assert "样本 20 幅图像中有 15 幅图像尚无金标准" in sentence.chinese
