"""The plan of a job: a lot's items cut into chunks, the same for every run of the same lot."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from contract.errors import StageError
from contract.files import sha256_json
from contract.predictor import Source
from contract.tables import Kind

# Images: a call long enough to hide its own cost and short enough to lose little on a crash.
# Texts: enough of each length that a model's batches hardly need padding.
# Videos: each is work enough for a call.
CHUNK_ITEMS: Final = MappingProxyType({Kind.IMAGE: 128, Kind.TEXT: 2048, Kind.VIDEO: 1})


@dataclass(frozen=True)
class Chunk:
    """A run of items of one kind that is labelled, written and receipted together."""

    index: int
    kind: Kind
    sources: tuple[Source, ...]
    inputs_sha256: str

    @property
    def shard_name(self) -> str:
        """File name of the chunk's labels."""
        return f"shard-{self.index:05d}.parquet"

    @property
    def receipt_name(self) -> str:
        """File name of the chunk's receipt."""
        return f"receipt-{self.index:05d}.json"


def plan_chunks(items: pa.Table, texts: Mapping[str, str], sizes: Mapping[Kind, int] = CHUNK_ITEMS) -> list[Chunk]:
    """Cut the manifest `items` into chunks: kind by kind, in the manifest's order, numbered from 0.

    Args:
        items: the table `tables.ITEMS`.
        texts: content of each text item.
        sizes: items in a chunk of each kind.

    Raises:
        StageError: the content of a text item is absent.
    """
    chunks: list[Chunk] = []
    for kind in Kind:
        rows = items.filter(pc.equal(items["kind"], kind.value))
        for piece in _pieces(rows, sizes[kind]):
            inputs = [[row["item"], row["sha256"]] for row in piece]
            sources = tuple(_source(kind, row, texts) for row in piece)
            chunks.append(Chunk(len(chunks), kind, sources, sha256_json(inputs)))
    return chunks


def _pieces(rows: pa.Table, size: int) -> Iterator[list[dict[str, str]]]:
    columns = rows.select(["item", "uri", "sha256"])
    for start in range(0, columns.num_rows, size):
        yield columns.slice(start, size).to_pylist()


def _source(kind: Kind, row: Mapping[str, str], texts: Mapping[str, str]) -> Source:
    if kind is not Kind.TEXT:
        return Source(row["item"], kind, row["uri"])
    if row["item"] not in texts:
        raise StageError(f"the lot has no content for text {row['item']!r}; its texts.parquet was changed: take it in again")
    return Source(row["item"], kind, row["uri"], texts[row["item"]].encode())


def count_by_kind(items: pa.Table) -> dict[Kind, int]:
    """Return how many items of each kind the manifest `items` holds."""
    counts = pc.value_counts(items["kind"]).to_pylist()
    return {Kind(count["values"]): count["counts"] for count in counts}


def count_items(chunks: Sequence[Chunk]) -> int:
    """Return how many items `chunks` hold."""
    return sum(len(chunk.sources) for chunk in chunks)
