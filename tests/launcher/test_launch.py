"""Whole launches that go well: shares, budget, resuming, neighbours."""

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from launcher.harness import PATIENT, Ended, Workshop, finish
from optuna.trial import TrialState

from journal_launcher.base import events
from journal_launcher.base.errors import StudyInUseError
from journal_launcher.launcher import dispatch, slot

TWO_GPUS = {"FAKE_NVML": '{"gpus": [{"uuid": "GPU-aaaaaaaa"}, {"uuid": "GPU-bbbbbbbb"}]}'}
TRIVIAL = """
def objective(trial):
    return trial.suggest_float("x", 0, 1)
"""
ON_GPUS = """
def objective(trial):
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        trial.set_user_attr(name, os.environ[name])
    trial.set_user_attr("torch", "torch" in sys.modules)
    told("never") if (HERE / "hang").exists() else time.sleep(0.3)
    return trial.suggest_float("x", 0, 1)
"""


@pytest.fixture(scope="module")
def two_gpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workshop, Ended]]:
    """Seven equal trials on two GPUs."""
    folder = tmp_path_factory.mktemp("on two GPUs")
    (folder / "libcuda.so.1").write_text("no library: a real driver would miss these GPUs")
    TWO_GPUS["LD_LIBRARY_PATH"] = str(folder)
    shop = Workshop(folder)
    shop.write(ON_GPUS)
    yield shop, shop.run("--gpus", "auto", "--n-trials", "7", "--json", environment=TWO_GPUS)


def test_equal_trials_mean_equal_shares(two_gpus: tuple[Workshop, Ended]) -> None:
    shop, ended = two_gpus
    assert ended.code == 0, ended.err
    trials = shop.trials()
    seen = Counter(trial.user_attrs["CUDA_VISIBLE_DEVICES"] for trial in trials)
    assert sorted(seen.items()) in (
        [("GPU-aaaaaaaa", 4), ("GPU-bbbbbbbb", 3)],
        [("GPU-aaaaaaaa", 3), ("GPU-bbbbbbbb", 4)],
    )
    for trial in trials:
        assert trial.user_attrs["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
        assert trial.user_attrs["jl_device_uuid"] == trial.user_attrs["CUDA_VISIBLE_DEVICES"]
        assert trial.user_attrs["jl_device_status"] == "unverified"
        assert trial.user_attrs["jl_duration_s"] >= 0.3


def test_a_worker_imports_no_torch_for_an_objective_without_it(
    two_gpus: tuple[Workshop, Ended],
) -> None:
    assert [trial.user_attrs["torch"] for trial in two_gpus[0].trials()] == [False] * 7


def test_owner_and_device_are_in_the_record_that_makes_a_trial_running(
    two_gpus: tuple[Workshop, Ended],
) -> None:
    running = [record for record in two_gpus[0].records() if record["op_code"] == 4]
    assert [record["state"] for record in running] == [TrialState.RUNNING] * 7
    for record in running:
        attributes = record["user_attrs"]
        assert {"jl_owner", "jl_worker", "jl_device", "jl_device_uuid"} <= set(attributes)
        assert attributes["jl_owner"]["worker"] == attributes["jl_worker"]


def test_trials_write_the_journal_and_nothing_else(two_gpus: tuple[Workshop, Ended]) -> None:
    studies = two_gpus[0].paths.folder
    found = {str(path.relative_to(studies)) for path in studies.rglob("*") if path.is_file()}
    own = {"lease.lock", "launch.json", "workers/0.log", "workers/1.log", "best_model.meta.json"}
    expected = {"study.log", "study.log.flock", *(f"study/{name}" for name in own)}
    assert found - {"study.log.lock"} == expected


def test_the_same_command_trains_nothing_and_a_larger_budget_the_difference(
    two_gpus: tuple[Workshop, Ended],
) -> None:
    shop, before = two_gpus
    (shop.folder / "hang").touch()  # whatever trains now, never ends
    again = shop.run("--gpus", "auto", "--n-trials", "7", "--json", environment=TWO_GPUS)
    assert again.code == 0, again.err
    assert len(shop.trials()) == 7
    for key in ("best_trial", "model_path", "n_finished", "exit_reason"):
        assert again.json[key] == before.json[key]
    (shop.folder / "hang").unlink()
    more = shop.run("--gpus", "auto", "--n-trials", "9", "--json", environment=TWO_GPUS)
    assert more.code == 0, more.err
    assert shop.states() == ["COMPLETE"] * 9


@pytest.mark.parametrize("budget", [7, pytest.param(9, marks=pytest.mark.slow)])
def test_the_budget_is_exact(workshop: Workshop, budget: int) -> None:
    workshop.write(TRIVIAL)
    result = workshop.launch(workers=4, n_trials=budget)
    assert (result.exit_code, result.exit_reason) == (0, "complete")
    assert workshop.states() == ["COMPLETE"] * budget
    firsts = [trial.params["x"] for trial in workshop.trials()]
    assert len(set(firsts)) == budget  # no two workers began alike


@pytest.mark.slow
def test_eight_workers_are_exact_fifty_times(tmp_path: Path) -> None:
    for number in range(50):
        folder = tmp_path / str(number)
        folder.mkdir()
        shop = Workshop(folder)
        shop.write(TRIVIAL)
        assert shop.launch(workers=8, n_trials=24).exit_code == 0
        assert shop.states() == ["COMPLETE"] * 24


def test_foreign_writers_count_when_they_finish_and_are_never_failed(workshop: Workshop) -> None:
    workshop.write(TRIVIAL)
    foreign: list[optuna.Study] = []

    def join(event: events.Event) -> None:
        if isinstance(event, events.TrialStarted) and not foreign:
            foreign.append(workshop.study())
            for value in (0.5, 0.25):
                trial = foreign[0].ask()
                trial.suggest_float("x", 0, 1)
                foreign[0].tell(trial, value)
            foreign[0].ask()  # and this one goes on running

    assert workshop.launch(join, n_trials=6).exit_code == 0
    states = Counter(workshop.states())
    assert states == {"COMPLETE": 6, "RUNNING": 1}
    ours = [t for t in workshop.trials() if "jl_worker" in t.user_attrs]
    assert len(ours) == 4
    assert workshop.launch(n_trials=7).exit_code == 0
    assert Counter(workshop.states()) == {"COMPLETE": 7, "RUNNING": 1}


def test_trials_that_stock_optuna_has_under_way_are_beyond_the_budget(workshop: Workshop) -> None:
    """They count when they have finished; before, nobody knows whether they will."""
    workshop.write(PATIENT)
    assert workshop.launch(n_trials=1).exit_code == 0
    theirs = workshop.study()
    under_way = [theirs.ask(), theirs.ask()]

    def finish_beside(event: events.Event) -> None:
        if isinstance(event, events.TrialStarted):
            for trial in under_way:
                theirs.tell(trial, 0.5)
            workshop.tell("go")

    assert workshop.launch(finish_beside, n_trials=2).exit_code == 0
    assert workshop.states() == ["COMPLETE"] * (2 + len(under_way))
    assert workshop.launch(n_trials=4).exit_code == 0
    assert len(workshop.trials()) == 4, "now they count"


def test_two_workers_leave_both_their_mark(workshop: Workshop) -> None:
    """Each first trial waits until both have begun: no worker is starved or waited for."""
    workshop.write(
        """
def objective(trial):
    note(f"began {trial.number}")
    if trial.number < 2:
        told(f"began {1 - trial.number}")
    return 0.0
"""
    )
    assert workshop.launch(workers=2, n_trials=2).exit_code == 0
    assert {trial.user_attrs["jl_worker"] for trial in workshop.trials()} == {0, 1}


def test_the_objective_is_nobody_elses_parent(workshop: Workshop) -> None:
    """An objective that waits for all its children must not wait for a process of ours."""
    workshop.write(
        """
def objective(trial):
    if os.fork() == 0:
        os._exit(0)
    os.wait()
    try:
        os.wait()
    except ChildProcessError:
        return 0.0
"""
    )
    assert workshop.launch(n_trials=1, timeout=30).exit_code == 0


def test_an_objective_finds_its_neighbours_and_its_own_arguments(workshop: Workshop) -> None:
    (workshop.folder / "helper.py").write_text("VALUE = 0.25\n")
    workshop.write(
        """
import helper

def objective(trial):
    trial.set_user_attr("argv", sys.argv)
    print("said by the objective")
    return helper.VALUE
"""
    )
    ended = workshop.run("--n-trials", "1", "-q")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.split(" ", 1)[0] == "0.25"
    assert workshop.trials()[0].user_attrs["argv"] == [str(workshop.folder / "my train.py")]
    assert "said by the objective" in workshop.paths.worker_log(0).read_text()
    assert os.stat(workshop.paths.worker_log(0)).st_mode & 0o077 == 0


def test_a_second_launch_is_told_who_holds_the_study(workshop: Workshop) -> None:
    workshop.write(PATIENT)
    process = workshop.start("--n-trials", "2")
    workshop.noted("running")
    with pytest.raises(StudyInUseError, match=f"in use by pid {process.pid} on .* since 20"):
        workshop.launch()
    second = workshop.run()
    assert second.code == 4 and str(process.pid) in second.err
    process.kill()  # the lease dies with its holder
    finish(process)
    workshop.tell("go")
    assert workshop.launch().exit_code == 0


def test_a_worker_that_still_starts_at_the_end_is_not_awaited(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "FIRST_GRANTS_WAIT", 0.1)
    workshop.write(
        """
if os.readlink("/proc/self/fd/1").endswith("1.log"):
    told("never")

def objective(trial):
    return 0.0
"""
    )
    began = time.monotonic()
    assert workshop.launch(n_trials=1, workers=2).exit_code == 0
    assert time.monotonic() - began < slot.STOP_GRACE / 2


def test_what_an_objective_reports_is_shown_while_it_runs(workshop: Workshop) -> None:
    workshop.write(
        """
def objective(trial):
    trial.report(0.75, 12)
    told("seen")
    return trial.suggest_float("x", 0, 1)
"""
    )

    def see(event: events.Event) -> None:
        if isinstance(event, events.TrialProgress):
            workshop.tell("seen")

    assert workshop.launch(see, n_trials=1).exit_code == 0
    (progress,) = workshop.of(events.TrialProgress)
    assert progress == events.TrialProgress(0, 0, "step", 12, None, 0.75)


def test_a_leaving_worker_waits_for_threads_and_calls_what_was_registered(
    workshop: Workshop,
) -> None:
    workshop.write(
        """
import atexit, threading

def late():
    told("go")
    note("thread")

def objective(trial):
    atexit.register(note, "registered")
    threading.Thread(target=late).start()
    return 0.0
"""
    )

    def dismissed(event: events.Event) -> None:
        if isinstance(event, events.TrialEnded):
            workshop.tell("go")

    assert workshop.launch(dismissed, n_trials=1).exit_code == 0
    assert (workshop.folder / "thread").exists() and (workshop.folder / "registered").exists()


def test_whoever_watches_hears_what_a_trial_tried_and_noted_and_once_how_it_ended(
    workshop: Workshop,
) -> None:
    workshop.write(
        """
def objective(trial):
    trial.set_user_attr("note", "mine")
    return trial.suggest_float("x", 0, 1)
"""
    )
    result = workshop.launch(n_trials=2)
    heard = {event.number: event for event in workshop.of(events.TrialEnded)}
    for trial in workshop.trials():
        assert heard[trial.number].params == trial.params
        assert heard[trial.number].attributes == trial.user_attrs
        assert trial.user_attrs["note"] == "mine"
    *_, (_, last) = workshop.seen
    assert [last] == workshop.of(events.LaunchEnded)
    best = last.best_trial
    assert best is not None and last.exit_code == 0
    assert best.to_json() == result.best_trial
