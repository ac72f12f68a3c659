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
    name, rows = json.loads(done.stdout, object_hook=_moment)
    if not rows:
        raise ValueError(f"expected a header with column names, found the empty sheet {name!r}")
    return as_table(_frame(rows[0], rows[1:]), FileFormat(sheet=name), keep_rows=keep_rows)


def _moment(item: dict[str, str]) -> datetime:
    return datetime.fromisoformat(item[DAY])


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
