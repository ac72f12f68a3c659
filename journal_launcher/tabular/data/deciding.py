"""Decide what the columns of a file are, and in which format they are written.

What is decided here holds for the whole file and is not fitted: nothing reads how values are
distributed. Text is what all of its values read as; a few slips among numbers are missing values.
"""

from dataclasses import replace

import pandas as pd

from journal_launcher.tabular.data.columns import Typed, from_dtype, plain_kind, rows_of, texts_of
from journal_launcher.tabular.data.digits import as_codes, as_long_ids, with_dates
from journal_launcher.tabular.data.doubts import (
    doubt_beside_numbers,
    doubt_blocks,
    doubt_codes,
    doubt_dates,
    doubt_groups,
    doubt_orders,
    doubt_text,
    doubt_times,
    note_case,
)
from journal_launcher.tabular.data.far_values import doubt_far
from journal_launcher.tabular.data.fits import as_spelled, fits_of, read_as
from journal_launcher.tabular.data.settling import Open, settle

__all__ = ["type_columns", "type_of"]


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
    found = {name: _typed_or_open(name, frame.iloc[:, n]) for n, name in enumerate(names)}
    rows = rows_of(frame)
    typed = {
        name: column.doubted(doubt_far(name, column, rows))
        for name, column in settle(found, date_order, semicolons).items()
    }
    return doubt_blocks(typed, rows)


def _as_given(name: str, series: pd.Series) -> Typed:
    kind, texts = plain_kind(name, series), texts_of(name, series)
    note = f"column {name!r} is read as categories, as its type says; a file's would be a {kind}"
    return texts if kind == "category" else replace(texts, notes=(note,))


def _typed_or_open(name: str, series: pd.Series) -> Typed | Open:
    if isinstance(series.dtype, pd.CategoricalDtype):  # a DataFrame says so, no file does
        return _as_given(name, series)
    typed = from_dtype(name, series)
    if typed is not None:
        return as_long_ids(name, series, typed) or with_dates(name, series, typed)
    texts, rows = texts_of(name, series), rows_of(series)
    codes = as_codes(name, texts)
    if codes is not None:
        return with_dates(name, series, codes)
    as_written = pd.api.types.infer_dtype(series, skipna=True) == "string"
    fits = (as_written and as_spelled(texts)) or fits_of(texts)
    times = doubt_times(name, texts)
    if times:
        return texts.doubted(times)
    if not fits:
        doubt = doubt_text(name, texts, rows) or doubt_groups(name, texts, rows)
        return replace(texts.doubted(doubt), notes=note_case(name, texts))
    no_date = doubt_dates(name, texts, rows, fits[0].format) if fits[0].kind == "date" else None
    if no_date:
        return texts.doubted(no_date)
    if len(fits) > 1:
        return Open(name, texts, rows, fits)
    typed = read_as(fits[0], name, texts, rows)
    if typed.kind == "date":
        return typed.doubted(doubt_orders(name, texts, rows) if fits[0].odd else None)
    if typed.kind == "boolean":
        return typed
    typed = typed.doubted(doubt_beside_numbers(name, series, typed.values))
    typed = typed.doubted(doubt_codes(name, texts) if not typed.format else None)
    if typed.format:
        return typed
    return as_long_ids(name, series, typed) or with_dates(name, series, typed)
