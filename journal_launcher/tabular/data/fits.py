"""The ways in which all texts of a column can be read, but for a few that are slips."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from journal_launcher.tabular.data.columns import Gap, Typed, checked_finite, list_names
from journal_launcher.tabular.data.date_formats import DATE_FORMATS, doubtful_zone
from journal_launcher.tabular.data.doubts import MANY, MOSTLY, hours_of
from journal_launcher.tabular.data.formats import (
    is_mark,
    number_formats,
    number_of,
    reader_of,
    unit_of,
)
from journal_launcher.tabular.data.spelling import are_months, are_thousands

__all__ = ["Fit", "as_spelled", "fits_of", "read_as"]

_SHORT_CLOCK = re.compile("[0-9]{1,2}:[0-9]{2}")
_THREE_GROUPS = re.compile("[0-9]{3}[ .'][0-9]{3}[ .'][0-9]{3}")
_LONG_CLOCK = re.compile("[0-9]+:[0-9]{2}:[0-9]{2}.*")
_FEW = 10
"""So many different texts may be slips; more are a kind of their own."""


@dataclass(frozen=True)
class Fit:
    """One way to read all labels of a column but a few odd ones: their values, NaN for no value."""

    kind: str
    format: str | None
    values: NDArray[np.float64]
    odd: tuple[str, ...] = ()


def fits_of(texts: Typed) -> tuple[Fit, ...]:
    """The ways that read every text; where there are none, those that read nearly all."""
    nearly: list[tuple[Fit, ...]] = []
    for kind, names in _families(texts.labels):
        fits = tuple(fit for name in names if (fit := _fit(kind, name, texts.labels)) is not None)
        whole = tuple(fit for fit in fits if not fit.odd)
        if whole:
            return whole
        nearly += [tuple(fit for fit in fits if _has_slips(fit, texts))]
    fewest = min((len(fit.odd) for fits in nearly for fit in fits), default=0)
    best = [tuple(fit for fit in fits if len(fit.odd) == fewest) for fits in nearly]
    return next(filter(None, best), ())


def as_spelled(texts: Typed) -> tuple[Fit, ...]:
    """Ways to read plain numbers that may be none, by their digits: 01.2023, or 2.270 beside 600.

    Of the latter, as numbers with a decimal point, and as thousands.
    """
    labels = []
    for label in texts.labels:
        if number_of(label) is not None:
            labels.append(label)
        elif label != "None" and not is_mark(label):
            return ()
    if not labels:
        return ()
    ways: tuple[tuple[str, str | None], ...] = ()
    if are_months(labels):
        ways = (("date", "m.y"),)
    elif are_thousands(labels):
        ways = (("number", None), ("number", "1.234,5"))
    fits = tuple(_fit(kind, name, texts.labels) for kind, name in ways)
    return tuple(fit for fit in fits if fit is not None)


def _families(labels: tuple[str, ...]) -> Iterator[tuple[str, tuple[str | None, ...]]]:
    """Kinds and formats, the first that reads all is right; within a family several may be."""
    for kind in ("boolean", "number", "date"):
        yield kind, (None,)
    yield "number", number_formats(labels)
    yield "date", DATE_FORMATS


def _fit(kind: str, name: str | None, labels: tuple[str, ...]) -> Fit | None:
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
    known = ~np.isnan(values[:-1])
    if not known.any() or all(labels[place].endswith("-") for place in np.flatnonzero(known)):
        return None  # 12- and 30- may be open ranges: only beside 12 it is a minus
    return Fit(kind, name, values, tuple(odd))


def _has_slips(fit: Fit, texts: Typed) -> bool:
    """Whether the odd texts of a fit are slips in a column of numbers or dates."""
    read = ~np.isnan(fit.values)
    rows = np.count_nonzero(read[texts.values])
    odd = np.isin(texts.values, [texts.labels.index(label) for label in fit.odd])
    if rows < MOSTLY * (rows + np.count_nonzero(odd)):
        return False
    distinct = np.unique(fit.values[read])
    return fit.kind == "date" or len(distinct) > MANY or bool((distinct % 1 != 0).any())


def read_as(fit: Fit, name: str, texts: Typed, rows: NDArray[np.int64]) -> Typed:
    """The column as the fit reads it."""
    values = checked_finite(name, fit.values[texts.values], rows)
    gaps = []
    for code in np.flatnonzero(np.isnan(fit.values[:-1])):
        if texts.labels[code] == "None":  # Python's word for it, in every kind of column
            continue
        where = texts.values == code
        row = int(rows[np.argmax(where)]) + 1
        gaps.append(Gap(texts.labels[code], int(np.count_nonzero(where)), row))
    slips = [gap for gap in gaps if gap.text in fit.odd]
    return Typed(
        fit.kind,
        values,
        format=fit.format,
        gaps=tuple(gaps),
        example=texts.labels[np.argmax(~np.isnan(fit.values))],
        notes=tuple(_notes(fit, name, texts, [gap for gap in gaps if gap.text not in fit.odd])),
        doubts=(
            *([_slips(name, fit.kind, slips, int(rows[-1]) + 1)] if slips else []),
            *(_zones(fit, name, texts) if fit.kind == "date" and fit.format else []),
            *(_clocks(fit, name, texts) if fit.format == "h:m" else []),
            *(_groups(fit, name, texts) if fit.kind == "number" and fit.format else []),
        ),
    )


def _notes(fit: Fit, name: str, texts: Typed, marks: list[Gap]) -> Iterator[str]:
    read = [place for place in range(len(texts.labels)) if not np.isnan(fit.values[place])]
    if marks:
        count = sum(gap.count for gap in marks)
        held = list_names([gap.text for gap in marks])
        yield (
            f"column {name!r}: {count:,} cell{'s hold' if count > 1 else ' holds'} {held} in place "
            f"of a {fit.kind}: taken as missing"
        )
    if fit.kind == "number" and fit.format:
        signs = [place for place in read if re.search(r"\(|-$", texts.labels[place])]
        for place in signs[:1]:
            yield f"column {name!r}: {texts.labels[place]!r} is read as {fit.values[place]:.15g}"
        if unit_of(fit.format) == "%":
            yield f"column {name!r}: 51.9% is read as 51.9"
    if fit.format == "h:m":
        long = [place for place in read if (hours_of(texts.labels[place]) or 0) > 23]
        for place in long[:1]:
            value = f"{fit.values[place]:.15g} seconds"
            yield f"column {name!r}: {texts.labels[place]!r} is read as a duration, {value}"
    if fit.kind == "date" and fit.format not in (None, "h:m"):
        short = [place for place in read if not re.search("[0-9]{4}", texts.labels[place])]
        if short:
            yield f"column {name!r}: years of two digits are read as 1969 to 2068"


def _zones(fit: Fit, name: str, texts: Typed) -> Iterator[str]:
    """A doubt of the first zone whose name others have too."""
    if not doubtful_zone("\n".join(texts.labels)):  # much quicker than one by one
        return
    for place, label in enumerate(texts.labels):
        if not np.isnan(fit.values[place]) and (zone := doubtful_zone(label)):
            yield (
                f"column {name!r}: {label!r} is read as {zone}, but other places have a zone of "
                f"that name; write {zone} or what it is"
            )
            return


def _clocks(fit: Fit, name: str, texts: Typed) -> Iterator[str]:
    """Doubts of 12:30 beside 1:02:03, which may be minutes, and of 1:20 where all begin so."""
    read = [texts.labels[place] for place in np.flatnonzero(~np.isnan(fit.values[:-1]))]
    short = [label for label in read if _SHORT_CLOCK.fullmatch(label)]
    if short and any(map(_LONG_CLOCK.fullmatch, read)):
        value = float(fit.values[texts.labels.index(short[0])])
        yield (
            f"column {name!r}: {short[0]!r} is hours and minutes, {value:.15g} seconds, beside "
            "times with seconds; write 0: before it if it is minutes and seconds"
        )
    elif len(read) > 2 and len(short) == len(read) and all(x.startswith("1:") for x in read):
        yield (
            f"column {name!r}: {read[0]!r} is read as a time; write ratios and scales as the "
            "numbers behind ':'"
        )


def _groups(fit: Fit, name: str, texts: Typed) -> Iterator[str]:
    """A doubt of 757 323 896 and others of as many digits: they may be phone numbers, or ids."""
    read = [texts.labels[place] for place in np.flatnonzero(~np.isnan(fit.values[:-1]))]
    if len(read) > 2 and all(map(_THREE_GROUPS.fullmatch, read)):
        value = fit.values[texts.labels.index(read[0])]
        yield (
            f"column {name!r}: {read[0]!r} is read as {value:.0f}; "
            "remove the column if these are phone numbers or ids"
        )


def _slips(name: str, kind: str, slips: list[Gap], last: int) -> str:
    """What is said of texts in a column of numbers or dates."""
    held = ", ".join(f"{gap.text!r} in row {gap.row}" for gap in slips[:3])
    more = f" and {len(slips) - 3} more" if len(slips) > 3 else ""
    footer = all(gap.count == 1 and gap.row > last - len(slips) for gap in slips)
    cure = "if that is a footer, remove it from the table" if footer else "mend or empty such cells"
    return f"column {name!r}: {kind}s but for {held}{more}: taken as missing; {cure}"
