"""What a parsed table is: typed columns, features, a target and the rows of each fold."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Column", "Dataset", "Features", "Fold", "Rows", "Schema"]

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Column:
    """One input column.

    `kind` says how the text in a file is read: number, boolean (0 or 1), date (seconds since 1970)
    or category. `categories` are the sorted labels of a category column, a code is a position.
    """

    name: str
    kind: str
    categories: tuple[str, ...] = ()


@dataclass(frozen=True)
class Schema:
    """The columns a model reads, in file order, and what it predicts.

    `task` is "regression" or "classification"; `classes` are the sorted labels of a classification
    target (empty for regression).
    """

    columns: tuple[Column, ...]
    target: str
    task: str
    classes: tuple[str, ...] = ()

    @cached_property
    def numbers(self) -> tuple[Column, ...]:
        """Columns of `Features.numbers`, in order."""
        return tuple(column for column in self.columns if column.kind != "category")

    @cached_property
    def categories(self) -> tuple[Column, ...]:
        """Columns of `Features.codes`, in order."""
        return tuple(column for column in self.columns if column.kind == "category")

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Schema":
        columns = tuple(
            Column(column["name"], column["kind"], tuple(column["categories"]))
            for column in content["columns"]
        )
        return cls(columns, content["target"], content["task"], tuple(content["classes"]))


@dataclass(frozen=True)
class Features:
    """Inputs of some rows, before anything is fitted.

    numbers: (rows, number columns) float64, NaN where missing.
    codes: (rows, category columns) int32 positions in `Column.categories`, -1 where missing (or,
    when predicting, where the category was never seen).
    """

    numbers: NDArray[np.float64]
    codes: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def columns(self) -> list[NDArray[Any]]:
        """Each column, (rows,): the numbers, then the codes."""
        return [*self.numbers.T, *self.codes.T]

    def take(self, rows: Rows) -> "Features":
        return Features(self.numbers[rows], self.codes[rows])


@dataclass(frozen=True)
class Fold:
    """One fold's rows: sorted positions in the table."""

    train: Rows
    valid: Rows


@dataclass(frozen=True)
class Dataset:
    """A prepared table, memory-mapped: every worker shares the same pages.

    target: (rows,) float64, for classification the class positions 0, 1, …
    train: rows that cross-validation and the refit may see. holdout: the others, maybe none.
    folds: K folds of `train`. directory: where the arrays lie, if they are in files; what every
    worker would derive from them in the same way may be kept there.
    """

    schema: Schema
    features: Features
    target: NDArray[np.float64]
    train: Rows
    holdout: Rows
    folds: Sequence[Fold]
    directory: Path | None = None
