"""The study as the parent sees it: identity, counting, stale trials, retries."""

import math
import re
import subprocess
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from journal_launcher.base.errors import JournalDamagedError, JournalLauncherError, UsageError
from journal_launcher.study import owner
from journal_launcher.study.attributes import COPY_OF
from journal_launcher.study.journal.storage import StudyStorage, open_storage
from journal_launcher.study.owner import OWNER_ATTRIBUTE, Owner
from journal_launcher.study.study import StudyHandle

IDENTITY: dict[str, Any] = {"objective": "a.py:f", "directions": ["minimize"], "seed": 0}
ME = Owner.this_process("ours", 0)
DEAD = replace(ME, launch="theirs", started=ME.started - 1)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "study.log"


@pytest.fixture
def study(journal: Path) -> StudyHandle:
    return StudyHandle.create(open_storage(journal, create=True), "study", IDENTITY)


def storage_of(study: StudyHandle) -> StudyStorage:
    return study.storage


def begin(study: StudyHandle, whose: Owner = ME) -> int:
    """A RUNNING trial of a worker; its number."""
    return storage_of(study).start_trial(0, {OWNER_ATTRIBUTE: whose.to_json(), "jl_worker": 0})


def stock(journal: Path) -> optuna.Study:
    """A user's own script on the same journal."""
    storage = JournalStorage(JournalFileBackend(str(journal)))
    return optuna.load_study(study_name="study", storage=storage)


# --- identity


def test_the_same_identity_is_accepted(study: StudyHandle, journal: Path) -> None:
    found = StudyHandle.find(open_storage(journal), "study")
    assert found is not None
    found.check_identity(IDENTITY)
    assert found.identity is not None and found.identity.to_json() == IDENTITY


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"seed": 7}, "seed: the study has 0, this launch 7"),
        ({"objective": "b.py:f"}, "objective: the study has 'a.py:f', this launch 'b.py:f'"),
        (
            {"directions": ["maximize"]},
            "directions: the study has ['minimize'], this launch ['maximize']",
        ),
        ({"metric": "r2"}, "metric: the study has None, this launch 'r2'"),
    ],
)
def test_another_identity_is_refused_showing_both(
    study: StudyHandle, change: dict[str, Any], shown: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(shown)):
        study.check_identity({**IDENTITY, **change})


def test_a_study_without_identity_is_adopted_if_its_directions_agree(journal: Path) -> None:
    storage = JournalStorage(JournalFileBackend(str(journal)))
    optuna.create_study(study_name="study", storage=storage).set_user_attr("mine", 1)
    study = StudyHandle.find(open_storage(journal), "study")
    assert study is not None and study.identity is None
    with pytest.raises(UsageError, match="directions"):
        study.check_identity({**IDENTITY, "directions": ["maximize"]})
    study.check_identity(IDENTITY)
    assert study.identity is not None and study.identity.to_json() == IDENTITY
    with pytest.raises(UsageError, match="seed"):
        study.check_identity({**IDENTITY, "seed": 1})


def test_a_journal_of_another_study_is_no_new_one(study: StudyHandle, journal: Path) -> None:
    with pytest.raises(JournalDamagedError, match=r"expected study other .* found study"):
        StudyHandle.find(open_storage(journal), "other")


def test_a_journal_without_a_study_is_a_beginning(journal: Path) -> None:
    journal.touch()
    assert StudyHandle.find(open_storage(journal), "study") is None


def test_changes_are_noted_once(study: StudyHandle) -> None:
    assert study.note_changes({"source": "a"}) == []
    assert study.note_changes({"source": "b"}) == ["source"]
    assert study.note_changes({"source": "b"}) == []


# --- counting and the best


def test_only_finished_trials_count(study: StudyHandle, journal: Path) -> None:
    theirs = stock(journal)
    for state, value in [("COMPLETE", 1.0), ("PRUNED", None), ("FAIL", None)]:
        theirs.tell(theirs.ask(), value, state=TrialState[state])
    theirs.enqueue_trial({"x": 1})
    begin(study)
    assert study.count() == (2, 1)


def test_the_best_is_finite_feasible_and_the_earliest_of_equals(
    study: StudyHandle, journal: Path
) -> None:
    theirs = stock(journal)
    for value in (3.0, -math.inf, 2.0, 2.0):
        theirs.tell(theirs.ask(), value)
    best = study.best()
    assert best is not None and best.number == 2
    trial = theirs.ask()
    trial.set_constraint("memory", 1.0)  # violated
    theirs.tell(trial, 0.0)
    best = study.best()
    assert best is not None and best.number == 2
    assert study.pareto_front() == []


def test_the_best_of_a_table_is_one_that_can_be_refitted(journal: Path) -> None:
    identity = {**IDENTITY, "kind": "table"}
    study = StudyHandle.create(open_storage(journal, create=True), "study", identity)
    theirs = stock(journal)
    ours = {"jl_epochs": 3, "jl_fold_scores": [2.0], "jl_train_scores": [1.0]}
    theirs.add_trial(optuna.create_trial(value=2.0, user_attrs=ours))
    assert study.passed_over() is None
    for value in (1.0, 3.0):
        theirs.tell(theirs.ask(), value)
    best, foreign = study.best(), study.passed_over()
    assert best is not None and best.number == 0
    assert foreign is not None and foreign.number == 1


def test_a_pareto_front_is_finite(journal: Path) -> None:
    identity = {**IDENTITY, "directions": ["minimize", "minimize"]}
    study = StudyHandle.create(open_storage(journal, create=True), "study", identity)
    theirs = stock(journal)
    for values in [(1.0, 2.0), (2.0, 1.0), (3.0, 3.0), (0.0, math.inf)]:
        theirs.tell(theirs.ask(), values)
    assert [trial.number for trial in study.pareto_front()] == [0, 1]
    assert study.best() is None


@pytest.mark.parametrize(
    ("directions", "values", "said"),
    [(2, [1.0], "2 values in trial 1, found 1"), (1, [1.0, 2.0], "1 value in trial 1, found 2")],
)
def test_a_trial_with_another_number_of_values_is_named(
    journal: Path, directions: int, values: list[float], said: str
) -> None:
    identity = {**IDENTITY, "directions": ["minimize"] * directions}
    study = StudyHandle.create(open_storage(journal, create=True), "study", identity)
    theirs = stock(journal)
    theirs.add_trial(optuna.create_trial(values=[0.0] * directions))
    study.check_values()
    theirs._storage.set_trial_state_values(theirs.ask()._trial_id, TrialState.COMPLETE, values)
    looks = [study.check_values] + [study.pareto_front] * (directions > 1)
    for look in looks:
        with pytest.raises(JournalDamagedError, match=f"expected {said}.*--overwrite"):
            look()


# --- owners


def test_owner_and_state_are_one_record_that_stock_optuna_reads(
    study: StudyHandle, journal: Path
) -> None:
    lines = journal.read_bytes().count(b"\n")
    begin(study)
    assert journal.read_bytes().count(b"\n") == lines + 1
    trial = stock(journal).trials[0]
    assert trial.state == TrialState.RUNNING and trial.datetime_start is not None
    assert trial.user_attrs[OWNER_ATTRIBUTE] == ME.to_json()


def test_only_trials_of_dead_owners_are_stale(study: StudyHandle, journal: Path) -> None:
    begin(study)
    stale = begin(study, DEAD)
    foreign = stock(journal).ask().number
    assert [trial.number for trial in study.stale_trials()] == [stale]
    assert [trial.number for trial in study.owned_trials("ours", 0)] == [0]
    assert study.owned_trials("ours", 1) == []
    assert foreign == 2


def test_a_worker_that_is_being_killed_is_waited_for(study: StudyHandle) -> None:
    """Its launch is gone, but on a busy machine its guard needs a moment."""
    with subprocess.Popen(["sleep", "1000"]) as child:
        dying = replace(ME, pid=child.pid, started=owner._started(child.pid), launch="theirs")
        number = begin(study, dying)
        assert study.stale_trials(0.1) == []  # it does not die
        killing = threading.Timer(0.3, child.kill)
        killing.start()
        assert [trial.number for trial in study.stale_trials(60)] == [number]
        killing.join()


def test_a_trial_that_had_finished_is_not_failed(study: StudyHandle, journal: Path) -> None:
    begin(study, DEAD)
    trial = study.stale_trials()[0]
    open_storage(journal).set_trial_state_values(0, TrialState.COMPLETE, [1.0])
    assert study.fail(trial, "too late") is False
    after = stock(journal).trials[0]
    assert after.state == TrialState.COMPLETE and "jl_fail_reason" not in after.user_attrs
    study.check()  # the refused record does no harm later


def test_a_queued_trial_has_its_owner_before_it_runs(study: StudyHandle, journal: Path) -> None:
    stock(journal).enqueue_trial({"x": 0.5})
    attributes = {OWNER_ATTRIBUTE: ME.to_json(), "jl_worker": 0}
    before = journal.read_bytes()
    assert storage_of(study).start_queued_trial(0, attributes)
    added = journal.read_bytes()[len(before) :].splitlines()
    running = next(i for i, line in enumerate(added) if b'"op_code":6' in line)
    assert b"jl_owner" in added[running - 1]
    assert dict(stock(journal).trials[0].user_attrs) == attributes


@pytest.mark.parametrize("finished", [False, True])
def test_a_queued_trial_that_somebody_else_took_is_left_to_them(
    study: StudyHandle, journal: Path, finished: bool
) -> None:
    theirs = stock(journal)
    theirs.enqueue_trial({"x": 0.5})
    trial = theirs.ask()
    if finished:
        theirs.tell(trial, 1.0)
    attributes = {OWNER_ATTRIBUTE: DEAD.to_json(), "jl_worker": 0}
    assert storage_of(study).start_queued_trial(0, attributes) is False
    study.check()  # Optuna raises for every record of ours on a finished trial
    assert study.stale_trials() == []
    assert study.count() == (int(finished), 0)
    assert begin(study) == 1


# --- queued again


def test_a_retry_is_linked_and_carries_nothing_of_the_dead_run(
    study: StudyHandle, journal: Path
) -> None:
    begin(study, DEAD)
    trial = optuna.Trial(stock(journal), 0)
    trial.suggest_float("x", 0, 1)
    trial.suggest_categorical("kind", ["a", None, 3])
    trial.set_user_attr("mine", "kept")
    trial.set_user_attr("jl_device", "GPU 0")
    for number in range(2):
        found = study.trial(number)
        assert study.fail(found, "died")
        study.queue_again(study.trial(number), retry=True)
        assert storage_of(study).start_queued_trial(number + 1, {OWNER_ATTRIBUTE: DEAD.to_json()})
    copy = stock(journal).trials[2]
    assert copy.params == stock(journal).trials[0].params
    assert copy.system_attrs["retry_history"] == [0, 1]
    assert copy.system_attrs["failed_trial"] == 0
    assert set(copy.user_attrs) == {"mine", OWNER_ATTRIBUTE, "jl_repeats"}
    assert copy.user_attrs["jl_repeats"] == 1


def test_an_interrupted_trial_is_no_retry(study: StudyHandle) -> None:
    begin(study, DEAD)
    study.fail(study.trial(0), "interrupted")
    study.queue_again(study.trial(0), retry=False)
    assert study.trial(1).system_attrs == {COPY_OF: 0}, "no retry_history"
    assert study.trial(1).state == TrialState.WAITING


def test_defaults_are_queued_once(study: StudyHandle, journal: Path) -> None:
    study.queue_defaults({"x": 0.5})
    study.queue_defaults({"x": 0.5})
    assert len(study.trials()) == 1
    theirs = stock(journal)
    theirs.tell(theirs.ask(), 1.0)
    study.queue_defaults({"x": 0.5})
    assert len(study.trials()) == 1


def test_the_first_error_of_the_journal_is_remembered(study: StudyHandle, journal: Path) -> None:
    journal.unlink()
    for _ in range(2):
        with pytest.raises(JournalLauncherError):
            study.check()
    assert isinstance(study.storage.broken, JournalDamagedError)


def test_a_deleted_study_is_refused_again_and_again_and_another_ones_deletion_is_not_ours(
    study: StudyHandle, journal: Path
) -> None:
    other = JournalStorage(JournalFileBackend(str(journal)))
    optuna.create_study(study_name="b", storage=other)
    optuna.delete_study(study_name="b", storage=other)
    study.check()
    optuna.delete_study(study_name="study", storage=other)
    for _ in range(2):
        with pytest.raises(JournalDamagedError, match="somebody deleted this study"):
            study.check()
    with pytest.raises(JournalDamagedError):
        study.set_attribute("a", 1)
    assert StudyHandle.find(open_storage(journal), "study") is None
