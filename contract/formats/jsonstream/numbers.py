"""Decimal numbers to float64, rounded as Python's float() rounds: to nearest, ties to even.

Source: D. Lemire, "Number parsing at a gigabyte per second", Software: Practice and Experience 51 (2021); W. D. Clinger,
"How to read floating point numbers accurately" (1990) for the exact case of small powers of ten.
"""

from typing import Final

import numpy as np

from contract.compiled import compiled

MOST_DIGITS: Final = 19  # as many as a uint64 always holds
_POWER: Final = 288  # powers of ten within which no result of 19 digits is subnormal or infinite
_EXACT_POWER: Final = 22  # 10 ** 22 is the last power of ten that a float64 holds exactly
_EXACT_WHOLE: Final = np.uint64(1 << 53)
_HIDDEN_BIT: Final = np.uint64(1 << 52)
_LOW_HALF: Final = np.uint64(0xFFFFFFFF)
_HALF: Final = np.uint64(32)
_ALL_ONES: Final = np.uint64(0xFFFFFFFFFFFFFFFF)
_UNDECIDED: Final = np.uint64(0x1FF)  # the bits of a product's upper half below those that a float64 and its rounding take
_ONE: Final = np.uint64(1)
_THREE: Final = np.uint64(3)
_ZERO: Final = np.uint64(0)
_TWO_LOWEST: Final = -1074


def _leading_bits(power: int) -> int:
    """Return the leading 128 bits of 5 ** `power`: cut off where it is whole, rounded up where it is a reciprocal."""
    five: int = 5 ** abs(power)
    if power >= 0:
        shift = five.bit_length() - 128
        return five >> shift if shift > 0 else five << -shift
    return (1 << (five.bit_length() + 127)) // five + 1


# Module-wide, so that they become constants of the compiled code: tables that are handed on cost thrice its time.
_FIVES: Final = tuple(_leading_bits(power) for power in range(-_POWER, _POWER + 1))
_FIVE_HIGH: Final = np.array([five >> 64 for five in _FIVES], np.uint64)
_FIVE_LOW: Final = np.array([five & ((1 << 64) - 1) for five in _FIVES], np.uint64)
_TEN: Final = np.array([float(10**power) for power in range(_EXACT_POWER + 1)])
_TWO: Final = np.ldexp(1.0, np.arange(_TWO_LOWEST, 1024))


@compiled
def decimal_to_float(digits: np.uint64, power: int) -> tuple[float, bool]:
    """Return `digits` * 10 ** `power`, and whether that could be told; a far power is left to Python's float()."""
    if digits == _ZERO:
        return 0.0, True
    if digits <= _EXACT_WHOLE and -_EXACT_POWER <= power <= _EXACT_POWER:
        value = float(digits)
        return (value * _TEN[power] if power >= 0 else value / _TEN[-power]), True
    if power < -_POWER or power > _POWER:
        return 0.0, False
    return _from_product(digits, power)


@compiled
def _from_product(digits: np.uint64, power: int) -> tuple[float, bool]:
    """Round the product of the digits with 128 bits of the power of five (Lemire 2021, algorithm 1)."""
    zeros = _leading_zeros(digits)
    shifted = digits << np.uint64(zeros)
    at = power + _POWER
    high, low = _product(shifted, _FIVE_HIGH[at])
    if (high & _UNDECIDED) == _UNDECIDED:
        more, _ = _product(shifted, _FIVE_LOW[at])
        low = low + more
        if low < more:
            high = high + _ONE
    if low == _ALL_ONES:  # what was cut off might carry into the upper half
        return 0.0, False
    top = int(high >> np.uint64(63))
    shift = np.uint64(top + 9)
    mantissa = high >> shift
    if low <= _ONE and -4 <= power <= 23 and (mantissa & _THREE) == _ONE and (mantissa << shift) == high:
        mantissa = mantissa & ~_ONE  # exactly between two floats: to the even one
    mantissa = (mantissa + (mantissa & _ONE)) >> _ONE
    # floor(log2(10 ** power)) as a product, exact for these powers (Lemire 2021, section 5).
    exponent = ((217706 * power) >> 16) + 63 + top - zeros - 52
    return float(mantissa) * _TWO[exponent - _TWO_LOWEST], True


@compiled
def _product(one: np.uint64, other: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Return the upper and the lower half of a product of 128 bits."""
    one_low, one_high = one & _LOW_HALF, one >> _HALF
    other_low, other_high = other & _LOW_HALF, other >> _HALF
    lowest = one_low * other_low
    middle = one_high * other_low + (lowest >> _HALF)
    crossed = one_low * other_high + (middle & _LOW_HALF)
    high = one_high * other_high + (middle >> _HALF) + (crossed >> _HALF)
    return high, (crossed << _HALF) | (lowest & _LOW_HALF)


@compiled
def _leading_zeros(value: np.uint64) -> int:
    """Return how many zero bits stand before the first one of `value`, which is not zero."""
    count = 0
    for step in (32, 16, 8, 4, 2, 1):
        if (value >> np.uint64(64 - step)) == _ZERO:
            value = value << np.uint64(step)
            count += step
    return count
