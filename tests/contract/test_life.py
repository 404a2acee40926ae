"""The life of a lot: what may follow what, by a table of its own."""

import datetime
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import StageError
from contract.life.machine import replay
from contract.life.rules import describe, may_follow, workdays_after
from contract.life.state import Phase
from contract.terms import Deadline
from tests.contract.stories import NOON, SHA, Story, drawn


def refused(tell: Callable[[], object], *words: str) -> None:
    with pytest.raises(StageError) as caught:
        tell()
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("lot 'week-1' is ")
    assert "possible now: " in message
    for word in words:
        assert word in message


def test_the_whole_way() -> None:
    story = Story()
    steps: list[tuple[Callable[[], Story], Phase]] = [
        (lambda: story.commit("vendor"), Phase.OPEN),
        (lambda: story.commit("client"), Phase.OPEN),
        (story.turn_back, Phase.OPEN),
        (lambda: story.seal(unlabelled=3), Phase.RETURNED),
        (story.seal, Phase.CHECKED),
        (story.draw, Phase.SAMPLED),
        (story.gold, Phase.GOLD_CHECK),
        (lambda: story.judge("EXTEND"), Phase.EXTENDED),
        (story.extend, Phase.SAMPLED),
        (story.gold, Phase.GOLD_CHECK),
        (lambda: story.judge("REJECT"), Phase.REJECTED),
        (story.dispute, Phase.DISPUTED),
        (lambda: story.resolve(None), Phase.REJECTED),
        (lambda: story.commit("client"), Phase.REJECTED),
        (lambda: story.commit("vendor"), Phase.REJECTED),
        (story.seal, Phase.CHECKED),
        (story.draw, Phase.SAMPLED),
        (story.gold, Phase.GOLD_CHECK),
        (lambda: story.judge("REJECT"), Phase.REJECTED),
        (story.dispute, Phase.DISPUTED),
        (story.gold, Phase.DISPUTED),
        (lambda: story.resolve("ACCEPT"), Phase.ACCEPTED),
        (story.settle, Phase.SETTLED),
    ]
    for tell, phase in steps:
        tell()
        assert story.phase is phase
    assert [standing.outcome.value for standing in story.life.judged] == ["EXTEND", "REJECT", "REJECT", "ACCEPT"]
    assert [standing.gold for standing in story.life.judged] == [1, 2, 3, 4]
    assert (story.life.round, story.life.returns, story.life.draws) == (1, 1, 2)
    assert [(each.round, each.submission) for each in story.life.deliveries] == [(0, 2), (1, 3)]
    assert story.life.deliveries[1].rejected == NOON
    assert replay(story.events, story.rules, lot="week-1") == story.life


def test_rework_ends_after_the_rounds_of_the_terms() -> None:
    story = Story(max_rounds=2).gold().seal().judge("REJECT")
    for number in (1, 2):
        story.seal()
        assert story.life.round == number
        story.judge("REJECT")
    assert describe(story.life, story.rules) == "rejected (round 2 of 2)"
    refused(story.seal, "rejected (round 2 of 2)", "all 2 rounds of rework are used", "every item", "vendor's cost")
    refused(lambda: story.commit("client"), "all 2 rounds")


def test_a_return_uses_no_round() -> None:
    story = Story(max_rounds=1).gold().seal().judge("REJECT")
    story.turn_back().turn_back().seal(unlabelled=5)
    assert (story.phase, story.life.round) == (Phase.RETURNED, 1)
    story.judge("EXTEND")
    assert story.phase is Phase.RETURNED
    story.seal()
    assert (story.phase, story.life.round) == (Phase.CHECKED, 1)


def test_a_draw_needs_commitments_from_before_the_seal() -> None:
    late = Story().seal()
    refused(lambda: late.commit("client"), "checked", "does not follow")
    refused(late.draw, "both parties' commitments")
    half = Story().commit("client").seal()
    refused(half.draw, "both parties' commitments")
    between = Story().commit("client").seal(unlabelled=1).commit("vendor").check()
    refused(between.draw, "both parties' commitments")
    assert between.seal().draw().phase is Phase.SAMPLED


def test_nonces_serve_for_one_draw() -> None:
    story = drawn().gold().judge("REJECT")
    refused(story.seal, "a fresh sample is due")
    refused(story.turn_back, "a fresh sample is due")
    refused(story.commit("client").seal, "a fresh sample is due")
    assert drawn(fresh_sample=False).gold().judge("REJECT").seal().phase is Phase.SAMPLED
    again = drawn().gold().judge("REJECT").commit("client").commit("vendor").seal().draw()
    assert again.life.draws == 2
    shown = min(story.life.spent)
    lot = drawn().gold().judge("REJECT")
    refused(lambda: lot.tell("committed", party="client", commitment=shown), "could be foreseen")


def test_a_sealed_submission_cannot_be_swapped_once_the_draw_is_due() -> None:
    refused(lambda: Story().commit("client").commit("vendor").seal().seal(), "the draw comes next")
    refused(drawn().seal, "sampled")
    assert Story().seal().seal().life.submission == 2


def test_commitments_are_of_both_parties_and_differ() -> None:
    story = Story().commit("client")
    refused(lambda: story.commit("client"), "the client has published")
    first = story.life.commitments["client"]
    refused(lambda: story.tell("committed", party="vendor", commitment=first), "both commitments are the same")
    refused(lambda: Story(full=True).commit("client"), "every item")
    assert Story(full=True).seal().draw().phase is Phase.SAMPLED


def test_the_same_sample_where_the_terms_want_it() -> None:
    story = drawn(fresh_sample=False).gold().judge("REJECT")
    sample = story.life.sample
    story.seal()
    assert (story.phase, story.life.sample) == (Phase.SAMPLED, sample)


def test_other_verdicts_are_kept_and_move_nothing() -> None:
    story = Story().gold().seal().seal().judge("ACCEPT")
    story.judge("REJECT").judge("REJECT", submission=1)
    assert story.phase is Phase.ACCEPTED
    assert [standing.number for standing in story.life.judged] == [1]
    story.dispute("a")
    assert story.judge("REJECT").phase is Phase.DISPUTED


def test_without_a_draw_a_newer_submission_takes_the_place_of_a_scored_one() -> None:
    story = Story().seal().gold().seal().gold().judge("ACCEPT").seal()
    assert (story.phase, story.life.round, story.life.standing) == (Phase.CHECKED, 0, None)
    assert story.judge("REJECT").phase is Phase.REJECTED
    refused(drawn().gold().judge("ACCEPT").seal, "accepted", "does not follow")
    refused(Story().seal().gold().judge("ACCEPT").settle().seal, "settled", "does not follow")


def test_disputes_end_with_their_working_days() -> None:
    story = Story(dispute_workdays=5).gold().seal().judge("REJECT")
    story.at = NOON + datetime.timedelta(days=7)
    story.dispute("a").gold().resolve("REJECT")
    refused(lambda: story.dispute("a"), "the arbiter has ruled on a")
    story.dispute("b").resolve(None)
    story.at = NOON + datetime.timedelta(days=8)
    refused(lambda: story.dispute("c"), "until 2030-01-14", "5 working days")


def test_the_arbiter_cannot_change_the_outcome_without_a_verdict() -> None:
    story = Story().gold().seal().judge("REJECT").dispute("a")
    wrong = {"verdict": 1, "gold": 1, "new_verdict": None, "outcome": "ACCEPT", "verdict_sha256": SHA}
    refused(lambda: story.tell("resolved", **wrong), "cannot change without a new verdict")
    refused(lambda: story.tell("resolved", **(wrong | {"gold": 7, "new_verdict": 2})), "gold 7 was not sealed")


def test_working_days_follow_the_calendar_of_the_terms() -> None:
    friday, monday = datetime.date(2030, 1, 4), datetime.date(2030, 1, 7)
    deadline = Deadline(start=friday, working_days=1, holidays=(monday,), makeup_workdays=(datetime.date(2030, 1, 6),))
    assert workdays_after(deadline, friday, 0) == friday
    assert workdays_after(deadline, friday, 1) == datetime.date(2030, 1, 6)
    assert workdays_after(deadline, friday, 2) == datetime.date(2030, 1, 8)


MAY_SEAL = (Phase.OPEN, Phase.RETURNED, Phase.CHECKED, Phase.REJECTED)
MAY_REPLACE = (Phase.GOLD_CHECK, Phase.EXTENDED, Phase.ACCEPTED)  # only where nothing was drawn


# The machine once more, as a plain table: (phase, step) -> phases that may come of it.
AFTER: dict[tuple[Phase, str], set[Phase]] = {
    **{(Phase.OPEN, step): {Phase.OPEN} for step in ("client", "vendor", "turn_back", "gold")},
    **{(Phase.RETURNED, step): {Phase.RETURNED} for step in ("client", "vendor", "turn_back", "gold")},
    **{(Phase.REJECTED, step): {Phase.REJECTED} for step in ("client", "vendor", "turn_back", "gold", "judge", "old")},
    **{(phase, "seal"): {Phase.CHECKED} for phase in (*MAY_SEAL, *MAY_REPLACE)},
    **{(phase, "half"): {Phase.RETURNED} for phase in (*MAY_SEAL, *MAY_REPLACE)},
    **{(phase, "turn_back"): {phase} for phase in MAY_REPLACE},
    (Phase.RETURNED, "judge"): {Phase.RETURNED, Phase.REJECTED, Phase.ACCEPTED},
    (Phase.CHECKED, "turn_back"): {Phase.CHECKED},
    **{(phase, "gold"): {Phase.GOLD_CHECK} for phase in (Phase.CHECKED, Phase.SAMPLED, Phase.GOLD_CHECK, Phase.EXTENDED)},
    **{(phase, "gold"): {phase} for phase in (Phase.ACCEPTED, Phase.DISPUTED)},
    **{(phase, "draw"): {Phase.SAMPLED, Phase.GOLD_CHECK} for phase in (Phase.CHECKED, Phase.GOLD_CHECK, Phase.EXTENDED)},
    **{(phase, "extend"): {Phase.SAMPLED} for phase in (Phase.SAMPLED, Phase.GOLD_CHECK, Phase.EXTENDED)},
    **{
        (phase, "judge"): {Phase.EXTENDED, Phase.REJECTED, Phase.ACCEPTED}
        for phase in (Phase.CHECKED, Phase.SAMPLED, Phase.GOLD_CHECK, Phase.EXTENDED)
    },
    **{(phase, "judge"): {phase} for phase in (Phase.ACCEPTED, Phase.DISPUTED, Phase.SETTLED)},
    **{(phase, "old"): {phase} for phase in set(Phase) - {Phase.OPEN, Phase.SEALED}},
    **{(phase, "dispute"): {Phase.DISPUTED} for phase in (Phase.EXTENDED, Phase.REJECTED, Phase.ACCEPTED)},
    (Phase.DISPUTED, "upheld"): {Phase.EXTENDED, Phase.REJECTED, Phase.ACCEPTED},
    (Phase.DISPUTED, "ruled"): {Phase.EXTENDED, Phase.REJECTED, Phase.ACCEPTED},
    (Phase.ACCEPTED, "settle"): {Phase.SETTLED},
}
STEPS = (
    "client", "vendor", "turn_back", "seal", "seal", "half", "gold", "draw", "draw", "extend", "judge", "judge", "old",
    "dispute", "upheld", "ruled", "settle",
)  # fmt: skip


def play(story: Story, name: str, outcome: str) -> None:
    plays: dict[str, Callable[[], Story]] = {
        "client": lambda: story.commit("client"),
        "vendor": lambda: story.commit("vendor"),
        "turn_back": story.turn_back,
        "seal": story.seal,
        "half": lambda: story.seal(unlabelled=1),
        "gold": story.gold,
        "draw": story.draw,
        "extend": story.extend,
        "judge": lambda: story.judge(outcome),
        "old": lambda: story.judge(outcome, submission=1),
        "dispute": story.dispute,
        "upheld": lambda: story.resolve(None),
        "ruled": lambda: story.resolve(outcome),
        "settle": story.settle,
    }
    plays[name]()


def refusal(story: Story, name: str, outcome: str) -> str | None:
    try:
        play(story, name, outcome)
    except StageError as error:
        return str(error)
    return None


@given(
    st.lists(st.tuples(st.sampled_from(STEPS), st.sampled_from(["ACCEPT", "REJECT", "EXTEND"])), max_size=30),
    st.integers(0, 2),
    st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_any_sequence_keeps_to_the_table_and_replays(steps: list[tuple[str, str]], rounds: int, fresh: bool) -> None:
    story = Story(max_rounds=rounds, fresh_sample=fresh)
    for name, outcome in steps:
        before, told = story.life, len(story.events)
        if (why := refusal(story, name, outcome)) is not None:
            assert "possible now: " in why
            assert (story.life, len(story.events)) == (before, told)
            continue
        if name == "old" and before.submission == 1:
            continue  # the first submission is the present one
        if name in ("seal", "half") and before.phase in MAY_REPLACE:
            assert not before.draws
            assert not before.commitments
        carried = {Phase.SAMPLED} if name == "seal" and not fresh else set()
        assert story.phase in AFTER[before.phase, name] | carried, (before.phase, name)
    life = story.life
    assert replay(story.events, story.rules, lot="week-1") == life
    assert life.round <= rounds
    assert len(life.deliveries) <= life.round + 1
    if life.phase in {Phase.ACCEPTED, Phase.SETTLED}:
        assert life.standing is not None
        assert life.standing.outcome.value == "ACCEPT"
    assert may_follow(life, story.rules)
