"""The program from Python: `launch`."""

import os
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from launcher.harness import Workshop

from journal_launcher.api import LaunchResult, launch
from journal_launcher.base import events
from journal_launcher.base.errors import JournalLauncherError, UsageError

TRIVIAL = """
def objective(trial):
    return trial.suggest_float("x", 0, 1)
"""


FRAME = pd.DataFrame({"x": [1, 2], "y": [0.5, 1.5]})


def my_objective(trial: Any) -> float:
    return 0.0


def test_a_launch_returns_what_it_found(workshop: Workshop) -> None:
    workshop.write(TRIVIAL)
    result = workshop.launch(n_trials=2)
    best = workshop.study().best_trial
    assert result == LaunchResult(
        study_name="study",
        best_trial={"number": best.number, "value": best.value, "params": best.params},
        model_path=workshop.paths.sidecar,
        exit_reason="complete",
        exit_code=0,
        message=None,
    )
    kinds = [type(event) for _, event in workshop.seen]
    assert kinds.count(events.TrialEnded) == 2
    assert kinds[-1] is events.LaunchEnded


def test_paths_may_be_paths(workshop: Workshop) -> None:
    workshop.write(TRIVIAL)
    given: dict[str, Any] = {"studies_dir": workshop.paths.folder, "gpus": "none", "n_trials": 1}
    result = launch(objective=Path(workshop.reference), **given)
    assert result.exit_code == 0
    assert result.model_path is not None and result.model_path.is_relative_to(workshop.folder)
    with pytest.raises(UsageError, match=r"nowhere\.csv"):
        launch(data=Path("nowhere.csv"), target="y", **given)


def test_durations_and_directions_may_be_words(workshop: Workshop) -> None:
    workshop.write(TRIVIAL)
    result = workshop.launch(n_trials=1, timeout="10m", trial_timeout="5m", direction="maximize")
    assert result.exit_code == 0
    assert workshop.study().direction.name == "MAXIMIZE"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": 3}, r"launch\(objective=…\): expected a function, found 3"),
        ({"objective": "a.py:f", "save_best": 3}, r"launch\(save_best=…\): expected a function"),
        ({"save_best": my_objective}, r"launch\(save_best=…\) belongs to objective=…, found none"),
        ({"n_trails": 3}, r"launch\(\): unknown option 'n_trails'; did you mean 'n_trials'\?"),
        ({"n_trials": "5"}, "--n-trials: expected a whole number, found '5'"),
        ({"n_trials": True}, "--n-trials: expected a whole number, found True"),
        ({"seed": 1.5}, "--seed: expected a whole number, found 1.5"),
        ({"test_size": "0.2"}, "--test-size: expected a number, found '0.2'"),
        ({"timeout": []}, r"--timeout: expected a number, found \[\]"),
        ({"overwrite": "no"}, "--overwrite: expected True or False, found 'no'"),
        ({"gpus": 0}, "--gpus: expected text, found 0"),
        ({"gpus": None}, "--gpus: expected text, found None"),
        ({"objective": "a.py:f", "direction": {}}, "--direction: expected a list, found {}"),
        ({"debug": True}, r"launch\(debug=True\): .*terminal.*journal-launcher run --debug"),
        (
            {"callback": [my_objective]},
            r'launch\(callback=…\): expected a name such as "test_api:my_',
        ),
        ({"sampler": object()}, "found the object itself; every worker imports it"),
        ({"command": "ls {y}", "space": {"x": [1]}}, "{y} is no parameter of"),
        ({"n_trials": 0}, "--n-trials: expected 1 or more, found 0"),
        ({"timeout": "soon"}, "expected a duration such as 30s"),
        ({"study_name": "../x"}, "study name '../x' is not valid"),
        ({"data": [1, 2]}, r"launch\(data=…\): expected a path or a DataFrame .* found list"),
        ({"data": np.ones((3, 2))}, r"expected a path or a DataFrame .* found numpy.ndarray"),
        ({"data": FRAME, "k_folds": 1}, "--k-folds: expected 2 or more, found 1"),
        ({"data": FRAME.set_index("x"), "target": "y"}, "found one named 'x': reset_index"),
        ({"data": FRAME, "objective": "a.py:f"}, "--data is for the built-in models of a table; w"),
        (
            {"data": FRAME, "command": "ls {x}", "space": {"x": [1]}},
            "--data is for the built-in models of a",
        ),
    ],
)
def test_a_mistake_is_a_usage_error_and_starts_nothing(
    workshop: Workshop, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        launch(**{"gpus": "none", "studies_dir": str(workshop.paths.folder), **options})
    assert not workshop.paths.folder.exists()


@pytest.mark.parametrize(
    "options", [{"objective": None, "data": "nowhere.csv"}, {"objective": "gone.py:objective"}]
)
def test_what_is_not_there_starts_no_worker(workshop: Workshop, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="no such file"):
        workshop.launch(**options)
    assert workshop.seen == [] and not workshop.paths.folder.exists()


def test_an_import_error_is_an_exception(workshop: Workshop) -> None:
    workshop.write("import a_module_that_is_not_there\n")
    with pytest.raises(JournalLauncherError, match="a_module_that_is_not_there") as caught:
        workshop.launch()
    assert caught.value.exit_code == 2
    assert not workshop.paths.directory.exists()


def test_signal_handlers_are_the_callers_again(workshop: Workshop) -> None:
    workshop.write(TRIVIAL)
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def mine(number: int, frame: Any) -> None:
        raise AssertionError("not while a launch runs")

    before = [signal.signal(number, mine) for number in numbers]
    try:

        def stop(event: events.Event) -> None:
            if isinstance(event, events.TrialStarted):
                os.kill(os.getpid(), signal.SIGTERM)

        assert workshop.launch(stop, n_trials=50).exit_code == 75
        assert [signal.getsignal(number) for number in numbers] == [mine] * 3
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def test_a_thread_may_launch_and_leaves_signals_alone(workshop: Workshop) -> None:
    workshop.write(TRIVIAL)
    before = signal.getsignal(signal.SIGTERM)
    seen: list[Any] = []

    def look(event: events.Event) -> None:
        if isinstance(event, events.TrialStarted):
            seen.append(signal.getsignal(signal.SIGTERM))

    results: list[LaunchResult] = []
    thread = threading.Thread(target=lambda: results.append(workshop.launch(look, n_trials=2)))
    thread.start()
    thread.join()
    assert [result.exit_code for result in results] == [0]
    assert seen and set(seen) == {before}


def test_no_descriptor_is_left(workshop: Workshop) -> None:
    workshop.write(TRIVIAL)
    workshop.launch(n_trials=1, workers=2)
    before = sorted(os.listdir("/proc/self/fd"))
    workshop.launch(n_trials=2, workers=2)
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_the_result_has_its_trials_and_writes_a_report(workshop: Workshop) -> None:
    workshop.write(
        """
def objective(trial):
    if trial.number == 1:
        raise ValueError("why")
    trial.set_user_attr("note", {"a": 1})
    k = trial.suggest_categorical("k", ["a", None])
    n = trial.suggest_int("n", 1, 2) if k else 1
    return trial.suggest_float("x", 0, 1) * n
"""
    )
    result = workshop.launch(n_trials=3)
    frame = result.trials
    trials = workshop.trials()
    assert list(frame["number"]) == [0, 1, 2, 3]
    assert list(frame["state"]) == [trial.state.name.lower() for trial in trials]
    complete = frame[frame["state"] == "complete"]
    done = [trial for trial in trials if trial.value is not None]
    assert list(complete["value"]) == [trial.value for trial in done]
    assert list(complete["params_x"]) == [trial.params["x"] for trial in done]
    assert list(complete["user_attrs_note"]) == [{"a": 1}] * 3
    assert frame["reason"][1] == f"ValueError: why {workshop.place('why')}"
    assert (frame["duration_s"] >= 0).all()
    assert not any("jl_" in name for name in frame)
    assert result.report() == workshop.paths.folder / "study.html"
    other = workshop.folder / "page.html"
    assert result.report(other) == other and b"study" in other.read_bytes()
    other.write_text("mine")
    with pytest.raises(UsageError, match="expected a report to replace, found another file"):
        result.report(other)


def test_of_several_objectives_there_are_several_values(workshop: Workshop) -> None:
    workshop.write("def objective(trial):\n    return trial.suggest_float('x', 0, 1), 2.0\n")
    frame = workshop.launch(n_trials=2, direction=["minimize", "maximize"]).trials
    assert list(frame.columns[:4]) == ["number", "state", "values_0", "values_1"]
    assert list(frame["values_1"]) == [2.0, 2.0]


def test_a_table_has_its_fold_scores_and_a_comparison_its_winner(workshop: Workshop) -> None:
    given: dict[str, Any] = {"gpus": "none", "studies_dir": workshop.paths.folder, "n_trials": 1}
    table = launch(
        data="sklearn:diabetes", model_type="linear", study_name="alone", k_folds=3, **given
    )
    frame = table.trials
    folds = frame[["fold_0", "fold_1", "fold_2"]].mean(axis=1)
    assert np.allclose(folds, frame["value"]) and np.allclose(frame["metric_r2"], frame["value"])
    both = "linear,hist_gradient_boosting"
    compared = launch(data="sklearn:diabetes", compare_models=True, model_types=both, **given)
    assert compared.exit_code == 0 and len(compared.trials) == 1
    assert compared.report().name == f"{compared.study_name}.html"


def test_a_launch_that_began_none_has_no_trials(workshop: Workshop) -> None:
    nothing = LaunchResult(
        "none", None, None, "skipped", 0, None, journal=workshop.paths.folder / "none.log"
    )
    with pytest.raises(UsageError, match="no study none"):
        nothing.trials  # noqa: B018
