"""What is predicted: a number or a class, decided by the column of the target."""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from journal_launcher.base.errors import UsageError
from journal_launcher.tabular.data.columns import Typed, label_of, rows_of, texts_of
from journal_launcher.tabular.data.deciding import type_of
from journal_launcher.tabular.data.formats import is_mark, number_formats, number_of

__all__ = ["Target", "decide_target", "type_target"]

_AUTO_CLASSES = 20
"""Whole numbers with at most this many distinct values are classes, if the task is auto."""
_MOSTLY = 0.9
"""A target in which more rows than this share are numbers probably has a slip in it."""


@dataclass(frozen=True)
class Target:
    """values: float64, of the rows that have one; for classification positions in `classes`.

    class_type: as in `Schema`. by_number: classes only because the numbers are whole and few.
    """

    name: str
    task: str
    values: NDArray[np.float64]
    classes: tuple[str, ...] = ()
    class_type: str | None = None
    by_number: bool = False


def type_target(name: str, series: pd.Series, date_order: str | None) -> Typed:
    """The target's column by itself. A text among numbers is no gap here: a row would be lost."""
    column = type_of(name, series, date_order)
    slips = [gap for gap in column.gaps if not is_mark(gap.text)]
    return texts_of(name, series) if slips else column


def decide_target(asked: str, name: str, column: Typed, series: pd.Series) -> Target:
    """What is learned of the column, which has a value in every row.

    asked: --task. series: the column's cells, from which class labels are spelled as they are.

    Raises:
        UsageError: it cannot be predicted, or not as that task; names a row.
    """
    values = column.values
    distinct = np.unique(values)
    if len(distinct) < 2:
        raise UsageError(f"target {name!r}: expected different values, found the same in every row")
    if column.kind == "date":
        row, cell = int(rows_of(series)[0]) + 1, label_of(series.iloc[0])
        raise UsageError(
            f"row {row}, target {name!r}: expected a number or a class, found {cell!r}, which is "
            "read as a date or time; write durations as numbers, such as of seconds"
        )
    whole = column.kind == "number" and bool((distinct == np.floor(distinct)).all())
    by_number = asked == "auto" and whole and len(distinct) <= _AUTO_CLASSES
    task = asked
    if asked == "auto":
        texts = column.kind in ("category", "boolean")
        task = "classification" if by_number or texts else "regression"
    if column.kind == "category" and (asked == "auto" or task == "regression"):
        _check_classes(task, name, column, rows_of(series))
    if task == "regression":
        return Target(name, task, values)
    if column.kind == "number" and not whole:
        odd = float(distinct[distinct != np.floor(distinct)][0])
        raise UsageError(
            f"target {name!r}: --task classification needs text or whole numbers, found {odd}"
        )
    labels, class_type = _labels(column, series)
    order = list(range(len(distinct)))
    if column.kind == "category":
        order.sort(key=lambda place: int(labels[place]) if class_type else labels[place])
    ranks = np.argsort(order)[np.searchsorted(distinct, values)].astype(np.float64)
    classes = tuple(labels[place] for place in order)
    return Target(name, task, ranks, classes, class_type, by_number)


def _labels(column: Typed, cells: pd.Series) -> tuple[list[str], str | None]:
    """The text of each distinct value in order, as the file has it, and the type of all."""
    distinct, firsts = np.unique(column.values, return_index=True)
    labels = [label_of(cells.iloc[first]) for first in firsts]
    if column.kind == "boolean":
        return labels, "bool"
    if column.kind == "category":
        whole = all(re.fullmatch("-?(0|[1-9][0-9]*)", label) for label in labels)
        return labels, "int" if whole else None
    if column.gaps or column.format:
        return [f"{value:.0f}" for value in distinct], "int"
    return labels, None if isinstance(cells.iloc[0], str) else "int"


def _check_classes(task: str, name: str, column: Typed, rows: NDArray[np.int64]) -> None:
    """Refuse texts that are meant to be numbers.

    Raises:
        UsageError: names the first row that holds none, and what to do.
    """
    numeric = [
        number_of(text) is not None or bool(number_formats([text])) for text in column.labels
    ]
    others = ~np.array([*numeric, False])[column.values]
    share, many = 1 - others.mean(), len(column.labels) > _AUTO_CLASSES
    classes = "if these are classes, give --task classification"
    if others.any() and (task == "regression" or share > _MOSTLY or (many and share > 0.5)):
        place, count = int(np.argmax(others)), int(np.count_nonzero(others))
        more = f" (and {count - 1:,} such rows more)" if count > 1 else ""
        raise UsageError(
            f"row {rows[place] + 1}, target {name!r}: expected a number, found "
            f"{column.labels[column.values[place]]!r}{more}; write a number, or empty the cell to "
            f"leave the row out; {classes}"
        )
    if column.doubts and (many or task == "regression"):
        raise UsageError(f"target {name!r}: {column.doubts[0]}; {classes}")
    if task == "regression":  # such as codes with zeros in front: their positions say nothing
        raise UsageError(
            f"target {name!r}: expected numbers, found categories such as {column.labels[0]!r}; "
            f"{classes}"
        )
