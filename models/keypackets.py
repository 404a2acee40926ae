"""Packets from which decoding gives exact pictures at once, among those that a container calls keyframes."""

from collections.abc import Iterator
from typing import Final

import av

# ITU-T H.264 (2021): NAL unit types (table 7-1) and the SEI payload that tells of a recovery point (D.1.8).
_IDR: Final = 5
_SEI: Final = 6
_RECOVERY_POINT: Final = 6
_TYPE: Final = 0x1F
_LENGTH_PREFIXED: Final = 1  # first byte of an AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1)


def begins_exactly(packet: "av.Packet[av.VideoStream]", codec: av.VideoCodecContext) -> bool:
    """Tell whether from this keyframe's packet on every picture that is shown later is decoded exactly.

    In H.264 a container may also mark pictures that others are mended from bit by bit (periodic intra refresh): an IDR
    picture is exact, and so is a recovery point that needs no further frames, as open GOPs have.
    """
    if codec.name != "h264":
        return True
    for unit in _units(bytes(packet), codec.extradata):
        kind = unit[0] & _TYPE
        if kind == _IDR or (kind == _SEI and _recovers_at_once(unit)):
            return True
    return False


def _units(data: bytes, extradata: bytes | None) -> Iterator[bytes]:
    """Yield the NAL units of a packet, none of them empty; of those with slices it is not certain where they end."""
    if extradata and extradata[0] == _LENGTH_PREFIXED and len(extradata) > 4:
        size, at = (extradata[4] & 3) + 1, 0
        while at + size < len(data):
            end = at + size + int.from_bytes(data[at : at + size], "big")
            if end > at + size:
                yield data[at + size : end]
            at = end
    else:
        yield from (unit for unit in data.split(b"\0\0\1")[1:] if unit)


def _recovers_at_once(unit: bytes) -> bool:
    """Tell whether a SEI unit holds a recovery point whose recovery_frame_cnt, an Exp-Golomb code, is 0: a single 1."""
    body = unit[1:].replace(b"\0\0\3", b"\0\0")
    at = 0
    while at + 2 < len(body):
        values = []
        for _ in ("type", "size"):
            value = 0
            while at < len(body) and body[at] == 0xFF:
                value, at = value + 0xFF, at + 1
            if at >= len(body):
                return False
            values.append(value + body[at])
            at += 1
        kind, size = values
        if kind == _RECOVERY_POINT and size and at < len(body):
            return bool(body[at] & 0x80)
        at += size
    return False
