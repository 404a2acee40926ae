"""XML as a stream: everything that is well-formed comes through, and every attack is one sentence."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import FormatError
from contract.formats.xmlstream import DEEPEST, XmlStream, escaped, read_tree, read_xml

FIT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff")
    | st.sampled_from("\t\n\r")
)

LAUGHS = """<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>
<annotations>&c;</annotations>"""
FETCH = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>'


def told(document: bytes, size: int = 1 << 16) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []

    def start(name: str, attributes: dict[str, str]) -> bool:
        found.append(("start", name, *(part for pair in attributes.items() for part in pair)))
        return True

    stream = XmlStream(start, lambda name, text: found.append(("end", name, text)), where="f.xml")
    stream.feed([document[at : at + size] for at in range(0, len(document), size)])
    return found


@given(FIT, FIT, st.integers(1, 9))
def test_escaped_texts_come_back_however_the_file_is_cut(name: str, text: str, size: int) -> None:
    attribute, content = (escaped(each, what="text") for each in (name, text))
    document = f'<r>\n<a n="{attribute}">{content}</a></r>'.encode()
    expected = [("start", "r"), ("start", "a", "n", name), ("end", "a", text), ("end", "r", "")]
    assert told(document, size) == expected
    leaf = ET.fromstring(document)[0]  # noqa: S314 (what has just been written)
    assert (leaf.attrib["n"], leaf.text or "") == (name, text)


@given(st.characters(categories=["Cc", "Cs"], exclude_characters="\t\n\r", min_codepoint=0, max_codepoint=0xDFFF))
def test_what_xml_cannot_hold_is_refused(character: str) -> None:
    if "\x7f" <= character <= "\x9f":
        assert escaped(character, what="item") == character
        return
    with pytest.raises(FormatError, match=rf"^item .* holds U\+{ord(character):04X}, which XML cannot"):
        escaped(f"a{character}", what="item")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (LAUGHS, "f.xml: declares a document type"),
        (FETCH, "f.xml: declares a document type"),
        ('<!DOCTYPE x SYSTEM "http://127.0.0.1/x.dtd"><x/>', "f.xml: declares a document type"),
        ("", "f.xml: not an XML document: it is empty"),
        ("\n  ", "f.xml: not an XML document: it is empty"),
        ("<a><b>", r"f.xml: ends before its elements do \(line 1, column 7\); the file may be cut off"),
        ("<a><b x='1", r"f.xml: ends before its elements do .*; the file may be cut off"),
        ("<a><![CDATA[x", r"f.xml: ends before its elements do .*; the file may be cut off"),
        ("<a>\n</b>", r"f.xml: not an XML document: mismatched tag \(line 2, column 3\)"),
        ("{}", r"f.xml: not an XML document: not well-formed \(invalid token\) \(line 1, column 1\)"),
        ("<a/><b/>", "f.xml: not an XML document: junk after document element"),
        ("<a>&nbsp;</a>", "f.xml: not an XML document: undefined entity"),
        ("<?xml version='1.0' encoding='gb2312'?><a/>", "f.xml: in the encoding 'gb2312'; save it in UTF-8"),
        ("<a>" * 40 + "</a>" * 40, f"f.xml: line 1: elements stand {DEEPEST} deep"),
        ("<a>" + "x" * (2 << 20) + "</a>", "f.xml: line 1: a text of more than 1048576 characters"),
        ("<a><!--" + "x" * (17 << 20) + "--></a>", "f.xml: line 1: more than 16 MiB without a tag"),
        ("<a b='" + "x" * (17 << 20) + "'/>", "f.xml: line 1: more than 16 MiB without a tag"),
    ],
    ids=range(17),
)  # fmt: skip
def test_bad_documents_are_told_in_one_sentence(document: str, message: str) -> None:
    with pytest.raises(FormatError, match=f"^{message}") as raised:
        told(document.encode())
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("data", [b"<a>\xff</a>", b"\xef\xbb<a/>", b"\0<a/>"])
def test_other_encodings_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError, match=r"^f\.xml: (not an XML document|ends before)"):
        told(data)


@pytest.mark.parametrize("data", [b"\xef\xbb\xbf<?xml version='1.0' encoding='UTF-8'?><a/>", "<a/>".encode("utf-16")])
def test_byte_order_marks(data: bytes) -> None:
    assert told(data) == [("start", "a"), ("end", "a", "")]


def test_tree() -> None:
    root = read_tree("<a k='v'><b>\u00e9</b><b/> <c><d>2</d></c></a>".encode(), where="f.xml")
    assert root.attrib == {"k": "v"}
    assert [(each.tag, each.text or "") for each in root.iter()] == [
        ("a", ""),
        ("b", "\u00e9"),
        ("b", ""),
        ("c", ""),
        ("d", "2"),
    ]
    with pytest.raises(FormatError, match=r"^f\.xml: declares a document type"):
        read_tree(LAUGHS.encode(), where="f.xml")


def test_absent_file(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"x\.xml: cannot be read \(no such file or directory\)"):
        read_xml(tmp_path / "x.xml", lambda *_: False, lambda *_: None)
    with pytest.raises(FormatError, match="cannot be read"):
        read_xml(tmp_path, lambda *_: False, lambda *_: None)
