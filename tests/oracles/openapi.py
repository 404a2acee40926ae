"""What schemathesis cannot make by itself: Arrow streams, and URIs of the kinds that a service may meet.

Imported for its effect, the registration: by tests, and by the fuzzer through SCHEMATHESIS_HOOKS.
"""

import random
from typing import Any, Final

import jsonschema
import schemathesis
from hypothesis import strategies as st

from contract.predictor import Source
from contract.tables import Kind
from serving.http.lines import MEDIA_TYPE as LINES
from serving.http.wire import MEDIA_TYPE, encode_sources
from tests.oracles.fuzzing import PIECES

_CONTENTS: Final = (
    b"",
    b"good",
    "很好".encode(),
    b"\xff\xfe",
    b"\x89PNG\r\n\x1a\n",
    b"GIF89a\x01\x00\x01\x00\x00\x00\x00",
    None,
)
_PATHS: Final = ("", "a.jpg", "/etc/passwd", "../../a", "/\0", "http://127.0.0.1/a")
_HOSTS: Final = ("example.com", "a.b.example:8080", "localhost", "127.0.0.1", "169.254.169.254", "10.0.0.1:22")
_PARTS: Final = st.text(st.sampled_from("abcxyz019-._~/%?=&"), max_size=12)


def arrow_stream(dice: random.Random) -> bytes:
    """Return a stream of sources, more often than not whole."""
    sources = [
        Source(item=dice.choice(("a", "", "é", str(index))), kind=Kind.TEXT, uri=uri, data=data)
        for index in range(dice.randrange(6))
        for uri, data in [(dice.choice(_PATHS), dice.choice(_CONTENTS))]
    ]
    stream = bytearray(encode_sources(sources))
    for _ in range(dice.choice((0, 0, 0, 1, 1, 4))):
        start = dice.randrange(len(stream))
        piece = dice.choice((dice.choice(PIECES), b"", dice.randbytes(4)))
        stream[start : start + dice.choice((0, 1, len(piece)))] = piece
    return bytes(stream[: dice.randrange(len(stream))] if dice.random() < 0.1 else stream)


@schemathesis.serializer(MEDIA_TYPE)
def _arrow(_: schemathesis.SerializationContext, value: Any) -> Any:
    """Whatever value was drawn says, by its digits, which stream is sent."""
    return value if isinstance(value, bytes) else arrow_stream(random.Random(repr(value)))  # noqa: S311


def json_lines(dice: random.Random) -> bytes:
    """Return a body of lines, some of them items and some of them not."""
    lines = (
        b'{"text": "fine"}',
        b'{"data": "AAAA"}',
        b'{"path": "/etc/passwd"}',
        b'{"uri": "http://127.0.0.1/a"}',
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"text": "\\ud800"}',
        b'{"item": 1}',
        b"\r",
    )
    return b"\n".join(dice.choice(lines) for _ in range(dice.randrange(6)))


@schemathesis.serializer(LINES)
def _lines(_: schemathesis.SerializationContext, value: Any) -> Any:
    """Whatever value was drawn says, by its digits, which lines are sent."""
    return value if isinstance(value, bytes) else json_lines(random.Random(repr(value)))  # noqa: S311


_SCHEMES: Final = st.sampled_from(("http", "https", "s3", "HTTP"))
_WEB_URIS: Final = st.builds("{}://{}/{}".format, _SCHEMES, st.sampled_from(_HOSTS), _PARTS)
_DATA_URIS: Final = st.builds("data:{},{}".format, st.sampled_from(("", "text/plain", "image/png")), _PARTS)
_FILE_URIS: Final = st.builds("file:///{}".format, _PARTS)

schemathesis.openapi.format("uri", _WEB_URIS | _DATA_URIS | _FILE_URIS)


@schemathesis.hook
def filter_case(context: schemathesis.HookContext, case: Any) -> bool:
    """Leave out cases that were drawn against the document and agree with it: changes below oneOf may cancel out."""
    if not case.meta or not case.meta.generation.mode.is_negative or case.media_type != "application/json":
        return True
    operation: Any = context.operation
    content = operation.definition.raw.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    return "$ref" in schema or not jsonschema.Draft202012Validator(schema).is_valid(case.body)
