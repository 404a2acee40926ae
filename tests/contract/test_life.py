"""The life of a lot: what may follow what, by a table of its own, and files that give themselves away when touched."""

import datetime
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import InputError, StageError
from contract.files import sha256_json
from contract.life.events import EVENT, Event
from contract.life.files import append, read_history
from contract.life.machine import replay, step
from contract.life.rules import describe, may_follow, workdays_after
from contract.life.state import Life, Phase, Rules, rules_of
from contract.terms import Deadline, load_terms
from contract.workfolder import LotFolder

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
NOON = datetime.datetime(2030, 1, 7, 12, tzinfo=datetime.timezone.utc)  # a Monday
SHA = "a" * 64


def rules(**changes: Any) -> Rules:
    values: dict[str, Any] = {
        "max_rounds": 2,
        "fresh_sample": True,
        "full": False,
        "dispute_workdays": 5,
        "deadline": Deadline(start=datetime.date(2030, 1, 1), working_days=10),
    }
    return Rules(**(values | changes))


class Story:
    """Events one after another on a lot without files."""

    def __init__(self, **changes: Any) -> None:
        self.rules = rules(**changes)
        self.life = Life()
        self.events: list[tuple[Event, str]] = []
        self.at = NOON
        self.submissions = self.golds = self.verdicts = 0

    def tell(self, kind: str, **details: Any) -> "Story":
        head = {"event": kind, "number": self.life.events + 1, "time": self.at, "who": "goldgate"}
        event = EVENT.validate_python({**head, "previous_sha256": self.life.head, **details})
        sha256 = sha256_json(event.model_dump(mode="json"))
        self.life = step(self.life, event, sha256, rules=self.rules, lot="week-1")
        self.events.append((event, sha256))
        return self

    def commit(self, party: str) -> "Story":
        return self.tell("committed", party=party, commitment=sha256_json([party, self.life.events]))

    def seal(self, *, unlabelled: int = 0, check: bool = True) -> "Story":
        due = self.life.round + (self.life.phase is Phase.REJECTED)
        self.tell("sealed", submission=self.submissions + 1, seal=SHA, receipt_sha256=SHA, round=due)
        self.submissions += 1
        return self.check(unlabelled) if check else self

    def check(self, unlabelled: int = 0) -> "Story":
        return self.tell(
            "checked", submission=self.life.submission or 1, unlabelled={"image": unlabelled} if unlabelled else {}
        )

    def turn_back(self) -> "Story":
        return self.tell("returned", reason="boxes.jsonl: half a line")

    def gold(self) -> "Story":
        self.tell("gold", gold=self.golds + 1, seal=SHA, receipt_sha256=SHA)
        self.golds += 1
        return self

    def draw(self) -> "Story":
        items = {"items": {"image": 30}, "sample_sha256": SHA}
        return self.tell("drawn", sample=self.life.events + 1, submission=self.life.submission or 1, **items)

    def extend(self) -> "Story":
        items = {"items": {"image": 60}, "sample_sha256": SHA}
        return self.tell("extended", sample=self.life.events + 1, extends=self.life.sample or 1, **items)

    def judge(self, outcome: str, *, submission: int | None = None) -> "Story":
        chosen = submission or self.life.submission or 1
        pins = {"submission": chosen, "gold": max(self.golds, 1), "sample": self.life.sample}
        self.tell("judged", verdict=self.verdicts + 1, outcome=outcome, verdict_sha256=SHA, **pins)
        self.verdicts += 1
        return self

    def dispute(self, *items: str) -> "Story":
        number = self.life.standing.number if self.life.standing else 1
        return self.tell("disputed", verdict=number, items=items or (f"img-{self.life.events}",), reason="")

    def resolve(self, outcome: str | None) -> "Story":
        standing = self.life.standing
        number = standing.number if standing else 1
        if outcome is None:
            kept = standing.outcome if standing else "ACCEPT"
            details = {"gold": standing.gold if standing else 1, "new_verdict": None, "outcome": kept}
        else:
            details = {"gold": max(self.golds, 1), "new_verdict": self.verdicts + 1, "outcome": outcome}
            self.verdicts += 1
        return self.tell("resolved", verdict=number, verdict_sha256=SHA, **details)

    def settle(self) -> "Story":
        number = self.life.standing.number if self.life.standing else 1
        return self.tell("settled", verdict=number, statement=1, statement_sha256=SHA)

    @property
    def phase(self) -> Phase:
        return self.life.phase


def drawn(**changes: Any) -> Story:
    return Story(**changes).commit("client").commit("vendor").seal().draw()


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


def on_disk(tmp_path: Path) -> tuple[LotFolder, Rules]:
    lot, by = LotFolder(tmp_path / "week-1"), rules()
    told = Story()
    told.commit("client").commit("vendor").seal().draw().gold().judge("EXTEND").extend()
    for event, _ in told.events:
        details = event.model_dump(exclude={"event", "number", "time", "who", "previous_sha256"})
        append(lot, event.event, details, who=event.who, rules=by, at=event.time)
    assert read_history(lot, by).life == told.life
    return lot, by


def test_files_are_named_by_number_and_step(tmp_path: Path) -> None:
    lot, by = on_disk(tmp_path)
    names = sorted(path.name for path in lot.life.iterdir())
    assert names[:4] == ["0001-committed.json", "0002-committed.json", "0003-sealed.json", "0004-checked.json"]
    with pytest.raises(StageError, match="does not follow"):
        append(lot, "settled", {"verdict": 1, "statement": 1, "statement_sha256": SHA}, who="client", rules=by, at=NOON)
    assert sorted(path.name for path in lot.life.iterdir()) == names


def test_a_lot_without_events_is_open(tmp_path: Path) -> None:
    assert read_history(LotFolder(tmp_path / "none"), rules_of(load_terms(CONFIGS / "demo.yaml"))).life == Life()


@pytest.mark.parametrize("number", range(8))
def test_every_touched_file_is_found(tmp_path: Path, number: int) -> None:
    lot, by = on_disk(tmp_path)
    path = sorted(lot.life.iterdir())[number]
    document = json.loads(path.read_text(encoding="utf-8"))
    edited = {**document, "event": {**document["event"], "who": "client" if number > 1 else "arbiter"}}
    path.write_text(json.dumps(edited), encoding="utf-8")
    with pytest.raises(StageError, match="was changed since it was written"):
        read_history(lot, by)
    forged = {**edited, "sha256": sha256_json(edited["event"])}
    path.write_text(json.dumps(forged), encoding="utf-8")
    if number < 7:  # of the newest event only its digest, which the parties note, can tell
        with pytest.raises(StageError, match="does not follow the event before it"):
            read_history(lot, by)
    path.unlink()
    if number < 7:
        with pytest.raises(StageError, match=f"event {number + 1} is missing"):
            read_history(lot, by)


def test_files_that_changed_places_are_found(tmp_path: Path) -> None:
    lot, by = on_disk(tmp_path)
    first, second = sorted(lot.life.iterdir())[:2]
    shutil.move(first, tmp_path / "kept")
    shutil.move(second, first)
    shutil.move(tmp_path / "kept", second)
    with pytest.raises(StageError, match="missing"):
        read_history(lot, by)


@pytest.mark.parametrize("content", ["{}", "[]", '{"event": {"event": "born"}, "sha256": ""}', "1"])
def test_what_is_no_event_is_one_sentence(tmp_path: Path, content: str) -> None:
    lot, by = on_disk(tmp_path)
    sorted(lot.life.iterdir())[2].write_text(content, encoding="utf-8")
    with pytest.raises(StageError, match=r"0003-sealed\.json: not an event"):
        read_history(lot, by)


@given(st.integers(0, 7), st.floats(0, 1, exclude_max=True), st.binary(min_size=0, max_size=3))
@settings(max_examples=80, deadline=None)
def test_any_damage_is_one_sentence_or_none(number: int, where: float, bytes_: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lot, by = on_disk(Path(folder))
        life = read_history(lot, by).life
        path = sorted(lot.life.iterdir())[number]
        data = path.read_bytes()
        at = int(where * len(data))
        path.write_bytes(data[:at] + bytes_ + data[at + 1 :])
        try:
            found = read_history(lot, by).life
        except InputError as error:
            found, said = None, str(error)
            damaged = path.name in said and "\n" not in said
        else:
            damaged = False
        # White space between the fields may change and means nothing.
        assert damaged or found == life
