"""Is one model better than another, or is it noise? The corrected resampled t-test."""

import math
import statistics
from collections.abc import Sequence

__all__ = ["p_value"]


def p_value(first: Sequence[float], second: Sequence[float]) -> float:
    """Two-sided p of equal means, from the scores of two models on the same K folds.

    The training rows of K folds overlap, so their scores vary less than those of K samples would;
    Nadeau and Bengio (2003) add the share of test to training rows, 1 / (K - 1), to 1 / K.
    """
    from scipy.special import stdtr

    differences = [a - b for a, b in zip(first, second, strict=True)]
    k = len(differences)
    mean, variance = statistics.fmean(differences), statistics.variance(differences)
    if variance == 0:
        return 1.0 if mean == 0 else 0.0
    t = mean / math.sqrt((1 / k + 1 / (k - 1)) * variance)
    return float(2 * stdtr(k - 1, -abs(t)))
