import hashlib

import pytest

from qa.bounds import clopper_pearson
from qa.sampling.draw import (
    commitment,
    draw_key,
    draw_order,
    estimation_size,
    max_errors,
    min_errors_to_reject,
    provable_from,
    smallest_sample,
)

ERRORS = (0, 1, 2, 3, 4, 5, 7, 10, 15, 20)
SIZES = {
    (0.95, 0.85): (19, 30, 40, 50, 59, 68, 85, 110, 150, 190),
    (0.95, 0.90): (29, 46, 61, 76, 89, 103, 129, 167, 227, 286),
    (0.95, 0.95): (59, 93, 124, 153, 181, 208, 260, 336, 458, 577),
    (0.95, 0.98): (149, 236, 313, 386, 456, 523, 655, 845, 1151, 1449),
    (0.95, 0.99): (299, 473, 628, 773, 913, 1049, 1312, 1693, 2306, 2902),
    (0.90, 0.90): (22, 38, 52, 65, 78, 91, 116, 152, 210, 267),
    (0.99, 0.90): (44, 64, 81, 97, 113, 127, 156, 197, 262, 325),
}
FINITE = {
    (0.90, 50): {0: 19, 1: 29, 2: 36},
    (0.90, 100): {0: 23, 1: 36, 2: 46},
    (0.90, 200): {0: 26, 1: 40, 2: 53},
    (0.90, 500): {0: 28, 1: 44, 2: 58, 5: 96, 10: 153},
    (0.90, 1000): {0: 28, 1: 45, 2: 59, 5: 99, 10: 159},
    (0.90, 5000): {0: 29, 1: 46, 2: 61, 5: 102, 10: 165},
    (0.90, 50000): {0: 29, 1: 46, 2: 61, 5: 103, 10: 166},
    (0.95, 50): {0: 31, 1: 43},
    (0.95, 100): {0: 39, 1: 58, 2: 73},
    (0.95, 200): {0: 47, 1: 72, 2: 93, 5: 145},
    (0.95, 500): {0: 54, 1: 84, 2: 110, 5: 180, 10: 281},
    (0.95, 1000): {0: 56, 1: 88, 2: 117, 5: 193, 10: 308},
    (0.95, 50000): {0: 59, 1: 93, 2: 124, 5: 208, 10: 336},
}
MAX_ERRORS = {
    0.90: {50: 1, 80: 3, 100: 4, 125: 6, 200: 12, 315: 22, 500: 38, 800: 65, 1000: 84, 1250: 107, 2000: 177},
    0.95: {80: 0, 100: 1, 125: 2, 200: 4, 315: 9, 500: 16, 1000: 38},
    0.98: {200: 0, 315: 2, 500: 4, 1000: 12},
}
REJECTING = {50: 10, 100: 16, 125: 19, 200: 28, 315: 41, 500: 62, 1000: 117}


def test_the_draw_is_that_of_the_reference() -> None:
    manifest = hashlib.sha256(b"manifest").digest()
    key = draw_key(b"client-nonce-A", b"vendor-nonce-B", manifest_sha256=manifest)
    assert key.hex() == "f846a4324e9d451fdeb6af6a9ababbf3c6f6cb645e2e992ad91ba234070241f0"
    items = [f"img-{number:04d}" for number in range(20)]
    order = draw_order(items, key=key)
    assert order[:5] == ["img-0010", "img-0013", "img-0005", "img-0018", "img-0012"]
    assert draw_order(reversed(items), key=key) == order


def test_a_commitment_is_the_digest_of_the_nonce() -> None:
    assert commitment(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_hex_digest_is_refused() -> None:
    with pytest.raises(ValueError, match="64 bytes"):
        draw_key(b"a", b"b", manifest_sha256=hashlib.sha256(b"manifest").hexdigest().encode())


@pytest.mark.parametrize(("confidence", "threshold"), SIZES)
def test_smallest_sample(confidence: float, threshold: float) -> None:
    found = tuple(smallest_sample(threshold, errors=errors, confidence=confidence) for errors in ERRORS)
    assert found == SIZES[confidence, threshold]


@pytest.mark.parametrize(("threshold", "lot"), FINITE)
def test_smallest_sample_of_a_finite_lot(threshold: float, lot: int) -> None:
    for errors, size in FINITE[threshold, lot].items():
        assert smallest_sample(threshold, errors=errors, confidence=0.95, lot=lot) == size


def test_no_sample_of_a_lot_proves_more_than_the_lot_can_hold() -> None:
    assert smallest_sample(0.9, errors=6, confidence=0.95, lot=50) is None
    assert smallest_sample(0.9, errors=5, confidence=0.95, lot=50) is not None


@pytest.mark.parametrize("threshold", MAX_ERRORS)
def test_max_errors(threshold: float) -> None:
    for n, errors in MAX_ERRORS[threshold].items():
        assert max_errors(n, threshold=threshold, confidence=0.95) == errors
        assert clopper_pearson(n - errors, n, confidence=0.95)[0] >= threshold
        assert clopper_pearson(n - errors - 1, n, confidence=0.95)[0] < threshold


def test_max_errors_of_too_few_is_none() -> None:
    assert max_errors(28, threshold=0.9, confidence=0.95) is None


def test_min_errors_to_reject() -> None:
    for n, errors in REJECTING.items():
        assert min_errors_to_reject(n, threshold=0.9, confidence=0.95) == errors
        assert clopper_pearson(n - errors, n, confidence=0.95)[1] < 0.9


@pytest.mark.parametrize(
    ("share", "half_width", "sizes"),
    [
        (0.90, 0.02, {None: 865, 1000: 464, 5000: 738, 50000: 850}),
        (0.90, 0.03, {None: 385, 1000: 278, 5000: 357, 50000: 382}),
        (0.95, 0.02, {None: 457}),
        (0.98, 0.01, {None: 753}),
        (0.50, 0.05, {None: 385}),
    ],
)
def test_estimation_size(share: float, half_width: float, sizes: dict[int | None, int]) -> None:
    for lot, size in sizes.items():
        assert estimation_size(share, half_width=half_width, lot=lot) == size


def test_provable_from() -> None:
    assert [provable_from(threshold, confidence=0.95) for threshold in (0.8, 0.9, 0.95)] == [14, 29, 59]
