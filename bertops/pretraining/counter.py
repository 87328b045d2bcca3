"""Random numbers as a function of their place: no generator, no state, nothing to replay."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Increment and multipliers of SplitMix64 (Steele, Lea & Flood 2014; constants by Stafford).
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def random_bits(*place: ArrayLike) -> NDArray[np.uint64]:
    """64 random bits for each place, from integer coordinates that broadcast together.

    `random_bits(seed, epoch, rows[:, None], columns)` gives an array of rows x columns. Equal
    places give equal bits on every machine; changing any coordinate by one changes about half of
    them. Each coordinate is folded in with the finaliser of SplitMix64, which is a bijection, so
    places that differ in one coordinate never collide.
    """
    with np.errstate(over="ignore"):
        bits = np.zeros((), dtype=np.uint64)
        for coordinate in place:
            bits = _mix(bits + _GAMMA + np.asarray(coordinate).astype(np.uint64))
        return bits


def random_uniform(*place: ArrayLike) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1) for each place, with 53 random bits; see `random_bits`."""
    return (random_bits(*place) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    bits = (bits ^ (bits >> np.uint64(30))) * _FIRST
    bits = (bits ^ (bits >> np.uint64(27))) * _SECOND
    return bits ^ (bits >> np.uint64(31))
