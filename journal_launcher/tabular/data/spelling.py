"""Plain numbers whose digits say more than their value: 2.270 may be thousands, 01.2023 a month.

A reader keeps a column of them as text. Looking at the values first is quick, and tells it which
columns to read once more.
"""

import math
import re
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "are_months",
    "are_rooms",
    "are_shortened",
    "are_thousands",
    "begins_with_zero",
    "has_commas",
    "matters",
    "may_matter",
    "seem_odd",
    "wholes",
]

_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2}\.[0-9]{3}")
_BELOW = re.compile("[+-]?[0-9]{1,3}")
_MONTH = re.compile(r"(0[1-9]|1[0-2])\.(19|20)[0-9]{2}")
_COMMA = re.compile("[^,]*[0-9],([0-9]{1,2}|[0-9]{4,})[^,0-9]*")
_FIRST = 100  # cells that show whether a column has commas
_ROOM = re.compile("[0-9]{1,4}E[0-9]{1,2}")
_SHORTENED = re.compile(r"[1-9]\.[0-9]{1,5}E\+1[0-9]", re.I)
_ZERO_FIRST = re.compile(r"[+-]?0[0-9]+\.[0-9]*")


def may_matter(values: NDArray[np.float64], commas: bool) -> bool:
    """Whether the digits of such numbers may be worth a look, other than for zeros before them.

    commas: other columns of the file have decimals with commas, or may have.
    """
    known = np.abs(values[np.isfinite(values)])
    if len(known) and (known % 1 == 0).all():  # with exponents, or plain
        return True
    broken = known[known % 1 != 0]
    if not len(broken) or broken.min() < 1 or known.max() >= 1000:
        return False
    thousandths = np.round(broken * 1000)
    whole = commas or bool(((known % 1 == 0) & (known > 0)).any())
    if whole and bool((np.abs(broken * 1000 - thousandths) < 1e-6).all()):
        return True
    years = np.round(broken % 1 * 10_000)
    return bool((broken < 13).all() and (years >= 1900).all() and (years < 2100).all())


def seem_odd(cells: Iterable[str]) -> bool:
    """Whether the first cells of a column let it be worth a look, see `may_matter`."""
    marked = [cell.strip() for cell in cells if "." in cell or "e" in cell.lower()]
    kinds = (_THOUSANDS, _MONTH, _ROOM, _SHORTENED)
    return bool(marked) and any(all(map(kind.fullmatch, marked)) for kind in kinds)


def has_commas(column: Any) -> bool:
    """Whether the first cells of a frame's column are numbers with decimal commas."""
    cells = column.dropna().iloc[:_FIRST] if column.dtype.kind == "O" else ()
    return any(_COMMA.fullmatch(str(cell)) for cell in cells)


def matters(labels: Collection[str], commas: bool) -> bool:
    """Whether these plain numbers are to be kept as they are written."""
    return (
        are_months(labels)
        or are_rooms(labels)
        or are_shortened(labels)
        or begins_with_zero(labels) is not None
        or (are_thousands(labels) and (commas or wholes(labels) is not None))
    )


def are_thousands(labels: Iterable[str]) -> bool:
    """Whether all numbers with a point may be thousands, and the others are smaller."""
    pointed = [label for label in labels if not _BELOW.fullmatch(label)]
    return bool(pointed) and all(map(_THOUSANDS.fullmatch, pointed))


def wholes(labels: Iterable[str]) -> str | None:
    """The first of the numbers that has no point, and is not 0."""
    return next((x for x in labels if _BELOW.fullmatch(x) and not math.isclose(float(x), 0)), None)


def are_months(labels: Collection[str]) -> bool:
    """Whether all are months and years such as 01.2023, and some month has its zero."""
    return any(x.startswith("0") for x in labels) and all(map(_MONTH.fullmatch, labels))


def are_rooms(labels: Collection[str]) -> bool:
    """Whether all whole numbers with an exponent may be codes such as 3E2."""
    marked = [label for label in labels if not label.isdigit()]
    return bool(marked) and all(map(_ROOM.fullmatch, marked))


def are_shortened(labels: Collection[str]) -> bool:
    """Whether all are long numbers of which a sheet shows the first digits alone: 4.1562E+12."""
    return bool(labels) and all(map(_SHORTENED.fullmatch, labels))


def begins_with_zero(labels: Iterable[str]) -> str | None:
    """The first number with a point that has a zero before its digits, as a code has."""
    return next(filter(_ZERO_FIRST.fullmatch, labels), None)
