"""Sources and answers on the wire: Arrow IPC streams (https://arrow.apache.org/docs/format/Columnar.html).

A stream of sources has the columns of `SOURCES`; an answer has those of `contract.answers`.
"""

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from contract.answers import SCHEMAS_OF_ANSWERS
from contract.errors import LabelsError, SourceError
from contract.predictor import Source
from contract.tables import Kind

MEDIA_TYPE: Final = "application/vnd.apache.arrow.stream"

SOURCES: Final = pa.schema(
    [
        pa.field("item", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("data", pa.large_binary()),
    ]
)


# A damaged stream may have names that are no UTF-8, or sizes and offsets of anything.
_DAMAGED: Final = (pa.ArrowException, OSError, ValueError, OverflowError)


def _encode(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def encode_sources(sources: Sequence[Source]) -> bytes:
    """Return `sources` as one stream; their kind travels outside of it."""
    columns = {
        "item": [source.item for source in sources],
        "uri": [source.uri for source in sources],
        "data": [source.data for source in sources],
    }
    return _encode(pa.table(columns, schema=SOURCES))


def decode_sources(data: bytes, kind: Kind) -> list[Source]:
    """Return the sources in the stream `data`.

    Raises:
        SourceError: it is not an Arrow stream, has other columns, or holds a null where none may be.
    """
    try:
        table = pa.ipc.open_stream(data).read_all()
        table.validate(full=True)
    except _DAMAGED as error:
        raise SourceError(f"the body is not an Arrow IPC stream ({str(error).splitlines()[0]})") from error
    if table.schema.names != SOURCES.names or table.schema.types != SOURCES.types:
        raise SourceError("the stream's columns must be item: string, uri: string, data: large_binary")
    if table["item"].null_count or table["uri"].null_count:
        raise SourceError("the columns item and uri must hold no null")
    rows = zip(*(table[name].to_pylist() for name in SOURCES.names), strict=True)
    return [Source(item=item, kind=kind, uri=uri, data=content) for item, uri, content in rows]


def encode_answer(answer: pa.Table) -> bytes:
    """Return `answer` as one stream."""
    return _encode(answer)


def decode_answer(data: bytes, kind: Kind) -> pa.Table:
    """Return the answer in the stream `data`.

    Raises:
        LabelsError: it is not an Arrow stream, or has not the columns of `kind` answers.
    """
    try:
        table = pa.ipc.open_stream(data).read_all().combine_chunks()
        table.validate(full=True)
    except _DAMAGED as error:
        raise LabelsError(f"the answer is not an Arrow IPC stream ({str(error).splitlines()[0]})") from error
    if not table.schema.equals(SCHEMAS_OF_ANSWERS[kind]):
        raise LabelsError(f"the answer does not have the columns of {kind.value} answers")
    return table
