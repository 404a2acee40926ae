"""The answer table built by columns is the one that rows would give."""

import hypothesis
import hypothesis.strategies as st
import numpy as np

from contract.answers import build_answer, labelled, rejected
from contract.predictor import Source
from contract.tables import Kind, Task
from models.textanswers import answer_texts

LABELS = ("positive", "neutral", "negative")
SHARE = st.one_of(st.sampled_from([0.25, 0.5, 0.0, 1.0, 0.123456500001, float("nan")]), st.floats(0, 1))


@hypothesis.given(
    st.lists(st.tuples(st.tuples(SHARE, SHARE, SHARE), st.sampled_from(["", "", "unread", "empty"])), max_size=8)
)
def test_columns_agree_with_rows(cases: list[tuple[tuple[float, float, float], str]]) -> None:
    sources = [Source(str(place), Kind.TEXT, "") for place in range(len(cases))]
    shares = np.array([case[0] for case in cases], np.float64).reshape(len(cases), 3)
    refused = {place: "the text is empty" for place, case in enumerate(cases) if case[1] == "unread"}
    empty = np.array([case[1] == "empty" for case in cases], bool)
    answer = answer_texts(sources, shares, labels=LABELS, refused=refused, empty=empty)
    rows = []
    for place, (found, fault) in enumerate(cases):
        if fault == "unread":
            rows.append(rejected(str(place), Kind.TEXT, "the text is empty"))
        elif fault == "empty":
            rows.append(
                rejected(str(place), Kind.TEXT, "the text is empty to the model: it holds nothing that its tokenizer keeps")
            )
        elif any(share != share for share in found):
            rows.append(rejected(str(place), Kind.TEXT, "the model gave no finite probability"))
        else:
            by_label = {label: float(np.round(share, 6)) for label, share in zip(LABELS, found, strict=True)}
            best = max(by_label, key=by_label.__getitem__)
            row = {"label": best, "score": by_label[best], "probabilities": list(by_label.items())}
            rows.append(labelled(str(place), Kind.TEXT, {Task.SENTIMENTS: [row]}))
    wanted = build_answer(Kind.TEXT, rows)
    assert answer.schema.equals(wanted.schema)
    assert answer.to_pylist() == wanted.to_pylist()
