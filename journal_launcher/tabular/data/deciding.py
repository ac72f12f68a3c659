"""Decide what the columns of a file are, and in which format they are written.

What is decided here holds for the whole file and is not fitted: nothing reads how values are
distributed. Text is what all of its values read as; a few slips among numbers are missing values.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from journal_launcher.base.errors import UsageError
from journal_launcher.tabular.data.columns import (
    Gap,
    Typed,
    finite,
    from_dtype,
    list_names,
    rows_of,
    texts_of,
)
from journal_launcher.tabular.data.doubts import (
    MANY,
    MOSTLY,
    SEVERAL_WAYS,
    doubt_beside_numbers,
    doubt_text,
)
from journal_launcher.tabular.data.formats import (
    DATE_FORMATS,
    decimal_mark,
    is_mark,
    number_formats,
    number_of,
    order_of,
    reader_of,
    thousands_mark,
    unit_of,
)

__all__ = ["type_columns", "type_of"]

_EXACT = 2**53
"""From it on, float64 does not tell whole numbers from their neighbours."""
_FEW = 10
"""So many different texts may be slips; more are a kind of their own."""
_COMPACT = 10
"""So many different numbers like 20220131, and nothing else, are dates."""


@dataclass(frozen=True)
class _Fit:
    """One way to read all labels of a column but a few odd ones: their values, NaN for no value."""

    kind: str
    format: str | None
    values: NDArray[np.float64]
    odd: tuple[str, ...]


@dataclass(frozen=True)
class _Open:
    """A column that can be read in several ways."""

    name: str
    texts: Typed
    rows: NDArray[np.int64]
    fits: tuple[_Fit, ...]


def type_of(name: str, series: pd.Series, date_order: str | None = None) -> Typed:
    """Decide what a column is from all of its values, and from nothing else.

    Raises:
        UsageError: as `type_columns`.
    """
    return type_columns(series.to_frame(name), date_order)[name]


def type_columns(
    frame: pd.DataFrame, date_order: str | None = None, semicolons: bool = False
) -> dict[str, Typed]:
    """Decide what each column is.

    What a column leaves open (is 1,234 a thousand, is 01/02/2024 in January?) is as in the other
    columns of the file. date_order: dmy, mdy or ymd, where nothing shows it; none: no such dates.
    semicolons: they stand between the file's columns, mostly because its decimals have commas.

    Raises:
        UsageError: an infinite number, something that is no single value, dates of which nothing
            says the order; names the row.
    """
    names = [str(name) for name in frame.columns]
    found = [_typed_or_open(name, frame.iloc[:, place]) for place, name in enumerate(names)]
    marks = {mark for column in found for mark in _marks(column)}
    orders = {likely[0] for column in found if len(likely := _orders(column)) == 1}
    points = any(_has_points(column) and not _may_be_thousands(column) for column in found)
    why = "other columns have decimals with ','" if "," in marks else ""
    why = why or ("the file has ';' between its columns" if semicolons and not points else "")
    settled = {}
    for name, column in zip(names, found, strict=True):
        if isinstance(column, Typed):
            doubted = why and _may_be_thousands(column)
            settled[name] = replace(column, doubts=(_point(name, why),)) if doubted else column
        elif column.fits[0].kind == "number":
            settled[name] = _settle_mark(column, marks)
        else:
            settled[name] = _settle_order(column, orders, date_order)
    return settled


def _typed_or_open(name: str, series: pd.Series) -> Typed | _Open:
    typed = from_dtype(name, series)
    if typed is not None:
        if pd.api.types.is_integer_dtype(series.dtype) and _collide(typed.values, series.dropna()):
            return replace(texts_of(name, series), notes=(_too_long(name),))
        return _compact_dates(typed) or typed
    texts = texts_of(name, series)
    if _is_padded(texts.labels):
        note = f"column {name!r} is read as categories: numbers in it begin with 0, as codes do"
        return replace(texts, notes=(note,))
    fits = _fits(texts)
    if not fits:
        doubt = doubt_text(name, texts, rows_of(series))
        return replace(texts, doubts=(doubt,) if doubt else ())
    if len(fits) > 1:
        return _Open(name, texts, rows_of(series), fits)
    typed = _read(name, texts, rows_of(series), fits[0])
    doubt = doubt_beside_numbers(name, series, typed.values) if typed.kind == "number" else None
    if doubt:
        typed = replace(typed, doubts=(*typed.doubts, doubt))
    if typed.kind != "number" or typed.format:
        return typed
    if _collide(typed.values, [label for label in texts.labels if _is_whole(label)]):
        return replace(texts, notes=(_too_long(name),))
    return _compact_dates(typed) or typed


def _is_whole(label: str) -> bool:
    return label.isascii() and label.isdigit()


def _collide(values: NDArray[np.float64], whole: Any) -> bool:
    """Whether whole numbers, as floats, would be equal to others."""
    if not len(values) or not bool((np.abs(values) >= _EXACT).any()):
        return False
    exact = {int(value) for value in whole}
    return len({float(value) for value in exact}) < len(exact)


def _too_long(name: str) -> str:
    return (
        f"column {name!r} is read as categories: it holds whole numbers beyond 2^53, which as "
        "numbers would lose their last digits"
    )


def _compact_dates(typed: Typed) -> Typed | None:
    """Numbers like 20220131 as dates, if they are certain to be some."""
    if typed.kind != "number":
        return None
    known = np.unique(typed.values[~np.isnan(typed.values)])
    if len(known) < _COMPACT or known[0] < 19000101 or known[-1] > 20991231:
        return None
    read = reader_of("date", "ymd")
    days = [read(f"{value:.15g}") for value in known]
    if None in days:
        return None
    table = np.array([*days, math.nan], dtype=np.float64)
    places = np.searchsorted(known, typed.values)
    return replace(typed, kind="date", format="ymd", values=table[places])


# --- text


def _is_padded(labels: tuple[str, ...]) -> bool:
    """Whether digits with zeros before them are codes: no other cell is a number with more."""
    if not any(map(re.compile("0[0-9]+").fullmatch, labels)):
        return False
    digits = [label for label in labels if _is_whole(label)]
    others = (label for label in labels if not _is_whole(label))
    return 2 * len(digits) > len(labels) and all(number_of(label) is None for label in others)


def _fits(texts: Typed) -> tuple[_Fit, ...]:
    """The ways that read every text; where there are none, those that read nearly all."""
    nearly: list[tuple[_Fit, ...]] = []
    for kind, names in _families(texts.labels):
        fits = tuple(fit for name in names if (fit := _fit(kind, name, texts.labels)) is not None)
        whole = tuple(fit for fit in fits if not fit.odd)
        if whole:
            return whole
        nearly += [tuple(fit for fit in fits if _has_slips(fit, texts))]
    fewest = min((len(fit.odd) for fits in nearly for fit in fits), default=0)
    best = [tuple(fit for fit in fits if len(fit.odd) == fewest) for fits in nearly]
    return next(filter(None, best), ())


def _families(labels: tuple[str, ...]) -> Iterator[tuple[str, tuple[str | None, ...]]]:
    """Kinds and formats, the first that reads all is right; within a family several may be."""
    for kind in ("boolean", "number", "date"):
        yield kind, (None,)
    yield "number", number_formats(labels)
    yield "date", DATE_FORMATS


def _fit(kind: str, name: str | None, labels: tuple[str, ...]) -> _Fit | None:
    """The labels read in one way, or None if more than a few cannot be."""
    read, odd = reader_of(kind, name), list[str]()
    values = np.full(len(labels) + 1, math.nan)  # the last is what -1, a missing value, has
    for place, label in enumerate(labels):
        value = read(label)
        if value is not None:
            values[place] = value
        elif label != "None" and (kind == "boolean" or not is_mark(label)):
            odd.append(label)
            if len(odd) > _FEW or kind == "boolean":
                return None
    return None if np.isnan(values).all() else _Fit(kind, name, values, tuple(odd))


def _has_slips(fit: _Fit, texts: Typed) -> bool:
    """Whether the odd texts of a fit are slips in a column of numbers or dates."""
    read = ~np.isnan(fit.values)
    rows = np.count_nonzero(read[texts.values])
    odd = np.isin(texts.values, [texts.labels.index(label) for label in fit.odd])
    if rows < MOSTLY * (rows + np.count_nonzero(odd)):
        return False
    distinct = np.unique(fit.values[read])
    return fit.kind == "date" or len(distinct) > MANY or bool((distinct % 1 != 0).any())


def _read(name: str, texts: Typed, rows: NDArray[np.int64], fit: _Fit) -> Typed:
    """The column as the fit reads it."""
    values = finite(name, fit.values[texts.values], rows)
    gaps = []
    for code in np.flatnonzero(np.isnan(fit.values[:-1])):
        if texts.labels[code] == "None":  # Python's word for it, in every kind of column
            continue
        where = texts.values == code
        row = int(rows[np.argmax(where)]) + 1
        gaps.append(Gap(texts.labels[code], int(np.count_nonzero(where)), row))
    notes, doubts = [], []
    marks = [gap for gap in gaps if gap.text not in fit.odd]
    if marks:
        count = sum(gap.count for gap in marks)
        held = list_names([gap.text for gap in marks])
        notes.append(
            f"column {name!r}: {count:,} cell{'s hold' if count > 1 else ' holds'} {held} in place "
            f"of a {fit.kind}: taken as missing"
        )
    if fit.format and unit_of(fit.format) == "%" and fit.kind == "number":
        notes.append(f"column {name!r}: 51.9% is read as 51.9")
    read = [label for n, label in enumerate(texts.labels) if not np.isnan(fit.values[n])]
    if fit.kind == "date" and fit.format not in (None, "h:m") and _has_short_years(read):
        notes.append(f"column {name!r}: years of two digits are read as 1969 to 2068")
    slips = [gap for gap in gaps if gap.text in fit.odd]
    if slips:
        doubts.append(_slips(name, fit.kind, slips, int(rows[-1]) + 1))
    return Typed(
        fit.kind,
        values,
        format=fit.format,
        gaps=tuple(gaps),
        example=read[0],
        notes=tuple(notes),
        doubts=tuple(doubts),
    )


def _has_short_years(dates: list[str]) -> bool:
    return not all(map(re.compile("[0-9]{4}").search, dates))


def _slips(name: str, kind: str, slips: list[Gap], last: int) -> str:
    """What is said of texts in a column of numbers or dates."""
    held = ", ".join(f"{gap.text!r} in row {gap.row}" for gap in slips[:3])
    more = f" and {len(slips) - 3} more" if len(slips) > 3 else ""
    footer = all(gap.count == 1 and gap.row > last - len(slips) for gap in slips)
    cure = "if that is a footer, remove it from the table" if footer else "mend or empty such cells"
    return f"column {name!r}: {kind}s but for {held}{more}: taken as missing; {cure}"


# --- what one column leaves open


def _marks(column: Typed | _Open) -> set[str]:
    """The decimal mark that a column proves its file to have, if it proves one."""
    if isinstance(column, Typed):
        if not _has_fractions(column):
            return set()
        return {decimal_mark(column.format) if column.format else "."}
    marks = {decimal_mark(fit.format) for fit in column.fits if fit.kind == "number" and fit.format}
    return marks if len(marks) == 1 else set()


def _settle_mark(column: _Open, marks: set[str]) -> Typed:
    """Numbers by the file's decimal mark; else a mark like that in 1,234 is of thousands."""
    fits = {str(fit.format): fit for fit in column.fits}
    alike = {name: fit for name, fit in fits.items() if {decimal_mark(name)} == marks}
    why = f"as other columns have decimals with {''.join(marks)!r}" if alike else ""
    alike = alike or fits
    chosen = next(iter(alike.values()))
    if any(not _same(fit, chosen) for fit in alike.values()):
        found = {mark for label in column.texts.labels for mark in ".," if mark in label}
        # No share is a thousand.
        mark_in = decimal_mark if unit_of(next(iter(fits))) == "%" else thousands_mark
        named = [fit for name, fit in alike.items() if {mark_in(name)} == found]
        if not named:
            doubt = f"column {column.name!r} is read as categories: {SEVERAL_WAYS}"
            return replace(column.texts, doubts=(doubt,))
        chosen, why = named[0], "as nothing in the file decides it"
    typed = _read(column.name, column.texts, column.rows, chosen)
    for other in fits.values():
        differ = np.abs(other.values - chosen.values) > 0
        if differ.any():
            place = int(np.argmax(differ))
            doubt = (
                f"column {column.name!r}: {column.texts.labels[place]!r} is read as "
                f"{chosen.values[place]:.15g} and not as {other.values[place]:.15g}, {why}"
            )
            return replace(typed, doubts=(doubt, *typed.doubts))
    return typed


def _has_fractions(column: Typed) -> bool:
    return column.kind == "number" and bool((column.values % 1 > 0).any())


def _has_points(column: Typed | _Open) -> bool:
    """Whether it is plain numbers, of which some have a decimal point."""
    return isinstance(column, Typed) and not column.format and _has_fractions(column)


def _may_be_thousands(column: Typed | _Open) -> bool:
    """Whether numbers with a decimal point have three digits behind it, or none, as 1.234 has."""
    if not isinstance(column, Typed) or not _has_points(column):
        return False
    values = np.abs(column.values[~column.missing])
    broken = values[values % 1 != 0]
    whole = np.abs(broken * 1000 - np.round(broken * 1000)) < 1e-6
    return bool(len(broken) and whole.all() and (broken >= 1).all() and (values < 1000).all())


def _point(name: str, why: str) -> str:
    return (
        f"column {name!r} is read as decimals with '.', but {why}: if 1.234 is a thousand and more "
        "in it, write 1234"
    )


def _same(one: _Fit, other: _Fit) -> bool:
    return np.array_equal(one.values, other.values, equal_nan=True)


def _settle_order(column: _Open, orders: set[str], asked: str | None) -> Typed:
    """Dates in the order that was asked for, or that other columns of the file have."""
    fits = {str(order_of(fit.format)): fit for fit in column.fits}
    likely = _orders(column)
    if asked == "none" and len(likely) > 1:
        return column.texts
    known = {asked} if asked in fits else orders & set(likely)
    if len(likely) > 1 and len(known) != 1:
        first = int(np.argmax(~np.isnan(column.fits[0].values)))
        row = int(column.rows[np.argmax(column.texts.values == first)]) + 1
        raise UsageError(
            f"row {row}, column {column.name!r}: expected dates whose order shows in some row, "
            f"found {column.texts.labels[first]!r} and the like in all; give --date-order "
            f"{' or '.join(likely)}, or none if they are no dates"
        )
    order = str(next(iter(known))) if len(known) == 1 else likely[0]
    typed = _read(column.name, column.texts, column.rows, fits[order])
    if asked in fits or len(likely) == 1:
        return typed
    note = f"column {column.name!r}: dates as {typed.format}, the order in other columns"
    return replace(typed, notes=(note, *typed.notes))


def _orders(column: Typed | _Open) -> list[str]:
    """The orders that a column's dates may have; none where its format has but one."""
    if isinstance(column, Typed):
        order = order_of(column.format)
        return [order] if order else []
    orders = [order for fit in column.fits if (order := order_of(fit.format))]
    if "ymd" not in orders:
        return orders
    parts = [re.split("[/ -]", label)[:3] for label in column.texts.labels]
    years_first = len({part[0] for part in parts}) < len({part[-1] for part in parts})
    # 31/01/22 begins with the year only where there would be more years than days otherwise.
    return orders if years_first else [order for order in orders if order != "ymd"]
