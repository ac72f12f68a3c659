"""A dead worker's trial fails and its parameters are queued again: both, or neither."""

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from test_study import DEAD, IDENTITY, begin, stock

from journal_launcher.study.journal.backend import DurableJournalFileBackend
from journal_launcher.study.journal.storage import open_storage
from journal_launcher.study.study import StudyHandle


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "study.log"


@pytest.fixture
def study(journal: Path) -> StudyHandle:
    return StudyHandle.create(open_storage(journal, create=True), "study", IDENTITY)


def test_the_end_and_the_copy_are_one_append(
    study: StudyHandle, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    appends: list[int] = []
    append = DurableJournalFileBackend.append_logs

    def counted(backend: DurableJournalFileBackend, logs: list[dict[str, Any]]) -> None:
        appends.append(len(logs))
        append(backend, logs)

    begin(study, DEAD)
    monkeypatch.setattr(DurableJournalFileBackend, "append_logs", counted)
    assert study.fail_and_queue(study.trial(0), "died", retry=True)
    assert appends == [1, 2], "the reason, then both"
    assert [t.state.name for t in stock(journal).trials] == ["FAIL", "WAITING"]
    assert not study.fail_and_queue(study.trial(0), "again", retry=True)
    assert len(study.trials()) == 2


def test_whatever_a_power_loss_keeps_of_it_the_parameters_are_queued_once(
    study: StudyHandle, journal: Path
) -> None:
    begin(study, DEAD)
    study.storage.set_trial_param(0, "x", 0.25, optuna.distributions.FloatDistribution(0, 1))
    before = journal.stat().st_size
    assert study.fail_and_queue(study.trial(0), "died", retry=True)
    whole = journal.read_bytes()
    for end in range(before, len(whole) + 1):
        journal.write_bytes(whole[:end])
        found = StudyHandle(open_storage(journal), "study")
        for trial in found.stale_trials():
            found.fail_and_queue(trial, "interrupted", retry=False)
        trials = stock(journal).trials
        assert [trial.state.name for trial in trials] == ["FAIL", "WAITING"], end
        assert trials[1].params == {"x": 0.25} and "jl_owner" not in trials[1].user_attrs


def test_a_trial_that_somebody_finishes_meanwhile_stays_finished(
    study: StudyHandle, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(study, DEAD)
    trials = study.trials

    def just_before(*states: TrialState) -> list[optuna.trial.FrozenTrial]:
        seen = trials(*states)
        stock(journal).tell(0, 0.5)
        return seen

    trial = study.trial(0)
    monkeypatch.setattr(study, "trials", just_before)
    assert not study.fail_and_queue(trial, "died", retry=True)
    monkeypatch.undo()
    assert study.trial(0).state == TrialState.COMPLETE
    study.check()  # nothing is left to raise later
