"""Which rows are equal, and whether that makes them copies of each other or is mere chance.

Rows are told apart by the sum of one 64-bit hash a column, so that leaving a column out is one
subtraction. Nothing is decided by hashes alone: what they say is compared with the values.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from journal_launcher.tabular.data.dataset import Rows

__all__ = ["are_copies", "count_repeats", "equal_rows", "exact"]

Column = NDArray[Any]
View = Callable[[Column], NDArray[np.float64]]
_Keys = NDArray[np.uint64]

_AS_MANY = 0.95
"""Equal rows are copies if, without any one column, so large a share of the different rows are
still different. Tables that were stacked, and nearly unique ones, had 0.96 to 1; those in which few
values meet by chance (surveys, categories, ordinal scales) at most 0.73: 16 tables."""


def exact(values: Column) -> NDArray[np.float64]:
    """The values, with one zero and one NaN: those that are equal have equal bits."""
    found = values.astype(np.float64) + 0.0
    found[np.isnan(found)] = np.nan
    return found


def equal_rows(columns: Sequence[Column], view: View = exact, salt: int = 0) -> Rows:
    """(rows,) the unit of each row: the first row that is equal to it in all columns.

    columns: one or more, (rows,) each. view: what of a column is compared. salt: any; it decides
    which rows would have equal hashes by chance.
    """
    units: Rows = np.arange(len(columns[0]))
    rows, keys = units.copy(), np.zeros(len(units), dtype=np.uint64)
    for place, column in enumerate(columns):
        keys = keys + _hashes(view(column[rows]), place, salt)
        if place & (place + 1) == 0:  # after 1, 2, 4, … columns: most rows are alone by then
            _, same, counts = np.unique(keys, return_inverse=True, return_counts=True)
            repeated = counts[same] > 1
            rows, keys = rows[repeated], keys[repeated]
    _, first, same = np.unique(keys, return_index=True, return_inverse=True)
    units[rows] = rows[first[same]]
    later = np.flatnonzero(units != np.arange(len(units)))
    for column in columns:
        if not np.array_equal(_bits(view(column[later])), _bits(view(column[units[later]]))):
            return equal_rows(columns, view, salt + 1)
    return units


def count_repeats(units: Rows) -> int:
    """How many rows equal an earlier one."""
    return int(np.count_nonzero(units != np.arange(len(units))))


def are_copies(columns: Sequence[Column], units: Rows, view: View = exact) -> bool:
    """Whether the equal rows are copies of each other, and not few values that meet by chance.

    They are if leaving out any one column leaves nearly as many different rows: then no column is
    the only difference of many rows, and equality in all of them is no accident. The repeats of a
    single column are chance. units: as `equal_rows` found them. The target is no column here.
    """
    once = np.flatnonzero(units == np.arange(len(units)))
    if len(once) == len(units) or len(columns) < 2:
        return False
    enough = _AS_MANY * len(once)
    keys = _keys(columns, lambda column: view(column[once]))
    for place, column in enumerate(columns):
        if _distinct(keys - _hashes(view(column[once]), place)) >= enough:
            continue  # no fewer: hashes can only hide a difference
        others = [other[once] for other in (*columns[:place], *columns[place + 1 :])]
        if len(once) - count_repeats(equal_rows(others, view)) < enough:
            return False
    return True


def _keys(columns: Sequence[Column], view: View, salt: int = 0) -> _Keys:
    each = (_hashes(view(column), place, salt) for place, column in enumerate(columns))
    return reduce(np.add, each)


def _distinct(keys: _Keys) -> int:
    keys = np.sort(keys)  # np.unique takes many times as long
    return 1 + int(np.count_nonzero(keys[1:] != keys[:-1]))


def _hashes(values: NDArray[np.float64], place: int, salt: int = 0) -> _Keys:
    """(rows,) equal values have equal ones, other columns and salts other ones."""
    return _mixed(_bits(values) + _mixed(np.array([(salt << 32) + place + 1], dtype=np.uint64)))


def _bits(values: NDArray[np.float64]) -> _Keys:
    return values.view(np.uint64)


def _mixed(keys: _Keys) -> _Keys:
    """A bijection that spreads every bit over all (the finaliser of splitmix64)."""
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(keys ^ (keys >> np.uint64(31)))
