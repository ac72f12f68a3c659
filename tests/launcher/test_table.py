"""Whole launches of the built-in table, with the quickest model type."""

import os
import signal
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
from launcher.harness import Workshop

from journal_launcher.api import load_model
from journal_launcher.base import events
from journal_launcher.base.errors import UsageError

pytestmark = pytest.mark.slow  # every worker imports scikit-learn


def table(shop: Workshop, do: Any = None, **options: Any) -> Any:
    given = {"model_type": "linear", "k_folds": 3, **options}
    return shop.launch(do, objective=None, **given)


def test_defaults_come_first_and_baselines_once(workshop: Workshop) -> None:
    result = table(workshop, n_trials=3, workers=2)
    assert result.exit_code == 0, result.message
    first = workshop.trials()[0]
    assert "fixed_params" in first.system_attrs
    assert {"jl_fold_scores", "jl_train_scores", "jl_duration_s"} <= set(first.user_attrs)
    baselines = [r for r in workshop.records() if "journal_launcher_baselines" in str(r)]
    assert len(baselines) == 1
    assert table(workshop, n_trials=4).exit_code == 0
    queued = [trial for trial in workshop.trials() if "fixed_params" in trial.system_attrs]
    assert len(queued) == 1
    files = workshop.sidecar()["files"]
    assert any(name.startswith("best_model.") for name in files)
    for key in ("cv_metrics", "confirmed_metrics", "holdout_metrics"):
        assert set(workshop.sidecar()[key]) == {"r2", "rmse", "mae"}
    assert workshop.sidecar()["cv_metrics"]["r2"] == pytest.approx(workshop.sidecar()["value"])
    assert workshop.states() == ["COMPLETE"] * 4


def test_weights_of_rows_are_part_of_what_a_study_is(workshop: Workshop) -> None:
    rng = np.random.default_rng(0)
    a, w = rng.normal(size=(2, 120))
    frame = pd.DataFrame({"a": a, "y": a + rng.normal(size=120), "w": np.exp(w)})
    data = workshop.folder / "weighted.csv"
    frame.to_csv(data, index=False)
    given = {"data": str(data), "target": "y", "weight_column": "w"}
    assert table(workshop, n_trials=1, **given).exit_code == 0
    assert "weighted by w" in workshop.sidecar()["summary"]
    with pytest.raises(UsageError, match="weight_column: the study has 'w', this launch None"):
        table(workshop, n_trials=2, **(given | {"weight_column": None}))
    assert table(workshop, n_trials=2, **given).exit_code == 0
    model = load_model(workshop.paths.directory)
    found = model.predict(frame[["a"]])
    np.testing.assert_array_equal(model.predict(frame.assign(w="?")), found)


def test_a_study_that_began_before_its_split_named_equal_rows_goes_on_and_says_so(
    workshop: Workshop,
) -> None:
    data = workshop.folder / "survey.csv"
    data.write_text("a,b,y\n" + "".join(f"{i % 3},{i % 4},{'ny'[i % 5 < 2]}\n" for i in range(90)))
    given = {"data": str(data), "target": "y", "confirm": 0}
    assert table(workshop, n_trials=1, **given).exit_code == 0
    assert "meet by chance" in str(workshop.of(events.Note))
    journal = workshop.paths.journal.read_text()
    workshop.paths.journal.write_text(journal.replace(',"equal_rows":"apart"', ""))
    assert workshop.paths.journal.read_text() != journal
    assert table(workshop, n_trials=2, **given).exit_code == 0
    said = [note.text for note in workshop.of(events.Note) if "former rule" in note.text]
    assert len(said) == 1 and said[0].endswith("begin anew with --overwrite")
    assert table(workshop, n_trials=1, overwrite=True, **given).exit_code == 0
    assert "former rule" not in str(workshop.of(events.Note))


def test_a_foreign_trial_that_is_better_is_passed_over_with_one_note(workshop: Workshop) -> None:
    assert table(workshop, n_trials=1).exit_code == 0
    workshop.study().add_trial(optuna.create_trial(value=0.99))
    result = table(workshop, n_trials=3)
    assert result.exit_code == 0, result.message
    assert workshop.sidecar()["trial"] == result.best_trial["number"] != 1
    notes = [note.text for note in workshop.of(events.Note)]
    passed = "trial 1 (0.99) of a foreign writer is better, but cannot be refitted: "
    assert [note for note in notes if "foreign" in note] == [f"{passed}it is passed over"]


def test_a_killed_worker_costs_a_table_one_trial(workshop: Workshop) -> None:
    killed: list[int] = []

    def kill(event: events.Event) -> None:
        if isinstance(event, events.TrialStarted) and not killed:
            killed.append(event.number)
            os.kill(workshop.owner_pid(event.number), signal.SIGKILL)

    assert table(workshop, kill, n_trials=3).exit_code == 0
    states = workshop.states()
    assert states.count("COMPLETE") == 3 and states.count("FAIL") <= 1
    assert "RUNNING" not in states


def test_a_published_model_survives_more_trials_only_if_it_is_still_the_best(
    workshop: Workshop,
) -> None:
    assert table(workshop, n_trials=1, confirm=0).exit_code == 0
    first = workshop.sidecar()
    assert table(workshop, n_trials=4, confirm=0).exit_code == 0
    second = workshop.sidecar()
    best = workshop.study().best_trial.number
    assert second["trial"] == best and second["n_finished"] == 4
    assert (second["published"] == first["published"]) == (best == 0)


def test_a_disk_too_full_for_the_tables_cache_is_resumable(workshop: Workshop) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))"
    command = ["--n-trials", "1", "--model-type", "linear"]
    ended = workshop.run(*command, first=limit, table=True)
    assert ended.code == 75, ended.err
    assert "make room and type the same command again" in ended.err
    assert "Traceback" not in ended.err and not workshop.paths.journal.exists()
    assert workshop.run(*command, table=True).code == 0


def test_ranges_of_the_config_file_reach_every_worker_and_a_resume_notes_their_change(
    workshop: Workshop,
) -> None:
    def go(n_trials: int, **parameters: Any) -> Any:
        return table(workshop, n_trials=n_trials, workers=2, spaces={"linear": parameters})

    with pytest.raises(
        UsageError, match=r"^\[linear\] regularisation: .* mean 'regularization'\?$"
    ):
        go(4, regularisation=1)
    assert not workshop.paths.folder.exists()  # not even the cache of the data
    assert go(4, regularization={"low": 0.5, "high": 2}).exit_code == 0
    drawn = [trial.params["regularization"] for trial in workshop.trials()]
    assert drawn[0] == 0.5 and all(0.5 <= value <= 2 for value in drawn)
    assert len({trial.user_attrs["jl_worker"] for trial in workshop.trials()}) == 2
    assert go(6, regularization=1.5).exit_code == 0
    notes = [note.text for note in workshop.of(events.Note) if "search space" in note.text]
    assert len(notes) == 1 and "low=0.5" in notes[0] and "low=1.5" in notes[0]
    assert [trial.params["regularization"] for trial in workshop.trials()[4:]] == [1.5, 1.5]
    assert workshop.sidecar()["params"].keys() == {"regularization"}


def test_text_is_a_feature_but_of_a_study_that_began_without(workshop: Workshop) -> None:
    rng = np.random.default_rng(0)
    good = rng.random(90) > 0.5
    said = [f"a {'fine' if one else 'damp'} house of number {n}" for n, one in enumerate(good)]
    data = workshop.folder / "houses.csv"
    pd.DataFrame({"x": rng.normal(size=90), "said": said, "y": good}).to_csv(data, index=False)
    given = {"data": str(data), "target": "y", "confirm": 1}
    result = table(workshop, n_trials=1, **given)
    assert result.exit_code == 0, result.message
    summary = "houses.csv: 90 rows, classification of y (2 classes); 1 number, 1 text"
    assert summary in [note.text for note in workshop.of(events.Note)]
    assert set(workshop.sidecar()["files"]) >= {"best_model.words.safetensors"}
    new = pd.DataFrame({"x": [0.0, 0.0], "said": ["a fine house of number 7", "damp house"]})
    assert load_model(result.model_path).predict(new).tolist() == [True, False]
    assert table(workshop, n_trials=2, **given).exit_code == 0  # goes on
    journal = workshop.paths.journal.read_text()
    workshop.paths.journal.write_text(journal.replace(',"reading":{"said":"text"}', ""))
    assert workshop.paths.journal.read_text() != journal
    assert table(workshop, n_trials=3, **given).exit_code == 0
    former = "houses.csv: 90 rows, classification of y (2 classes); 1 number; left out: said (text)"
    assert former in [note.text for note in workshop.of(events.Note)]


@pytest.mark.parametrize("model_type", ["neural_net", "linear"])
def test_a_table_of_texts_alone_becomes_a_model_that_predicts(
    workshop: Workshop, model_type: str
) -> None:
    place = np.arange(60)
    words = np.array(["red", "green", "blue", "tan"])
    data = workshop.folder / "texts.csv"
    texts = {"a": words[place % 4], "b": words[place % 3]}
    target = place % 4 + np.random.default_rng(0).normal(size=60)
    pd.DataFrame({**texts, "y": target}).to_csv(data, index=False)
    result = table(workshop, n_trials=1, model_type=model_type, data=str(data), target="y")
    assert result.exit_code == 0, result.message
    assert np.isfinite(load_model(result.model_path).predict(pd.DataFrame(texts))).all()
    told = [note.text for note in workshop.of(events.Note) if "the refit: 5 trainings" in note.text]
    assert len(told) == (model_type == "neural_net"), "a linear model is one"
