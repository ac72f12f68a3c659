"""Small synthetic tables for the tests of the worker."""

from collections.abc import Callable

import numpy as np
import pytest

from journal_launcher.tabular.data.dataset import Column, Dataset, Features, Fold, Schema

LEVELS = ("blue", "green", "red")


def _make_table(
    task: str = "regression", rows: int = 240, classes: int = 3, seed: int = 0
) -> Dataset:
    """Three numbers (some missing) and a category (some missing), three folds, 20 % held out."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(rows, 3))
    codes = rng.integers(-1, len(LEVELS), size=(rows, 1)).astype(np.int32)
    signal = 2 * numbers[:, 0] + numbers[:, 1] ** 2 + codes[:, 0] + rng.normal(size=rows) / 4
    numbers[rng.random(numbers.shape) < 0.05] = np.nan
    labels: tuple[str, ...] = ()
    target = signal
    if task == "classification":
        labels = tuple(f"class {position}" for position in range(classes))
        edges = np.quantile(signal, np.linspace(0, 1, classes + 1)[1:-1])
        target = np.digitize(signal, edges).astype(np.float64)
    columns = (*(Column(name, "number") for name in "abc"), Column("colour", "category", LEVELS))
    order = rng.permutation(rows)
    holdout, train = np.sort(order[: rows // 5]), np.sort(order[rows // 5 :])
    parts = np.array_split(rng.permutation(train), 3)
    folds = [Fold(np.setdiff1d(train, part), np.sort(part)) for part in parts]
    schema = Schema(columns, "y", task, labels)
    return Dataset(schema, Features(numbers, codes), target, train, holdout, folds)


@pytest.fixture
def make_table() -> Callable[..., Dataset]:
    """make_table(task, rows, classes, seed) -> Dataset"""
    return _make_table
