"""Columns of text: as wide as they are, or fitted into a terminal."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rich.cells import cell_len, set_cell_size

from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.visible import one_line

__all__ = ["Column", "fitted", "lines", "records"]

_GAP = "  "


@dataclass(frozen=True)
class Column:
    """A title and a cell for each row, safe to show.

    right: aligned there, as numbers are. least: characters that a terminal must have for it; a
    column of text is cut down to them.
    """

    title: str
    cells: tuple[str, ...]
    right: bool = False
    least: int | None = None

    @classmethod
    def of(
        cls, title: str, cells: Sequence[str], *, right: bool = False, least: int | None = None
    ) -> "Column":
        return cls(one_line(title), tuple(map(one_line, cells)), right, least)

    @property
    def width(self) -> int:
        return max(map(_width, (self.title, *self.cells)))

    @property
    def needed(self) -> int:
        width = self.width
        return width if self.least is None else min(width, max(self.least, _width(self.title)))


def fitted(
    columns: Sequence[Column], droppable: Sequence[Column], width: int
) -> tuple[list[Column], list[Column]]:
    """(columns that fit into `width` characters together, those left out).

    droppable: which may be left out, the first one first. If the others are too wide even so,
    nothing fits. What is left of the width goes to the column that was cut most.
    """
    needed = {id(column): column.needed for column in columns}
    spare = width - sum(needed.values()) - len(_GAP) * (len(columns) - 1)
    left_out: list[Column] = []
    for column in droppable:
        if spare >= 0:
            break
        left_out.append(column)
        spare += needed[id(column)] + len(_GAP)
    if spare < 0:
        return [], list(columns)
    kept = []
    for column in columns:
        if any(column is other for other in left_out):
            continue
        wanted = column.width
        granted = min(wanted, needed[id(column)] + spare)
        spare -= granted - needed[id(column)]
        kept.append(column if granted == wanted else _cut(column, granted))
    return kept, left_out


def _cut(column: Column, width: int) -> Column:
    cells = (
        cell if _width(cell) <= width else set_cell_size(cell, width - 1).rstrip() + "…"
        for cell in column.cells
    )
    return replace(column, cells=tuple(cells))


def lines(columns: Sequence[Column]) -> Iterator[str]:
    """The titles, and a line for each row."""
    padded = []
    for column in columns:
        width = column.width
        cells = (column.title, *column.cells)
        padded.append([_padded(cell, width, column.right) for cell in cells])
    for row in zip(*padded, strict=True):
        yield _GAP.join(row).rstrip()


def records(columns: Sequence[Column]) -> Iterator[str]:
    """Every row as lines of its own, a line for each cell that holds something."""
    titles = len(_GAP) + max(_width(column.title) for column in columns)
    for row in range(len(columns[0].cells)):
        for place, column in enumerate(columns):
            if column.cells[row]:
                indent = _GAP if place else ""
                title = _padded(column.title, titles - len(indent), right=False)
                yield f"{indent}{title}{_GAP}{column.cells[row]}"


def _width(text: str) -> int:
    return len(text) if text.isascii() else cell_len(text)


def _padded(text: str, width: int, right: bool) -> str:
    blank = " " * (width - _width(text))
    return blank + text if right else text + blank
