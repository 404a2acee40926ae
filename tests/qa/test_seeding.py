import pyarrow as pa
import pyarrow.compute as pc
import pytest

from contract.labelset import LabelSet
from contract.tables import State, Task
from qa.bias import handled
from qa.consistency import Profiles
from qa.seeding import SEEDED_TASKS, SEEDS, Names, caught, seed_errors
from tests.oracles.deliveries import CLASSES, SENTIMENTS, delivery, items_of, labels_of, reversed_rows

SECRET = b"sixteen bytes or more"
PROFILES = Profiles()


def names(images: int = 40) -> Names:
    sizes = dict.fromkeys(items_of(images, 0, 0), (1600.0, 400.0))
    return Names(CLASSES, SENTIMENTS, ("event 0", "event 1"), sizes)


def planted(seed: int = 1, share: float = 0.5) -> tuple[LabelSet, LabelSet, pa.Table]:
    drafts, _ = delivery(seed, images=40, texts=60, videos=8)
    wrong, seeds = seed_errors(drafts, share=share, secret=SECRET, names=names())
    return drafts, wrong, seeds


def test_the_secret_decides_all() -> None:
    drafts, wrong, seeds = planted()
    again, same = seed_errors(drafts, share=0.5, secret=SECRET, names=names())
    assert same.equals(seeds)
    assert all(again.table(task).equals(wrong.table(task)) for task in Task)
    _, other = seed_errors(drafts, share=0.5, secret=SECRET + b"!", names=names())
    assert set(other["item"].to_pylist()) != set(seeds["item"].to_pylist())
    turned, _ = seed_errors(reversed_rows(drafts), share=0.5, secret=SECRET, names=names())
    assert turned.states.equals(wrong.states)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_one_draft_of_each_chosen_item_is_changed_and_nothing_else(seed: int) -> None:
    drafts, wrong, seeds = planted(seed)
    assert seeds.schema.equals(SEEDS)
    for task in Task:
        mine = seeds.filter(pc.equal(seeds["task"], task.value))
        with_drafts = len(set(drafts.table(task)["item"].to_pylist()))
        wanted = round(0.5 * with_drafts) if task in SEEDED_TASKS else 0
        assert mine.num_rows == len(set(mine["item"].to_pylist())) == wanted
        dropped = pc.sum(pc.equal(mine["kind"], "dropped")).as_py() or 0
        assert wrong.table(task).num_rows == drafts.table(task).num_rows - dropped
        kept = handled(task, drafts, wrong, epsilon_px=0).draft_kept
        assert int((~kept).sum()) == mine.num_rows
        assert wrong.table(task).schema.equals(drafts.table(task).schema)
    assert {"wrong_class", "moved", "dropped", "wrong_label"} == set(seeds["kind"].to_pylist())


def test_moved_boxes_stay_inside_their_images_and_off_their_places() -> None:
    _, _, seeds = planted(4, share=1.0)
    moved = [seed for seed in seeds.to_pylist() if seed["kind"] == "moved"]
    assert moved
    for seed in moved:
        assert 0 <= seed["seeded_x"] <= 1600 - seed["w"]
        assert 0 <= seed["seeded_y"] <= 400 - seed["h"]
        off = (abs(seed["seeded_x"] - seed["x"]), abs(seed["seeded_y"] - seed["y"]))
        assert off in (pytest.approx((seed["w"], 0)), pytest.approx((0, seed["h"])))


def test_nothing_in_the_drafts_betrays_a_wrong_one() -> None:
    items = items_of(1, 1, 0)
    rows = {
        Task.BOXES: [{"item": "i000.png", "label": "star", "x": 1.0, "y": 1.0, "w": 2.0, "h": 2.0, "score": 0.9}],
        Task.SENTIMENTS: [
            {
                "item": "t000",
                "label": "positive",
                "score": 0.8,
                "probabilities": [("positive", 0.8), ("neutral", 0.15), ("negative", 0.05)],
            }
        ],
    }
    drafts = labels_of(rows, items)
    only_box = Names(["star"], SENTIMENTS, [], {})
    wrong, seeds = seed_errors(drafts, share=1, secret=SECRET, names=only_box)
    assert sorted(seeds["kind"].to_pylist()) == ["dropped", "wrong_label"]
    assert dict(zip(wrong.states["item"].to_pylist(), wrong.states["state"].to_pylist(), strict=True)) == {
        "i000.png": State.EMPTY.value,
        "t000": State.LABELLED.value,
    }
    (text,) = wrong.table(Task.SENTIMENTS).to_pylist()
    assert text["label"] != "positive"
    probabilities = dict(text["probabilities"])
    assert max(probabilities, key=lambda label: probabilities[label]) == text["label"]
    assert sorted(probabilities.values()) == [0.05, 0.15, 0.8]


def test_no_share_and_no_choice_change_nothing() -> None:
    drafts, _ = delivery(6)
    same, seeds = seed_errors(drafts, share=0, secret=SECRET, names=names())
    assert seeds.num_rows == 0
    assert all(same.table(task).equals(drafts.table(task)) for task in Task)
    one_label = Names(CLASSES, ["positive"], [], {})
    texts, _ = delivery(6, images=0, videos=0)
    positive = texts.table(Task.SENTIMENTS).filter(pc.equal(texts.table(Task.SENTIMENTS)["label"], "positive"))
    _, seeds = seed_errors(LabelSet(texts.states, {Task.SENTIMENTS: positive}), share=1, secret=SECRET, names=one_label)
    assert seeds.num_rows == 0


@pytest.mark.parametrize("seed", [1, 2])
def test_whoever_passes_drafts_on_catches_none_and_whoever_corrects_catches_all(seed: int) -> None:
    drafts, wrong, seeds = planted(seed)
    lazy = caught(seeds, wrong, profiles=PROFILES)
    assert sum(entry.seeded for entry in lazy) == seeds.num_rows
    assert [entry.caught for entry in lazy if entry.kind != "dropped"] == [0] * (len(lazy) - 1)
    diligent = caught(seeds, drafts, profiles=PROFILES)
    assert all(entry.caught == entry.seeded for entry in diligent if entry.kind in {"dropped", "wrong_label"})
    assert all(entry.share.lower is not None and entry.share.lower < 1 for entry in diligent)
    silent = LabelSet(wrong.states.slice(0, 0), {})
    assert caught(seeds, silent, profiles=PROFILES) == ()


def test_half_the_seeds_corrected_is_half() -> None:
    drafts, wrong, seeds = planted(7, share=1.0)
    texts = [seed["item"] for seed in seeds.to_pylist() if seed["task"] == "sentiments"]
    fixed = set(texts[::2])
    table = wrong.table(Task.SENTIMENTS)
    true = dict(
        zip(
            drafts.table(Task.SENTIMENTS)["item"].to_pylist(),
            drafts.table(Task.SENTIMENTS)["label"].to_pylist(),
            strict=True,
        )
    )
    labels = [true[row["item"]] if row["item"] in fixed else row["label"] for row in table.to_pylist()]
    half = table.set_column(table.column_names.index("label"), table.schema.field("label"), pa.array(labels, pa.string()))
    (entry,) = [
        each
        for each in caught(seeds, LabelSet(wrong.states, {Task.SENTIMENTS: half}), profiles=PROFILES)
        if each.task is Task.SENTIMENTS
    ]
    assert (entry.seeded, entry.caught) == (len(texts), len(fixed))
