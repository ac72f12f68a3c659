"""Tables that lack what most have: every model type trains, publishes and predicts all the same."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tabular.tasks import EACH_MODEL_TYPE, STEPS, publish, task_of

from journal_launcher.base.errors import UsageError
from journal_launcher.tabular.cross_validation import cross_validate
from journal_launcher.tabular.data.prepared import load, prepare
from journal_launcher.tabular.data.source import TableSource
from journal_launcher.tabular.predict import load as load_model
from journal_launcher.tabular.predict import predict_file

ROWS, GROUPS = 60, 3
PLACE = np.arange(ROWS)
GROUP = PLACE % GROUPS
"""Each is the validation rows of one fold."""
WORDS = np.array(["red", "green", "blue", "tan"])
DRAWN = np.random.default_rng(0).normal(size=ROWS)
FIRST = GROUP == 0
DAYS = pd.date_range("2024-01-01", periods=ROWS).strftime("%Y-%m-%d")

Columns = dict[str, Any]
TABLES: dict[str, Columns] = {
    "texts": {"a": WORDS[PLACE % 4], "b": WORDS[PLACE // 20]},
    "sentences": {"a": [f"the {WORDS[n % 4]} house of {n}" for n in PLACE]},
    "sentences of each fold, and gaps": {
        "a": [f"{'uvw'[GROUP[n]] * 3} {n} and {'xyz'[GROUP[n]] * 2}" for n in PLACE],
        "b": [f"n{n}a n{n}b n{n}c" if n % 4 else None for n in PLACE],
    },
    "booleans": {"a": PLACE % 2 == 0, "b": DRAWN > 0},
    "dates": {"a": DAYS[PLACE * 7 % ROWS], "b": DAYS[PLACE * 11 % ROWS]},
    "a number": {"a": DRAWN},
    "a text, mostly the same": {
        "a": np.where(PLACE == 7, "once", np.where(PLACE == 9, "one", "common"))
    },
    "a number and a text, mostly gaps": {
        "a": np.where(PLACE % 7 == 0, DRAWN, np.nan),
        "b": np.where(PLACE % 5 == 0, WORDS[PLACE % 4], None),
    },
    "a number known in one fold": {"a": np.where(FIRST, DRAWN, np.nan)},
    "a text known in one fold": {"a": np.where(FIRST, WORDS[PLACE % 4], None)},
    "a text of each fold": {"a": WORDS[GROUP], "b": DRAWN},
    "columns constant but in one fold": {
        "a": np.where(FIRST, DRAWN, 1.5),
        "b": np.where(FIRST, WORDS[PLACE % 4], "tan"),
        "c": FIRST & (DRAWN > 0),
    },
}
TARGETS = {
    "regression": DRAWN * 2 + np.random.default_rng(1).normal(size=ROWS),
    "regression, constant but in one fold": np.where(FIRST, DRAWN, 0.0),
    "two classes": np.where(PLACE % 5 < 2, "no", "yes"),
    "three classes": WORDS[PLACE // 3 % 3],
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], tuple[Path, Any]]:
    """prepared(table, target) -> its file and its facts; read once for all model types."""
    kept: dict[tuple[str, str], tuple[Path, Any]] = {}

    def found(table: str, target: str) -> tuple[Path, Any]:
        if (table, target) not in kept:
            file = tmp_path_factory.mktemp("odd") / "table.csv"
            columns = {"group": GROUP, **TABLES[table], "y": TARGETS[target]}
            pd.DataFrame(columns).to_csv(file, index=False)
            asked = {"k_folds": GROUPS, "test_size": 0, "split": "group", "group_column": "group"}
            metric = "rmse" if target.startswith("regression") else None
            source = TableSource(str(file), 0, target="y", metric=metric, **asked)
            kept[table, target] = file, prepare(source, file.parent / "cache")
        return kept[table, target]

    return found


@pytest.mark.parametrize("model_type", EACH_MODEL_TYPE)
@pytest.mark.parametrize("name", TABLES)
def test_every_model_type_goes_from_the_table_to_predictions(
    prepared: Callable[[str, str], tuple[Path, Any]], tmp_path: Path, name: str, model_type: str
) -> None:
    classes = ("two classes", "three classes")[list(TABLES).index(name) % 2]
    for target in ("regression", classes):
        file, facts = prepared(name, target)
        table = load(Path(facts["directory"]))
        model = load_model(publish(table, model_type, tmp_path / target))
        frame = pd.read_csv(file).drop(columns=["group", "y"])
        found = model.predict(pd.concat([frame, frame.iloc[:1].map(lambda cell: None)]))
        assert len(found) == ROWS + 1
        if target == "regression":
            assert np.isfinite(found).all()
        else:
            assert {*found} <= {*TARGETS[target]}


@pytest.mark.parametrize("model_type", EACH_MODEL_TYPE)
def test_a_target_that_is_constant_in_the_training_rows_of_a_fold_is_learned(
    prepared: Callable[[str, str], tuple[Path, Any]], model_type: str
) -> None:
    _, facts = prepared("a number", "regression, constant but in one fold")
    task = task_of(load(Path(facts["directory"])), model_type, "rmse")
    model = task.make_model()
    curve = cross_validate(task, model, model.defaults(), 0, lambda *_: None, STEPS)
    assert (curve.scores < 2).all() and curve.train_scores.min() < 0.5


@pytest.mark.parametrize("classes", ["two classes", "three classes"])
def test_rows_that_are_alike_predict_what_is_frequent(
    prepared: Callable[[str, str], tuple[Path, Any]], classes: str
) -> None:
    """CatBoost learns from rows whose only column is empty."""
    _, facts = prepared("a text known in one fold", classes)
    table = load(Path(facts["directory"]))
    rows = next(f.train for f in table.folds if (table.features.codes[f.train] == -1).all())
    features, target = table.features.take(rows), table.target[rows]
    model = task_of(table, "catboost").make_model()
    fitted = model.fit(model.defaults(), features, target, STEPS, 0)
    shares = np.bincount(target.astype(int)) / len(rows)
    found = fitted.predict(table.features)
    np.testing.assert_allclose(found, np.tile(shares, (ROWS, 1)), atol=1e-9)


@pytest.mark.parametrize("name", ["texts", "a number"])
def test_features_that_are_not_scaled_come_back_too(
    prepared: Callable[[str, str], tuple[Path, Any]], tmp_path: Path, name: str
) -> None:
    file, facts = prepared(name, "regression")
    table = load(Path(facts["directory"]))
    study = publish(table, "neural_net", tmp_path / "study", flags={"normalize_features": False})
    predict_file(study, file, tmp_path / "out.csv")
    written = pd.read_csv(tmp_path / "out.csv")["prediction"]
    np.testing.assert_allclose(written, load_model(study).predict(pd.read_csv(file)))


@pytest.mark.parametrize("split", [{}, {"split": "group", "group_column": "group"}])
def test_classes_of_one_row_each_are_refused_in_one_line(
    tmp_path: Path, split: dict[str, str]
) -> None:
    file = tmp_path / "table.csv"
    labels = [f"class {place}" for place in PLACE]
    pd.DataFrame({"group": GROUP, "a": DRAWN, "y": labels}).to_csv(file, index=False)
    source = TableSource(str(file), 0, target="y", k_folds=3, test_size=0, **split)
    with pytest.raises(UsageError, match=r"class .*leave the class out$") as caught:
        prepare(source, tmp_path / "cache")
    assert "\n" not in str(caught.value)
