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
    assert caught.value.exit_code == 1


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
