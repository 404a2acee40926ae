"""Sampling: a draw that neither party can steer, and how many items prove a threshold.

The draw: each party publishes SHA-256 of its nonce before the manifest is sealed; afterwards
key = SHA256(client_nonce "|" vendor_nonce "|" manifest_sha256) and the items are ordered by
HMAC-SHA256(key, item). The sample is the first n of that order; extending it takes the next ones.

A later draw from the same lot (after rework, say) is fresh: it takes new nonces, and its key is
SHA256(key "|draw " d "|" seal), with d the number of draws before it in decimal and seal the raw digest
of the submission that is judged, so that even the same nonces would give another sample.
"""

import hashlib
import hmac
import math
from collections.abc import Callable, Iterable

from scipy import special, stats


def commitment(nonce: bytes) -> str:
    """Return what a party publishes before the manifest is sealed: SHA-256 of its nonce, in hex."""
    return hashlib.sha256(nonce).hexdigest()


def draw_key(client_nonce: bytes, vendor_nonce: bytes, *, manifest_sha256: bytes) -> bytes:
    """Return the key of the draw, once both nonces are revealed; `manifest_sha256` is the raw digest.

    Raises:
        ValueError: the digest is not 32 bytes, for example because it is in hex.
    """
    if len(manifest_sha256) != hashlib.sha256().digest_size:
        raise ValueError(f"manifest_sha256 has {len(manifest_sha256)} bytes; give the raw digest of 32")
    return hashlib.sha256(client_nonce + b"|" + vendor_nonce + b"|" + manifest_sha256).digest()


def fresh_key(key: bytes, *, draw: int, seal: bytes) -> bytes:
    """Return the key of the lot's draw `draw` (from 0, which is `key` itself) from the submission with the digest `seal`."""
    return hashlib.sha256(key + f"|draw {draw}|".encode() + seal).digest() if draw else key


def draw_order(items: Iterable[str], *, key: bytes) -> list[str]:
    """Return `items` in the order of the draw, which does not depend on their order here."""
    return sorted(items, key=lambda item: (hmac.new(key, item.encode(), hashlib.sha256).digest(), item))


def smallest_sample(threshold: float, *, errors: int, confidence: float, lot: int | None = None) -> int | None:
    """Return the smallest n that proves a share of at least `threshold` although `errors` are wrong.

    Without `lot`: smallest n with BinomCDF(errors; n, 1 - threshold) <= 1 - confidence. With it the null
    is a lot with D = floor((1 - threshold) lot) + 1 bad items, and n may reach the whole lot; None where
    even that proves nothing (errors >= D).
    """
    alpha = 1 - confidence
    if lot is None:
        return _first(lambda n: bool(special.bdtr(errors, n, 1 - threshold) <= alpha), errors + 1)
    # 1e-9: (1 - .9) * 50 is 4.999999999999999 as a float
    bad = math.floor((1 - threshold) * lot + 1e-9) + 1
    if errors >= bad:
        return None
    return _first(lambda n: bool(stats.hypergeom.cdf(errors, lot, bad, n) <= alpha), errors + 1, lot)


def _first(proves: Callable[[int], bool], low: int, high: int | None = None) -> int:
    """Return the smallest n >= low for which the monotone `proves` holds."""
    top = low
    while high is None and not proves(top):
        top *= 2
    bottom, top = low, top if high is None else high
    while bottom < top:
        middle = (bottom + top) // 2
        if proves(middle):
            top = middle
        else:
            bottom = middle + 1
    return bottom


def max_errors(n: int, *, threshold: float, confidence: float) -> int | None:
    """Return how many of `n` may be wrong for the exact lower limit to reach `threshold`; None: not even 0."""
    alpha = 1 - confidence
    allowed = [errors for errors in range(n + 1) if special.bdtr(errors, n, 1 - threshold) <= alpha]
    return max(allowed, default=None)


def min_errors_to_reject(n: int, *, threshold: float, confidence: float) -> int | None:
    """Return from how many errors of `n` the exact upper limit is below `threshold`; None: not even n."""
    # the upper limit lies below the threshold when seeing so few right is improbable at the threshold
    alpha = 1 - confidence
    rejecting = [errors for errors in range(n + 1) if special.bdtr(n - errors, n, threshold) < alpha]
    return min(rejecting, default=None)


def estimation_size(share: float, *, half_width: float, confidence: float = 0.95, lot: int | None = None) -> int:
    """Return the sample that estimates `share` within `half_width` (Cochran 1977, 4.4), for a finite lot if given."""
    z = float(special.ndtri(1 - (1 - confidence) / 2))
    base = z * z * share * (1 - share) / half_width**2
    return math.ceil(base if lot is None else base / (1 + (base - 1) / lot))


def provable_from(threshold: float, *, confidence: float) -> int:
    """Return the fewest units that can prove `threshold` at all: all right (29 for 90 % at 95 %)."""
    sample = smallest_sample(threshold, errors=0, confidence=confidence)
    if sample is None:
        raise ValueError("an infinite lot always has a sample")
    return sample
