"""What stands above the header of a table: comments, and titles, each in a row of its own."""

import csv
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from journal_launcher.tabular.data.frames import is_plain_number

__all__ = ["lines_above", "note_above", "titles_above"]

_MOST = 20  # lines and rows: more are no title
_LOOKED_AT = 100
_COMMENT = re.compile(r"\s*(#|//)")

Row = Sequence[Any]
SignOf = Callable[[list[str]], str]
"""The separator in lines of text."""


def lines_above(lines: list[str], sign_of: SignOf) -> int:
    """How many of the first lines of a text are no table: comments, then titles above a blank line.

    Where nothing shows that a header follows, they are none.
    """
    comments = _comments(lines, sign_of)
    return comments + _titles(lines[comments:], sign_of)


def _comments(lines: list[str], sign_of: SignOf) -> int:
    """Lines such as # exported by …; a header may begin with # too, and be as wide as the rows."""
    other = next(
        (n for n, line in enumerate(lines) if not _COMMENT.match(line) and line.strip()), 0
    )
    if not 0 < other < _MOST or not any(map(_COMMENT.match, lines[:other])):
        return 0
    rows = _cells(lines[other:], sign_of(lines[other:]))
    if _is_header(rows):
        return other
    last = max(n for n in range(other) if _COMMENT.match(lines[n]))
    return last if len(_cells(lines[last:], sign_of(lines[other:]))[0]) == len(rows[0]) else 0


def _titles(lines: list[str], sign_of: SignOf) -> int:
    """Lines above a blank one that are not as wide as the table of several columns below it."""
    first = next((n for n, line in enumerate(lines) if line.strip()), 0)
    gap = next((n for n in range(first, len(lines)) if not lines[n].strip()), 0)
    if not 0 < gap < _MOST or "".join(lines[:gap]).count('"') % 2:  # within a quoted cell
        return 0
    sign = sign_of(lines[gap:])
    rows, above = _cells(lines[gap:], sign), _cells(lines[first:gap], sign)
    if not rows or not all(map(_is_name, rows[0])):
        return 0
    return gap if max(map(len, above)) < len(rows[0]) else 0


def _cells(lines: list[str], sign: str) -> list[list[str]]:
    rows = csv.reader(lines[:_LOOKED_AT], delimiter=sign, skipinitialspace=True)
    return [row for row in rows if len(row) > 1 or "".join(row).strip()]


def titles_above(rows: Sequence[Row]) -> int:
    """How many of the first rows are titles: one cell alone in each, and a header below them.

    That it is one must show, in a column of numbers below a name or in an empty row above it.
    """
    filled = [sum(not _is_empty(cell) for cell in row) for row in rows[: _MOST + 1]]
    above = next((n for n, count in enumerate(filled) if count > 1), 0)
    if not above or filled[0] == 0 or not all(map(_is_name, rows[above])):
        return 0
    return above if 0 in filled[:above] or _is_header(rows[above:]) else 0


def note_above(texts: Sequence[str]) -> str:
    """A line for the user; texts: of the lines or rows."""
    said = [text.strip() for text in texts if text.strip()]
    shown = said[0] if len(said[0]) <= 60 else f"{said[0][:59]}…"
    more = f" and {len(said) - 1} more" if len(said) > 1 else ""
    return f"above the header, {shown!r}{more}: left out"


def _is_header(rows: Sequence[Row]) -> bool:
    """Whether the first row names columns: below one of the names are numbers alone."""
    first, *below = rows
    columns = list(zip(*(row for row in below if len(row) == len(first)), strict=True))
    numbers = [
        known and all(map(_is_number, known))
        for column in columns
        if (known := [cell for cell in column if not _is_empty(cell)]) is not None
    ]
    return all(map(_is_name, first)) and any(numbers)


def _is_empty(cell: Any) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _is_number(cell: Any) -> bool:
    if isinstance(cell, str):
        return is_plain_number(cell.strip())
    return isinstance(cell, int | float | datetime)


def _is_name(cell: Any) -> bool:
    return isinstance(cell, str) and bool(cell.strip()) and not _is_number(cell)
