"""What is scored, beside plain loops over the definitions."""

from collections.abc import Mapping

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import LabelsError
from contract.labelset import LabelSet
from contract.tables import Task
from qa.coverage import scored_items
from tests.oracles.labelsets import keyframe, label_set

STATES = st.dictionaries(
    st.sampled_from(["b", "a", "é", "Z", "中", "c"]),
    st.sampled_from(["labelled", "empty", "excused", "missing", "rejected"]),
)
ROWS = st.lists(st.sampled_from(["b", "a", "é", "中", "q"]), max_size=6)


def keyframes(rows: list[str], states: Mapping[str, str]) -> LabelSet:
    return label_set(Task.KEYFRAMES, [keyframe(item, 1.0) for item in rows], states)


@given(STATES, STATES, ROWS)
def test_what_is_scored_is_what_the_definitions_say(theirs: dict[str, str], ours: dict[str, str], rows: list[str]) -> None:
    labels = keyframes(rows, ours)
    scored = scored_items(Task.KEYFRAMES, labels, keyframes([], theirs))
    speaking = [item for item, state in theirs.items() if state in ("labelled", "empty")]
    excused = [item for item, state in theirs.items() if state == "excused"]
    incomplete = [
        item
        for item in speaking
        if ours.get(item) == "excused" or (ours.get(item) not in ("labelled", "empty") and item not in rows)
    ]
    assert scored.items == tuple(speaking)
    assert scored.ordered.to_pylist() == sorted(speaking)
    assert scored.coverage.items == len(speaking)
    assert scored.coverage.incomplete == tuple(sorted(incomplete))
    assert scored.incomplete.tolist() == [item in incomplete for item in sorted(speaking)]
    assert scored.coverage.excused == tuple(sorted(excused))
    assert scored.coverage.without_gold == len({*ours, *rows} - set(speaking) - set(excused))
    places = [sorted(speaking).index(item) if item in speaking else -1 for item in rows]
    assert scored.codes(labels.table(Task.KEYFRAMES)).tolist() == places
    assert [speaking[place] for place in scored.place_in_states.tolist()] == sorted(speaking)


def test_an_item_named_twice_by_the_submission_is_refused() -> None:
    labels = keyframes([], {"a": "labelled", "b": "labelled"})
    twice = LabelSet(pa.concat_tables([labels.states, labels.states]), labels.tables)
    with pytest.raises(LabelsError, match="states of the submission name item 'a' twice"):
        scored_items(Task.KEYFRAMES, twice, labels)
