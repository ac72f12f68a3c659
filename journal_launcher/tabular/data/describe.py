"""What a table looks like to a launch, column by column; nothing is split and nothing trained."""

from typing import Any

import numpy as np

from journal_launcher.base.data_source import check_location
from journal_launcher.tabular.data.data_checks import check_data
from journal_launcher.tabular.data.prepared import about
from journal_launcher.tabular.data.source import TableSource
from journal_launcher.tabular.data.typed_table import read_table

__all__ = ["describe", "description_lines"]


def describe(source: TableSource) -> dict[str, Any]:
    """Read a table as a launch with the same options would.

    Returns:
        A JSON object. data, n_rows, target, task, classes, summary; columns: of each its name,
        kind, format (null: plain), example, missing (share of the rows), role (feature, target,
        weight, group, or "left out: " and why); notes and doubts: lines for the user.

    Raises:
        UsageError: as `read_table`.
    """
    check_location(source.data)
    with about(source.location):
        table = read_table(source)
    schema, features = table.features()
    rows = np.arange(len(features))
    doubts = check_data(schema, features, table.target.values, rows, rows[:0])
    roles = {name: f"left out: {why}" for name, why in table.left_out.items()}
    roles |= {table.target.name: "target"}
    if source.weight_column is not None:
        roles[source.weight_column] = "weight"
    if source.group_column is not None:
        roles[source.group_column] = "group"
    return {
        "schema_version": 1,
        "data": source.location,
        "n_rows": len(features),
        "target": table.target.name,
        "task": table.target.task,
        "classes": list(table.target.classes),
        "summary": table.summary,
        "columns": [
            {
                "name": name,
                "kind": column.kind,
                "format": column.format,
                "example": column.example,
                "missing": float(column.missing.mean()),
                "role": roles.get(name, "feature"),
            }
            for name, column in table.typed.items()
        ],
        "notes": list(table.notes),
        "doubts": [*table.doubts, *doubts],
    }


def description_lines(described: dict[str, Any]) -> list[str]:
    """The description as a table of text, the summary above it, notes and doubts below."""
    head = ("column", "kind", "format", "example", "missing", "")
    rows = [head] + [
        (
            column["name"] or "(no name)",
            column["kind"],
            column["format"] or "",
            column["example"],
            f"{column['missing']:.1%}" if column["missing"] else "",
            "" if column["role"] == "feature" else column["role"],
        )
        for column in described["columns"]
    ]
    shown = [[_short(cell) for cell in row] for row in rows]
    widths = [max(map(len, cells)) for cells in zip(*shown, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in shown
    ]
    doubts = [f"doubt: {doubt}" for doubt in described["doubts"]]
    return [described["summary"], "", *lines, "", *described["notes"], *doubts]


def _short(cell: str) -> str:
    return cell if len(cell) <= 40 else f"{cell[:39]}…"
