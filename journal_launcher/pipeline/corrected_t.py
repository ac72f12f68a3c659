"""Is one model better than another, or is it noise? The corrected resampled t-test."""

import math
import statistics
from collections.abc import Sequence

__all__ = ["corrected_t"]


def corrected_t(
    first: Sequence[float], second: Sequence[float], growing: bool = False
) -> tuple[float, float]:
    """(t, two-sided p) of equal means, from the scores of two models on the same K folds.

    t is how many standard errors the first mean lies above the second.

    The training rows of K folds overlap, so their scores vary less than those of K samples would;
    Nadeau and Bengio (2003) add the quotient of test and training rows, 1 / (K - 1), to 1 / K.
    growing: of a time split, where it is 1, 1/2, … 1/K, and the mean of these counts.
    """
    from scipy.special import stdtr

    differences = [a - b for a, b in zip(first, second, strict=True)]
    k = len(differences)
    mean = statistics.fmean(differences)
    variance = statistics.variance(differences)
    if variance == 0:
        return (0.0, 1.0) if mean == 0 else (math.copysign(math.inf, mean), 0.0)
    quotient = statistics.fmean(1 / i for i in range(1, k + 1)) if growing else 1 / (k - 1)
    t = mean / math.sqrt((1 / k + quotient) * variance)
    return t, float(2 * stdtr(k - 1, -abs(t)))
