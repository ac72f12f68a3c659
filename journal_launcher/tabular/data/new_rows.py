"""New rows for a model, read as the columns of its schema were: nothing is decided anew."""

import re
from collections import Counter
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from journal_launcher.base.errors import UsageError
from journal_launcher.tabular.data.columns import (
    Typed,
    checked_finite,
    codes_of,
    features_of,
    from_dtype,
    kind_of,
    list_names,
    rows_of,
    texts_of,
)
from journal_launcher.tabular.data.dataset import Column, Features, Schema
from journal_launcher.tabular.data.formats import (
    decimal_mark,
    example_of,
    is_mark,
    reader_of,
    thousands_mark,
    unit_of,
)
from journal_launcher.tabular.data.given_frames import cells_as_texts, plain_column
from journal_launcher.tabular.data.spelling import are_thousands, may_matter

__all__ = ["apply_schema", "unused_columns", "written_columns"]

_FEW_CATEGORIES = 20
"""A column with so few categories has codes: rows that all have others were written otherwise."""
_EVIDENCE = 10
"""Fewer rows with a value prove nothing about a column."""

_NUMBERS = (int, float, Decimal, np.number, np.bool_)
_DATES = (date, np.datetime64)

_Read = tuple[NDArray[Any], list[str]]


def written_columns(schema: Schema) -> set[str]:
    """Columns whose cells are needed as they are written: 01 is not 1, and 1.234 may be 1234."""
    commas = _has_commas(schema)
    return {
        column.name
        for column in schema.columns
        if column.kind in ("category", "text")
        or column.format
        or (commas and column.kind == "number")
    }


def _has_commas(schema: Schema) -> bool:
    """Whether a column of the training data had decimals with commas."""
    numbers = (c.format for c in schema.columns if c.kind == "number" and c.format)
    return any(decimal_mark(name) == "," for name in numbers)


def unused_columns(frame: pd.DataFrame, schema: Schema) -> list[str]:
    """A note on the columns that the model does not use, if there are any."""
    named = {"", schema.target, schema.weight_column}
    used = {*named, *(column.name for column in schema.columns)}
    extra = sorted({str(name) for name in frame.columns} - used)
    return [f"columns that the model does not use: {list_names(extra)}"] if extra else []


def apply_schema(frame: pd.DataFrame, schema: Schema) -> tuple[Features, tuple[str, ...]]:
    """Features of new rows in input order, and notes on values that the training data did not have
    and on columns without values.

    Columns come in any order; the target and the weights are ignored if they are there.

    Raises:
        UsageError: a column is missing, or a value is not in its column's format, or all of a
            column's categories are unknown; names the row. Or there are no rows.
    """
    if not len(frame):
        raise UsageError("expected rows to predict, found none")
    names = [column.name for column in schema.columns]
    found = Counter(str(name) for name in frame.columns)
    missing = [name for name in names if name not in found]
    if missing:
        raise UsageError(
            f"expected the {len(names)} columns that the model was trained on, missing: "
            f"{list_names(missing)}"
        )
    twice = [name for name in names if found[name] > 1]
    if twice:
        raise UsageError(f"expected different column names, found {twice[0]!r} more than once")
    notes: list[str] = []
    commas = _has_commas(schema)
    frame = frame.reset_index(drop=True)
    place = {str(name): number for number, name in enumerate(frame.columns)}
    arrays: dict[str, NDArray[Any]] = {}
    empty = []
    for column in schema.columns:
        series = plain_column(frame.iloc[:, place[column.name]])
        read = {"category": _read_codes, "text": _read_words}.get(column.kind, _read_values)
        arrays[column.name], said = read(column, series)
        typed = kind_of(series.dtype) is not None
        if commas and column.kind == "number" and not column.format and not typed:
            said = [*said, *_about_thousands(column.name, series)]
        notes += said
        cells = arrays[column.name]
        if column.kind == "text":
            without = cells == ""
        else:
            without = cells < 0 if column.kind == "category" else np.isnan(cells)
        if without.all() and not said:
            empty.append(column.name)
    if empty and len(frame) > 1:  # one row with gaps is nothing odd
        notes.append(f"columns without a value in any row: {list_names(empty)}")
    return features_of(schema, arrays, len(frame)), tuple(notes)


def _read_values(column: Column, series: pd.Series) -> _Read:
    """Values of the column's kind in its format; those that the data give as such are taken."""
    typed = from_dtype(column.name, series)
    if typed is not None and typed.missing.all():
        return typed.values, []
    if typed is not None and (
        typed.kind == column.kind or (typed.kind, column.kind) == ("boolean", "number")
    ):
        return typed.values, [*_about_percents(column), *_about_marks(column, typed.values)]
    rows = rows_of(series)
    given = checked_finite(column.name, _given_values(column.kind, series), rows)
    known = ~np.isnan(given)
    values, notes = _read_texts(column, texts_of(column.name, series.mask(known)), rows)
    if not known.any():
        return values, notes
    return np.where(known, given, values), [*_about_percents(column), *notes]


def _about_thousands(name: str, series: pd.Series) -> list[str]:
    """A note on the first text such as 1.200, where other columns have decimals with commas."""
    for text in texts_of(name, series).labels:
        if are_thousands([text]):
            return [
                f"column {name!r}: {text!r} is read as {float(text):.15g}; write thousands without "
                f"marks, as in {text.replace('.', '')}"
            ]
    return []


def _about_marks(column: Column, values: NDArray[np.float64]) -> list[str]:
    """A note on numbers such as 2.27 where 2.270 was a thousand and more in training."""
    form = column.format if column.kind == "number" else None
    if not form or thousands_mark(form) != "." or not may_matter(values, True):
        return []
    broken = values[values % 1 > 0] * 100
    if (np.abs(broken - np.round(broken)) < 1e-6).all():  # none has three digits
        return []
    return [
        f"column {column.name!r}: numbers are taken as they are, "
        f"{values[values % 1 > 0][0]:.15g}; the training data had thousands as in 1.234"
    ]


def _about_percents(column: Column) -> list[str]:
    percents = column.kind == "number" and unit_of(column.format or "") == "%"
    note = f"column {column.name!r}: numbers are taken as percents, 51.9 as 51.9%"
    return [note] if percents else []


def _given_values(kind: str, series: pd.Series) -> NDArray[np.float64]:
    """(rows,) numbers or dates among cells of several types; NaN where a cell is none, as text."""
    values = np.full(len(series), np.nan)
    taken: Any = {"number": _NUMBERS, "date": _DATES}.get(kind)
    if taken is None or pd.api.types.infer_dtype(series, skipna=True) == "string":
        return values
    value_of = float if kind == "number" else _seconds
    for place, (cell, known) in enumerate(zip(series, series.notna(), strict=True)):
        if known and isinstance(cell, taken):
            try:
                values[place] = value_of(cell)
            except OverflowError:
                values[place] = np.inf
    return values


def _seconds(moment: Any) -> float:
    return float(pd.Timestamp(moment).timestamp())


def _read_texts(column: Column, texts: Typed, rows: NDArray[np.int64]) -> _Read:
    read = reader_of(column.kind, column.format)
    values = np.full(len(texts.labels) + 1, np.nan)  # the last is what -1, a missing value, has
    gaps = []
    for place, label in enumerate(texts.labels):
        if column.kind == "boolean":
            label = {"0": "false", "1": "true"}.get(label, label)
        value = read(label)
        if label in column.gap_texts:  # also where today's reader of the format would read it
            gaps.append(place)
        elif value is not None:
            values[place] = value
        elif label == "None":  # as in training
            continue
        elif column.kind != "boolean" and is_mark(label):
            gaps.append(place)
        else:
            row = int(rows[np.argmax(texts.values == place)]) + 1
            example = example_of(column.kind, column.format)
            raise UsageError(
                f"row {row}, column {column.name!r}: expected a {column.kind} as in the training "
                f"data, such as {example}, found {label!r}"
            )
    notes = []
    if gaps:
        count = np.count_nonzero(np.isin(texts.values, gaps))
        held = list_names([texts.labels[place] for place in gaps])
        cells = "1 cell holds" if count == 1 else f"{count:,} cells hold"
        notes.append(f"column {column.name!r}: {cells} {held}: taken as missing")
    return checked_finite(column.name, values[texts.values], rows), notes


def _read_codes(column: Column, series: pd.Series) -> _Read:
    """Codes of the column's categories, -1 where the training data did not have one."""
    texts = texts_of(column.name, cells_as_texts(series))
    codes = codes_of(_spelled_alike(texts, column.categories), column.categories)
    unknown = (codes < 0) & ~texts.missing
    if not unknown.any():
        return codes, []
    count, known = np.count_nonzero(unknown), np.count_nonzero(~texts.missing)
    found = list_names([texts.labels[code] for code in np.unique(texts.values[unknown])])
    if count == known >= _EVIDENCE and len(column.categories) <= _FEW_CATEGORIES:
        raise UsageError(
            f"column {column.name!r}: expected categories as in the training data, such as "
            f"{list_names(list(column.categories))}, found others in all {count:,} rows: {found}; "
            "write them as they were, or leave the cells empty"
        )
    return codes, [
        f"column {column.name!r}: {count:,} row{'s' if count > 1 else ''} with categories that the "
        f"training data did not have: {found}; taken as missing"
    ]


def _read_words(column: Column, series: pd.Series) -> _Read:
    """The texts, empty where missing; what words the model knows is its own matter."""
    return texts_of(column.name, cells_as_texts(series)).cells, []


def _spelled_alike(texts: Typed, categories: tuple[str, ...]) -> Typed:
    """The texts with 1.0 in place of 1, or 1 of 1.0, where only that is a category."""
    exact = set(categories)
    numbers = {name: number for name in categories if (number := _number(name)) is not None}
    times = Counter(numbers.values())
    by_number = {number: name for name, number in numbers.items() if times[number] == 1}
    labels = [
        label if label in exact else by_number.get(_number(label) or "", label)
        for label in texts.labels
    ]
    return replace(texts, labels=tuple(labels))


def _number(label: str) -> str | None:
    """A number without the zeros behind its point, as 1 of 1.0; not of 01, which is another."""
    if not re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]*)?", label):
        return None
    return label.rstrip("0").rstrip(".") if "." in label else label
