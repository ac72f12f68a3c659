"""Files and bundled data sets become frames: structure is checked here, values are not judged.

Errors say what is wrong and on which line of the file; `prepared.about` adds the name of the file.
"""

import hashlib
import zipfile
from collections.abc import Collection
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from journal_launcher.base.data_source import DataFiles, kind_of_file, locate_data
from journal_launcher.base.data_text import complaints
from journal_launcher.base.errors import UsageError
from journal_launcher.base.paths import install_extra
from journal_launcher.tabular.data.frames import MISSING, TableFile, as_numbers, check_names
from journal_launcher.tabular.data.unpacked import check_archive, check_parquet

__all__ = ["content_sha256", "read_bundled", "read_file", "with_exact_integers"]


def content_sha256(frame: Any) -> str:
    """Hash names and values of a frame: the same whatever file or package it came from."""
    return hashlib.sha256(frame.to_csv(index=False).encode()).hexdigest()


def read_bundled(name: str) -> tuple[Any, str]:
    """(frame, name of its target column) of one of `inputs.BUNDLED`."""
    import pandas as pd

    bunch = getattr(import_module("sklearn.datasets"), f"load_{name}")()
    frame = pd.DataFrame(bunch.data, columns=[str(column) for column in bunch.feature_names])
    labels = np.asarray(bunch.get("target_names", []))
    frame["target"] = labels[bunch.target] if labels.dtype.kind == "U" else bunch.target
    return frame, "target"


def read_file(
    source: Path | str, texts: Collection[str] = (), keep_rows: bool = False
) -> TableFile:
    """Read a file, a sheet FILE.xlsx#Sheet, a folder of parts or a pattern that names them.

    The columns `texts` of text tables stay text as written. keep_rows: what looks like a footer
    below the table is rows like any other.

    Raises:
        UsageError: a file is missing, unreadable or malformed, or a part has other columns; says on
            which line.
    """
    data = locate_data(str(source))
    with complaints():
        if data.in_parts:
            table = _read_parts(data, texts, keep_rows)
        else:
            table = _read_one(data.files[0], data.sheet, texts, keep_rows)
    if not len(table.frame):
        raise UsageError("expected rows, found none")
    return table


def _read_one(path: Path, sheet: str | None, texts: Collection[str], keep_rows: bool) -> TableFile:
    kind = kind_of_file(path)
    if kind == "npz":
        return TableFile(_read_npz(path))
    if kind == "parquet":
        return TableFile(_read_parquet(path))
    if kind == "frame":
        from journal_launcher.tabular.data.given_frames import read_frame_file

        return read_frame_file(path)
    if kind == "excel":
        from journal_launcher.tabular.data.excel import read_excel

        return read_excel(path, sheet, keep_rows)
    from journal_launcher.tabular.data.text_tables import read_text

    return read_text(path, texts, keep_rows)


# --- parts


def _read_parts(data: DataFiles, texts: Collection[str], keep_rows: bool) -> TableFile:
    """The parts below each other; a text column of one is text as written in all."""
    import pandas as pd

    parts = {data.name_of(path): path for path in data.files}
    tables = {name: _read_part(data, path, texts, keep_rows) for name, path in parts.items()}
    first, expected = next(iter(tables.items()))
    names = list(expected.frame.columns)
    for part, table in tables.items():
        _check_alike(part, table, first, expected)
    kinds = {
        part: {name: _kind(table.frame[name]) for name in names} for part, table in tables.items()
    }
    mixed = {n for n in names if len({kind[n] for kind in kinds.values()} - {"missing"}) > 1}
    if mixed and data.kind != "text":
        raise ValueError(_mixed(min(mixed), {part: k[min(mixed)] for part, k in kinds.items()}))
    for part, path in parts.items():
        if any(kinds[part][name] == "numbers" for name in mixed):
            tables[part] = _read_part(data, path, {*texts, *mixed}, keep_rows)
    frame = pd.concat([table.frame[names] for table in tables.values()], ignore_index=True)
    for name in data.partition(data.files[0]):
        if name not in texts:
            frame[name] = as_numbers(frame[name])
    found = [table.format for table in tables.values()]
    return TableFile(
        frame,
        replace(
            found[0],
            parts=len(found),
            headers=sum(part.headers for part in found),
            footer=sum(part.footer for part in found),
            subtotals=sum(part.subtotals for part in found),
        ),
        tuple(f"{part}: {note}" for part, table in tables.items() for note in table.notes),
        tuple(f"{part}: {doubt}" for part, table in tables.items() for doubt in table.doubts),
    )


def _read_part(data: DataFiles, path: Path, texts: Collection[str], keep_rows: bool) -> TableFile:
    """One part, with a column for each of the folders that say what its rows are, year=2024 say."""
    try:
        with complaints():
            table = _read_one(path, None, texts, keep_rows)
    except UsageError as problem:
        raise UsageError(f"{data.name_of(path)}: {problem}") from None
    new = {n: v for n, v in data.partition(path).items() if n not in table.frame.columns}
    missing = {name: None if value in MISSING else value for name, value in new.items()}
    return replace(table, frame=table.frame.assign(**missing)) if new else table


def _check_alike(part: str, table: TableFile, first: str, expected: TableFile) -> None:
    found, wanted = list(table.frame.columns), list(expected.frame.columns)
    odd = [name for name in wanted if name not in found] or [n for n in found if n not in wanted]
    if odd:
        has, lacks = (first, part) if odd[0] in wanted else (part, first)
        raise ValueError(
            f"{part}: expected the columns of {first}, found other ones: {odd[0]!r} is in {has}, "
            f"not in {lacks}"
        )
    if table.format.separator != expected.format.separator:
        raise ValueError(
            f"{part}: expected {expected.format.separator!r} between the columns as in {first}, "
            f"found {table.format.separator!r}"
        )


def _kind(column: Any) -> str:
    from journal_launcher.tabular.data.columns import kind_of

    if column.isna().all():
        return "missing"
    kind = kind_of(column.dtype)
    return f"{kind}s" if kind else "text"


def _mixed(name: str, kinds: dict[str, str]) -> str:
    known = {part: kind for part, kind in kinds.items() if kind != "missing"}
    first = next(iter(known))
    other = next(part for part, kind in known.items() if kind != known[first])
    return (
        f"{other}: expected {known[first]} in column {name!r} as in {first}, found {known[other]}"
    )


# --- other formats


def _read_npz(path: Path) -> Any:
    import pandas as pd

    if not zipfile.is_zipfile(path) and path.exists():
        raise ValueError("expected what numpy.savez(file, X=…, y=…) writes, found no archive")
    arrays = _arrays(path)
    if "X" not in arrays:
        raise ValueError(f"expected arrays X and y, found {', '.join(arrays) or 'none'}")
    x, y = arrays["X"], arrays.get("y")
    if x.ndim != 2 or x.dtype.kind not in "fiub":
        raise ValueError(f"expected numbers X of shape (rows, columns), found {x.dtype}{x.shape}")
    frame = pd.DataFrame(x, columns=[f"x{place}" for place in range(x.shape[1])])
    check_names(list(frame.columns))
    if y is not None:
        if y.shape != (len(x),):
            raise ValueError(f"expected y of shape ({len(x)},) for the rows of X, found {y.shape}")
        frame["y"] = y
    return frame


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an archive by name; other things in it are passed over."""
    try:
        check_archive(path)
        with np.load(path, allow_pickle=False) as file:
            return {name: found for name, found in file.items() if isinstance(found, np.ndarray)}
    except (OSError, UsageError):
        raise
    except Exception as error:  # a damaged archive fails in more ways than anyone has listed
        raise ValueError(f"expected what numpy.savez writes, found: {error}") from None


def _read_parquet(path: Path) -> Any:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        command = install_extra("parquet", "pyarrow")
        raise ValueError(f"Parquet needs pyarrow: {command}") from None
    try:
        check_parquet(parquet.read_metadata(path))
        # Not read_table: of a path such as year=2020/ it makes a column.
        with parquet.ParquetFile(path) as file:
            table = file.read()
        check_names(table.column_names)
        frame = with_exact_integers(table)
    except ArrowException as error:
        raise ValueError(str(error).splitlines()[0]) from None
    # What a file has as categories is decided by its texts, like any other text.
    return frame.astype(dict.fromkeys(frame.select_dtypes("category"), object))


def with_exact_integers(table: Any) -> Any:
    """The frame of an Arrow table; pandas alone makes floats of integers with gaps."""
    import pandas as pd
    from pyarrow.types import is_integer

    frame = table.to_pandas(ignore_metadata=True)
    for name, column in zip(table.column_names, table.columns, strict=True):
        if is_integer(column.type) and column.null_count:
            wide = "UInt64" if str(column.type).startswith("u") else "Int64"
            values = column.fill_null(0).to_pandas().astype(wide)
            frame[name] = values.mask(pd.Series(column.is_null().to_pandas()))
    return frame
