"""What is learned from a table: its folds, and the same task on others."""

from collections.abc import Callable

import numpy as np
from tabular.tasks import task_of

from journal_launcher.tabular.data.dataset import Dataset

MakeTable = Callable[..., Dataset]


def test_the_holdout_is_in_no_fold(make_table: MakeTable) -> None:
    table = make_table()
    task = task_of(table, "linear")
    assert task.folds is task.folds  # what a model type keeps for them is found again
    for fold, rows in zip(task.folds, table.folds, strict=True):
        assert not np.isin(table.holdout, np.concatenate([fold.rows.train, fold.rows.valid])).any()
        assert np.array_equal(fold.valid_target, table.target[rows.valid])


def test_other_folds_change_nothing_else(make_table: MakeTable) -> None:
    table, other = make_table(), make_table(seed=1)
    task = task_of(table, "linear", seed=3)
    assert len(task.folds) == 3  # known before the other task is made
    fresh = task.with_folds(other.folds)
    for found, expected in zip(fresh.folds, other.folds, strict=True):
        assert np.array_equal(found.rows.valid, expected.valid)
    assert (fresh.seed, fresh.settings, fresh.metric) == (3, task.settings, "r2")
    assert fresh.dataset.train is table.train and fresh.dataset.holdout is table.holdout
