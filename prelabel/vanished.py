"""Sources that are gone: a file that somebody deleted is an item's fault, a folder that is not mounted is not.

A predictor rejects what it cannot open, which is right for one file and would be ruinous for a hundred thousand whose disk
went away under the job. So a chunk of which nothing could be opened stops the job before it is written.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from contract.errors import SourceError
from contract.objectstore import exists, is_object
from contract.predictor import UNREADABLE, Source
from contract.tables import State
from prelabel.plan import Chunk

_WITNESSES: Final = 8


def require_sources(chunk: Chunk, answer: pa.Table, chunks: Sequence[Chunk]) -> None:
    """Make sure that `answer` does not reject `chunk`, one of `chunks`, because all of its files are out of reach.

    Raises:
        SourceError: they are, so that the job has to stop until they are back.
    """
    if not answer.num_rows or not _all_unreadable(answer):
        return
    first = chunk.sources[0]
    if _is_here(first):
        raise SourceError(
            f"{first.uri}: the model's process cannot read it though it is here; give every node that runs the model "
            "the same folder, and run the same 'goldgate prelabel' again"
        )
    if len(chunk.sources) > 1 or not any(map(_is_here, _others(chunk, chunks))):
        raise SourceError(
            f"{first.uri}: gone, as are the files beside it in the lot; see that their folder is mounted, and run the same "
            "'goldgate prelabel' again"
        )


def _all_unreadable(answer: pa.Table) -> bool:
    lost = pc.and_(
        pc.equal(answer["state"], State.REJECTED.value), pc.match_substring(pc.fill_null(answer["reason"], ""), UNREADABLE)
    )
    return bool(pc.all(lost).as_py())


def _others(chunk: Chunk, chunks: Sequence[Chunk]) -> list[Source]:
    """Return some sources of the same kind, spread over the lot; the chunk's own where there are no others."""
    same = [other for other in chunks if other.kind is chunk.kind and other.index != chunk.index]
    return [other.sources[0] for other in same[:: max(1, len(same) // _WITNESSES)]] or [*chunk.sources]


def _is_here(source: Source) -> bool:
    return source.data is not None or (exists(source.uri) if is_object(source.uri) else Path(source.uri).exists())
