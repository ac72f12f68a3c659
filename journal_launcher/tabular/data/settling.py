"""What one column leaves open: whether 1,234 is a thousand, and 01/02/2024 in January.

The other columns of the file decide it, or the one who launches; else it is a doubt, or refused.
"""

import re
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from journal_launcher.base.errors import UsageError
from journal_launcher.tabular.data.columns import Typed
from journal_launcher.tabular.data.date_formats import order_of
from journal_launcher.tabular.data.doubts import SEVERAL_WAYS, doubt_orders
from journal_launcher.tabular.data.fits import Fit, read_as
from journal_launcher.tabular.data.formats import decimal_mark, thousands_mark, unit_of
from journal_launcher.tabular.data.spelling import wholes

__all__ = ["Open", "settle"]

_CHOICES = 20  # a question has no more
_NOTHING_DECIDES = "as nothing in the file decides it"


@dataclass(frozen=True)
class Open:
    """A column that can be read in several ways."""

    name: str
    texts: Typed
    rows: NDArray[np.int64]
    fits: tuple[Fit, ...]


def settle(
    found: dict[str, Typed | Open], date_order: str | None, semicolons: bool
) -> dict[str, Typed]:
    """The columns of a file, each as the others show that it is written; see `type_columns`."""
    columns = found.values()
    marks = {mark for column in columns for mark in _marks(column)}
    # In a file with ';' a decimal point is a code's, as in 88.81: its commas are those of numbers.
    usual = {","} if semicolons and "," in marks else marks
    orders = {likely[0] for column in columns if len(likely := _orders(column)) == 1}
    settled = {}
    for name, column in found.items():
        if isinstance(column, Typed):
            settled[name] = column.doubted(_two_marks(name, column, usual, semicolons))
        elif column.fits[0].kind == "number" and column.fits[0].format is None:
            settled[name] = _settle_point(column, usual, semicolons)
        elif column.fits[0].kind == "number":
            settled[name] = _settle_mark(column, usual, semicolons)
        else:
            settled[name] = _settle_order(column, orders, date_order)
    return settled


# --- marks in numbers


def _two_marks(name: str, column: Typed, marks: set[str], semicolons: bool) -> str | None:
    """A doubt of 2,5 in a file that has decimals with points, too: it may be two choices.

    Also where all are like lists of choices: two small numbers, the greater one last.
    """
    form = column.format
    if not form or _marks(column) != {","} or unit_of(form):
        return None
    start = f"column {name!r}: {column.example!r} is read as a decimal with ','"
    cure = "if it is a list, give each of its values a column"
    if len(marks) > 1:
        return f"{start}, but other columns have decimals with '.'; {cure}"
    if semicolons:
        return None
    pairs = np.unique(column.values[column.values % 1 > 0])
    tens = np.round(pairs % 1 * np.where(np.round(pairs * 10, 6) % 1 == 0, 10, 100), 6)
    first = np.floor(pairs)
    small = len(np.unique(first)) > 1 and first.min() >= 1 and tens.max() <= _CHOICES
    rising = len(pairs) > 2 and small and (tens % 1 == 0).all() and (first < tens).all()
    return (
        f"{start}, and in each the second number is greater than the first; {cure}"
        if rising
        else None
    )


def _marks(column: Typed | Open) -> set[str]:
    """The decimal mark that a column proves its file to have, if it proves one."""
    if isinstance(column, Typed):
        if not _has_fractions(column):
            return set()
        return {decimal_mark(column.format) if column.format else "."}
    numbers = [fit.format for fit in column.fits if fit.kind == "number"]
    marks = {decimal_mark(name) if name else "." for name in numbers}
    return marks if len(marks) == 1 else set()


def _settle_mark(column: Open, marks: set[str], semicolons: bool) -> Typed:
    """Numbers by the file's decimal mark; else a mark like that in 1,234 is of thousands.

    A file has semicolons between its columns because its decimals have commas.
    """
    fits = {str(fit.format): fit for fit in column.fits}
    alike = {name: fit for name, fit in fits.items() if {decimal_mark(name)} == marks}
    why = f"as other columns have decimals with {''.join(marks)!r}" if alike else ""
    alike = alike or fits
    chosen = next(iter(alike.values()))
    if any(not _same(fit, chosen) for fit in alike.values()):
        found = {mark for label in column.texts.labels for mark in ".," if mark in label}
        commas = semicolons and not marks and found == {","}
        # No share is a thousand.
        mark_in = decimal_mark if commas or unit_of(next(iter(fits))) == "%" else thousands_mark
        named = [fit for name, fit in alike.items() if {mark_in(name)} == found]
        if not named:
            doubt = f"column {column.name!r} is read as categories: {SEVERAL_WAYS}"
            return column.texts.doubted(doubt)
        chosen = named[0]
        why = "as the file has ';' between its columns" if commas else _NOTHING_DECIDES
    return _doubted(column, chosen, why)


def _settle_point(column: Open, marks: set[str], semicolons: bool) -> Typed:
    """Numbers such as 1.234: decimals, but where the file shows that it is a thousand and more.

    It is one beside decimals with commas; and, in a file without other decimals, beside 600, if
    2.270 has kept a zero that 600.000 has not, or ';' stands between the columns.
    """
    plain, thousands = column.fits
    labels = column.texts.labels
    whole = wholes(labels)
    shortened = any("." in label and label.endswith("0") for label in labels)
    chosen, why = plain, _NOTHING_DECIDES
    if marks == {","}:
        chosen, why = thousands, "as other columns have decimals with ','"
    elif whole is not None and shortened and not marks:
        chosen, why = thousands, f"as {whole!r} stands beside it"
    elif semicolons and not marks:
        chosen, why = thousands if whole else plain, "as the file has ';' between its columns"
    elif "," not in marks and (whole is None or (marks and not shortened)):
        return read_as(plain, column.name, column.texts, column.rows)
    return _doubted(column, chosen, why)


def _doubted(column: Open, chosen: Fit, why: str) -> Typed:
    """The column as the fit reads it, and a doubt of the first label that another one reads
    otherwise."""
    typed = read_as(chosen, column.name, column.texts, column.rows)
    for other in column.fits:
        differ = np.abs(other.values - chosen.values) > 0
        if differ.any():
            place = int(np.argmax(differ))
            doubt = (
                f"column {column.name!r}: {column.texts.labels[place]!r} is read as "
                f"{chosen.values[place]:.15g} and not as {other.values[place]:.15g}, {why}"
            )
            return typed.doubted(doubt)
    return typed


def _has_fractions(column: Typed) -> bool:
    return column.kind == "number" and bool((column.values % 1 > 0).any())


def _same(one: Fit, other: Fit) -> bool:
    return np.array_equal(one.values, other.values, equal_nan=True)


# --- orders of dates


def _settle_order(column: Open, orders: set[str], asked: str | None) -> Typed:
    """Dates in the order that was asked for, or that other columns of the file have."""
    fits = {str(order_of(fit.format)): fit for fit in column.fits}
    likely = _orders(column)
    if asked == "none" and len(likely) > 1:
        return column.texts
    known = {asked} if asked in fits else orders & set(likely)
    if len(likely) > 1 and len(known) != 1:
        both = doubt_orders(column.name, column.texts, column.rows)
        if both:
            raise UsageError(both)
        first = int(np.argmax(~np.isnan(column.fits[0].values)))
        row = int(column.rows[np.argmax(column.texts.values == first)]) + 1
        raise UsageError(
            f"row {row}, column {column.name!r}: expected dates whose order shows in some row, "
            f"found {column.texts.labels[first]!r} and the like in all; give --date-order "
            f"{' or '.join(likely)}, or none if they are no dates"
        )
    order = str(next(iter(known))) if len(known) == 1 else likely[0]
    typed = read_as(fits[order], column.name, column.texts, column.rows)
    if asked in fits or len(likely) == 1:
        return typed
    note = f"column {column.name!r}: dates as {typed.format}, the order in other columns"
    return replace(typed, notes=(note, *typed.notes))


def _orders(column: Typed | Open) -> list[str]:
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
