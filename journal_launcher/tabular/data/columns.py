"""One column of a frame to a typed array: numbers, booleans, dates or categories.

What is decided here holds for the whole file and is not fitted: types, sorted labels, dates as
seconds. Nothing reads how values are distributed. Rows count from 1, the first below the header.
"""

import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from journal_launcher.base.errors import UsageError
from journal_launcher.tabular.data.frames import MISSING
from journal_launcher.tabular.data.table import Column, Features, Rows, Schema

__all__ = ["Typed", "apply_schema", "features_of", "list_names", "number_of", "type_of"]

_DATE = re.compile(
    r"\d{4}[-/]\d\d([-/]\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d(:?\d\d)?)?)?)?"
)

_LARGEST = 1e150
"""The squares of larger numbers are infinite: nothing can scale them."""


@dataclass(frozen=True)
class Typed:
    """A column's kind (as in `Column`) and values.

    values: (rows,) float64, NaN where missing; for a category int32 positions in `labels`, -1
    where missing. labels: the distinct texts, first seen first.
    """

    kind: str
    values: NDArray[Any]
    labels: tuple[str, ...] = ()

    @property
    def missing(self) -> NDArray[np.bool_]:
        return self.values < 0 if self.kind == "category" else np.isnan(self.values)

    def take(self, rows: Rows) -> "Typed":
        return Typed(self.kind, self.values[rows], self.labels)

    def as_column(self, name: str) -> tuple[Column, NDArray[Any]]:
        """The schema's column and its values; categories are the sorted labels in use."""
        if self.kind != "category":
            return Column(name, self.kind), self.values
        used = {self.labels[code] for code in np.unique(self.values) if code >= 0}
        column = Column(name, "category", tuple(sorted(used)))
        return column, _codes(self, column.categories)


def type_of(name: str, series: pd.Series) -> Typed:
    """Decide what a column is from all of its values; text is what its every value reads as.

    Raises:
        UsageError: an infinite number or something that is no single value; names the row.
    """
    dtype = series.dtype
    if pd.api.types.is_bool_dtype(dtype) and not isinstance(dtype, pd.CategoricalDtype):
        return Typed("boolean", series.to_numpy(np.float64, na_value=np.nan))
    if pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_complex_dtype(dtype):
        values = series.to_numpy(np.float64, na_value=np.nan)
        return Typed("number", _finite(name, values))
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return Typed("date", _seconds(series))
    texts = _texts(name, series)
    for kind, value_of in _READERS.items():
        values = _read(texts, value_of)
        if values is not None:
            return Typed(kind, _finite(name, values))
    return texts


def apply_schema(frame: pd.DataFrame, schema: Schema) -> tuple[Features, tuple[str, ...]]:
    """Features of new rows in input order, and notes on what the training data did not have.

    Columns come in any order; the target is ignored if it is there.

    Raises:
        UsageError: a column is missing, or a value is not of its column's kind; names the row. Or
            there are no rows.
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
    extra = list(found.keys() - {"", *names, schema.target})
    notes = [f"columns that the model does not use: {list_names(sorted(extra))}"] if extra else []
    place = {str(name): number for number, name in enumerate(frame.columns)}
    arrays: dict[str, NDArray[Any]] = {}
    for column in schema.columns:
        series = frame.iloc[:, place[column.name]]
        if column.kind == "category":
            arrays[column.name], unseen = _known_codes(column, series)
            notes += unseen
        else:
            arrays[column.name] = _as_kind(column, series)
    return features_of(schema, arrays, len(frame)), tuple(notes)


def features_of(schema: Schema, arrays: dict[str, NDArray[Any]], n_rows: int) -> Features:
    """Lay the arrays of the schema's columns, by name, side by side."""
    features = Features(
        np.empty((n_rows, len(schema.numbers)), dtype=np.float64),
        np.empty((n_rows, len(schema.categories)), dtype=np.int32),
    )
    for place, column in enumerate(schema.numbers):
        features.numbers[:, place] = arrays[column.name]
    for place, column in enumerate(schema.categories):
        features.codes[:, place] = arrays[column.name]
    return features


def number_of(text: str) -> float | None:
    """The number that `text` spells, or None; 1_000 is none, though Python reads it."""
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def list_names(names: list[str]) -> str:
    """A few of the names, and how many more there are."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(repr(name) for name in names[:5]) + more


def _boolean_of(text: str) -> float | None:
    return {"true": 1.0, "false": 0.0}.get(text.lower())


def _seconds_of(text: str) -> float | None:
    """Seconds since 1970 of an ISO 8601 date with or without a time; UTC unless it names a zone."""
    if not _DATE.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text.replace("/", "-") + ("-01" if len(text) == 7 else ""))
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


_READERS: dict[str, Callable[[str], float | None]] = {
    "boolean": _boolean_of,
    "number": number_of,
    "date": _seconds_of,
}


def _texts(name: str, series: pd.Series) -> Typed:
    """The column as a category, whatever it holds."""
    try:
        codes, levels = pd.factorize(series)
    except TypeError:
        raise UsageError(
            f"column {name!r}: expected one value in each row, found lists or objects"
        ) from None
    places: dict[str, int] = {}
    merged = [
        -1 if text in MISSING else places.setdefault(text, len(places))
        for text in map(_label, np.asarray(levels, dtype=object))
    ]
    # The last entry is for code -1, which pandas gives to missing values.
    return Typed("category", np.array([*merged, -1], dtype=np.int32)[codes], tuple(places))


def _label(value: Any) -> str:
    """The text of a value: whole numbers without a fraction, as they are written in files."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()


def _read(texts: Typed, value_of: Callable[[str], float | None]) -> NDArray[np.float64] | None:
    """What `value_of` makes of every row, or None if any text is not of that kind."""
    values = [math.nan] * (len(texts.labels) + 1)
    for place, label in enumerate(texts.labels):
        value = value_of(label)
        if value is not None:
            values[place] = value
        elif label != "None":  # Python's word for a missing number
            return None
    if texts.labels == ("None",):
        return None
    read: NDArray[np.float64] = np.array(values)[texts.values]
    return read


def _as_kind(column: Column, series: pd.Series) -> NDArray[np.float64]:
    """A new file's values, which must be of the column's kind; missing ones always are."""
    typed = type_of(column.name, series)
    if typed.kind == column.kind or (typed.kind, column.kind) == ("boolean", "number"):
        return typed.values
    if typed.kind != "category" and np.isnan(typed.values).all():
        return typed.values
    texts = _texts(column.name, series)
    value_of = _READERS[column.kind]
    if column.kind == "boolean":
        texts = Typed("category", texts.values, tuple(map(_spelled_out, texts.labels)))
    values = _read(texts, value_of)
    if values is not None:
        return values
    wrong = next(
        place
        for place, label in enumerate(texts.labels)
        if value_of(label) is None and label != "None"
    )
    row = int(np.argmax(texts.values == wrong)) + 1
    raise UsageError(
        f"row {row}, column {column.name!r}: expected a {column.kind} as in the training data, "
        f"found {texts.labels[wrong]!r}"
    )


def _spelled_out(label: str) -> str:
    return {"0": "false", "1": "true"}.get(label, label)


def _known_codes(column: Column, series: pd.Series) -> tuple[NDArray[np.int32], list[str]]:
    texts = _texts(column.name, series)
    codes = _codes(texts, column.categories)
    unknown = (codes < 0) & (texts.values >= 0)
    if not unknown.any():
        return codes, []
    labels = [texts.labels[code] for code in np.unique(texts.values[unknown])]
    rows = np.count_nonzero(unknown)
    return codes, [
        f"column {column.name!r}: {rows} row{'s' if rows > 1 else ''} with categories that the "
        f"training data did not have: {list_names(labels)}; taken as missing"
    ]


def _codes(typed: Typed, categories: tuple[str, ...]) -> NDArray[np.int32]:
    """Positions in `categories`, -1 where a label is not one of them."""
    places = {label: code for code, label in enumerate(categories)}
    known = [places.get(label, -1) for label in typed.labels]
    codes: NDArray[np.int32] = np.array([*known, -1], dtype=np.int32)[typed.values]
    return codes


def _finite(name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    beyond = np.abs(values) > _LARGEST
    if beyond.any():
        row = int(np.argmax(beyond))
        limit = "" if np.isinf(values[row]) else f" of at most {_LARGEST:g}"
        raise UsageError(
            f"row {row + 1}, column {name!r}: expected a finite number{limit}, found "
            f"{values[row]}; leave the cell empty if the value is unknown"
        )
    return values


def _seconds(dates: pd.Series) -> NDArray[np.float64]:
    moments = dates.dt.tz_convert(None) if dates.dt.tz is not None else dates
    seconds = (moments - pd.Timestamp(1970, 1, 1)) / pd.Timedelta(seconds=1)
    values: NDArray[np.float64] = seconds.to_numpy(np.float64, na_value=np.nan)
    return values
