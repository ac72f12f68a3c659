"""A table that Python gives, as a file that workers read: its columns keep the types they have.

Not Parquet, which a user of DataFrames need not have installed, and whose bytes other versions of
its library write otherwise: here equal frames make equal files, and so the same study.
"""

import json
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from journal_launcher.base.errors import UsageError
from journal_launcher.base.paths import install_extra
from journal_launcher.tabular.data.columns import label_of, list_names, texts_of
from journal_launcher.tabular.data.frames import TableFile, check_names

__all__ = ["as_frame", "cells_as_texts", "frame_file", "plain_column", "read_frame_file"]

_MARK = {"format": "a table of journal_launcher 1"}
_FAMILIES: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "booleans": (bool, np.bool_),
    "numbers": (int, float, Decimal, np.integer, np.floating),
    "dates": (date, np.datetime64),
    "times": (time,),
    "periods": (pd.Period, pd.Interval),
}
_Arrays = dict[str, NDArray[Any]]


def as_frame(data: Any) -> pd.DataFrame:
    """The DataFrame itself, or what a table of polars or pyarrow holds, with whole numbers exact.

    Raises:
        UsageError: it is no table.
    """
    if isinstance(data, pd.DataFrame):
        return data
    try:
        table = data.to_arrow() if hasattr(data, "to_arrow") else data
    except ImportError:
        command = install_extra("parquet", "pyarrow")
        raise UsageError(f"a table of {_type(data)} needs pyarrow: {command}") from None
    if hasattr(table, "column_names") and hasattr(table, "to_pandas"):
        from journal_launcher.tabular.data.readers import with_exact_integers

        _check_names(table.column_names)
        return with_exact_integers(table)
    raise UsageError(
        f"expected a path or a DataFrame (pandas, polars, or a pyarrow Table), found {_type(data)}"
    )


def frame_file(frame: pd.DataFrame) -> bytes:
    """The file of a table. Equal columns give equal bytes, whatever the index counts.

    Raises:
        UsageError: names, an index or values that no file could hold, or would lose.
    """
    from safetensors.numpy import save

    if isinstance(frame.columns, pd.MultiIndex):
        raise UsageError(
            "expected one name for each column, found several levels; join them first: "
            "frame.columns = ['_'.join(map(str, names)) for names in frame.columns]"
        )
    names = [str(name) for name in frame.columns]
    _check_names(names)
    _check_index(frame.index)
    columns: list[dict[str, Any]] = []
    notes: list[str] = []
    arrays: _Arrays = {}
    for place, name in enumerate(names):
        series = plain_column(frame.iloc[:, place])
        notes += _mixed(name, series)
        said, found = _stored(name, cells_as_texts(series))
        columns.append({"name": name, **said})
        arrays |= {f"{place}.{part}": np.ascontiguousarray(array) for part, array in found.items()}
    arrays["table"] = _packed({"columns": columns, "notes": notes})
    return bytes(save(arrays, _MARK))


def read_frame_file(path: Path) -> TableFile:
    """Read what `frame_file` wrote.

    Raises:
        ValueError: it is another file, or a damaged one.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            if file.metadata() != _MARK:
                raise ValueError("expected a table that launch(data=DataFrame) wrote, found none")
            table = _unpacked(file.get_tensor("table"))
            stored: list[_Arrays] = [{} for _ in table["columns"]]
            for key in set(file.keys()) - {"table"}:
                place, part = key.split(".")
                stored[int(place)][part] = file.get_tensor(key)
    except SafetensorError as error:
        raise ValueError(f"expected a table that launch(data=DataFrame) wrote: {error}") from None
    found = [_restored(said, arrays) for said, arrays in zip(table["columns"], stored, strict=True)]
    frame = pd.DataFrame(dict(enumerate(found)))
    frame.columns = pd.Index([said["name"] for said in table["columns"]])
    return TableFile(frame, notes=tuple(table["notes"]))


def plain_column(series: pd.Series) -> pd.Series:
    """The column in a type that pandas has by itself: not sparse, and not one of Arrow's."""
    if isinstance(series.dtype, pd.SparseDtype):
        return series.sparse.to_dense()
    if not isinstance(series.dtype, pd.ArrowDtype):
        return series
    import pyarrow

    from journal_launcher.tabular.data.readers import with_exact_integers

    table = pyarrow.table({"column": pyarrow.array(series.array)})
    return with_exact_integers(table)["column"].set_axis(series.index)


def cells_as_texts(series: pd.Series) -> pd.Series:
    """A column with cells of several types as their texts, any other one as it is.

    Not True beside 1: pandas takes them for the same value.
    """
    found = _families(series)
    if len(found) < 2 or not found.keys() <= _FAMILIES.keys():
        return series
    known = series.notna()
    cells = [label_of(cell) if has else None for cell, has in zip(series, known, strict=True)]
    return pd.Series(cells, series.index, dtype=object)


# --- a column in the file


def _stored(name: str, series: pd.Series) -> tuple[dict[str, str], _Arrays]:
    """(what is said of a column, its arrays); moments without a zone are as in UTC."""
    types, dtype = pd.api.types, series.dtype
    missing = series.isna().to_numpy()
    gaps = {"missing": missing} if missing.any() else {}
    if dtype.kind in "mc":
        how = "real numbers" if dtype.kind == "c" else "numbers, by .dt.total_seconds()"
        raise UsageError(
            f"column {name!r}: expected a type of tables, found {dtype}; make it {how}"
        )
    if isinstance(dtype, pd.CategoricalDtype):
        return {"kind": "category"}, _texts(name, series)
    if types.is_bool_dtype(dtype):
        return {"kind": "boolean"}, {"values": series.to_numpy(bool, na_value=False), **gaps}
    if types.is_datetime64_any_dtype(dtype):
        moments = (series if series.dt.tz is None else series.dt.tz_convert(None)).to_numpy()
        unit = np.datetime_data(moments.dtype)[0]
        return {"kind": "date", "unit": unit}, {"values": moments.view(np.int64)}
    if types.is_integer_dtype(dtype):
        wide = np.uint64 if dtype.kind == "u" else np.int64
        return {"kind": "number"}, {"values": series.to_numpy(wide, na_value=0), **gaps}
    if types.is_numeric_dtype(dtype):
        return {"kind": "number"}, {"values": series.to_numpy(np.float64, na_value=np.nan)}
    return {"kind": "text"}, _texts(name, series)


def _texts(name: str, series: pd.Series) -> _Arrays:
    texts = texts_of(name, series)
    return {"codes": texts.values, "labels": _packed(texts.labels)}


def _restored(said: dict[str, str], arrays: _Arrays) -> Any:
    """The column: numbers, booleans, moments, categories or texts."""
    if said["kind"] == "category":
        return pd.Categorical.from_codes(arrays["codes"], _unpacked(arrays["labels"]))
    if said["kind"] == "text":
        labels = np.array([*_unpacked(arrays["labels"]), None], dtype=object)
        return pd.Series(labels[arrays["codes"]], dtype=object)
    values, missing = arrays["values"], arrays.get("missing")
    if said["kind"] == "date":
        return pd.Series(values.view(f"datetime64[{said['unit']}]"))
    if missing is None:
        return pd.Series(values)
    masked = pd.arrays.BooleanArray if said["kind"] == "boolean" else pd.arrays.IntegerArray
    return pd.Series(masked(values, missing))


def _packed(content: Any) -> NDArray[np.uint8]:
    return np.frombuffer(json.dumps(content, sort_keys=True).encode(), dtype=np.uint8)


def _unpacked(array: NDArray[np.uint8]) -> Any:
    return json.loads(array.tobytes())


# --- what is refused


def _type(data: Any) -> str:
    kind = type(data)
    module = kind.__module__.partition(".")[0]
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def _check_names(names: list[str]) -> None:
    try:
        check_names(names)
    except ValueError as problem:
        raise UsageError(str(problem)) from None
    if "" in names:
        raise UsageError(
            f"expected a name for each column, found none for column {names.index('') + 1}"
        )


def _check_index(index: pd.Index) -> None:
    """Refuse an index that holds something: it is no column, and would be lost without a word."""
    named = [str(name) for name in index.names if name is not None]
    if named or not pd.api.types.is_integer_dtype(index.dtype):
        what = f"one named {list_names(named)}" if named else f"one of {index.dtype}"
        raise UsageError(
            f"expected an index that only counts the rows, found {what}: reset_index() makes it a "
            "column, reset_index(drop=True) leaves it out"
        )


def _mixed(name: str, series: pd.Series) -> list[str]:
    """A note on a column of several types, if it is one.

    Raises:
        UsageError: it holds what no cell of a file can be; names the row.
    """
    found = _families(series)
    for kind, row in found.items():
        if kind not in _FAMILIES:
            raise UsageError(
                f"row {row}, column {name!r}: expected text, a number, a boolean or a date, found "
                f"{kind}"
            )
    if len(found) < 2:
        return []
    kinds = " and ".join(f"{kind} (row {row})" for kind, row in found.items())
    return [f"column {name!r} has {kinds}: read as the cells of a CSV file are"]


def _families(series: pd.Series) -> dict[str, int]:
    """What an object column holds: kinds of values, or other types, each with its first row."""
    if series.dtype != object or pd.api.types.infer_dtype(series) in ("string", "empty"):
        return {}
    found: dict[str, int] = {}
    types: set[type] = set()
    for row, (cell, known) in enumerate(zip(series, series.notna(), strict=True), start=1):
        if known and type(cell) not in types:
            types.add(type(cell))
            family = next((name for name, of in _FAMILIES.items() if isinstance(cell, of)), None)
            found.setdefault(family or _type(cell), row)
    return found
