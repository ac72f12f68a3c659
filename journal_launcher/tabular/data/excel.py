"""One sheet of an Excel or OpenDocument file becomes a frame.

The sheet is read in a process of its own: a file of a few kilobytes can announce a sheet that fits
into no memory, and the library ends the process that tries.
"""

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from journal_launcher.base import memory
from journal_launcher.tabular.data import sheet_program
from journal_launcher.tabular.data.columns import label_of
from journal_launcher.tabular.data.frames import (
    MISSING,
    FileFormat,
    TableFile,
    check_names,
)
from journal_launcher.tabular.data.sheet_program import DAY, UNREADABLE
from journal_launcher.tabular.data.titles import note_above, titles_above
from journal_launcher.tabular.data.totals import as_table

__all__ = ["read_excel"]

_PROGRAM = Path(sheet_program.__file__)


def read_excel(path: Path, sheet: str | None = None, keep_rows: bool = False) -> TableFile:
    """The frame of a sheet, the first one unless it is named; its first row names the columns.

    keep_rows: no row below the table is left out.

    Raises:
        ValueError, UsageError: no such sheet, or the file is damaged.
    """
    limit = memory.room()
    command = [sys.executable, "-P", str(_PROGRAM), str(path), sheet or "", str(limit)]
    done = subprocess.run(command, capture_output=True)
    if done.returncode == UNREADABLE:
        raise ValueError(done.stdout.decode())
    if done.returncode:
        raise ValueError(
            f"expected a sheet that fits into the {limit / 2**30:.4g} GiB of memory that are free "
            "here; save it as .csv, or leave out the empty rows and columns that it counts"
        )
    content = json.loads(done.stdout, object_hook=_moment)
    others = [name for name in content["sheets"] if name != content["sheet"]]
    try:
        return _table(content, () if sheet else tuple(others), keep_rows)
    except ValueError as problem:
        if sheet or not others:
            raise
        raise ValueError(
            f"sheet {content['sheet']!r}: {problem}; to read another one, name it: "
            f"{path.name}#{others[0]}"
        ) from None


def _table(content: dict[str, Any], others: tuple[str, ...], keep_rows: bool) -> TableFile:
    rows, merged = content["rows"], content["merged"]
    if not rows:
        empty = content["sheet"]
        raise ValueError(f"expected a header with column names, found the empty sheet {empty!r}")
    titles = titles_above(rows)
    notes = []
    if titles:
        notes.append(note_above([label_of(cell) for row in rows[:titles] for cell in row if cell]))
    if merged:
        notes.append(f"merged cells: {merged:,} cells below the first of one hold its value")
    found = FileFormat(sheet=content["sheet"], other_sheets=others)
    return as_table(_frame(rows[titles], rows[titles + 1 :]), found, notes, keep_rows=keep_rows)


def _moment(item: dict[str, Any]) -> Any:
    return datetime.fromisoformat(item[DAY]) if DAY in item else item


def _frame(header: list[Any], rows: list[list[Any]]) -> Any:
    import pandas as pd

    names = ["" if cell is None else label_of(cell) for cell in header]
    check_names(names)
    cells = zip(*rows, strict=True) if rows else [()] * len(names)
    columns = [_column(list(column)) for column in cells]
    frame = pd.DataFrame(dict(enumerate(columns)))
    frame.columns = pd.Index(names)
    return frame


def _column(cells: list[Any]) -> Any:
    """Numbers, booleans or moments, if all cells are such; else texts, and numbers and moments."""
    import pandas as pd

    cells = [None if isinstance(cell, str) and cell in MISSING else cell for cell in cells]
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds <= {int, float}:
        return pd.Series(cells, dtype="float64")
    if kinds == {bool}:
        return pd.Series(cells, dtype="boolean")
    if kinds == {datetime}:
        return pd.Series(pd.to_datetime(pd.Series(cells)))
    # Not True: it would be the same label as 1.
    cells = [str(cell) if isinstance(cell, bool) else cell for cell in cells]
    return pd.Series(cells, dtype="object")
