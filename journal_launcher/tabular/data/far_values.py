"""A doubt of values that may stand for none: far away from all others, as -999 and 1900-01-01."""

import re
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from journal_launcher.tabular.data.columns import Typed
from journal_launcher.tabular.data.date_formats import seconds_of

__all__ = ["doubt_far"]

Rows = NDArray[np.int64]

_OTHERS, _FAR = 5, 3.0
"""A value is far away if so many others are near each other: so many times their widest gap."""
_ROWS_OF_CODES = 10
"""In so many rows fewer different values are enough, if they are 0, 1, 2, … as codes are."""
_NOTHING = {
    *(-1.0, -8.0, -9.0, 32767.0, -32768.0, 65535.0, 6553.5, 2147483647.0, -2147483648.0),
    *(3276.7, -3276.8, 327.67, 655.35, 1e20, -1e20),
    *(-999.25, -127.0, -273.15),  # of well logs, and of thermometers that do not answer
}
_USUAL = 0.8  # in fewer rows than that others are no rule to which 0 is an exception
_HUGE = 1e30  # what stands for nothing in files of grids
_NO_DAYS = {
    seconds_of(day)
    for day in (
        *("0001-01-01", "1753-01-01", "1899-12-30", "1899-12-31", "1900-01-01", "1970-01-01"),
        *("2099-12-31", "2199-12-31", "2999-12-31", "3000-01-01", "9999-01-01", "9999-12-31"),
    )
}


def doubt_far(name: str, column: Typed, rows: Rows) -> str | None:
    """A value such as -999 or 1900-01-01 that is far away from all others of its column."""
    if column.kind not in ("number", "date") or column.format == "h:m" or column.missing.all():
        return None
    ends = (np.nanmin(column.values), np.nanmax(column.values))
    if column.kind == "number" and 0 in ends:
        zero = _far_zero(name, column, rows)
        if zero is not None:
            return zero
    if not any(_is_nothing(column.kind, value) for value in ends):
        return None
    known = np.unique(column.values[~column.missing])
    nothing = np.array([_is_nothing(column.kind, value) for value in known])
    others = known[~nothing]
    codes = len(others) > 1 and others[0] >= 0 and others[-1] <= 10 and (np.diff(others) == 1).all()
    codes = codes and np.count_nonzero(np.isin(column.values, others)) >= _ROWS_OF_CODES
    if len(others) < _OTHERS and not codes:
        return None
    low, high, step = others[0], others[-1], _FAR * np.diff(others).max()
    far = [value for value in known[nothing] if value < low - step or value > high + step]
    if not far:
        return None
    return _said(name, column, far, others, rows)


def _far_zero(name: str, column: Typed, rows: Rows) -> str | None:
    """Of 0 beside years, say: so far from all others that these seem near each other."""
    known = np.abs(column.values[~column.missing])
    others = known[known != 0]
    if len(others) < _USUAL * len(known) or others.min() <= 2 * np.ptp(others):
        return None
    years = others.min() >= 1000 and bool((others % 1 == 0).all())
    others = np.unique(others)
    if len(others) < (2 if years else _OTHERS):
        return None
    return _said(name, column, [0.0], others, rows)


def _said(name: str, column: Typed, far: list[float], others: NDArray[Any], rows: Rows) -> str:
    """The doubt of values far away from the others, which are in order."""
    found = []
    for value in far:
        where = column.values == value
        count, row = np.count_nonzero(where), rows[np.argmax(where)] + 1
        times = f"{count:,} rows (as in row {row})" if count > 1 else f"1 row (row {row})"
        found.append(f"{_shown(column.kind, value)} in {times}")
    low, high = (_shown(column.kind, value) for value in (others[0], others[-1]))
    return (
        f"column {name!r}: {', '.join(found)}, while all others are {low} to {high}; if that "
        "stands for a missing value, empty such cells"
    )


def _is_nothing(kind: str, value: float) -> bool:
    if kind == "date":
        return value // 86400 * 86400 in _NO_DAYS
    digits = f"{abs(value):.15g}".replace(".", "")
    return (
        value in _NOTHING
        or abs(value) >= _HUGE
        or (len(digits) > 1 and digits in (d * len(digits) for d in "789"))
        or (value % 1 == 0 and re.fullmatch("9+[78]", digits) is not None)  # beside 99: no answer
    )


def _shown(kind: str, value: float) -> str:
    if kind == "number":
        return f"{value:.15g}"
    return (datetime(1970, 1, 1) + timedelta(seconds=float(value))).date().isoformat()
