"""Disputes over gold, and defects that go out to be mended and come back."""

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e


def test_disputed_gold_is_judged_again_and_both_are_kept(make_lot: Any) -> None:
    lot = make_lot()
    doubtful = lot.texts[:20]
    lot.bring_gold(lot.folder("gold", wrong=doubtful))
    lot.hand_in(lot.right)
    assert "does not follow" in lot.refused("dispute", "open", "--item", doubtful[0])
    lot.do("accept", status=3)
    assert "name the contested items" in lot.refused("dispute", "open")
    assert "'nowhere'" in lot.refused("dispute", "open", "--item", "nowhere")
    contested = [word for item in doubtful[:19] for word in ("--item", item)]
    lot.do("dispute", "open", *contested, "--reason", "irony")
    assert lot.status()["state"] == "disputed"
    everything = lot.folder("ruling", only=doubtful)
    said = lot.refused("dispute", "resolve", "--format", "jsonl", everything)
    assert doubtful[19] in said
    assert "not contested" in said
    assert "say one of" in lot.refused("dispute", "resolve", "--upheld", "--gold", "1")
    ruling = lot.folder("ruling", only=doubtful[:19])
    told = lot.do("dispute", "resolve", "--format", "jsonl", ruling / "sentiments.jsonl", status=0)
    assert told["before"] == {"verdict": 1, "outcome": "REJECT", "gold": 1}
    assert told["after"] == {"verdict": 2, "outcome": "ACCEPT", "gold": 2}
    assert told["gold_changed"] == sorted(doubtful[:19])
    moved = {each["name"]: (each["before"], each["after"]) for each in told["criteria"]}
    assert moved == {"text.accuracy": (0.5, pytest.approx(39 / 40))}
    status = lot.status()
    assert (status["state"], status["verdict"], status["round"]) == ("accepted", 2, 0)
    assert status["without_event"] == []
    (lots,) = lot.cli.work.rglob("lots")
    for number in ("1", "2"):
        assert (lots / "made" / "verdicts" / f"{number}.json").exists()
        assert (lots / "made" / "scores" / number / "score.json").exists()
    verdict = json.loads((lots / "made" / "verdicts" / "2.json").read_text(encoding="utf-8"))
    assert any("verdict 1 by gold 1 stood before, and both are kept" in reason for reason in verdict["reasons"])
    assert "the arbiter has ruled" in lot.refused("dispute", "open", "--item", doubtful[0])


def test_gold_that_is_upheld_changes_nothing(lot: Any) -> None:
    lot.bring_gold(lot.right)
    lot.hand_in(lot.folder("bad", wrong=lot.texts[:20]))
    lot.do("accept", status=3)
    lot.do("dispute", "open", "--item", lot.texts[0])
    told = lot.do("dispute", "resolve", "--upheld", status=3)
    assert told["before"] == told["after"]
    assert lot.status()["state"] == "rejected"


def test_a_version_of_the_gold_may_change_contested_items_only(lot: Any) -> None:
    lot.bring_gold(lot.folder("gold", wrong=lot.texts[:20]))
    lot.hand_in(lot.right)
    lot.do("accept", status=3)
    lot.do("dispute", "open", "--item", lot.texts[0])
    lot.bring_gold(lot.right)
    assert f"item {min(lot.texts[1:20])!r}, which is not contested" in lot.refused("dispute", "resolve", "--gold", "2")
    lot.bring_gold(lot.folder("ruled", wrong=lot.texts[1:20]))
    lot.do("dispute", "resolve", "--gold", "3", status=3)
    assert lot.status()["history"][-1]["gold"] == 3


def damaged(lot: Any) -> tuple[Path, list[str]]:
    """A submission in which the first boxes of some images are gone or of another class, and some texts wrong."""
    folder = lot.folder("damaged", wrong=lot.texts[:10])
    rows = lot.lines("boxes")
    hurt = []
    for place, row in enumerate(row for row in rows if row["boxes"]):
        if place % 2:
            continue
        hurt.append(row["item"])
        if place % 4:
            row["boxes"] = row["boxes"][1:]
            row["state"] = "labelled" if row["boxes"] else "empty"
        else:
            row["boxes"][0] |= {"label": "star" if row["boxes"][0]["label"] != "star" else "square"}
    (folder / "boxes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder, sorted(hurt)


def test_defects_go_to_label_studio_and_come_back_mended(lot: Any) -> None:
    folder, hurt = damaged(lot)
    lot.bring_gold(lot.right)
    lot.hand_in(folder)
    lot.do("accept", status=3)
    out = lot.tmp / "rework"
    told = lot.do("rework", "--format", "labelstudio", "--out", out)
    assert (told["score"], told["submission"], told["items"]) == (1, 1, len(hurt) + 10)
    tasks = json.loads((out / "image" / "tasks.json").read_text(encoding="utf-8"))
    assert sorted(task["data"]["item"] for task in tasks) == hurt
    for task in tasks:
        defects = task["data"]["defects"]
        assert defects
        assert task["data"]["defects_text"] == "\n".join(defect["text"] for defect in defects)
        for defect in defects:
            picture = (out / defect["picture"]).read_text(encoding="utf-8")
            assert picture.startswith("<svg")
            assert "data:image/jpeg;base64," in picture
    kinds = {defect["kind"] for task in tasks for defect in task["data"]["defects"]}
    assert {"missed", "wrong_class"} <= kinds
    assert '<Header value="$defects_text"' in (out / "image" / "label_config.xml").read_text(encoding="utf-8")
    right = {row["item"]: row for row in lot.lines("sentiments")}
    texts = json.loads((out / "text" / "tasks.json").read_text(encoding="utf-8"))
    assert {task["data"]["item"] for task in texts} == set(lot.texts[:10])
    for task in texts:
        (region,) = task["predictions"][0]["result"]
        assert region["value"]["choices"] != [right[task["data"]["item"]]["label"]]
        region["value"]["choices"] = [right[task["data"]["item"]]["label"]]
        task["annotations"] = [{"id": 1, "completed_by": 7, "was_cancelled": False, "result": [region]}]
    (out / "text" / "tasks.json").write_text(json.dumps(texts), encoding="utf-8")
    mended = lot.do("import", "--format", "labelstudio", "--as", "submission", "--replace", "1", out / "text" / "tasks.json")
    assert (mended["number"], mended["items"]) == (2, 80)
    verdict = lot.do("accept", status=(3, 4))
    outcomes = {criterion["name"]: criterion["outcome"] for criterion in verdict["criteria"]}
    assert outcomes["text.accuracy"] == "ACCEPT"
    told = next(reason for reason in verdict["reasons"] if reason.startswith("Rework round 1 of 2"))
    assert f"10 of {len(hurt) + 10} items known as wrong are mended" in told


def test_defects_go_to_coco_and_come_back_mended(lot: Any) -> None:
    folder, hurt = damaged(lot)
    lot.bring_gold(lot.right)
    lot.hand_in(folder)
    lot.do("accept", status=3)
    out = lot.tmp / "rework"
    lot.do("rework", "--format", "coco", "--out", out, "--score", "1")
    document = json.loads((out / "instances.json").read_text(encoding="utf-8"))
    assert sorted(image["file_name"] for image in document["images"]) == hurt
    assert all(image["defects"] for image in document["images"])
    right = {row["item"]: row["boxes"] for row in lot.lines("boxes")}
    names = {category["id"]: category["name"] for category in document["categories"]}
    items = {image["id"]: image["file_name"] for image in document["images"]}
    found = [annotation for annotation in document["annotations"] if "defects" in annotation]
    for annotation in found:
        (defect,) = annotation["defects"]
        assert defect["label"] == names[annotation["category_id"]]
        item = items[annotation["image_id"]]
        assert defect["gold_label"] == next(
            box["label"] for box in right[item] if [box[key] for key in "xywh"] == annotation["bbox"]
        )
    wrong = {annotation["image_id"]: annotation["defects"][0]["gold_label"] for annotation in found}
    assert wrong
    ids = {name: category for category, name in names.items()}
    for annotation in found:
        annotation["category_id"] = ids[wrong[annotation["image_id"]]]
    (out / "instances.json").write_text(json.dumps(document), encoding="utf-8")
    lot.do("import", "--format", "coco", "--as", "submission", "--replace", "1", out)
    lot.do("accept", status=3)
    again = lot.do("rework", "--format", "coco", "--out", lot.tmp / "again")
    assert again["items"] == len(hurt) - len(wrong)
    assert "could show" not in lot.cli.err
    assert "written as labelstudio or coco" in lot.refused("rework", "--format", "jsonl", "--out", out)


def test_rework_without_defects_or_score_is_one_sentence(lot: Any) -> None:
    assert "no score yet" in lot.refused("rework", "--format", "coco", "--out", lot.tmp / "out")
    lot.bring_gold(lot.right)
    lot.hand_in(lot.right)
    lot.do("accept")
    assert "found no defect" in lot.refused("rework", "--format", "labelstudio", "--out", lot.tmp / "out")
    assert "no verdict 9 on record" in lot.refused("rework", "--format", "coco", "--out", lot.tmp / "out", "--score", "9")
    assert not (lot.tmp / "out").exists()
