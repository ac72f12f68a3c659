"""How much each row counts: the column of --weight-column."""

import numpy as np
from numpy.typing import NDArray

from journal_launcher.base.errors import UsageError
from journal_launcher.tabular.data.columns import Typed
from journal_launcher.tabular.data.formats import number_of

__all__ = ["check_weights", "scaled"]

Weights = NDArray[np.float64]


def check_weights(name: str, column: Typed, rows: NDArray[np.int64]) -> Weights:
    """The weights as the file has them, 0 or more. rows: their positions in it.

    Raises:
        UsageError: one is missing, negative or no number, or all are 0; names the row.
    """
    what = f"--weight-column {name}"
    if column.kind != "number":
        place, found = _no_number(column)
        raise UsageError(f"row {rows[place] + 1}, {what}: expected a number, found {found!r}")
    if column.missing.any():
        row = int(rows[np.argmax(column.missing)]) + 1
        found = next((repr(gap.text) for gap in column.gaps if gap.row == row), "none")
        raise UsageError(
            f"row {row}, {what}: expected a weight in every row, found {found}; write 0 to leave "
            "the row out"
        )
    negative = column.values < 0
    if negative.any():
        place = int(np.argmax(negative))
        raise UsageError(
            f"row {rows[place] + 1}, {what}: expected a weight of 0 or more, found "
            f"{column.values[place]:g}"
        )
    if not column.values.any():
        raise UsageError(f"{what}: expected weights above 0, found 0 in all {len(rows):,} rows")
    return column.values


def _no_number(column: Typed) -> tuple[int, str]:
    """(place, text) of the first cell that is no number."""
    if column.kind != "category":
        return int(np.argmax(~column.missing)), column.example
    odd = [code for code, label in enumerate(column.labels) if number_of(label) is None]
    places = np.isin(column.values, odd or range(len(column.labels)))
    place = int(np.argmax(places))
    return place, column.labels[column.values[place]]


def scaled(weights: Weights) -> Weights:
    """Positive weights with a mean of 1: only their ratios are left.

    To seven digits, those that libraries with 32-bit floats use: then weights that are ten times
    as large are the same weights, to the last bit.
    """
    single = (weights / weights.mean()).astype(np.float32)
    positive: Weights = np.maximum(single, np.finfo(np.float32).tiny).astype(np.float64)
    return positive
