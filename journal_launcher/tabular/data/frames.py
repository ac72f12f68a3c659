"""What files of every format become: a frame, how it was read, and what was left out of it."""

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = [
    "MISSING",
    "FileFormat",
    "TableFile",
    "are_plain_numbers",
    "check_names",
    "drop_footer",
    "drop_unnamed",
]

MISSING = frozenset(
    ("", "NA", "N/A", "n/a", "<NA>", "#N/A", "NaN", "nan", "-NaN", "-nan", "NULL", "null")
)
"""What a cell holds where the value is missing. Not "None", which may well name a class."""
_MOST_COLUMNS = 10_000
_PLAIN = re.compile(
    r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?|[+-]?inf(?:inity)?", re.I
)
_ZERO_FIRST = re.compile(r"[+-]?0[0-9]")
_TOTAL = re.compile(
    r"((grand|sub|overall|column)[ -]?)?totals?|sums?|mean|average|avg\.?|count|gesamt(summe)?"
    r"|summe|insgesamt|mittelwert|durchschnitt|total g[ée]n[ée]ral|somme|moyenne|totale|media"
    r"|suma|promedio|soma|totaal|gemiddelde|totalt|yhteens[äa]|razem|celkem|итого|всего|合计|总计|合計",
    re.I,
)
_REMARK = re.compile(
    r"(sources?|notes?|remarks?|quellen?|hinweise?|anmerkung(en)?|stand|fuentes?|fonte|bron|data)"
    r"\s*:.*|\(c\).*|©.*",
    re.I | re.S,
)
_FOOTER = 20  # rows: more of them are no footer


@dataclass(frozen=True)
class FileFormat:
    """How a file was read. None: the format has no such thing.

    separator, encoding, compression (gz, zst): of a text table. sheet: of an Excel file. parts: the
    number of files that the table came in. footer: rows left out below it.
    """

    separator: str | None = None
    encoding: str | None = None
    compression: str | None = None
    sheet: str | None = None
    parts: int = 1
    footer: int = 0


@dataclass(frozen=True)
class TableFile:
    """A frame with the names of its file's columns, how it was read, and lines for the user.

    Of a text table a column is float64 or int64 where each cell that is not missing is a plain
    number: with a decimal point or none, whole ones within 2^53 of zero, or infinite. Whole numbers
    of which some have zeros in front are codes. Any other column holds texts as they are written,
    without spaces around them. Missing cells are NaN. Other formats have types of their own.
    """

    frame: Any
    format: FileFormat = FileFormat()
    notes: tuple[str, ...] = ()


def check_names(names: list[str]) -> None:
    """Raise ValueError unless there are 1 to 10,000 names, all different but for empty ones."""
    if not 0 < len(names) <= _MOST_COLUMNS:
        raise ValueError(f"expected 1 to {_MOST_COLUMNS:,} columns, found {len(names):,}")
    counts = Counter(name for name in names if name)
    for name, times in counts.most_common(1):
        if times > 1:
            raise ValueError(f"expected different column names, found {name!r} {times} times")


def are_plain_numbers(texts: Iterable[str]) -> bool:
    """Whether these texts are numbers as TableFile has them: whole ones with zeros are codes."""
    known = set(texts)
    if not all(map(_is_plain, known)):
        return False
    codes = any(map(_ZERO_FIRST.match, known))
    return not codes or any(value % 1 for value in map(float, known) if math.isfinite(value))


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


def drop_footer(frame: Any, texts: Collection[str] = ()) -> tuple[Any, list[str]]:
    """Leave out the rows below a table that sum it up or remark on it, and say so.

    A row is one only where that is certain: a remark or a word such as Total stands alone in it, or
    a text of several words alone in a column of numbers, or the numbers beside the word are sums or
    means of those above. What its column holds above is a value. Columns that are numbers without
    the footer become so, but for `texts`.
    """
    below = 0
    while below < min(_FOOTER, len(frame) - 2) and _label(frame, len(frame) - 1 - below):
        below += 1
    end = len(frame)
    # All of a footer is judged against the same rows, those above the whole of it.
    first = next((n for n in range(end - below, end) if _is_footer(frame, n)), end)
    notes: list[str] = []
    if first > end - below:
        column, label = _label(frame, first - 1)
        if _TOTAL.fullmatch(label) and not _is_above(frame, first - 1, column, label):
            notes.append(
                f"row {first} begins with {label!r} and is kept: remove it from the file if it "
                "sums up the rows above"
            )
    for place in range(first, end):
        _, label = _label(frame, place)
        shown = label if len(label) <= 60 else f"{label[:59]}…"
        notes.append(f"row {place + 1}, {shown!r}, is a footer below the table: left out")
    if first == end:
        return frame, notes
    above = frame.iloc[:first].copy()
    for name in above.columns:
        if name not in texts and frame[name].iloc[first:].notna().any():
            above[name] = _as_numbers(above[name])
    return above, notes


def _is_footer(frame: Any, first: int) -> bool:
    """Whether all rows from `first` on are a footer of those above it."""
    labels = [(place, *_label(frame, place)) for place in range(first, len(frame))]
    if any(_is_above(frame, place, column, label) for place, column, label in labels):
        return False
    above = frame.iloc[:first]
    return all(_sums_up(frame.iloc[place], column, label, above) for place, column, label in labels)


def _is_above(frame: Any, place: int, column: int, label: str) -> bool:
    return bool((frame.iloc[:place, column] == label).any())


def _label(frame: Any, place: int) -> Any:
    """(column, text) of a row's first cell with a value, if that is text and no number."""
    row = frame.iloc[place]
    filled = np.flatnonzero(row.notna().to_numpy())
    if len(frame.columns) < 2 or not len(filled):
        return None
    text = row.iloc[filled[0]]
    if not isinstance(text, str) or _is_plain(text) or not any(map(str.isalpha, text)):
        return None
    alone = len(filled) == 1
    return (int(filled[0]), text) if alone or _TOTAL.fullmatch(text) else None


def _sums_up(row: Any, column: int, label: str, above: Any) -> bool:
    others = [place for place in np.flatnonzero(row.notna().to_numpy()) if place != column]
    if not others:
        known = above.iloc[:, column].dropna()
        strange = " " in label and len(known) > 0 and are_plain_numbers(map(str, known))
        return bool(_TOTAL.fullmatch(label) or _REMARK.fullmatch(label) or strange)
    return all(map(_is_sum, (above.iloc[:, place] for place in others), row.iloc[others]))


def _is_sum(column: Any, found: Any) -> bool:
    """Whether it is the sum or mean of the column, in any way in which amounts are written."""
    import pandas as pd

    texts = pd.Series([*map(str, column.dropna()), str(found)])
    bare = texts.str.replace(r"[^0-9.,+-]", "", regex=True) if column.dtype.kind == "O" else texts
    point, comma = bare.str.replace(",", ""), bare.str.replace(".", "").str.replace(",", ".")
    for written in (bare, point, comma):
        if len(written) > 1 and are_plain_numbers(written):
            values = pd.to_numeric(written).to_numpy(np.float64)
            total = values[:-1].sum()
            if np.isclose(values[-1], [total, total / (len(values) - 1)], rtol=1e-3).any():
                return True
    return False


def _as_numbers(column: Any) -> Any:
    """The column as numbers, if each of its texts is a plain one."""
    import pandas as pd

    if column.dtype.kind in "fi" or not are_plain_numbers(map(str, column.dropna().unique())):
        return column
    return pd.to_numeric(column)


def _is_plain(text: str) -> bool:
    if not _PLAIN.fullmatch(text):
        return False
    digits = text.lstrip("+-0")
    # By length, too: Python refuses to make an int of thousands of digits.
    return not digits.isdigit() or len(digits) < 16 or (len(digits), digits) <= (16, str(2**53))
