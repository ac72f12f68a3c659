"""A verdict as a table of plain lines."""

from collections.abc import Iterator

from journal_launcher.base.verdict import Finding, Verdict
from journal_launcher.views.figures import number

__all__ = ["finding_cells", "verdict_lines"]


def verdict_lines(verdict: Verdict) -> Iterator[str]:
    """The level, then a line for each finding."""
    yield f"{verdict.study}  {verdict.level}" + (f": {verdict.reason}" if verdict.reason else "")
    for level, name, value, threshold, text in map(finding_cells, verdict.findings):
        yield f"  {level:<9}{name:<18}{value:>9}  limit {threshold:<8}  {text}"


def finding_cells(found: Finding) -> tuple[str, str, str, str, str]:
    """Its level, name, value, limit and what it is."""
    return found.level, found.name, number(found.value), number(found.threshold), found.text
