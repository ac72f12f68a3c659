"""Whole numbers that are no amounts: codes with zeros in front, long ids, dates like 20220131."""

import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from journal_launcher.tabular.data.columns import Typed, rows_of, texts_of
from journal_launcher.tabular.data.doubts import MOSTLY
from journal_launcher.tabular.data.fits import Fit, read_as
from journal_launcher.tabular.data.formats import is_mark, number_of, reader_of
from journal_launcher.tabular.data.frames import EXACT

__all__ = ["as_codes", "as_long_ids", "with_dates"]

_DATES = 10
"""So many different numbers like 20220131, and nothing else, are dates."""
_DATE = re.compile("(19|20)[0-9]{6}([0-9]{2}){0,3}")
_YEAR_LAST = re.compile("([0-2][0-9]|3[01]){2}(19|20)[0-9]{2}")
_NO_DATE = re.compile("0+|9+|9999[0-9]+|-1")
"""What stands among such dates where there is none."""


def as_codes(name: str, texts: Typed) -> Typed | None:
    """The texts, if they are digits with zeros before them and no other cell is a longer number."""
    if not any(map(re.compile("0[0-9]+").fullmatch, texts.labels)):
        return None
    digits = [label for label in texts.labels if _is_whole(label)]
    others = (label for label in texts.labels if not _is_whole(label))
    if 2 * len(digits) <= len(texts.labels) or any(number_of(o) is not None for o in others):
        return None
    start = f"column {name!r} is read as categories"
    codes = replace(texts, notes=(f"{start}: numbers in it begin with 0, as codes do",))
    if not all(map(_YEAR_LAST.fullmatch, texts.labels)):
        return codes
    return codes.doubted(f"{start}: {texts.labels[0]!r} may be a date; write dates as 2024-01-31")


def as_long_ids(name: str, series: pd.Series, numbers: Typed) -> Typed | None:
    """The texts of a column that as numbers would have equal ones where they differ."""
    types = pd.api.types
    if numbers.kind != "number" or not (np.abs(numbers.values) >= EXACT).any():
        return None
    whole: Any = series.dropna() if types.is_integer_dtype(series.dtype) else ()
    if not types.is_numeric_dtype(series.dtype):
        whole = filter(_is_whole, texts_of(name, series).labels)
    exact = {int(value) for value in whole}
    if len({float(value) for value in exact}) == len(exact):
        return None
    note = (
        f"column {name!r} is read as categories: it holds whole numbers beyond 2^53, which as "
        "numbers would lose their last digits"
    )
    return replace(texts_of(name, series), notes=(note,))


def with_dates(name: str, series: pd.Series, typed: Typed) -> Typed:
    """The column as dates where all of its digits are some, or with a doubt where nearly all are.

    Only where that is certain: a column of ids may hold a few that look like dates.
    """
    if typed.kind == "number" and not _in_range(typed.values):
        return typed
    texts, rows = texts_of(name, series), rows_of(series)
    read = reader_of("date", "ymd")
    days = {n: read(label) for n, label in enumerate(texts.labels) if _DATE.fullmatch(label)}
    known = {n: value for n, value in days.items() if value is not None}
    others = [
        n
        for n, label in enumerate(texts.labels)
        if n not in known
        and label != "None"
        and not is_mark(label)
        and not _NO_DATE.fullmatch(label)
    ]
    counts = np.bincount(texts.values[texts.values >= 0], minlength=len(texts.labels))
    right, wrong = counts[list(known)].sum(), counts[others].sum()
    if len(known) < 2 or right <= MOSTLY * (right + wrong):
        return typed
    if not others and len(known) >= _DATES and len({len(texts.labels[n]) for n in known}) == 1:
        values = np.full(len(texts.labels) + 1, math.nan)
        values[list(known)] = list(known.values())
        return read_as(Fit("date", "ymd", values), name, texts, rows)
    kind = "categories" if typed.kind == "category" else "numbers"
    start = f"column {name!r} is read as {kind}, but {texts.labels[next(iter(known))]!r} and"
    if others:
        row = int(rows[np.argmax(texts.values == others[0])]) + 1
        odd = f"row {row} holds {texts.labels[others[0]]!r}"
        doubt = f"{start} most others may be dates; {odd}: mend or empty such cells if they are"
    else:
        doubt = f"{start} all others may be dates; write 2024-01-31 if they are"
    return typed.doubted(doubt)


def _in_range(values: NDArray[np.float64]) -> bool:
    """Whether most may be dates of 1900 to 2099; looking at the digits takes a hundred times as
    long."""
    known = values[~np.isnan(values)]
    like = sum(
        np.count_nonzero((known >= 1900 * 10**more) & (known < 2100 * 10**more))
        for more in (4, 6, 8, 10)
    )
    return bool(like > len(known) / 2)


def _is_whole(label: str) -> bool:
    return label.isascii() and label.isdigit()
