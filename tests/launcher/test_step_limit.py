"""A limit for a whole launch: whatever hangs in it is stopped, and the launch has failed."""

from types import SimpleNamespace
from typing import Any

import pytest
from launcher.fake_stage import Clock, Stage
from launcher.harness import Workshop

from journal_launcher.base import events
from journal_launcher.base.errors import ExitCode
from journal_launcher.launcher import launch
from journal_launcher.launcher.confirm import _Round
from journal_launcher.launcher.supervisor import Supervisor

HANGING = """
def objective(trial):
    if trial.number and not (HERE / "go").exists():
        told("go")
    return 0.0

def save_best(study, directory):
    if not (HERE / "go").exists():
        told("go")
    (directory / "card").touch()
"""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("time.monotonic", made)
    return made


def _prepare(stage: Stage) -> None:
    assert stage.supervisor.await_answer(stage.pool.slots[0]) is None


def _run_trials(stage: Stage) -> None:
    stage.run_trial()
    stage.supervisor.run_trials()


def _confirm(stage: Stage) -> None:
    stage.ready()
    stage.turn()
    ledger: Any = stage.ledger
    ledger.confirmations_answered = set()
    _Round(stage.supervisor, ledger, [0]).run()


@pytest.mark.parametrize("hang", [_prepare, _run_trials, _confirm])
def test_whatever_it_is_at_the_limit_ends_it(clock: Clock, hang: Any) -> None:
    stage = Stage(clock, wanted=1, opened=hang is not _prepare)
    stage.supervisor.limit = 7200
    hang(stage)
    stop = stage.supervisor.stop
    assert stop is not None and (stop.abort, stop.exit_code) == (True, ExitCode.FAILED)
    assert stop.message == "took longer than 7200 s (--step-timeout)"
    assert 8200 <= clock.now < 8220 and "SIGTERM" in stage.pool.started[0].told


def test_a_launch_that_only_waits_for_its_workers_to_leave_has_not_failed(clock: Clock) -> None:
    stage = Stage(clock)
    stage.supervisor.limit = 5
    stage.supervisor.dismiss()
    assert stage.supervisor.stop is None and clock.now >= 1005


@pytest.mark.parametrize(
    ("hangs", "n_trials", "states"),
    [
        (events.TrialStarted(0, 1), 2, ["COMPLETE", "FAIL", "WAITING"]),
        (events.PhaseChanged("publishing"), 1, ["COMPLETE"]),
    ],
)
def test_a_launch_over_its_limit_has_failed_and_loses_nothing(
    workshop: Workshop,
    monkeypatch: pytest.MonkeyPatch,
    hangs: events.Event,
    n_trials: int,
    states: list[str],
) -> None:
    workshop.write(HANGING)
    made = SimpleNamespace(supervisor=None)

    def remember(**options: Any) -> Supervisor:
        made.supervisor = Supervisor(**options)
        return made.supervisor

    def hasten(event: events.Event) -> None:
        """The limit comes when it hangs, however slow this machine is."""
        if event == hangs:
            made.supervisor.limit = 0

    monkeypatch.setattr(launch, "Supervisor", remember)
    ended = workshop.launch(hasten, n_trials=n_trials)
    assert (ended.exit_code, ended.exit_reason) == (1, "failed")
    assert ended.message == "took longer than 0 s (--step-timeout)"
    assert workshop.states() == states and not workshop.paths.sidecar.exists()
    workshop.tell("go")
    assert workshop.launch(n_trials=n_trials).exit_code == 0
    assert workshop.of(events.LaunchEnded)[0].n_failed == 0
    assert workshop.sidecar()["files"] and workshop.states().count("COMPLETE") == n_trials
