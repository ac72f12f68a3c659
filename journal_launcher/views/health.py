"""A verdict as a table of plain lines."""

from collections.abc import Iterator

from journal_launcher.base.verdict import Verdict
from journal_launcher.views.figures import number

__all__ = ["verdict_lines"]


def verdict_lines(verdict: Verdict) -> Iterator[str]:
    """The level, then a line for each finding."""
    yield f"{verdict.study}  {verdict.level}" + (f": {verdict.reason}" if verdict.reason else "")
    for found in verdict.findings:
        figures = f"{number(found.value):>9}  limit {number(found.threshold):<8}"
        yield f"  {found.level:<9}{found.name:<18}{figures}  {found.text}"
