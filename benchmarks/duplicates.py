"""How long it takes to group near-duplicates: hashes of pictures and texts, as many as a contract orders.

    python benchmarks/duplicates.py --pictures 100000 --texts 50000

A tenth of the pictures are copies with up to six flipped bits, a fiftieth are plain (all of one hash); a tenth of the texts
come again with other signs.
"""

import argparse
import time

import numpy as np

from qa.duplicates.groups import NO_FRAME, Picture, picture_members, text_members
from qa.review.novelty import farthest_first


def pictures(count: int, seed: int) -> list[Picture]:
    """Return made pictures, copies and plain ones among them."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2**63, count, dtype=np.uint64)
    colours = rng.random((count, 192)).astype(np.float32)
    for row in range(0, count - 1, 10):
        flips = sum(1 << bit for bit in rng.choice(64, rng.integers(0, 7), replace=False).tolist())
        bits[row + 1], colours[row + 1] = bits[row] ^ np.uint64(flips), colours[row] + np.float32(0.005)
    for row in range(5, count, 50):
        bits[row], colours[row] = 0, rng.random()
    return [Picture((f"{row:07}.jpg", NO_FRAME), int(bits[row]), colours[row], 1) for row in range(count)]


def texts(count: int, seed: int) -> dict[str, str]:
    """Return made reviews of 20 words."""
    rng = np.random.default_rng(seed)
    words = ["".join(chr(97 + letter) for letter in rng.integers(0, 26, rng.integers(2, 9))) for _ in range(5_000)]
    weights = 1 / np.arange(1, 5_001)
    chosen = rng.choice(words, (count, 20), p=weights / weights.sum())
    found = {f"t{row:06}": " ".join(chosen[row]) for row in range(count)}
    for row in range(0, count - 1, 10):
        found[f"t{row + 1:06}"] = found[f"t{row:06}"].upper() + "!"
    return found


def main() -> None:
    """Measure, and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--texts", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    some = pictures(options.pictures, options.seed)
    started = time.perf_counter()
    found = picture_members(some)
    print(f"{len(some)} pictures: {len(found)} near-duplicates, {time.perf_counter() - started:.1f} s")
    vectors = np.stack([picture.colours[:84] for picture in some])
    started = time.perf_counter()
    farthest_first(vectors)
    print(f"{len(some)} pictures farthest first: {time.perf_counter() - started:.1f} s")
    many = texts(options.texts, options.seed)
    started = time.perf_counter()
    found = text_members(many)
    print(f"{len(many)} texts: {len(found)} near-duplicates, {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
