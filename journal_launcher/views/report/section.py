"""A section of the page, and the few shapes that are in one."""

import html
from collections.abc import Iterable, Sequence

from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.visible import one_line
from journal_launcher.views.report.charts import Chart

__all__ = ["Grid", "Section", "escaped", "note", "pairs", "paragraph", "small_table"]


@dataclass(frozen=True)
class Grid:
    """Small charts beside each other, as many as the screen has room for."""

    charts: Sequence[Chart]


@dataclass(frozen=True)
class Section:
    """parts: HTML as it is, or charts. One without parts has nothing to show, and is left out."""

    anchor: str
    title: str
    parts: Sequence[str | Chart | Grid]


def escaped(text: object) -> str:
    """Text as HTML shows it, also within quotes."""
    return html.escape(one_line(str(text)))


def paragraph(text: str) -> str:
    return f"<p>{escaped(text)}</p>"


def note(text: str) -> str:
    """What explains a chart below it."""
    return f'<p class="note">{escaped(text)}</p>'


def pairs(rows: Iterable[tuple[str, str]]) -> str:
    """Labels and what is said under them."""
    told = "".join(f"<dt>{escaped(name)}</dt><dd>{escaped(text)}</dd>" for name, text in rows)
    return f"<dl>{told}</dl>"


def small_table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[int] = ()
) -> str:
    """numbers: the columns that stand at the right."""
    right = set(numbers)

    def line(kind: str, cells: Sequence[str]) -> str:
        sides = (' class="number"' if place in right else "" for place in range(len(cells)))
        written = zip(sides, cells, strict=True)
        return "".join(f"<{kind}{side}>{escaped(cell)}</{kind}>" for side, cell in written)

    body = "".join(f"<tr>{line('td', row)}</tr>" for row in rows)
    table = f"<table><thead><tr>{line('th', heads)}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll">{table}</div>'
