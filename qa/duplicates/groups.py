"""Groups of near-duplicates, each with a representative that people label.

Pictures and texts are taken by preference: the largest first, then by name. Each goes to the representative that is nearest
among those near enough, or becomes one itself (leader clustering, Hartigan 1975). So every member is near its own
representative, and no chain of small steps joins what is far apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contract.tables import Kind
from qa.duplicates.hamming import HammingIndex
from qa.duplicates.similartexts import SimilarTexts, runs_of

RADIUS: Final = 6  # bits of 64
COLOURS: Final = 0.03  # mean difference of 8 x 8 colours, as a share of full range
SHARE: Final = 0.9  # of runs of three characters
NO_FRAME: Final = -1

DUPLICATES: Final = pa.schema(
    [
        pa.field("group", pa.int64(), nullable=False),  # from 1
        pa.field("item", pa.string(), nullable=False),
        pa.field("frame", pa.int64(), nullable=False),  # of a keyframe; -1 for a whole item
        pa.field("kind", pa.string(), nullable=False),
        pa.field("representative", pa.string(), nullable=False),  # the group's; of itself the item
        pa.field("representative_frame", pa.int64(), nullable=False),
        pa.field("apart", pa.float64(), nullable=False),  # bits of 64, or 1 - likeness
    ]
)

Place = tuple[str, int]


@dataclass(frozen=True)
class Picture:
    """An image, or a keyframe of a video: its hash, its colours as an array of shares of full range, its pixels."""

    place: Place
    bits: int
    colours: NDArray[np.float32]
    pixels: int


class Member(NamedTuple):
    """One that is near its representative."""

    place: Place
    representative: Place
    apart: float


def picture_members(pictures: Sequence[Picture], *, radius: int = RADIUS, colours: float = COLOURS) -> list[Member]:
    """Return which pictures have a representative other than themselves.

    Near is a hash within `radius` bits, and colours that differ by at most `colours` in the mean.
    """
    index, leaders, found = HammingIndex(radius), list[Picture](), list[Member]()
    seen = np.zeros((0, 0), np.float32)
    for picture in sorted(pictures, key=lambda each: (-each.pixels, each.place)):
        numbers, apart = index.near(picture.bits)
        if numbers.size:
            differences = np.abs(seen[numbers] - picture.colours).mean(axis=1)
            near = differences <= colours
            numbers, apart, differences = numbers[near], apart[near], differences[near]
        if numbers.size:
            best = np.lexsort((numbers, differences, apart))[0]
            found.append(Member(picture.place, leaders[numbers[best]].place, float(apart[best])))
            continue
        if len(leaders) == len(seen):
            grown = np.zeros((max(2 * len(seen), 1024), picture.colours.size), np.float32)
            grown[: len(seen)] = seen.reshape(len(seen), -1) if len(seen) else 0
            seen = grown
        seen[len(leaders)] = picture.colours
        leaders.append(picture)
        index.add(picture.bits)
    return found


def text_members(texts: Mapping[str, str], *, share: float = SHARE) -> list[Member]:
    """Return which texts have a representative other than themselves: item -> content, alike to at least `share`."""
    runs = {item: runs_of(text) for item, text in texts.items()}
    index, leaders, found = SimilarTexts(share, runs.values()), list[str](), list[Member]()
    for item in sorted(runs, key=lambda each: (-len(runs[each]), each)):
        near = index.near(runs[item])
        if near:
            number, alike = max(near, key=lambda pair: (pair[1], -pair[0]))
            found.append(Member((item, NO_FRAME), (leaders[number], NO_FRAME), 1 - alike))
        else:
            leaders.append(item)
            index.add(runs[item])
    return found


def group_table(kind: Kind, members: Sequence[Member], *, first: int = 1) -> pa.Table:
    """Return the groups of `kind` (columns of `DUPLICATES`), numbered from `first` by their representatives.

    The representative stands first in its group, then the members by name.
    """
    by_leader: dict[Place, list[Member]] = {}
    for member in members:
        by_leader.setdefault(member.representative, []).append(member)
    rows = []
    for number, leader in enumerate(sorted(by_leader), first):
        for place, apart in [(leader, 0.0), *((each.place, each.apart) for each in sorted(by_leader[leader]))]:
            rows.append((number, *place, kind.value, *leader, apart))
    columns = zip(*rows, strict=True) if rows else [[] for _ in DUPLICATES]
    return pa.table(dict(zip(DUPLICATES.names, map(list, columns), strict=True)), schema=DUPLICATES)
