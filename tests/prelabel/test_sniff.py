"""The first bytes decide, and nothing crashes on any of them."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from prelabel.sniff import sniff


@pytest.mark.parametrize(
    ("name", "media"),
    [
        ("JPEG", "image/jpeg"),
        ("PNG", "image/png"),
        ("WEBP", "image/webp"),
        ("BMP", "image/bmp"),
        ("TIFF", "image/tiff"),
        ("GIF", "image/gif"),
    ],
)
def test_images_as_pillow_writes_them(name: str, media: str) -> None:
    sink = io.BytesIO()
    Image.new("RGB", (5, 3), (9, 8, 7)).save(sink, name)
    assert sniff(sink.getvalue()[:4096]) == media


@pytest.mark.parametrize(
    ("head", "media"),
    [
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00", "image/heic"),
        (b"\x00\x00\x00\x18ftypM4A \x00\x00\x00\x00", "audio/mp4"),
        (b"\x00\x00\x00\x18ftypqt  \x00\x00\x00\x00", "video/quicktime"),
        (b"RIFF\x10\x00\x00\x00WAVEfmt ", "audio/wav"),
        (b"PK\x03\x04rest", "application/zip"),
        ("BMW 很好".encode(), "text/plain"),
        ("Große Straße".encode("latin-1"), "text/plain"),
        ("utf".encode("utf-16"), "text/utf-16"),
        (b"G" * 4096, "text/plain"),
        (b"", None),
        (b"\x00\x01\x02", None),
        ("很好\x01吃\0".encode(), "text/plain"),
        ("很好吃，下次还来。".encode("gb18030") * 9 + b"\x01", "text/plain"),
        ("很好吃".encode("gb18030") + b"\0", None),
        ("wide".encode("utf-16-le"), None),
        (bytes(range(1, 256)), None),
    ],
)
def test_other_heads(head: bytes, media: str | None) -> None:
    assert sniff(head) == media


@given(st.binary(max_size=600))
def test_any_bytes_get_an_answer(head: bytes) -> None:
    answer = sniff(head)
    assert answer is None or "/" in answer


@given(st.text(alphabet=st.characters(codec="utf-8", min_codepoint=0x4E00, max_codepoint=0x9FFF), min_size=1))
def test_chinese_text_is_text(text: str) -> None:
    assert sniff(text.encode()) == "text/plain"
    assert sniff(text.encode("gb18030")) == "text/plain"
