"""The diagnostics of a refit: the same file for every model type, and what is in it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tabular.models.test_words import with_texts
from tabular.tasks import EACH_MODEL_TYPE, publish, task_of

from journal_launcher.base.artifacts.diagnostics import Diagnostics
from journal_launcher.tabular import diagnostics, importance, metrics
from journal_launcher.tabular.data.dataset import Dataset, Features
from journal_launcher.tabular.diagnostics import write_diagnostics
from journal_launcher.tabular.importance import permutation_importance
from journal_launcher.tabular.task import ScoredTrial

MakeTable = Callable[..., Dataset]
TRIAL: dict[str, Any] = {
    "number": 4,
    "value": 0.5,
    "train_scores": [0.7, 0.9],
    "steps": 3,
    "params": {},
    "fold_scores": [0.4, 0.6],
    "overfit_ratio": 1.7,
    "errors": {"validation": 1.7, "training": 1.0},
}


def diagnosed(
    table: Dataset,
    folder: Path,
    model_type: str = "linear",
    spoil: Any = None,
    predicted: Any = None,
    params: Mapping[str, Any] = {},
    **more: Any,
) -> dict[str, Any]:
    task = task_of(table, model_type, seed=9)
    model = task.make_model()
    features, target = table.features.take(table.train), table.target[table.train]
    fitted = model.fit({**model.defaults(), **params}, features, target, 3, 0)
    staging = folder / "my_study" / "staging"
    staging.mkdir(parents=True)
    fitted.save(staging / "best_model.x")
    trial, file = ScoredTrial(**{**TRIAL, **more}), staging / "best_model.x"
    write_diagnostics(task, trial, model, spoil or fitted, file, predicted)
    text = (staging / "training_diagnostics.json").read_text()
    content: dict[str, Any] = json.loads(text, parse_constant=pytest.fail)
    return content


@pytest.mark.parametrize("task", ["regression", "classification"])
@pytest.mark.parametrize("model_type", EACH_MODEL_TYPE)
def test_every_model_type_writes_the_same_sections(
    make_table: MakeTable, tmp_path: Path, model_type: str, task: str
) -> None:
    found = diagnosed(make_table(task), tmp_path, model_type)
    shared = {"schema_version", "study", "trial", "model_type", "model_sha256", "task", "scores"}
    shared |= {"training", "importance", "non_finite"}
    assert set(found) == shared | ({"network"} if model_type == "neural_net" else set())
    assert (found["schema_version"], found["study"], found["trial"]) == (1, "my_study", 4)
    model = (tmp_path / "my_study/staging/best_model.x").read_bytes()
    assert found["model_sha256"] == sha256(model).hexdigest()
    assert found["non_finite"] == [] and Diagnostics.from_json(found).odd == []
    assert set(found["importance"]["increase"]) == {"a", "b", "c", "colour"}
    unit, limit = ("epoch", 48) if model_type == "neural_net" else ("round", None)
    assert found["training"]["unit"] == unit and found["training"]["steps"] == 3
    assert limit in (None, found["training"]["limit"])
    scores = found["scores"]
    assert (scores["cv"], scores["train"]) == (0.5, pytest.approx(0.8))
    if task == "regression":
        assert scores["direction"] == "maximize" and -0.2 < scores["dummy"] <= 0
    else:
        assert scores["direction"] == "minimize"
        assert scores["dummy"] == pytest.approx(np.log(3), abs=0.1)


def test_curves_are_kept_where_there_are_any(make_table: MakeTable, tmp_path: Path) -> None:
    curves = {"training": [1.0, 0.5], "validation": [1.0, float("inf")]}
    found = diagnosed(make_table(), tmp_path, curves=curves)
    assert found["curves"] == {"training": [1.0, 0.5], "validation": [1.0, None]}
    assert found["non_finite"] == ["curves.validation[1]"]


@pytest.mark.parametrize("params", [{}, {"embedding": "periodic", "sigma": 0.2}])
def test_a_network_is_looked_at_inside(
    make_table: MakeTable, tmp_path: Path, params: dict[str, Any]
) -> None:
    network = diagnosed(make_table(), tmp_path, "neural_net", params=params)["network"]
    assert [layer["name"] for layer in network["layers"]] == ["hidden 1", "output"]
    hidden, output = network["layers"]
    assert "dead_units" not in output
    assert hidden["dead_units"] == network["dead_units"]
    norms = [hidden["gradient_norm"], output["gradient_norm"]]
    assert network["gradient_spread"] == pytest.approx(max(norms) / min(norms))
    assert hidden["weights"]["min"] < hidden["weights"]["mean"] < hidden["weights"]["max"]


def test_a_model_that_predicts_nan_is_named(make_table: MakeTable, tmp_path: Path) -> None:
    class Broken:
        def predict(self, features: Features) -> np.ndarray:
            return np.full(len(features), np.nan)

    found = diagnosed(make_table(), tmp_path, spoil=Broken())
    assert "importance.error" in found["non_finite"] and found["importance"]["error"] is None


def test_diagnostics_that_fail_cost_no_model(
    make_table: MakeTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(diagnostics, "permutation_importance", fail)
    found = diagnosed(make_table(), tmp_path)
    assert found["failed"] == "MemoryError: no room"
    assert {"schema_version", "study", "trial", "model_sha256"} <= set(found)


@pytest.mark.parametrize("texts", [False, True])
@pytest.mark.parametrize("name", ["catboost", "neural_net"])
def test_one_training_is_looked_at_where_the_mean_of_several_is_published(
    make_table: MakeTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, texts: bool
) -> None:
    """Or a wide table would have a fifth of the features scored in the same time."""
    looked_at: list[Any] = []
    measure = diagnostics.permutation_importance

    def seen(fitted: Any, *given: Any) -> Any:
        looked_at.append(fitted)
        return measure(fitted, *given)

    monkeypatch.setattr(diagnostics, "permutation_importance", seen)
    table = with_texts(make_table()) if texts else make_table()
    study = publish(table, name, tmp_path / "study")
    sidecar = json.loads((study / "best_model.meta.json").read_text())
    model, file = task_of(table, name).make_model(), study / sidecar["model_file"]
    first = model.load(file, sidecar["model_state"][0]).predict(table.features)
    np.testing.assert_allclose(looked_at[0].predict(table.features), first, rtol=1e-6)
    assert not np.allclose(
        model.load_mean(file, sidecar["model_state"]).predict(table.features), first
    )
    told = json.loads((study / "training_diagnostics.json").read_text())
    assert ("network" in told) == (name == "neural_net")


# --- permutation importance


class Sum:
    """Predicts `a` + 2 * the code of `colour`, and ignores the rest."""

    def predict(self, features: Features) -> np.ndarray:
        return np.nan_to_num(features.numbers[:, 0]) + 2.0 * features.codes[:, 0]


def scored(table: Dataset, **more: Any) -> dict[str, Any]:
    target = Sum().predict(table.features)

    rmse = metrics.error_function("regression")
    model: Any = Sum()
    found = permutation_importance(model, table.features, target, table.schema, rmse, 0, **more)
    return found.to_json()


def test_importance_is_measured_by_weight(make_table: MakeTable) -> None:
    """Without those of one colour, the colours differ in another way."""
    table = make_table()
    plain = scored(table)["increase"]
    red = table.features.codes[:, 0] == 2
    weighted = scored(table, weights=np.where(red, 1e-9, 1.0))["increase"]
    assert weighted["colour"] != pytest.approx(plain["colour"], rel=0.05)
    expected = scored(table, weights=np.full(len(red), 7.0))["increase"]
    assert expected == pytest.approx(plain)


def test_only_features_that_the_model_reads_are_important(make_table: MakeTable) -> None:
    table = make_table()
    before = table.features.numbers.copy()
    found = scored(table)
    increase = found["increase"]
    assert increase["b"] == increase["c"] == 0.0 < increase["a"] < increase["colour"]
    assert (found["rows"], found["error"], found["not_scored"]) == (240, 0.0, [])
    np.testing.assert_array_equal(table.features.numbers, before)
    assert scored(replace(table)) == found


def test_a_wide_table_does_not_hold_up_the_model(make_table: MakeTable) -> None:
    ticks = iter(range(0, 1000, 3))
    found = scored(make_table(), clock=lambda: float(next(ticks)))
    assert importance._SECONDS == 5.0
    assert len(found["increase"]) == 1 and len(found["not_scored"]) == 3


def test_predictions_of_the_holdout_are_kept_and_bounded(
    make_table: MakeTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnostics, "_DRAWN", 7)
    table = make_table()
    target = table.target[table.holdout]
    predicted = target + 0.123456789
    predicted[0] = np.nan
    found = diagnosed(table, tmp_path, predicted=predicted)
    kept = found["holdout"]
    assert kept["rows"] == len(target) - 1 > 7 == len(kept["actual"]) == len(kept["predicted"])
    for actual, said in zip(kept["actual"], kept["predicted"], strict=True):
        assert said - actual == pytest.approx(0.123456789, abs=1e-4) and actual in set(
            map(lambda value: float(f"{value:.6g}"), target)
        )
    assert Diagnostics.from_json(found).odd == [] and "calibration" not in kept


def test_calibration_of_the_class_that_is_predicted(make_table: MakeTable, tmp_path: Path) -> None:
    table = make_table("classification")
    target = table.target[table.holdout].astype(int)
    assert len(table.schema.classes) == 3
    predicted = np.full((len(target), 3), 0.1)
    predicted[np.arange(len(target)), target] = 0.8  # 80 % said, and always right
    predicted[:2] = (0.0, 0.0, 0.0)
    for row in (0, 1):  # 100 % said, and right once
        predicted[row, (target[row] + row) % 3] = 1.0
    kept = diagnosed(table, tmp_path, predicted=predicted)["holdout"]
    assert kept["calibration"] == [[0.8, 1.0, len(target) - 2], [1.0, 0.5, 2]]
    assert "actual" not in kept and "of" not in kept
