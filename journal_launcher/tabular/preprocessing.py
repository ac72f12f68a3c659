"""Features as one dense matrix, for networks and linear models.

Everything is fitted from the rows given to `Encoder.fit` and from nothing else.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from journal_launcher.tabular.data.dataset import Features

__all__ = ["Encoder"]

_RARE = 5
"""A category in fewer training rows is merged into "other"."""
_LEVELS, _ALL_LEVELS = 64, 512
"""Levels kept of one category column, and of all of them together."""
_KNOTS = 64
"""Points of the curve that maps a number column to a normal distribution."""


@dataclass(frozen=True)
class Encoder:
    """How columns become a matrix: numbers, then missing indicators, then one-hot categories.

    fills: (number columns,) medians, which stand for missing values.
    quantiles: (number columns, knots), evenly spaced in rank: a value becomes what a standard
    normal variable of the same rank is, in between linearly, beyond the ends no further. No knots:
    values stay as they are.
    indicators: number columns in which training rows had missing values.
    levels: the codes with a column of their own, for each category column; every other code,
    missing and unseen among them, shares one more column.
    """

    fills: NDArray[np.float64]
    quantiles: NDArray[np.float64]
    indicators: NDArray[np.int64]
    levels: tuple[NDArray[np.int32], ...]

    @classmethod
    def fit(cls, features: Features, to_normal: bool = True) -> "Encoder":
        """Fit on training rows (at least one): fill gaps, one-hot encode, and `to_normal` gives
        each number column the ranks of a standard normal variable."""
        numbers = features.numbers
        missing = np.isnan(numbers)
        fills = np.array(
            [_median(column[~gaps]) for column, gaps in zip(numbers.T, missing.T, strict=True)]
        )
        filled = np.where(missing, fills, numbers)
        ranks = _ranks(_KNOTS) if to_normal else np.empty(0)
        quantiles = np.quantile(filled, ranks, axis=0).T
        most = max(1, min(_LEVELS, _ALL_LEVELS // max(1, features.codes.shape[1])))
        levels = tuple(_frequent(column, most) for column in features.codes.T)
        indicators = np.flatnonzero(missing.any(axis=0))
        return cls(fills, quantiles, indicators, levels)

    @property
    def width(self) -> int:
        """Columns of the matrix."""
        one_hot = sum(len(kept) + 1 for kept in self.levels)
        return len(self.fills) + len(self.indicators) + one_hot

    def transform(
        self, features: Features, dtype: type[np.float32] | type[np.float64] = np.float32
    ) -> NDArray[Any]:
        """(rows, width), never NaN."""
        matrix = np.empty((len(features), self.width), dtype=dtype)
        missing = np.isnan(features.numbers)
        filled = np.where(missing, self.fills, features.numbers)
        for position, knots in enumerate(self.quantiles):
            matrix[:, position] = _to_normal(filled[:, position], knots)
        at = len(self.fills)
        matrix[:, at : at + len(self.indicators)] = missing[:, self.indicators]
        at += len(self.indicators)
        for column, kept in zip(features.codes.T, self.levels, strict=True):
            one_hot = column[:, None] == kept
            matrix[:, at : at + len(kept)] = one_hot
            at += len(kept)
            matrix[:, at] = ~one_hot.any(axis=1)
            at += 1
        return matrix

    def to_json(self) -> dict[str, Any]:
        return {
            "fills": self.fills.tolist(),
            "quantiles": self.quantiles.tolist(),
            "indicators": self.indicators.tolist(),
            "levels": [kept.tolist() for kept in self.levels],
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Encoder":
        return cls(
            np.array(content["fills"], dtype=np.float64),
            np.array(content["quantiles"], dtype=np.float64),
            np.array(content["indicators"], dtype=np.int64),
            tuple(np.array(kept, dtype=np.int32) for kept in content["levels"]),
        )


def _median(present: NDArray[np.float64]) -> float:
    return float(np.median(present)) if len(present) else 0.0


def _ranks(knots: int) -> NDArray[np.float64]:
    """Evenly spaced in (0, 1)."""
    return (np.arange(knots) + 0.5) / knots


def _to_normal(values: NDArray[np.float64], knots: NDArray[np.float64]) -> NDArray[np.float64]:
    if not len(knots):
        return values
    # A value that fills several knots has the mean of their ranks.
    distinct, inverse, counts = np.unique(knots, return_inverse=True, return_counts=True)
    ranks = np.bincount(inverse, weights=_ranks(len(knots))) / counts
    return np.asarray(np.interp(values, distinct, ndtri(ranks)), dtype=np.float64)


def _frequent(codes: NDArray[np.int32], most: int) -> NDArray[np.int32]:
    """The codes that are not rare, at most `most` of them, sorted; of equal counts the smaller."""
    found, counts = np.unique(codes, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:most]
    return np.sort(found[order][counts[order] >= _RARE]).astype(np.int32)
