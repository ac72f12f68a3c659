"""A published model: loaded, checked, and used on frames, arrays and files."""

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tabular.tasks import EACH_MODEL_TYPE, task_of

from journal_launcher.base.errors import UsageError
from journal_launcher.tabular.data.dataset import Dataset
from journal_launcher.tabular.predict import load, predict_file
from journal_launcher.tabular.refit import refit
from journal_launcher.tabular.task import ScoredTrial

MakeTable = Callable[..., Dataset]


def _frame(table: Dataset) -> pd.DataFrame:
    frame = pd.DataFrame(table.features.numbers, columns=["a", "b", "c"])
    labels = np.array([*table.schema.columns[-1].categories, None], dtype=object)
    return frame.assign(colour=labels[table.features.codes[:, 0]])


def _publish(table: Dataset, directory: Path, name: str = "hist_gradient_boosting") -> Path:
    """What a launch leaves in a study's directory."""
    task = task_of(table, name)
    directory.mkdir()
    sidecar = refit(
        task,
        ScoredTrial(0, 0.0, task.make_model().defaults(), [0.0], [0.0], steps=10),
        directory,
        on_all_rows=False,
        progress=lambda *_: None,
    )
    model = directory.glob("best_model.*")
    files = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in model}
    _write_sidecar(directory, {**sidecar, "files": files})
    return directory


def _write_sidecar(directory: Path, sidecar: dict[str, Any]) -> None:
    (directory / "best_model.meta.json").write_text(json.dumps(sidecar))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {"root": tmp_path_factory.mktemp("published")}


@pytest.fixture
def study(make_table: MakeTable, published: dict[str, Path], tmp_path: Path) -> Path:
    """A regression's study directory, of the test's own; published once for all tests."""
    if "regression" not in published:
        published["regression"] = _publish(make_table(), published["root"] / "regression")
    return Path(shutil.copytree(published["regression"], tmp_path / "study"))


@pytest.mark.parametrize("name", EACH_MODEL_TYPE)
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_every_model_type_predicts_what_the_sidecar_promises(
    make_table: MakeTable, tmp_path: Path, name: str, task: str
) -> None:
    table = make_table(task)
    model = load(_publish(table, tmp_path / "study", name))
    holdout = _frame(table).iloc[table.holdout]
    found, true = model.predict(holdout), table.target[table.holdout]
    promised = model.sidecar["holdout_metrics"]
    if task == "regression":
        assert np.sqrt(np.mean((found - true) ** 2)) == pytest.approx(promised["rmse"], rel=1e-5)
    else:
        labels = np.array(table.schema.classes)[true.astype(int)]
        assert np.mean(found == labels) == pytest.approx(promised["accuracy"])
        probabilities = model.predict_proba(holdout)
        assert probabilities.sum(axis=1) == pytest.approx(1)
        assert (np.array(table.schema.classes)[probabilities.argmax(axis=1)] == found).all()


def test_directory_sidecar_and_model_file_load_the_same(study: Path, make_table: MakeTable) -> None:
    frame = _frame(make_table())
    answers = [
        load(study / name).predict(frame)
        for name in ("", "best_model.meta.json", "best_model.skops")
    ]
    np.testing.assert_array_equal(answers[0], answers[1])
    np.testing.assert_array_equal(answers[0], answers[2])


def test_the_order_of_columns_does_not_matter(study: Path, make_table: MakeTable) -> None:
    frame = _frame(make_table())
    model = load(study)
    shuffled = model.predict(frame[["colour", "c", "a", "b"]])
    np.testing.assert_array_equal(shuffled, model.predict(frame))


def test_a_regression_has_no_probabilities(study: Path, make_table: MakeTable) -> None:
    with pytest.raises(UsageError, match="needs a classification model"):
        load(study).predict_proba(_frame(make_table()))


def test_a_file_becomes_a_row_for_each_row_in_order(
    study: Path, make_table: MakeTable, tmp_path: Path
) -> None:
    frame = _frame(make_table()).iloc[::-1]
    frame.to_csv(tmp_path / "new.csv", index=False)
    predict_file(study, tmp_path / "new.csv", tmp_path / "out.csv")
    written = pd.read_csv(tmp_path / "out.csv")
    assert list(written.columns) == ["prediction"]
    assert written["prediction"].to_numpy() == pytest.approx(load(study).predict(frame))


def test_a_classification_file_has_a_probability_for_each_label(
    make_table: MakeTable, tmp_path: Path
) -> None:
    table = make_table("classification", classes=2)
    study = _publish(table, tmp_path / "study")
    _frame(table).to_csv(tmp_path / "new.csv", index=False)
    predict_file(study, tmp_path / "new.csv", tmp_path / "out.csv")
    written = pd.read_csv(tmp_path / "out.csv")
    assert list(written.columns) == ["prediction", "probability_class 0", "probability_class 1"]
    likelier = np.where(written["probability_class 1"] > 0.5, "class 1", "class 0")
    assert (written["prediction"] == likelier).all()


def test_the_input_is_never_replaced(study: Path, make_table: MakeTable, tmp_path: Path) -> None:
    _frame(make_table()).to_csv(tmp_path / "new.csv", index=False)
    before = (tmp_path / "new.csv").read_bytes()
    (tmp_path / "link.csv").symlink_to(tmp_path / "new.csv")
    for out in ("new.csv", "link.csv"):
        with pytest.raises(UsageError, match="is the input"):
            predict_file(study, tmp_path / "new.csv", tmp_path / out)
    with pytest.raises(UsageError, match="is the input"):
        predict_file(study, tmp_path / "*.csv", tmp_path / "new.csv")
    assert (tmp_path / "new.csv").read_bytes() == before


def test_an_unwritable_out_names_it(study: Path, make_table: MakeTable, tmp_path: Path) -> None:
    _frame(make_table()).to_csv(tmp_path / "new.csv", index=False)
    with pytest.raises(UsageError, match=r"--out .*nowhere/out\.csv: cannot be written: No such"):
        predict_file(study, tmp_path / "new.csv", tmp_path / "nowhere" / "out.csv")


def test_out_is_a_file_or_a_link_to_one(study: Path, make_table: MakeTable, tmp_path: Path) -> None:
    data = tmp_path / "new.csv"
    _frame(make_table()).to_csv(data, index=False)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/null")
    for name in ("pipe", "device", "study"):
        with pytest.raises(UsageError, match=f"--out .*{name}: expected a file to write, found"):
            predict_file(study, data, tmp_path / name)
    assert (tmp_path / "pipe").is_fifo()
    (tmp_path / "link.csv").symlink_to("real.csv")
    predict_file(study, data, tmp_path / "link.csv")
    assert (tmp_path / "link.csv").is_symlink() and (tmp_path / "real.csv").is_file()


def test_a_changed_model_file_is_refused(study: Path) -> None:
    file = study / "best_model.skops"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(UsageError, match="not the one that was published"):
        load(study)


def test_a_pickle_in_place_of_the_model_is_never_loaded(study: Path, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "exploded",))

    file = study / "best_model.skops"
    file.write_bytes(pickle.dumps(Bomb()))
    sidecar = json.loads((study / "best_model.meta.json").read_text())
    sidecar["files"][file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
    _write_sidecar(study, sidecar)
    with pytest.raises(Exception, match="not a zip file"):
        load(study)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"schema_version": 2}, "newest: 1.*upgrade"),
        ({"kind": "objective"}, "expected a model of a table, found kind 'objective'"),
        ({"model_type": "oracle"}, "model type 'oracle' is not one of neural_net"),
        ({"model_type": ["linear"]}, r"model type \['linear'\] is not one of neural_net"),
        ({"files": {}}, "expected a sidecar of a table's model, found KeyError"),
        ({"schema": {"columns": [{}]}}, "expected a sidecar of a table's model, found"),
    ],
)
def test_a_sidecar_of_another_kind_is_refused(
    study: Path, changes: dict[str, Any], message: str
) -> None:
    sidecar = json.loads((study / "best_model.meta.json").read_text())
    _write_sidecar(study, {**sidecar, **changes})
    with pytest.raises(UsageError, match=message):
        load(study)


def test_a_missing_model_says_what_to_do(study: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no model here yet"):
        load(tmp_path / "elsewhere")
    (study / "best_model.skops").unlink()
    (study / "best_model.skops").mkdir()
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        load(study)
    (study / "best_model.skops").rmdir()
    with pytest.raises(UsageError, match="the sidecar names this file, but it is gone"):
        load(study)


@pytest.mark.parametrize("name", ["-", "new.parquet", "new.csv.gz", "new.XLSX"])
def test_predictions_are_csv_and_no_name_says_otherwise(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"expected the name of a CSV file, such as \w+\.csv"):
        predict_file(tmp_path, tmp_path / "data.csv", tmp_path / name)


def test_a_study_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nor a study; expected its folder, such as optuna"):
        load(tmp_path / "frame_price_liner")
    for name in ("frame_price_linear", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "best_model.meta.json").touch()
    with pytest.raises(UsageError, match=r"nor a study; did you mean 'frame_price_linear'\?"):
        load(tmp_path / "frame_price_liner")


def test_a_model_is_used_without_worker_launcher_journal_or_optuna(
    make_table: MakeTable, tmp_path: Path
) -> None:
    table = make_table()
    model = _publish(table, tmp_path / "study", "linear")
    _frame(table).to_csv(tmp_path / "rows.csv", index=False)
    code = (
        "import atexit, json, sys\n"
        "atexit.register(lambda: print(json.dumps(sorted(sys.modules))))\n"
        "from journal_launcher import load_model\n"
        "from journal_launcher.__main__ import main\n"
        f"load_model({str(model)!r})\n"
        "main(['predict', 'study', '--studies-dir', '.', '--data', 'rows.csv', '--out', 'out.csv'])"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert len((tmp_path / "out.csv").read_text().splitlines()) == len(table.target) + 1
    loaded = json.loads(ran.stdout)
    rooms = {name.split(".")[1] for name in loaded if name.startswith("journal_launcher.")}
    assert rooms == {"__main__", "api", "base", "cli", "settings", "tabular"}
    assert not {"optuna", "torch"} & {*loaded}


def _relabelled(table: Dataset, classes: tuple[str, ...], class_type: str | None) -> Dataset:
    return replace(table, schema=replace(table.schema, classes=classes, class_type=class_type))


@pytest.mark.parametrize(
    ("classes", "class_type", "labels"),
    [
        (("0", "1"), "int", [0, 1]),
        (("false", "true"), "bool", [False, True]),
        (("01", "02"), None, ["01", "02"]),
        (("0", "1"), None, ["0", "1"]),  # a model from before the type was recorded
    ],
)
def test_labels_come_back_as_what_they_were(
    make_table: MakeTable,
    tmp_path: Path,
    classes: tuple[str, ...],
    class_type: str | None,
    labels: list[Any],
) -> None:
    table = _relabelled(make_table("classification", classes=2), classes, class_type)
    study = _publish(table, tmp_path / "study")
    frame = _frame(table)
    found = load(study).predict(frame)
    true = np.array(labels)[table.target.astype(int)]
    assert found.dtype == true.dtype and np.mean(found == true) > 0.8
    frame.to_csv(tmp_path / "new.csv", index=False)
    predict_file(study, tmp_path / "new.csv", tmp_path / "out.csv")
    written = pd.read_csv(tmp_path / "out.csv", dtype=str)
    assert list(written.columns)[1:] == [f"probability_{label}" for label in classes]
    assert set(written["prediction"]) == set(classes)


def test_a_frame_with_unknown_values_is_warned_of(study: Path, make_table: MakeTable) -> None:
    frame = _frame(make_table()).assign(more=1)
    load(study).predict(frame)
    frame.loc[0, "colour"] = "pink"
    with pytest.warns(UserWarning, match="column 'colour': 1 row with categories that the"):
        load(study).predict(frame)


def test_a_bundled_table_is_no_file_of_rows(study: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected a file with rows, found the name of a bundled"):
        predict_file(study, Path("sklearn:diabetes"), tmp_path / "out.csv")
