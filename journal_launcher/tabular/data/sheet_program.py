"""A program: the cells of a sheet as JSON, in a process that may not take more than some memory.

It imports nothing of this package, and is started by its path: `excel` reads what it prints.
"""

import json
import resource
import sys
from datetime import date
from typing import Any

DAY = "day"
"""The key of an object that stands for a date or moment, in ISO 8601."""
UNREADABLE = 3
"""Exit code: what is wrong is on stdout."""


def cells(path: str, sheet: str) -> dict[str, Any]:
    """sheet: its name; sheets: those of all; rows: without empty ones at the end; merged: how many
    cells hold what the first one of a merged range does, which is the one above them.

    Raises:
        ValueError: no such sheet.
        Exception: of the library, the file is damaged.
    """
    from python_calamine import load_workbook

    workbook = load_workbook(path)
    names = workbook.sheet_names
    if sheet and sheet not in names:
        raise ValueError(f"expected one of the sheets {', '.join(names)}, found no {sheet!r}")
    found = workbook.get_sheet_by_name(sheet or names[0])
    rows = [[_plain(cell) for cell in row] for row in found.to_python()]
    merged = _fill_merged(rows, found)
    while rows and all(cell is None for cell in rows[-1]):
        rows.pop()
    return {"sheet": sheet or names[0], "sheets": names, "rows": rows, "merged": merged}


def _fill_merged(rows: list[list[Any]], found: Any) -> int:
    """Give cells below the first one of a merged range its value; how many there are."""
    top, left = found.start or (0, 0)
    filled = 0
    # Versions before 0.4 do not say which cells are merged, nor do files of OpenDocument.
    for (first, column), (last, _) in getattr(found, "merged_cell_ranges", None) or ():
        for row in range(max(first, top) + 1, last + 1):
            if row - top < len(rows) and 0 <= column - left < len(rows[row - top]):
                rows[row - top][column - left] = rows[first - top][column - left]
                filled += 1
    return filled


def _plain(cell: Any) -> Any:
    """What JSON has; of a day or moment an object, of other times the text."""
    if isinstance(cell, str):
        return cell.strip() or None
    if isinstance(cell, date):  # a datetime is one, too
        return {DAY: cell.isoformat()}
    return cell if isinstance(cell, bool | int | float) else str(cell)


def main(path: str, sheet: str, limit: str) -> int:
    """Print the cells; `limit`: bytes of memory."""
    resource.setrlimit(resource.RLIMIT_AS, (int(limit), int(limit)))
    try:
        found = json.dumps(cells(path, sheet))
    except MemoryError:
        return 1
    except ImportError:
        print("Excel files need python-calamine: pip install python-calamine", end="")
        return UNREADABLE
    except Exception as error:  # what a damaged file can do, nobody has listed
        print(str(error).partition("\n")[0] or type(error).__name__, end="")
        return UNREADABLE
    print(found)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
