import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa.sampling.switching import LotResult, Switching, after, follow, result_of, resume

GOOD = LotResult(accepted=True, accept_number=3, passes_tighter=True)
FAIR = LotResult(accepted=True, accept_number=3, passes_tighter=False)
SMALL = LotResult(accepted=True, accept_number=1)
BAD = LotResult(accepted=False, accept_number=3)
RESUBMITTED = LotResult(accepted=False, accept_number=3, original=False)


def inspections(*lots: LotResult, start: Switching | None = None) -> list[str]:
    return [state.inspection for state in follow(lots, start)]


def test_two_rejections_in_five_tighten() -> None:
    assert inspections(BAD, FAIR, FAIR, FAIR, BAD)[-1] == "tightened"
    assert inspections(BAD, BAD)[-1] == "tightened"
    assert inspections(BAD, FAIR, FAIR, FAIR, FAIR, BAD)[-1] == "normal"


def test_resubmitted_lots_do_not_count() -> None:
    assert inspections(BAD, RESUBMITTED, RESUBMITTED) == ["normal"] * 3
    tightened = Switching("tightened")
    assert follow([RESUBMITTED] * 9, tightened)[-1] == tightened


def test_five_acceptances_in_a_row_lead_back_to_normal() -> None:
    start = Switching("tightened")
    assert inspections(*[FAIR] * 5, start=start) == ["tightened"] * 4 + ["normal"]
    assert inspections(*[FAIR] * 4, BAD, *[FAIR] * 4, start=start)[-1] == "tightened"
    assert inspections(*[FAIR] * 4, BAD, *[FAIR] * 5, start=start)[-1] == "normal"


def test_five_rejections_while_tightened_discontinue_until_resumed() -> None:
    states = follow([BAD, FAIR, BAD, FAIR, BAD, FAIR, BAD, FAIR, BAD], Switching("tightened"))
    assert [state.inspection for state in states] == ["tightened"] * 8 + ["discontinued"]
    assert after(states[-1], GOOD) == states[-1]
    assert resume(states[-1]) == Switching("tightened")
    with pytest.raises(ValueError, match="nothing to resume"):
        resume(Switching())


def test_rejections_of_an_earlier_tightened_stay_are_forgotten() -> None:
    states = follow([BAD] * 4 + [FAIR] * 5 + [BAD, BAD] + [BAD] * 4, Switching("tightened"))
    assert states[8].inspection == "normal"
    assert states[-1] == Switching("tightened", recent=(False,) * 4, rejected_while_tightened=4)


def test_switching_score() -> None:
    assert [state.score for state in follow([GOOD, GOOD, FAIR, SMALL, GOOD, BAD])] == [3, 6, 0, 2, 5, 0]
    assert inspections(*[GOOD] * 10) == ["normal"] * 9 + ["reduced"]
    assert inspections(*[SMALL] * 15) == ["normal"] * 14 + ["reduced"]


@pytest.mark.parametrize("change", [{"steady": False}, {"consent": False}])
def test_reduced_inspection_needs_steady_production_and_consent(change: dict[str, bool]) -> None:
    doubtful = LotResult(accepted=True, accept_number=3, passes_tighter=True, **change)
    assert inspections(*[doubtful] * 12)[-1] == "normal"
    assert inspections(*[doubtful] * 12, GOOD)[-1] == "reduced"
    assert inspections(doubtful, start=Switching("reduced")) == ["normal"]


def test_a_rejection_ends_reduced_inspection() -> None:
    assert inspections(FAIR, BAD, BAD, FAIR, start=Switching("reduced")) == ["reduced", "normal", "normal", "normal"]


def test_results_come_from_the_tables() -> None:
    # K at AQL 1.0: normal 125/3, beside it 125/2; tightened 125/2; reduced 50/2
    assert result_of(3200, 2, aql=1.0, level="II", inspection="normal") == LotResult(
        accepted=True, accept_number=3, passes_tighter=True
    )
    assert not result_of(3200, 3, aql=1.0, level="II", inspection="normal").passes_tighter
    assert not result_of(3200, 3, aql=1.0, level="II", inspection="tightened").accepted
    assert result_of(3200, 2, aql=1.0, level="II", inspection="reduced").accepted
    # F at AQL 1.0 leads to E, 13/0: no score for a stricter limit is needed
    small = result_of(150, 0, aql=1.0, level="II", inspection="normal")
    assert (small.accepted, small.accept_number, small.passes_tighter) == (True, 0, False)
    with pytest.raises(ValueError, match="discontinued"):
        result_of(150, 0, aql=1.0, level="II", inspection="discontinued")


LOTS = st.sampled_from([GOOD, FAIR, SMALL, BAD, RESUBMITTED])


def slowly(lots: list[LotResult]) -> str:
    """The rules again, as one reads them: over the whole history since the last switch."""
    inspection, since = "normal", 0
    originals = [lot for lot in lots if lot.original]
    for end in range(1, len(originals) + 1):
        stay = originals[since:end]
        last = originals[end - 1]
        rejected = [not lot.accepted for lot in stay]
        score = 0
        for lot in stay:
            gain = (3 if lot.passes_tighter else 0) if lot.accept_number >= 2 else 2
            score = score + gain if lot.accepted and gain else 0
        to = inspection
        if inspection == "normal":
            to = "tightened" if sum(rejected[-5:]) >= 2 else "reduced" if score >= 30 else "normal"
        elif inspection == "tightened":
            back = len(stay) >= 5 and not any(rejected[-5:])
            to = "discontinued" if sum(rejected) >= 5 else "normal" if back else "tightened"
        elif inspection == "reduced" and not last.accepted:
            to = "normal"
        if to != inspection:
            inspection, since = to, end
    return inspection


@given(st.lists(LOTS, max_size=40))
def test_the_fold_equals_a_slow_reading_of_the_rules(lots: list[LotResult]) -> None:
    states = follow(lots)
    assert (states[-1].inspection if states else "normal") == slowly(lots)
