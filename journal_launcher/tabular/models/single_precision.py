"""What a 32-bit float cannot tell apart, for libraries that keep values as such.

Seconds since 1970 are 128 s apart there. Less their middle, taken off in 64 bits, values far from
zero that differ little come through, and neither trees nor squared errors mind the shift. Values
that 32 bits tell apart stay as they are.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["less", "middles", "target_middle"]

_ENOUGH = 4096
"""Values told apart that are enough for any column: 16 for each of 256 bins."""
_LOST = 0.01
"""Share of the values below which it does not matter that they are one with another."""
_NOISE = 1e-3
"""Of the target's standard deviation: rounding that no model would notice is less."""


def middles(numbers: NDArray[np.float64]) -> dict[int, float]:
    """The median of each column that needs it taken off; of training rows, NaN where missing."""
    found = {}
    for position, column in enumerate(numbers.T):
        present = column[~np.isnan(column)]
        if len(present) and not _held(present):
            low, middle, high = np.quantile(present, (0.25, 0.5, 0.75)).tolist()
            far = abs(middle) > 2 * (high - low)  # or else there is not much to gain
            if far and _merged(present) > 2 * _merged(present - middle):
                found[position] = middle
    return found


def less(numbers: NDArray[np.float64], taken: Mapping[int, float]) -> NDArray[np.float64]:
    """The numbers less the middles of their columns; the same array where there are none."""
    if not taken:
        return numbers
    off = np.zeros(numbers.shape[1])
    off[list(taken)] = list(taken.values())
    return numbers - off


def target_middle(target: NDArray[np.float64], *, rounded_sums: bool = False) -> float:
    """The mean of a regression's training rows if it needs to be taken off, else 0.

    rounded_sums: predictions are summed up in 32 bits, too.
    """
    mean = float(target.mean())
    std = float(target.std())
    near = abs(mean) * np.finfo(np.float32).eps / 2 <= _NOISE * std
    return 0.0 if near or (_held(target) and (std == 0 or not rounded_sums)) else mean


def _single(values: NDArray[np.float64]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def _held(values: NDArray[np.float64]) -> bool:
    return bool((_single(values) == values).all())


def _merged(values: NDArray[np.float64]) -> int:
    """How many of the values that should be told apart are not; 0 where it does not matter."""
    wanted = min(len(np.unique(values)), _ENOUGH)
    lost = wanted - len(np.unique(_single(values)))
    return lost if lost >= _LOST * wanted else 0
