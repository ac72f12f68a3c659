"""Workers that die: what is retried, and when a launch gives up."""

import os
import signal
import threading

import pytest
from launcher.harness import PATIENT, Workshop, finish, wait_until
from optuna.storages import RetryHeartbeatStaleTrialCallback

from journal_launcher.base import events
from journal_launcher.launcher import slot

DEATHS = """
def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    trial.set_user_attr("mine", "kept")
    if trial.number < 3:
        told(f"die {trial.number}")
        note(f"died {trial.number}", time.monotonic())
        if trial.number == 2:
            os._exit(0)
        os.kill(os.getpid(), (signal.SIGKILL, signal.SIGSEGV)[trial.number])
    note(f"began {trial.number}", os.getpid())
    if trial.number == 3:
        told("finish")
    return x
"""


def test_a_worker_that_dies_while_preparing_is_started_again(workshop: Workshop) -> None:
    workshop.write(
        """
if not (HERE / "once").exists():
    (HERE / "once").touch()
    os.kill(os.getpid(), signal.SIGKILL)

def objective(trial):
    return trial.suggest_float("x", 0, 1)
"""
    )
    assert workshop.launch(workers=1, n_trials=2).exit_code == 0
    assert workshop.states() == ["COMPLETE"] * 2
    assert "killed by SIGKILL" in str(workshop.of(events.WorkerEnded)[0].problem)


def test_workers_that_always_die_while_preparing_end_the_launch_without_a_journal(
    workshop: Workshop,
) -> None:
    workshop.write("os.kill(os.getpid(), signal.SIGKILL)\n")
    ended = workshop.run("--workers", "2")
    assert ended.code == 1
    assert ended.err.splitlines()[-1].startswith("error: worker 0 died while preparing; see ")
    assert not workshop.paths.journal.exists()


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_death_costs_one_trial_that_is_retried(workshop: Workshop) -> None:
    workshop.write(DEATHS)

    def watch(event: events.Event) -> None:
        begun = {event.number for event in workshop.of(events.TrialStarted)}
        if begun >= {0, 1, 2, 3}:
            for number in range(3):  # all four run now
                workshop.tell(f"die {number}")
        ended = [event.state for event in workshop.of(events.TrialEnded)]
        if ended.count("COMPLETE") == 3:  # the three retries, while the fourth goes on
            workshop.tell("finish")

    assert workshop.launch(watch, workers=4, n_trials=4).exit_code == 0
    trials = workshop.trials()
    assert [trial.state.name for trial in trials] == ["FAIL"] * 3 + ["COMPLETE"] * 4
    reasons = [trial.user_attrs["jl_fail_reason"] for trial in trials[:3]]
    assert reasons == [
        "worker killed by SIGKILL",
        "worker killed by SIGSEGV",
        "worker exited with 0",
    ]
    assert int(workshop.noted("began 3")) == trials[3].user_attrs["jl_owner"]["pid"]
    retry = RetryHeartbeatStaleTrialCallback
    retries = {retry.retried_trial_number(trial): trial for trial in trials[4:]}
    for number, copy in retries.items():
        assert number is not None and retry.retry_history(copy) == [number]
        assert copy.params == trials[number].params
        assert copy.user_attrs["mine"] == "kept"
        dead, living = (t.user_attrs["jl_owner"]["pid"] for t in (trials[number], copy))
        assert dead != living
    noticed = {e.number: at for at, e in workshop.seen if isinstance(e, events.TrialEnded)}
    delays = [noticed[number] - float(workshop.noted(f"died {number}")) for number in range(3)]
    assert min(delays) < 0.2, delays  # a busy machine may delay one of them
    assert len(workshop.of(events.WorkerStarted)) == 7


def test_a_retry_begins_without_the_dead_owners_attributes(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot, "BACKOFF_FIRST", 0.05)
    workshop.write(
        """
def objective(trial):
    trial.suggest_float("x", 0, 1)
    trial.set_user_attr("mine", "kept")
    if trial.number < 2:
        os._exit(0)
    return 0.0
"""
    )
    assert workshop.launch(n_trials=1, max_retries=2).exit_code == 0
    waiting = [record for record in workshop.records() if record["op_code"] == 4][1:]
    expected = [{"mine": "kept", "jl_repeats": number} for number in (0, 1)]
    assert [record["user_attrs"] for record in waiting] == expected
    assert [(record["state"], len(record["params"])) for record in waiting] == [(4, 1)] * 2
    assert [t.system_attrs.get("retry_history") for t in workshop.trials()] == [None, [0], [0, 1]]


def test_without_retries_a_death_is_a_failure(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot, "BACKOFF_FIRST", 0.05)
    workshop.write("def objective(trial):\n    os.kill(os.getpid(), 9)\n")
    result = workshop.launch(n_trials=2, max_retries=0, max_failures=2)
    assert (result.exit_code, workshop.states()) == (1, ["FAIL", "FAIL"])
    assert "2 x worker killed by SIGKILL" in str(result.message)


def test_three_deaths_in_a_row_close_a_worker(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot, "BACKOFF_FIRST", 0.3)
    workshop.write("def objective(trial):\n    os._exit(7)\n")
    result = workshop.launch(n_trials=2, max_retries=9, max_failures=99)
    assert (result.exit_code, result.model_path) == (1, None)
    last = "all died, the last one on CPU: worker exited with 7"
    assert result.message == f"no worker is left: {last}"
    starts = [at for at, event in workshop.seen if isinstance(event, events.WorkerStarted)]
    ends = [at for at, event in workshop.seen if isinstance(event, events.WorkerEnded)]
    assert len(starts) == len(ends) == 3
    waits = [start - end for start, end in zip(starts[1:], ends, strict=False)]
    assert 0.3 <= waits[0] < waits[1] and waits[1] >= 0.6
    assert workshop.states() == ["FAIL"] * 3 + ["WAITING"]  # the retry is kept for a resume
    problem = workshop.of(events.WorkerEnded)[0].problem
    assert "exited with 7" in problem and "0.log" in problem


def test_a_hung_trial_is_dumped_killed_and_retried(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot, "STOP_GRACE", 0.4)
    monkeypatch.setattr(slot, "BACKOFF_FIRST", 0.05)
    workshop.write(
        """
def hang_for_ever():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    told("never")

def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    if trial.number == 0:
        hang_for_ever()
    return x
"""
    )
    assert workshop.launch(n_trials=1, trial_timeout=0.5).exit_code == 0
    first, second = workshop.trials()
    assert first.user_attrs["jl_fail_reason"] == "trial timeout after 0.5 s"
    assert (first.state.name, second.state.name) == ("FAIL", "COMPLETE")
    assert first.params == second.params
    assert second.system_attrs["retry_history"] == [0]
    assert "in hang_for_ever" in workshop.paths.worker_log(0).read_text()
    ended = next(event for event in workshop.of(events.TrialEnded) if event.number == 0)
    assert 0.5 <= ended.seconds < 5


def test_an_objective_that_swallows_the_stop_loses_its_trial_all_the_same(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot, "BACKOFF_FIRST", 0.05)
    workshop.write(
        """
def objective(trial):
    try:
        if trial.number == 0:
            told("never")
    except:
        return 123.0
    return 1.0
"""
    )
    assert workshop.launch(n_trials=2, trial_timeout=0.5).exit_code == 0
    assert [trial.value for trial in workshop.trials()] == [None, 1.0, 1.0]


def test_a_kill_from_outside_is_noticed_while_the_parent_sleeps(workshop: Workshop) -> None:
    workshop.write("def objective(trial):\n    told('go')\n    return 0.0\n")

    def kill(event: events.Event) -> None:
        if isinstance(event, events.TrialStarted) and event.number == 0:
            os.kill(workshop.owner_pid(0), signal.SIGKILL)
        elif isinstance(event, events.TrialEnded):
            workshop.tell("go")

    assert workshop.launch(kill, n_trials=1).exit_code == 0
    assert workshop.states() == ["FAIL", "COMPLETE"]


def test_what_a_dead_worker_started_dies_with_it(workshop: Workshop) -> None:
    workshop.write(
        """
def objective(trial):
    if trial.number == 0:
        child = subprocess.Popen(["sleep", "1000"])
        note("child", child.pid)
        os._exit(1)
    return 0.0
"""
    )
    assert workshop.launch(n_trials=1).exit_code == 0
    child = int(workshop.noted("child"))
    wait_until(lambda: child not in [p.pid for p in workshop.processes()], 1)


JUMPING_CLOCK = """
import itertools, time
days, real = itertools.cycle((-86400.0, 86400.0)), time.time
time.time = lambda: real() + next(days)
"""


def test_a_wall_clock_that_jumps_by_a_day_ends_nothing(workshop: Workshop) -> None:
    workshop.write(JUMPING_CLOCK + "def objective(trial):\n    time.sleep(0.02)\n    return 0.0\n")
    limits = ("--timeout", "1h", "--trial-timeout", "30m")
    first = f"exec({JUMPING_CLOCK!r})"
    ended = workshop.run("--n-trials", "12", "--workers", "2", "--json", *limits, first=first)
    assert ended.code == 0, ended.err
    assert ended.json["exit_reason"] == "complete" and ended.json["n_failed"] == 0
    assert workshop.states() == ["COMPLETE"] * 12


def test_a_worker_whose_guard_is_slow_to_kill_it_is_waited_for(workshop: Workshop) -> None:
    """It still lives when the next launch begins, which must not leave its trial RUNNING."""
    workshop.write(PATIENT)
    first = workshop.start("--n-trials", "2")
    workshop.noted("running")
    guards = [process for process in workshop.processes() if process.name() == "sh"]
    assert guards
    for guard in guards:
        guard.suspend()
    first.kill()
    first.communicate()
    resuming = threading.Timer(1.5, lambda: [guard.resume() for guard in guards])
    resuming.start()
    second = workshop.start("--n-trials", "2")
    resuming.join()
    wait_until(lambda: not any(guard.is_running() for guard in guards))
    workshop.tell("go")
    ended = finish(second)
    assert ended.code == 0, ended.err
    assert workshop.states() == ["COMPLETE", "FAIL", "COMPLETE"]
