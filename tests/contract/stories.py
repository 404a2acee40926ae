"""Stories of a lot: events one after another, for the tests of its life."""

import datetime
from typing import Any

from contract.files import sha256_json
from contract.life.events import EVENT, Event
from contract.life.machine import step
from contract.life.state import Life, Phase, Rules
from contract.terms import Deadline

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
