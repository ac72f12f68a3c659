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

__all__ = ["Open", "settle"]

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
    orders = {likely[0] for column in columns if len(likely := _orders(column)) == 1}
    points = any(_has_points(column) and not _may_be_thousands(column) for column in columns)
    why = "other columns have decimals with ','" if "," in marks else ""
    why = why or ("the file has ';' between its columns" if semicolons and not points else "")
    settled = {}
    for name, column in found.items():
        if isinstance(column, Typed):
            doubted = why and _may_be_thousands(column)
            settled[name] = column.doubted(_point(name, why) if doubted else None)
        elif column.fits[0].kind == "number":
            settled[name] = _settle_mark(column, marks, semicolons)
        else:
            settled[name] = _settle_order(column, orders, date_order)
    return settled


# --- marks in numbers


def _marks(column: Typed | Open) -> set[str]:
    """The decimal mark that a column proves its file to have, if it proves one."""
    if isinstance(column, Typed):
        if not _has_fractions(column):
            return set()
        return {decimal_mark(column.format) if column.format else "."}
    marks = {decimal_mark(fit.format) for fit in column.fits if fit.kind == "number" and fit.format}
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
    typed = read_as(chosen, column.name, column.texts, column.rows)
    for other in fits.values():
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


def _has_points(column: Typed | Open) -> bool:
    """Whether it is plain numbers, of which some have a decimal point."""
    return isinstance(column, Typed) and not column.format and _has_fractions(column)


def _may_be_thousands(column: Typed | Open) -> bool:
    """Whether numbers with a decimal point have three digits behind it, or none, as 1.234 has.

    Where the last of the three is 0 throughout, fewer were written.
    """
    if not isinstance(column, Typed) or not _has_points(column):
        return False
    values = np.abs(column.values[~column.missing])
    broken = values[values % 1 != 0]
    whole = np.abs(broken * 1000 - np.round(broken * 1000)) < 1e-6
    three = np.abs(broken * 100 - np.round(broken * 100)) > 1e-6
    return bool(three.any() and whole.all() and (broken >= 1).all() and (values < 1000).all())


def _point(name: str, why: str) -> str:
    return (
        f"column {name!r} is read as decimals with '.', but {why}: if 1.234 is a thousand and more "
        "in it, write 1234"
    )


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
