"""What the parent's ledger makes of a worker's death, in a real journal."""

from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FrozenTrial, TrialState

from journal_launcher.base import events
from journal_launcher.launcher.ledger import TrialLedger
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.study.journal.storage import open_storage
from journal_launcher.study.owner import OWNER_ATTRIBUTE, Owner
from journal_launcher.study.study import StudyHandle

IDENTITY: dict[str, Any] = {"objective": "a.py:f", "directions": ["minimize"]}
LAUNCH = "ours"


@pytest.fixture
def study(tmp_path: Path) -> StudyHandle:
    storage = open_storage(tmp_path / "study.log", create=True)
    return StudyHandle.create(storage, "study", IDENTITY)


def book_of(study: StudyHandle, seen: list[events.Event], max_retries: int) -> TrialLedger:
    settings = LaunchSettings(objective="a.py:f", n_trials=9, max_retries=max_retries)
    return TrialLedger(settings, study, LAUNCH, seen.append)


def begin(study: StudyHandle, worker: int) -> int:
    owner = Owner.this_process(LAUNCH, worker)
    return study.storage.start_trial(0, {OWNER_ATTRIBUTE: owner.to_json()})


def states(study: StudyHandle) -> list[str]:
    return [trial.state.name for trial in study.trials()]


@pytest.mark.parametrize("max_retries", [0, 1])
def test_a_trial_that_ended_before_its_worker_is_buried_is_no_failure(
    tmp_path: Path, study: StudyHandle, monkeypatch: pytest.MonkeyPatch, max_retries: int
) -> None:
    """Somebody ends it (in a dashboard, say) after the parent read that it runs."""
    seen: list[events.Event] = []
    ledger = book_of(study, seen, max_retries)
    begin(study, 0)
    owned = study.owned_trials

    def ended_meanwhile(launch: str, worker: int) -> list[FrozenTrial]:
        found = owned(launch, worker)
        open_storage(tmp_path / "study.log").set_trial_state_values(0, TrialState.COMPLETE, [1.0])
        return found

    monkeypatch.setattr(study, "owned_trials", ended_meanwhile)
    ledger.fail_trial_of(0, "worker killed by SIGKILL", 1.0, interrupted=False)
    assert states(study) == ["COMPLETE"], "neither failed nor queued again"
    assert (ledger.failures.total(), seen) == (0, [])
    assert study.count() == (1, 0)


@pytest.mark.parametrize(("interrupted", "queued"), [(True, True), (False, False)])
def test_a_trial_without_retries_left_is_queued_again_only_if_it_was_interrupted(
    study: StudyHandle, interrupted: bool, queued: bool
) -> None:
    seen: list[events.Event] = []
    ledger = book_of(study, seen, 1)
    number = begin(study, 0)
    ledger.fail_trial_of(0, "worker killed by SIGKILL", 1.0, interrupted=False)
    assert states(study) == ["FAIL", "WAITING"]
    owner = Owner.this_process(LAUNCH, 0)
    assert study.storage.start_queued_trial(number + 1, {OWNER_ATTRIBUTE: owner.to_json()})
    ledger.fail_trial_of(0, "worker killed by SIGKILL", 1.0, interrupted=interrupted)
    assert states(study) == ["FAIL", "FAIL"] + ["WAITING"] * queued
    assert (ledger.failures.total(), ledger.interrupted) == (int(not queued), int(interrupted))
    reasons = [event.reason for event in seen if isinstance(event, events.TrialEnded)]
    assert reasons[-1] == ("interrupted" if interrupted else "worker killed by SIGKILL")
    if queued:
        assert study.trial(2).system_attrs["retry_history"] == [0], "an interruption is no retry"


def test_only_the_dead_workers_trial_ends(study: StudyHandle) -> None:
    ledger = book_of(study, [], 1)
    for worker in (0, 1):
        begin(study, worker)
    ledger.fail_trial_of(1, "worker exited with 1", 1.0, interrupted=False)
    assert states(study) == ["RUNNING", "FAIL", "WAITING"]
    assert study.trial(1).user_attrs["jl_fail_reason"] == "worker exited with 1"
