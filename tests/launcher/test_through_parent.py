"""Workers whose journal is their parent's: the study is the same, and a kill costs nothing."""

import json
import os
import signal
from typing import Any

import pytest
from launcher.harness import PATIENT, Workshop, finish, wait_until

from journal_launcher.launcher.engines.local import LocalEngine
from journal_launcher.study import owner

SEARCH = """
import optuna
def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    y = trial.suggest_categorical("y", ["a", "b"])
    trial.set_user_attr("long", "é" * 100)
    for step in range(3):
        trial.report(x + step, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return (x - 0.3) ** 2 + (y == "a")

def save_best(study, directory):
    (directory / "model").write_text(repr(study.best_trial.params))
"""
THROUGH_PARENT = (
    "from journal_launcher.launcher.engines.local import LocalEngine; "
    "LocalEngine.through_parent = True"
)


@pytest.fixture
def through_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LocalEngine, "through_parent", True)


def found(shop: Workshop) -> Any:
    trials = [
        (t.number, t.state.name, t.params, t.values, t.intermediate_values) for t in shop.trials()
    ]
    files = {p.name: p.read_bytes() for p in shop.paths.best_model_directory.iterdir()}
    return trials, files, shop.sidecar().get("best")


def test_a_study_is_the_same_as_with_a_file_of_its_own(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop.write(SEARCH)
    assert workshop.launch(n_trials=14).exit_code == 0
    local = found(workshop)
    monkeypatch.setattr(LocalEngine, "through_parent", True)
    assert workshop.launch(n_trials=14, overwrite=True).exit_code == 0
    assert found(workshop) == local
    owners = [trial.user_attrs["jl_owner"] for trial in workshop.trials()]
    assert {owner["via"] for owner in owners} == {"parent"}


def test_several_workers_keep_the_budget(workshop: Workshop, through_parent: None) -> None:
    workshop.write(SEARCH)
    assert workshop.launch(n_trials=20, workers=3).exit_code == 0
    assert sorted({t.user_attrs["jl_owner"]["worker"] for t in workshop.trials()}) == [0, 1, 2]
    assert len(workshop.states()) == 20 and "RUNNING" not in workshop.states()


def test_a_killed_worker_costs_one_retry(workshop: Workshop, through_parent: None) -> None:
    workshop.write(PATIENT)
    process = workshop.start("--n-trials", "3", first=THROUGH_PARENT)
    pid, _ = map(int, workshop.noted("running").split())
    os.kill(pid, signal.SIGKILL)
    workshop.tell("go")
    ended = finish(process)
    assert ended.code == 0, ended.err
    assert sorted(workshop.states()) == ["COMPLETE"] * 3 + ["FAIL"]


def test_a_resume_from_another_host_frees_what_a_killed_parent_left(workshop: Workshop) -> None:
    workshop.write(PATIENT)
    process = workshop.start("--n-trials", "3", first=THROUGH_PARENT)
    workshop.noted("running")
    process.send_signal(signal.SIGKILL)
    finish(process)
    wait_until(lambda: not workshop.processes())
    lines = workshop.paths.journal.read_text()
    host, boot = os.uname().nodename, owner._boot()
    assert json.dumps(host) in lines
    elsewhere = lines.replace(json.dumps(host), '"n17"').replace(json.dumps(boot), '"another"')
    workshop.paths.journal.write_text(elsewhere)
    assert workshop.states().count("RUNNING") == 1
    workshop.tell("go")
    ended = workshop.run("--n-trials", "3", first=THROUGH_PARENT)
    assert ended.code == 0, ended.err
    assert sorted(workshop.states()) == ["COMPLETE"] * 3 + ["FAIL"]


def test_a_journal_that_vanishes_ends_the_launch(workshop: Workshop) -> None:
    workshop.write(PATIENT)
    process = workshop.start("--n-trials", "3", first=THROUGH_PARENT)
    workshop.noted("running")
    workshop.paths.journal.rename(workshop.folder / "aside.log")
    workshop.tell("go")
    ended = finish(process)
    assert ended.code == 3 and "changed underneath" in ended.err


FULL = """
import errno
from journal_launcher.study.journal.backend import DurableJournalFileBackend as Backend
append, calls = Backend.append_logs, []
def full(self, logs):
    calls.append(logs)
    if len(calls) == 20:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    append(self, logs)
Backend.append_logs = full
"""


def test_a_full_disk_at_the_parent_stops_the_launch_and_nothing_is_lost(
    workshop: Workshop,
) -> None:
    workshop.write(SEARCH)
    ended = workshop.run("--n-trials", "8", first=f"{THROUGH_PARENT}; import os\n{FULL}")
    assert ended.code == 75, ended
    assert "No space left on device" in ended.err and "make room" in ended.err
    again = workshop.run("--n-trials", "8", first=THROUGH_PARENT)
    assert again.code == 0, again.err
    finished = [state for state in workshop.states() if state in ("COMPLETE", "PRUNED")]
    assert len(finished) == 8 and "RUNNING" not in workshop.states()


def test_a_process_that_the_objective_forked_is_told_why_it_cannot_report(
    workshop: Workshop, through_parent: None
) -> None:
    workshop.write(
        """
def objective(trial):
    child = os.fork()
    if not child:
        try:
            trial.set_user_attr("a", 1)
        except RuntimeError as error:
            note("told", error)
        os._exit(0)
    os.waitpid(child, 0)
    return trial.suggest_float("x", 0, 1)
"""
    )
    assert workshop.launch(n_trials=2).exit_code == 0
    assert "a process that the objective forked cannot use the trial" in workshop.noted("told")


def test_threads_of_the_objective_may_report(workshop: Workshop, through_parent: None) -> None:
    workshop.write(
        """
import threading
def objective(trial):
    def report(of):
        for step in range(10):
            trial.report(step, of * 10 + step)
    threads = [threading.Thread(target=report, args=(of,)) for of in range(3)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    return trial.suggest_float("x", 0, 1)
"""
    )
    assert workshop.launch(n_trials=2).exit_code == 0
    assert [len(trial.intermediate_values) for trial in workshop.trials()] == [30, 30]
