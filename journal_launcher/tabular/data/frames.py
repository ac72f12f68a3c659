"""What files of every format become: a frame, how it was read, and what was left out of it."""

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = [
    "EXACT",
    "MISSING",
    "FileFormat",
    "TableFile",
    "are_plain_numbers",
    "as_numbers",
    "check_names",
    "drop_unnamed",
    "is_plain_number",
    "note_rows",
]

EXACT = 2**53
"""From here on, a float has not every whole number."""
MISSING = frozenset(
    ("", "NA", "N/A", "n/a", "<NA>", "#N/A", "NaN", "nan", "-NaN", "-nan", "NULL", "null")
)
"""What a cell holds where the value is missing. Not "None", which may well name a class."""
_MOST_COLUMNS = 10_000
_PLAIN = re.compile(
    r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?|[+-]?inf(?:inity)?", re.I
)
_ZERO_FIRST = re.compile(r"[+-]?0[0-9]")


@dataclass(frozen=True)
class FileFormat:
    """How a file was read. None: the format has no such thing.

    separator, encoding, compression (gz, zst): of a text table. sheet: of an Excel file;
    other_sheets: those beside it, where none was asked for. parts: the number of files that the
    table came in. headers, footer, subtotals: rows left out that repeat its names, are below it,
    and sum up others in it.
    """

    separator: str | None = None
    encoding: str | None = None
    compression: str | None = None
    sheet: str | None = None
    other_sheets: tuple[str, ...] = ()
    parts: int = 1
    headers: int = 0
    footer: int = 0
    subtotals: int = 0


@dataclass(frozen=True)
class TableFile:
    """A frame with the names of its file's columns, how it was read, and lines for the user.

    Its index counts the rows of the file from 0: rows may have been left out.

    Of a text table a column is float64 or int64 where each cell that is not missing is a plain
    number: with a decimal point or none, whole ones within 2^53 of zero, or infinite. Whole numbers
    of which some have zeros in front are codes. Any other column holds texts as they are written,
    without spaces around them; so does one of numbers whose digits matter, see `spelling`. Missing
    cells are NaN. Other formats have types of their own.
    """

    frame: Any
    format: FileFormat = FileFormat()
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def check_names(names: list[str]) -> None:
    """Raise ValueError unless there are 1 to 10,000 names, all different but for empty ones."""
    if not 0 < len(names) <= _MOST_COLUMNS:
        raise ValueError(f"expected 1 to {_MOST_COLUMNS:,} columns, found {len(names):,}")
    counts = Counter(name for name in names if name)
    for name, times in counts.most_common(1):
        if times > 1:
            cure = "; the first row must hold the names" if is_plain_number(name) else ""
            raise ValueError(f"expected different column names, found {name!r} {times} times{cure}")


def are_plain_numbers(texts: Iterable[str]) -> bool:
    """Whether these texts are numbers as TableFile has them: whole ones with zeros are codes."""
    known = set(texts)
    if not all(map(is_plain_number, known)):
        return False
    codes = any(map(_ZERO_FIRST.match, known))
    return not codes or any(value % 1 for value in map(float, known) if math.isfinite(value))


def as_numbers(column: Any) -> Any:
    """The column as numbers, if each of its texts is a plain one."""
    import pandas as pd

    if column.dtype.kind in "fi" or not are_plain_numbers(map(str, column.dropna().unique())):
        return column
    return pd.to_numeric(column)


def drop_unnamed(frame: Any) -> tuple[Any, list[str]]:
    """Leave out columns with neither name nor values, as trailing separators make them.

    Raises:
        ValueError: a column with values has no name, and it is not the first: that is an index.
    """
    unnamed = [place for place, name in enumerate(frame.columns) if not name]
    filled = frame.iloc[:, unnamed].notna()
    for number, place in enumerate(unnamed):
        if place and filled.iloc[:, number].any():
            row = int(np.argmax(filled.iloc[:, number]))
            raise ValueError(
                f"column {place + 1} has no name: write one into the header, row {row + 1} holds "
                f"{str(frame.iloc[row, place])!r} there"
            )
    empty = [place for number, place in enumerate(unnamed) if not filled.iloc[:, number].any()]
    if not empty or not len(frame):
        return frame, []
    kept = [place for place in range(len(frame.columns)) if place not in empty]
    if not kept:
        raise ValueError("expected columns with names, found none")
    many = "s" if len(empty) > 1 else ""
    places = ", ".join(str(place + 1) for place in empty[:5]) + (", …" if len(empty) > 5 else "")
    return frame.iloc[:, kept], [f"column{many} {places} without a name and values: left out"]


def note_rows(count: int, which: str, what: str) -> list[str]:
    """A line about so many rows, none about no row."""
    return [f"{count:,} row{'s' if count > 1 else ''} {which}: {what}"] if count else []


def is_plain_number(text: str) -> bool:
    if not _PLAIN.fullmatch(text):
        return False
    digits = text.lstrip("+-0")
    # By length, too: Python refuses to make an int of thousands of digits.
    return not digits.isdigit() or len(digits) < 16 or (len(digits), digits) <= (16, str(2**53))
