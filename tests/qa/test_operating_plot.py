import struct
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from contract.terms import load_terms, parse_terms
from qa.report import operating_plot
from qa.report.operating_plot import operating_picture
from qa.report.plots import cells
from qa.sampling.chances import chances_of
from qa.words.chancewords import captions
from tests.contract.test_ruleterms import AQL, counting

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
SPACE = "{http://www.w3.org/2000/svg}"


def pictured(name: str) -> Any:
    if name == "aql":
        return chances_of(parse_terms(counting("aql", 0.935, aql=AQL), origin="x"))
    if name == "e_process":
        return chances_of(parse_terms(counting("e_process", 0.9), origin="x"))[:1]
    return chances_of(load_terms(CONFIGS / f"{name}.yaml"))


def texts(svg: bytes) -> list[str]:
    return ["".join(element.itertext()) for element in ET.fromstring(svg).iter(f"{SPACE}text")]  # noqa: S314 - our own


@pytest.mark.parametrize("name", ["model_contract", "demo", "aql", "e_process"])
def test_a_picture_is_well_formed_and_depends_on_its_input_alone(name: str) -> None:
    found = pictured(name)
    svg = operating_picture(found, captions(found))
    assert svg == operating_picture(found, captions(found))
    said = texts(svg)
    for each in found:
        assert f"{each.name} ≥ {each.threshold:g}" in said
    assert "接收 ACCEPT" in said
    assert "甲方风险 client's risk" in said
    assert ("首次抽样即接收 ACCEPT at once" in said) == any(len(each.branches) > 1 for each in found)
    assert "".join(said).replace(" ", "").count(captions(found).zh.replace(" ", "")[:20]) == 1


def test_text_stays_inside_the_picture() -> None:
    found = pictured("aql")
    svg = ET.fromstring(operating_picture(found, captions(found)))  # noqa: S314 - our own
    width, height = (float(value) for value in svg.attrib["viewBox"].split()[2:])
    for element in svg.iter(f"{SPACE}text"):
        x, y = float(element.attrib["x"]), float(element.attrib["y"])
        size = float(element.attrib["style"].split("font-size: ")[1].split("px")[0])
        wide = cells("".join(element.itertext())) * size * 0.6
        anchor = "end" if "text-anchor: end" in element.attrib["style"] else "start"
        if "text-anchor: middle" in element.attrib["style"]:
            continue
        assert 0 < y < height
        assert (x - wide if anchor == "end" else x) > -1
        assert (x if anchor == "end" else x + wide) < width + 1


def test_a_png_has_its_size_and_falls_back_to_english(monkeypatch: pytest.MonkeyPatch) -> None:
    found = pictured("e_process")
    with_chinese = operating_picture(found, captions(found), media="png")
    monkeypatch.setattr(operating_plot, "_chinese_font", lambda: None)
    without = operating_picture(found, captions(found), media="png")
    for image in (with_chinese, without):
        assert image.startswith(b"\x89PNG")
        width, height = struct.unpack(">II", image[16:24])
        assert width == 736
        assert height > 700


@pytest.mark.parametrize("text", ["一二三四五六七八九十。十一", "one two three four five six seven"])
def test_captions_are_broken_to_their_width(text: str) -> None:
    lines = list(operating_plot.wrapped(text, 10))
    assert all(cells(line) <= 12 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert not any(line.startswith("。") for line in lines)


def test_a_long_name_is_cut() -> None:
    assert operating_plot._short("image.class_recall." + "类" * 30).endswith("…")
