"""The baselines: same folds, never a reason for a launch to fail."""

from collections.abc import Callable

import numpy as np
import pytest
from tabular.tasks import task_of

from journal_launcher.tabular.baselines import score_baselines
from journal_launcher.tabular.data.dataset import Dataset

MakeTable = Callable[..., Dataset]


def test_the_dummy_predicts_the_mean_of_the_training_rows(make_table: MakeTable) -> None:
    table = make_table()
    expected = [
        np.sqrt(np.mean((table.target[fold.valid] - table.target[fold.train].mean()) ** 2))
        for fold in table.folds
    ]
    scored = score_baselines(task_of(table, "catboost", "rmse"))
    assert scored["dummy"].fold_scores == pytest.approx(expected)
    assert scored["dummy"].score == pytest.approx(np.mean(expected))
    assert scored["linear"].score < 0.8 * scored["dummy"].score


def test_the_dummy_predicts_the_shares_of_the_classes(make_table: MakeTable) -> None:
    table = make_table("classification", classes=2)
    expected = []
    for fold in table.folds:
        share = table.target[fold.train].mean()
        hits = table.target[fold.valid].mean()
        expected.append(-hits * np.log(share) - (1 - hits) * np.log(1 - share))
    scored = score_baselines(task_of(table, "catboost", "log_loss"))
    assert scored["dummy"].fold_scores == pytest.approx(expected)
    assert scored["linear"].score < 0.8 * scored["dummy"].score


def test_what_cannot_be_scored_says_why(make_table: MakeTable) -> None:
    table = make_table()
    table.target[:] = 1.0
    scored = score_baselines(task_of(table, "catboost", "r2"))
    assert scored["dummy"].score is None
    assert "not finite" in str(scored["dummy"].reason)
