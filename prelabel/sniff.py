"""What a file is, told from its first bytes and never from its name.

Signatures: the magic numbers registered with IANA for each media type; ISO/IEC 14496-12 (ftyp brands) for the MP4 family;
RFC 8794 and RFC 9559 (EBML, Matroska); ISO/IEC 13818-1 (packets of 188 bytes that begin with 0x47) for MPEG-TS.
"""

import codecs
from typing import Final

from prelabel.encoding import Utf8Check

HEAD_BYTES: Final = 4096

_STILL_BRANDS: Final = {b"avif": "image/avif", b"avis": "image/avif"} | dict.fromkeys(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "image/heic"
)
_AUDIO_BRANDS: Final = frozenset({b"M4A ", b"M4B ", b"M4P "})
_SIGNATURES: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"PAR1", "application/vnd.apache.parquet"),
    (b"FLV\x01", "video/x-flv"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c", "video/x-ms-asf"),
    (b"\x00\x00\x01\xba", "video/mpeg"),
    (b"\x00\x00\x01\xb3", "video/mpeg"),
    (b"ID3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "application/ogg"),
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
    (b"\x1f\x8b", "application/gzip"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
)
_RIFF: Final = {b"WEBP": "image/webp", b"AVI ": "video/x-msvideo", b"WAVE": "audio/wav"}
_WIDE_BOMS: Final = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_TS_PACKET: Final = 188
_TEXT_CONTROLS: Final = frozenset(b"\t\n\r\f\x1b\x08")
_STRAYS_UTF8: Final = 4  # bytes of UTF-8 to a control character that text does not use
_STRAYS: Final = 50  # bytes of any other encoding


def sniff(head: bytes) -> str | None:
    """Return the media type of a file that begins with `head`, or None if it is no kind that is known here.

    Text is "text/plain", whatever its layout; UTF-16 and UTF-32 with a byte-order mark are "text/utf-16".
    """
    for magic, media in _SIGNATURES:
        if head.startswith(magic):
            return media
    return _container(head) or _bitmap(head) or _transport_stream(head) or _text(head)


def _container(head: bytes) -> str | None:
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12])
    if head[:4] == b"\x1aE\xdf\xa3":
        return "video/webm" if b"webm" in head[:64] else "video/x-matroska"
    if head[4:8] == b"ftyp":
        return _iso_media(head)
    if head[4:8] in {b"moov", b"mdat", b"wide", b"free", b"skip"}:
        return "video/quicktime"  # QuickTime before the brand was invented
    if head[:2] in {b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xf1", b"\xff\xf9"}:
        return "audio/mpeg"
    return None


def _iso_media(head: bytes) -> str:
    brand = head[8:12]
    if brand in _STILL_BRANDS:
        return _STILL_BRANDS[brand]
    if brand in _AUDIO_BRANDS:
        return "audio/mp4"
    return "video/quicktime" if brand == b"qt  " else "video/mp4"


def _bitmap(head: bytes) -> str | None:
    # "BM" alone begins many a word: the header length that follows makes it a bitmap.
    if head[:2] == b"BM" and len(head) >= 18 and int.from_bytes(head[14:18], "little") in {12, 40, 52, 56, 64, 108, 124}:
        return "image/bmp"
    return None


def _transport_stream(head: bytes) -> str | None:
    for start, step in ((0, _TS_PACKET), (4, _TS_PACKET + 4)):  # plain, and M2TS with its time stamps
        marks = head[start : start + 5 * step : step]
        if len(marks) >= 3 and set(marks) == {0x47} and b"\x00" in head:
            return "video/mp2t"
    return None


def _text(head: bytes) -> str | None:
    if head.startswith(_WIDE_BOMS):
        return "text/utf-16"
    if not head:
        return None
    # A stray control character is a matter of its row and no reason to refuse a whole table.
    strays = sum(byte < 0x20 and byte not in _TEXT_CONTROLS for byte in head)
    check = Utf8Check()
    check.feed(head)
    if check.valid:
        return "text/plain" if strays * _STRAYS_UTF8 <= len(head) else None
    return "text/plain" if strays * _STRAYS <= len(head) and 0 not in head else None
