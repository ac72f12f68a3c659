"""What a parsed table is: typed columns, features, a target and the rows of each fold."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from journal_launcher.tabular.data.arrays import PackedTexts

__all__ = ["Column", "Dataset", "Features", "Fold", "Rows", "Schema", "Texts"]

Rows = NDArray[np.int64]
Texts = NDArray[np.object_]
"""(rows, text columns) str, empty where missing."""


@dataclass(frozen=True)
class Column:
    """One input column.

    `kind` says how the text in a file is read: number, boolean (0 or 1), date (seconds since 1970),
    category, or text of several words. `categories` are the sorted labels of a category column, a
    code is a position. `format` is the one its text is written in (see `formats`), None the plain
    one; `gap_texts` are texts that stood for no value.
    """

    name: str
    kind: str
    categories: tuple[str, ...] = ()
    format: str | None = None
    gap_texts: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """What is not usual is left out, as in files from before it was known."""
        content: dict[str, Any] = {"name": self.name, "kind": self.kind}
        content["categories"] = self.categories
        if self.format is not None:
            content["format"] = self.format
        return {**content, "missing": self.gap_texts} if self.gap_texts else content

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Column":
        gap_texts = tuple(content.get("missing", ()))
        categories = tuple(content["categories"])
        return cls(content["name"], content["kind"], categories, content.get("format"), gap_texts)


@dataclass(frozen=True)
class Schema:
    """The columns a model reads, in file order, and what it predicts.

    `task` is "regression" or "classification"; `classes` are the sorted labels of a classification
    target (empty for regression), `class_type` what they were in the training data: "int", "bool",
    or None for text (and for every model from before it was recorded). `weight_column` is what the
    training rows were weighed by, if they were: new rows need none.
    """

    columns: tuple[Column, ...]
    target: str
    task: str
    classes: tuple[str, ...] = ()
    class_type: str | None = None
    weight_column: str | None = None

    @cached_property
    def numbers(self) -> tuple[Column, ...]:
        """Columns of `Features.numbers`, in order."""
        return tuple(c for c in self.columns if c.kind not in ("category", "text"))

    @cached_property
    def categories(self) -> tuple[Column, ...]:
        """Columns of `Features.codes`, in order."""
        return tuple(column for column in self.columns if column.kind == "category")

    @cached_property
    def texts(self) -> tuple[Column, ...]:
        """Columns of `Features.texts`, in order."""
        return tuple(column for column in self.columns if column.kind == "text")

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    @cached_property
    def labels(self) -> NDArray[Any]:
        """(classes,) the labels as what they were in the training data."""
        if self.class_type == "int":
            return np.array([int(label) for label in self.classes])
        if self.class_type == "bool":
            return np.array([label.lower() == "true" for label in self.classes])
        return np.array(self.classes)

    def to_json(self) -> dict[str, Any]:
        content: dict[str, Any] = {"columns": [column.to_json() for column in self.columns]}
        content |= {"target": self.target, "task": self.task, "classes": self.classes}
        content |= {"class_type": self.class_type} if self.class_type else {}
        return content | ({"weight_column": self.weight_column} if self.weight_column else {})

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Schema":
        columns = tuple(Column.from_json(column) for column in content["columns"])
        classes, class_type = tuple(content["classes"]), content.get("class_type")
        weight_column = content.get("weight_column")
        return cls(columns, content["target"], content["task"], classes, class_type, weight_column)


@dataclass(frozen=True)
class Features:
    """Inputs of some rows, before anything is fitted.

    numbers: (rows, number columns) float64, NaN where missing.
    codes: (rows, category columns) int32 positions in `Column.categories`, -1 where missing (or,
    when predicting, where the category was never seen).
    texts: of the text columns, None where there are none; no model type itself looks at them.
    """

    numbers: NDArray[np.float64]
    codes: NDArray[np.int32]
    texts: Texts | PackedTexts | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def columns(self) -> list[NDArray[Any]]:
        """Each column, (rows,): the numbers, then the codes, then the ranks of the texts."""
        texts = () if self.texts is None else self.texts[:].T
        ranks = (np.unique(column, return_inverse=True)[1] for column in texts)
        return [*self.numbers.T, *self.codes.T, *ranks]

    def take(self, rows: Rows) -> "Features":
        texts = None if self.texts is None else self.texts[rows]
        return Features(self.numbers[rows], self.codes[rows], texts)


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
    worker would derive from them in the same way may be kept there. weights: (rows,) positive
    float64 of which only the ratios matter; None weighs all rows alike.
    """

    schema: Schema
    features: Features
    target: NDArray[np.float64]
    train: Rows
    holdout: Rows
    folds: Sequence[Fold]
    directory: Path | None = None
    weights: NDArray[np.float64] | None = None

    def weights_of(self, rows: Rows) -> NDArray[np.float64] | None:
        return None if self.weights is None else self.weights[rows]
