"""One sheet of an Excel or OpenDocument file becomes a frame.

The sheet is read in a process of its own: a file of a few kilobytes can announce a sheet that fits
into no memory, and the library ends the process that tries.
"""

import json
import resource
import subprocess
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Any

from journal_launcher.base import memory
from journal_launcher.tabular.data.frames import (
    MISSING,
    FileFormat,
    TableFile,
    check_names,
    drop_footer,
    drop_unnamed,
)

__all__ = ["read_excel"]

_DAY = "day"  # the key of an object that stands for a date or moment
_UNREADABLE = 3  # exit code: the message is on stdout


def read_excel(path: Path, sheet: str | None = None) -> TableFile:
    """The frame of a sheet, the first one unless it is named; its first row names the columns.

    Raises:
        ValueError, UsageError: no such sheet, or the file is damaged.
    """
    limit = memory.room()
    command = [sys.executable, "-m", __name__, str(path), sheet or "", str(limit)]
    done = subprocess.run(command, capture_output=True)
    if done.returncode == _UNREADABLE:
        raise ValueError(done.stdout.decode())
    if done.returncode:
        raise ValueError(
            f"expected a sheet that fits into the {limit / 2**30:.4g} GiB of memory that are free "
            "here; save it as .csv, or leave out the empty rows and columns that it counts"
        )
    found = json.loads(done.stdout, object_hook=lambda item: datetime.fromisoformat(item[_DAY]))
    name, rows = found
    if not rows:
        raise ValueError(f"expected a header with column names, found the empty sheet {name!r}")
    frame, dropped = drop_unnamed(_frame(rows[0], rows[1:]))
    frame, footer = drop_footer(frame)
    return TableFile(frame, FileFormat(sheet=name), (*dropped, *footer))


def _frame(header: list[Any], rows: list[list[Any]]) -> Any:
    import pandas as pd

    names = ["" if cell is None else _text(cell) for cell in header]
    check_names(names)
    cells = zip(*rows, strict=True) if rows else [()] * len(names)
    columns = [_column(list(column)) for column in cells]
    frame = pd.DataFrame(dict(enumerate(columns)))
    frame.columns = pd.Index(names)
    return frame


def _column(cells: list[Any]) -> Any:
    """Numbers, booleans or moments, if all cells are such; else texts."""
    import pandas as pd

    cells = [None if isinstance(cell, str) and cell in MISSING else cell for cell in cells]
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds <= {int, float}:
        return pd.Series(cells, dtype="float64")
    if kinds == {bool}:
        return pd.Series(cells, dtype="boolean")
    if kinds == {datetime}:
        return pd.Series(pd.to_datetime(pd.Series(cells)))
    return pd.Series([None if cell is None else _text(cell) for cell in cells], dtype="object")


def _text(cell: Any) -> str:
    """A cell as it would be written: whole numbers and days without what they do not have."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime):
        return cell.isoformat(" ").removesuffix(" 00:00:00")
    return str(cell)


# --- the process of its own


def _cells(path: str, sheet: str) -> tuple[str, list[list[Any]]]:
    """(name of the sheet, its rows without empty ones at the end)."""
    from python_calamine import load_workbook

    workbook = load_workbook(path)
    names = workbook.sheet_names
    if sheet and sheet not in names:
        raise ValueError(f"expected one of the sheets {', '.join(names)}, found no {sheet!r}")
    found = workbook.get_sheet_by_name(sheet or names[0])
    rows = [[_plain(cell) for cell in row] for row in found.to_python()]
    while rows and all(cell is None for cell in rows[-1]):
        rows.pop()
    return sheet or names[0], rows


def _plain(cell: Any) -> Any:
    """What JSON has; of a day or moment an object, of other times the text."""
    if isinstance(cell, str):
        return cell.strip() or None
    if isinstance(cell, date):  # a datetime is one, too
        return {_DAY: cell.isoformat()}
    return cell if isinstance(cell, bool | int | float) else str(cell)


def _main(path: str, sheet: str, limit: str) -> int:
    resource.setrlimit(resource.RLIMIT_AS, (int(limit), int(limit)))
    try:
        found = json.dumps(_cells(path, sheet))
    except MemoryError:
        return 1
    except Exception as error:  # what a damaged file can do, nobody has listed
        print(str(error).partition("\n")[0] or type(error).__name__, end="")
        return _UNREADABLE
    print(found)
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
