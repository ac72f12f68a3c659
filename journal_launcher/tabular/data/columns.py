"""A column of a frame as a typed array: number, boolean, date or category.

A frame's index counts its rows from 0, messages count from 1, the first below the header.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from journal_launcher.base.errors import UsageError
from journal_launcher.tabular.data.dataset import Column, Features, Schema
from journal_launcher.tabular.data.formats import reader_of
from journal_launcher.tabular.data.frames import MISSING

__all__ = [
    "Gap",
    "Typed",
    "checked_finite",
    "codes_of",
    "features_of",
    "from_dtype",
    "kind_of",
    "label_of",
    "list_names",
    "plain_kind",
    "rows_of",
    "texts_of",
]

_LARGEST = 1e150
"""The squares of larger numbers are infinite: nothing can scale them."""


@dataclass(frozen=True)
class Gap:
    """A text that was taken as missing: in how many rows, and the first of them, from 1."""

    text: str
    count: int
    row: int


@dataclass(frozen=True)
class Typed:
    """A column's kind and format (as in `Column`) and its values.

    values: (rows,) float64, NaN where missing; for a category or text int32 positions in `labels`,
    -1 where missing. labels: the distinct texts, first seen first. example: the first cell as
    written. notes and doubts: lines about how it was read.
    """

    kind: str
    values: NDArray[Any]
    labels: tuple[str, ...] = ()
    format: str | None = None
    gaps: tuple[Gap, ...] = ()
    example: str = ""
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def missing(self) -> NDArray[np.bool_]:
        return self.values < 0 if self.kind in ("category", "text") else np.isnan(self.values)

    @property
    def cells(self) -> NDArray[np.object_]:
        """(rows,) the labels of a category or text, empty where missing."""
        cells: NDArray[np.object_] = np.array([*self.labels, ""], dtype=object)[self.values]
        return cells

    def doubted(self, doubt: str | None) -> "Typed":
        """The same with a doubt more, if there is one."""
        return replace(self, doubts=(*self.doubts, doubt)) if doubt else self

    def as_column(self, name: str) -> tuple[Column, NDArray[Any]]:
        """The schema's column and its values; categories are the sorted labels in use."""
        if self.kind == "text":
            return Column(name, "text"), self.cells
        gaps = tuple(sorted(gap.text for gap in self.gaps))
        if self.kind != "category":
            return Column(name, self.kind, (), self.format, gaps), self.values
        used = {self.labels[code] for code in np.unique(self.values) if code >= 0}
        column = Column(name, "category", tuple(sorted(used)))
        return column, codes_of(self, column.categories)


def plain_kind(name: str, series: pd.Series) -> str:
    """What the column is where no format and no mark of a missing value is known.

    What a study's identity says of its columns is what differs from this.
    """
    kind = kind_of(series.dtype)
    if kind is not None:
        return kind
    labels = [label for label in texts_of(name, series).labels if label != "None"]
    for kind in ("boolean", "number", "date"):
        read = reader_of(kind, None)
        if labels and all(read(label) is not None for label in labels):
            return kind
    return "category"


def features_of(schema: Schema, arrays: dict[str, NDArray[Any]], n_rows: int) -> Features:
    """Lay the arrays of the schema's columns, by name, side by side."""
    texts = np.empty((n_rows, len(schema.texts)), dtype=object)
    features = Features(
        np.empty((n_rows, len(schema.numbers)), dtype=np.float64),
        np.empty((n_rows, len(schema.categories)), dtype=np.int32),
        texts if schema.texts else None,
    )
    for place, column in enumerate(schema.numbers):
        features.numbers[:, place] = arrays[column.name]
    for place, column in enumerate(schema.categories):
        features.codes[:, place] = arrays[column.name]
    for place, column in enumerate(schema.texts):
        texts[:, place] = arrays[column.name]
    return features


def list_names(names: list[str]) -> str:
    """A few of the names, and how many more there are."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(repr(name) for name in names[:5]) + more


def texts_of(name: str, series: pd.Series) -> Typed:
    """The column as a category, whatever it holds.

    Raises:
        UsageError: it holds lists or objects.
    """
    try:
        codes, levels = pd.factorize(series)
    except TypeError:
        raise UsageError(
            f"column {name!r}: expected one value in each row, found lists or objects"
        ) from None
    places: dict[str, int] = {}
    merged = [
        -1 if text in MISSING else places.setdefault(text, len(places))
        for text in map(label_of, np.asarray(levels, dtype=object))
    ]
    # The last entry is for code -1, which pandas gives to missing values.
    values = np.array([*merged, -1], dtype=np.int32)[codes]
    return Typed("category", values, tuple(places), example=next(iter(places), ""))


def codes_of(typed: Typed, categories: tuple[str, ...]) -> NDArray[np.int32]:
    """Positions in `categories`, -1 where a label is not one of them."""
    places = {label: code for code, label in enumerate(categories)}
    known = [places.get(label, -1) for label in typed.labels]
    codes: NDArray[np.int32] = np.array([*known, -1], dtype=np.int32)[typed.values]
    return codes


def checked_finite(
    name: str, values: NDArray[np.float64], rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The values, each a number that can be scaled. rows: their positions in the file.

    Raises:
        UsageError: one is infinite, or nearly so; names the row.
    """
    beyond = np.abs(values) > _LARGEST
    if beyond.any():
        place = int(np.argmax(beyond))
        limit = "" if np.isinf(values[place]) else f" of at most {_LARGEST:g}"
        raise UsageError(
            f"row {rows[place] + 1}, column {name!r}: expected a finite number{limit}, found "
            f"{values[place]}; leave the cell empty if the value is unknown"
        )
    return values


def from_dtype(name: str, series: pd.Series) -> Typed | None:
    """The column, if the frame's type says what it is: the file gave values, not texts.

    Raises:
        UsageError: an infinite number; names the row.
    """
    kind = kind_of(series.dtype)
    if kind is None:
        return None
    present = series.dropna()
    example = label_of(present.iloc[0]) if len(present) else ""
    if kind == "date":
        return Typed(kind, _seconds(series), example=example)
    if pd.api.types.is_timedelta64_dtype(series.dtype):
        series = series / pd.Timedelta(seconds=1)
    values = checked_finite(name, series.to_numpy(np.float64, na_value=np.nan), rows_of(series))
    return Typed(kind, values, example=example)


def kind_of(dtype: Any) -> str | None:
    """The kind of column that a frame's type is by itself; None where its texts decide."""
    types = pd.api.types
    if types.is_bool_dtype(dtype) and not isinstance(dtype, pd.CategoricalDtype):
        return "boolean"
    if types.is_numeric_dtype(dtype) and not types.is_complex_dtype(dtype):
        return "number"
    if types.is_timedelta64_dtype(dtype):
        return "number"  # of seconds
    return "date" if types.is_datetime64_any_dtype(dtype) else None


def _seconds(dates: pd.Series) -> NDArray[np.float64]:
    moments = dates.dt.tz_convert(None) if dates.dt.tz is not None else dates
    seconds = (moments - pd.Timestamp(1970, 1, 1)) / pd.Timedelta(seconds=1)
    values: NDArray[np.float64] = seconds.to_numpy(np.float64, na_value=np.nan)
    return values


def rows_of(cells: pd.Series | pd.DataFrame) -> NDArray[np.int64]:
    """(rows,) their positions in the file."""
    rows: NDArray[np.int64] = cells.index.to_numpy(np.int64)
    return rows


def label_of(value: Any) -> str:
    """The text of a value: whole numbers without a fraction, days without a time, as in files."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    if isinstance(value, datetime) and not pd.isna(value):
        return value.isoformat(" ").removesuffix(" 00:00:00")
    if isinstance(value, bytes):  # a Parquet file may hold texts without saying that they are
        return value.decode(errors="backslashreplace").strip()
    return str(value).strip()
