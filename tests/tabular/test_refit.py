"""The refit: what is trained, scored, written and recorded."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tabular.tasks import task_of

from journal_launcher.base.errors import JournalLauncherError
from journal_launcher.base.seeds import trial_seed
from journal_launcher.tabular import metrics
from journal_launcher.tabular.data.dataset import Dataset
from journal_launcher.tabular.models.catboost import CatBoost, FittedCatBoost
from journal_launcher.tabular.refit import refit
from journal_launcher.tabular.task import ScoredTrial

MakeTable = Callable[..., Dataset]

PARAMS = {"depth": 4, "learning_rate": 0.2, "l2_leaf_reg": 3.0, "subsample": 0.9}


def _refit(
    table: Dataset, staging: Path, metric: str = "r2", *, on_all_rows: bool = False
) -> dict[str, Any]:
    trial = ScoredTrial(
        number=4,
        value=0.5,
        params=PARAMS,
        fold_scores=[0.4, 0.5, 0.6],
        train_scores=[0.8, 0.8, 0.8],
        steps=30,
        overfit_ratio=1.7,
    )
    task = task_of(table, "catboost", metric, seed=9)
    return refit(task, trial, staging, on_all_rows=on_all_rows, progress=lambda *_: None)


def _by_hand(table: Dataset) -> tuple[CatBoost, list[FittedCatBoost]]:
    """The model type, and the five models whose mean is published."""
    model = task_of(table, "catboost", "r2").make_model()
    assert isinstance(model, CatBoost)
    features, target = table.features.take(table.train), table.target[table.train]
    what = ("refit", "refit 2", "refit 3", "refit 4", "refit 5")
    seeds = [trial_seed(9, 4, purpose) for purpose in what]
    return model, [model.fit(PARAMS, features, target, 30, seed) for seed in seeds]


def test_the_model_is_trained_on_the_training_rows_and_scored_on_the_others(
    make_table: MakeTable, tmp_path: Path
) -> None:
    table = make_table()
    sidecar = _refit(table, tmp_path)
    model, by_hand = _by_hand(table)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        sidecar["model_file"],
        *(f"best_model.variant{n}.cbm" for n in (2, 3, 4, 5)),
        "training_diagnostics.json",
    ]
    published = model.load_mean(tmp_path / "best_model.cbm", sidecar["model_state"])
    members = [member.predict(table.features) for member in by_hand]
    assert not np.array_equal(members[0], members[1])
    expected = np.mean(members, axis=0)
    np.testing.assert_array_equal(published.predict(table.features), expected)
    for key, rows in (("train_metrics", table.train), ("holdout_metrics", table.holdout)):
        assert set(sidecar[key]) == {"r2", "rmse", "mae"}
        for name, value in sidecar[key].items():
            by_metric = metrics.score_function(name, "regression")(
                table.target[rows], expected[rows]
            )
            assert value == pytest.approx(by_metric)
    assert "cv_metrics" not in sidecar, "a trial of an older version has none"
    low, high = sidecar["holdout_interval"]
    assert low < sidecar["holdout_metrics"]["r2"] < high


def test_the_sidecar_tells_where_the_model_comes_from(
    make_table: MakeTable, tmp_path: Path
) -> None:
    table = make_table("classification")
    sidecar = _refit(table, tmp_path, "log_loss")
    assert json.loads(json.dumps(sidecar, allow_nan=False)) == json.loads(json.dumps(sidecar))
    expected = {
        "schema_version": 1,
        "kind": "table",
        "model_type": "catboost",
        "metric": "log_loss",
        "trial": 4,
        "params": PARAMS,
        "epochs": 30,
        "value": 0.5,
        "fold_scores": [0.4, 0.5, 0.6],
        "train_fold_scores": [0.8, 0.8, 0.8],
        "overfit_ratio": 1.7,
        "rows": {"train": 192, "holdout": 48, "folds": 3},
        "feature_names": ["a", "b", "c", "colour"],
        "schema_hash": table.schema.sha256,
        "refit": "train",
        "metrics_of": "published model",
        "seeds": {"study": 9, "refit": trial_seed(9, 4, "refit")},
        "members": 5,
    }
    assert {key: sidecar[key] for key in expected} == expected
    assert sidecar["schema"]["classes"] == ("class 0", "class 1", "class 2")
    assert set(sidecar["holdout_metrics"]) == set(metrics.names("classification"))


@pytest.mark.parametrize(
    ("on_all_rows", "often"), [(False, ""), (True, "twice, without and with the hold-out, ")]
)
def test_how_many_trainings_there_are_is_said_as_they_begin(
    make_table: MakeTable,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    on_all_rows: bool,
    often: str,
) -> None:
    caplog.set_level("INFO", "journal_launcher.tabular")
    _refit(make_table(), tmp_path, on_all_rows=on_all_rows)
    text = f"the refit: {often}5 trainings of 30 rounds each; their mean is what is published"
    assert caplog.messages == [text]


def test_refit_all_publishes_a_model_of_all_rows_with_the_metrics_of_the_other(
    make_table: MakeTable, tmp_path: Path
) -> None:
    table = make_table()
    (tmp_path / "train").mkdir()
    (tmp_path / "all").mkdir()
    of_train = _refit(table, tmp_path / "train")
    of_all = _refit(table, tmp_path / "all", on_all_rows=True)
    assert (of_all["refit"], of_all["metrics_of"]) == ("all", "train-only model")
    for key in ("train_metrics", "holdout_metrics", "holdout_interval"):
        assert of_all[key] == of_train[key]
    model, _ = _by_hand(table)
    file = tmp_path / "all" / "best_model.cbm"
    published = model.load_mean(file, of_all["model_state"])
    holdout = table.features.take(table.holdout)
    seen = metrics.score_function("r2", "regression")(
        table.target[table.holdout], published.predict(holdout)
    )
    assert seen > of_train["holdout_metrics"]["r2"]


def test_without_a_holdout_there_are_no_metrics_of_it(
    make_table: MakeTable, tmp_path: Path
) -> None:
    whole = make_table()
    table = Dataset(
        whole.schema, whole.features, whole.target, whole.train, whole.holdout[:0], whole.folds
    )
    sidecar = _refit(table, tmp_path, on_all_rows=True)
    assert sidecar["holdout_metrics"] is None and sidecar["holdout_interval"] is None
    assert (sidecar["refit"], sidecar["metrics_of"]) == ("train", "published model")


def test_a_metric_that_is_undefined_on_the_holdout_is_null(
    make_table: MakeTable, tmp_path: Path
) -> None:
    table = make_table("classification", classes=2)
    table.target[table.holdout] = 0.0
    sidecar = _refit(table, tmp_path, "roc_auc")
    assert sidecar["holdout_metrics"]["roc_auc"] is None
    assert sidecar["holdout_interval"] == [None, None]
    assert sidecar["holdout_metrics"]["accuracy"] is not None


def test_a_file_that_predicts_something_else_is_refused(
    make_table: MakeTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = make_table()
    written = FittedCatBoost.save

    def save_another(self: FittedCatBoost, path: Path) -> dict[str, Any]:
        model, _ = _by_hand(table)
        other = model.fit(PARAMS, table.features, -table.target, 5, 0)
        return written(other, path)

    monkeypatch.setattr(FittedCatBoost, "save", save_another)
    with pytest.raises(JournalLauncherError, match=r"best_model\.cbm: expected the written model"):
        _refit(table, tmp_path)
