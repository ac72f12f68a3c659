"""Launches that are stopped: by signals, kills, time, the objective or a second launch."""

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable

import psutil
import pytest
from launcher.harness import PATIENT, Workshop, finish, wait_until

from journal_launcher.base import events
from journal_launcher.launcher import slot

IGNORES = """
def objective(trial):
    signal.signal(signal.SIGTERM, lambda *_: note("told"))
    note("running")
    while not (HERE / "go").exists():
        time.sleep(0.01)
    return 0.0
"""


def pids(shop: Workshop) -> list[int]:
    return [int(word) for word in shop.noted("running").split()]


def gone(numbers: list[int]) -> bool:
    """Dead, or zombies that nobody has collected."""
    living = (psutil.Process(n) for n in numbers if psutil.pid_exists(n))
    return all(process.status() == psutil.STATUS_ZOMBIE for process in living)


def when_running(act: Callable[[], None]) -> Callable[[events.Event], None]:
    """A listener that acts once, on the first trial after number 0."""
    acted: list[bool] = []

    def listen(event: events.Event) -> None:
        if isinstance(event, events.TrialStarted) and event.number > 0 and not acted:
            acted.append(True)
            act()

    return listen


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_gracefully_and_the_same_command_goes_on(
    workshop: Workshop, number: signal.Signals
) -> None:
    workshop.write(PATIENT)
    process = workshop.start("--n-trials", "3", "--workers", "2")
    running = pids(workshop)
    process.send_signal(number)
    ended = finish(process)
    assert ended.code == 75
    assert f"stopped by {number.name}" in ended.err and "repeat the same command" in ended.err
    assert "Traceback" not in ended.err
    assert "failed" not in ended.err
    assert gone(running)
    interrupted = [t for t in workshop.trials() if t.state.name == "FAIL"]
    count = len(interrupted)  # the signal may come before the second worker has begun
    assert re.search(rf"\n +interrupted +{count} trials?, queued again\n", ended.err) and count
    assert {t.user_attrs["jl_fail_reason"] for t in interrupted} == {"interrupted"}
    waiting = [t for t in workshop.trials() if t.state.name == "WAITING"]
    assert sorted(str(t.params) for t in waiting) == sorted(str(t.params) for t in interrupted)
    assert not any("retry_history" in trial.system_attrs for trial in waiting)
    workshop.tell("go")
    assert workshop.launch(n_trials=3, max_retries=0).exit_code == 0
    assert workshop.of(events.LaunchEnded)[-1].n_interrupted == 0  # those were the last launch's
    assert workshop.states().count("COMPLETE") == 3


def test_a_study_begun_anew_goes_on_without_the_option_that_began_it(workshop: Workshop) -> None:
    workshop.write(PATIENT)
    process = workshop.start("--n-trials", "2", "--overwrite")
    pids(workshop)
    process.send_signal(signal.SIGTERM)
    ended = finish(process)
    assert ended.code == 75
    assert "repeat the same command without --overwrite" in ended.err


def test_one_ctrl_c_is_graceful_too(workshop: Workshop) -> None:
    workshop.write(PATIENT)
    result = workshop.launch(when_running(lambda: os.kill(os.getpid(), signal.SIGINT)), n_trials=2)
    assert (result.exit_code, result.exit_reason) == (130, "signal")
    assert result.message == "stopped by Ctrl-C"
    text = "stopping: running trials have 10 s to end; Ctrl-C again kills them now"
    assert [note.text for note in workshop.of(events.Note)].count(text) == 1
    assert workshop.states() == ["COMPLETE", "FAIL", "WAITING"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_two_ctrl_c_kill_at_once(workshop: Workshop) -> None:
    workshop.write(IGNORES)
    process = workshop.start("--n-trials", "2")
    workshop.noted("running")
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    workshop.noted("told")
    process.send_signal(signal.SIGINT)
    ended = finish(process)
    assert ended.code == 130 and "Traceback" not in ended.err
    assert time.monotonic() - began < slot.STOP_GRACE / 2
    assert workshop.states() == ["FAIL", "WAITING"]


@pytest.mark.parametrize("how", ["ignores SIGTERM", "is stopped"])
def test_a_worker_that_does_not_go_is_killed_after_the_grace(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(slot, "STOP_GRACE", 0.4)
    workshop.write(IGNORES)

    def stop(event: events.Event) -> None:
        if isinstance(event, events.TrialStarted):
            if how == "is stopped":
                os.kill(workshop.owner_pid(0), signal.SIGSTOP)
            else:
                workshop.noted("running")
            os.kill(os.getpid(), signal.SIGTERM)

    began = time.monotonic()
    assert workshop.launch(stop).exit_code == 75
    assert time.monotonic() - began < 8
    assert workshop.states() == ["FAIL", "WAITING"]


def test_a_worker_is_told_once(workshop: Workshop) -> None:
    """Unwinding may take longer than the user's patience; a second SIGTERM must not cut it."""
    workshop.write(
        """
def objective(trial):
    try:
        note("running")
        told("never")
    finally:
        note("unwinding")
        told("unwound")
        note("clean")
"""
    )

    def terminate(event: events.Event) -> None:
        if isinstance(event, events.TrialStarted):
            workshop.noted("running")
            os.kill(os.getpid(), signal.SIGTERM)
        elif isinstance(event, events.PhaseChanged) and event.phase == "stopping":
            threading.Thread(target=insist).start()

    def insist() -> None:
        workshop.noted("unwinding")
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(workshop.owner_pid(0), signal.SIGTERM)
        workshop.tell("unwound")

    assert workshop.launch(terminate).exit_code == 75
    assert (workshop.folder / "clean").exists()


def test_nohup_is_respected(workshop: Workshop) -> None:
    workshop.write(PATIENT)
    process = workshop.start("--n-trials", "2", prefix=("nohup",))
    pids(workshop)
    process.send_signal(signal.SIGHUP)
    workshop.tell("go")
    assert finish(process).code == 0


def test_nothing_outlives_a_killed_parent_and_the_next_launch_goes_on(workshop: Workshop) -> None:
    workshop.write(PATIENT)
    process = workshop.start("--n-trials", "3", "--workers", "2")
    running = pids(workshop)
    process.kill()
    assert wait_until(lambda: gone(running) and workshop.processes() == [], 5) < 1.0
    finish(process)
    assert "RUNNING" in workshop.states()
    workshop.tell("go")
    assert workshop.launch(n_trials=3, workers=2).exit_code == 0
    assert workshop.states().count("COMPLETE") == 3
    assert "RUNNING" not in workshop.states() and "WAITING" not in workshop.states()
    stale = next(t for t in workshop.trials() if t.state.name == "FAIL")
    assert stale.user_attrs["jl_fail_reason"].startswith("interrupted")
    assert any("interrupted and is queued again" in n.text for n in workshop.of(events.Note))


def test_a_signal_while_preparing_leaves_no_journal(workshop: Workshop) -> None:
    workshop.write("note('running')\ntold('go')\n\ndef objective(trial):\n    return 0.0\n")
    process = workshop.start("--workers", "2")
    workshop.noted("running")
    process.send_signal(signal.SIGTERM)
    ended = finish(process)
    assert ended.code == 75 and "stopped by SIGTERM" in ended.err
    assert not workshop.paths.journal.exists()


def test_a_signal_during_the_refit_is_resumable(workshop: Workshop) -> None:
    workshop.write(
        """
def objective(trial):
    return 0.0

def save_best(study, directory):
    note("running")
    told("go")
    note("saved")
"""
    )
    process = workshop.start("--n-trials", "1")
    workshop.noted("running")
    process.send_signal(signal.SIGTERM)
    assert finish(process).code == 75
    assert not workshop.paths.sidecar.exists() and not (workshop.folder / "saved").exists()
    workshop.tell("go")
    assert workshop.launch(n_trials=1).exit_code == 0
    assert workshop.states() == ["COMPLETE"] and workshop.paths.sidecar.exists()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_two_hundred_killed_parents_cost_no_trial(workshop: Workshop) -> None:
    workshop.write("def objective(trial):\n    time.sleep(0.02)\n    return 0.0\n")
    journal, budget = workshop.paths.journal, 2000
    for kill in range(200):
        process = workshop.start("--n-trials", str(budget), "--workers", "2", "-q")
        wait_until(journal.exists)
        enough = journal.stat().st_size + 97 * kill % 2000
        wait_until(lambda enough=enough: journal.stat().st_size > enough)
        process.kill()
        finish(process)
        wait_until(lambda: workshop.processes() == [], 2)
    assert workshop.states().count("COMPLETE") < budget  # every kill met a launch at work
    assert workshop.launch(n_trials=budget, workers=2).exit_code == 0
    assert workshop.states().count("COMPLETE") == budget
    assert not {"RUNNING", "WAITING"} & set(workshop.states())


def test_after_the_timeout_running_trials_finish_and_the_model_is_saved(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop.write(PATIENT)
    real = time.monotonic

    def watch(event: events.Event) -> None:
        if isinstance(event, events.TrialStarted) and event.number == 1:
            monkeypatch.setattr(time, "monotonic", lambda: real() + 3600)
        if isinstance(event, events.PhaseChanged) and event.phase == "stopping":
            workshop.tell("go")

    result = workshop.launch(watch, n_trials=50, timeout=3600)
    assert (result.exit_code, result.exit_reason) == (0, "timeout")
    assert workshop.states() == ["COMPLETE", "COMPLETE"]
    assert workshop.paths.sidecar.exists()


def test_study_stop_ends_the_whole_launch(workshop: Workshop) -> None:
    workshop.write(
        """
def objective(trial):
    if trial.number == 3:
        trial.study.stop()
    return 0.0
"""
    )
    result = workshop.launch(n_trials=50)
    assert (result.exit_code, result.exit_reason) == (0, "stopped")
    assert workshop.states() == ["COMPLETE"] * 4
    again = workshop.run("--n-trials", "50")
    assert again.code == 0 and workshop.states() == ["COMPLETE"] * 4
    assert "study.stop() ended it; with another --n-trials it goes on" in again.err + again.out
    assert "trials that are left" not in again.err + again.out


def test_a_study_that_was_stopped_before_anything_completed_is_not_done(
    workshop: Workshop,
) -> None:
    workshop.write(
        """
def objective(trial):
    if not (HERE / "mended").exists():
        trial.study.stop()
        raise ValueError("not yet")
    return 0.0
"""
    )
    assert workshop.launch(n_trials=2).exit_code == 1
    workshop.tell("mended")
    assert workshop.launch(n_trials=2).exit_code == 0
    assert workshop.states() == ["FAIL", "COMPLETE", "COMPLETE"]


@pytest.mark.skipif(sys.platform != "linux", reason="counts context switches in /proc")
def test_a_waiting_parent_sleeps(workshop: Workshop) -> None:
    workshop.write(PATIENT)
    process = workshop.start("--n-trials", "2", "-q")
    pids(workshop)
    parent = psutil.Process(process.pid)
    before, began = parent.num_ctx_switches().voluntary, parent.cpu_times()
    start = time.monotonic()
    wait_until(lambda: time.monotonic() - start > 4.5)
    switches = parent.num_ctx_switches().voluntary - before
    spent = sum(parent.cpu_times()[:2]) - sum(began[:2])
    workshop.tell("go")
    assert finish(process).code == 0
    assert 0 < switches <= 30, "two looks at the journal in 4.5 s, each a few system calls"
    assert spent < 0.2
