"""The journal goes away, changes or cannot grow while a launch runs."""

import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import optuna
import pytest
from launcher.harness import ROOT, Workshop, finish, wait_until
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna_dashboard import wsgi

from journal_launcher.base import events
from journal_launcher.base.errors import JournalDamagedError
from journal_launcher.launcher import slot
from journal_launcher.study.journal.storage import open_storage

BUSY = """
def objective(trial):
    note(f"running {trial.number}")
    told("go")
    return 0.0
"""


@pytest.mark.parametrize(
    "how",
    [
        "deleted",
        "truncated",
        pytest.param("renamed", marks=pytest.mark.slow),
        pytest.param("replaced", marks=pytest.mark.slow),
    ],
)
def test_all_stop_when_the_journal_changes_underneath(workshop: Workshop, how: str) -> None:
    workshop.write(BUSY)
    journal = workshop.paths.journal
    process = workshop.start("--n-trials", "4", "--workers", "2")
    for number in range(2):
        workshop.noted(f"running {number}")
    if how == "deleted":
        journal.unlink()
    elif how == "renamed":
        journal.rename(workshop.folder / "elsewhere.log")
    elif how == "truncated":
        os.truncate(journal, 100)
    else:
        copy = workshop.folder / "copy.log"
        copy.write_bytes(journal.read_bytes())
        copy.replace(journal)
    began = time.monotonic()
    ended = finish(process)
    assert time.monotonic() - began < 5
    assert ended.code == 3 and "journal changed underneath" in ended.err
    assert "Traceback" not in ended.err
    assert journal.exists() == (how in ("truncated", "replaced"))


def test_all_stop_when_the_study_is_deleted_and_the_same_command_begins_it_anew(
    workshop: Workshop,
) -> None:
    workshop.write(BUSY)
    process = workshop.start("--n-trials", "4", "--workers", "2")
    for number in range(2):
        workshop.noted(f"running {number}")
    stock = JournalStorage(JournalFileBackend(str(workshop.paths.journal)))
    optuna.delete_study(study_name="study", storage=stock)
    ended = finish(process)
    assert ended.code == 3 and "Traceback" not in ended.err, ended.err
    said = "journal changed underneath (somebody deleted this study, in a dashboard say)"
    assert ended.err.count(said) == 1 and "the same command begins it anew" in ended.err
    assert said in ended.err.splitlines()[-1]
    studies = ["--studies-dir", str(workshop.paths.folder)]
    status = [sys.executable, "-m", "journal_launcher", "status", *studies]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    shown = [
        subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
        for command in (status, [*status, "study"])
    ]
    assert shown[0] == "study  empty\n"
    assert "the journal holds no study (deleted, or not begun)" in shown[1]
    workshop.tell("go")
    again = workshop.run("--n-trials", "2")
    assert again.code == 0 and "no study in its journal" in again.err, again.err
    assert workshop.states() == ["COMPLETE"] * 2


def rename_in_dashboard(journal: Path, old: str, new: str) -> None:
    """What its button does."""
    storage = JournalStorage(JournalFileBackend(str(journal)))
    study = optuna.load_study(study_name=old, storage=storage)._study_id
    body = json.dumps({"study_name": new}).encode()
    environment: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": f"/api/studies/{study}/rename",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }
    setup_testing_defaults(environment)
    answers: list[str] = []
    list(wsgi(storage)(environment, lambda status, *_: answers.append(status)))
    assert answers == ["201 Created"]


def test_a_study_that_was_renamed_in_the_dashboard_is_said_to_be(workshop: Workshop) -> None:
    workshop.write(BUSY)
    process = workshop.start("--n-trials", "3", "--workers", "2")
    for number in range(2):
        workshop.noted(f"running {number}")
    journal = workshop.paths.journal
    rename_in_dashboard(journal, "study", "my.study")
    ended = finish(process)
    moved = f"mv -n '{journal}' '{journal.parent}/my.study.log'"
    remedy = f"rename it back there, or type: {moved} and go on with --study-name my.study"
    assert ended.code == 3 and "Traceback" not in ended.err, ended.err
    said = (
        "journal changed underneath (somebody renamed this study to my.study, in a dashboard say)"
    )
    assert ended.err.count(said) == 1 and ended.err.splitlines()[-1].endswith(remedy)
    before = journal.read_bytes()
    for name, then in (("my.study", remedy), ("no file's name", "rename it back there")):
        if name != "my.study":
            rename_in_dashboard(journal, "my.study", name)
            before = journal.read_bytes()
        with pytest.raises(JournalDamagedError) as caught:
            workshop.launch(n_trials=3)
        was = f"study study was renamed to {name} in its journal, in a dashboard say; "
        assert str(caught.value) == was + then
        assert journal.read_bytes() == before
    workshop.tell("go")
    rename_in_dashboard(journal, "no file's name", "study")
    assert workshop.launch(n_trials=3).exit_code == 0
    assert workshop.states() == ["FAIL"] * 2 + ["COMPLETE"] * 3
    rename_in_dashboard(journal, "study", "my.study")
    assert subprocess.run(shlex.split(moved), check=True).returncode == 0
    assert workshop.launch(n_trials=4, study_name="my.study").exit_code == 0
    storage = JournalStorage(JournalFileBackend(str(journal.with_name("my.study.log"))))
    trials = optuna.load_study(study_name="my.study", storage=storage).trials
    assert [trial.state.name for trial in trials] == ["FAIL"] * 2 + ["COMPLETE"] * 4


def test_a_study_that_was_deleted_beside_an_unlike_one_was_not_renamed(workshop: Workshop) -> None:
    workshop.write("def objective(trial): return 0.0")
    assert workshop.launch(n_trials=1).exit_code == 0
    storage = JournalStorage(JournalFileBackend(str(workshop.paths.journal)))
    optuna.create_study(study_name="other", storage=storage)
    optuna.delete_study(study_name="study", storage=storage)
    with pytest.raises(JournalDamagedError, match="expected study study in its journal, found oth"):
        workshop.launch(n_trials=1)


def test_a_damaged_journal_is_refused_in_one_line(workshop: Workshop) -> None:
    workshop.write("def objective(trial):\n    return 0.0\n")
    assert workshop.launch().exit_code == 0
    record = b'{"op_code":6,"worker_id":"w","trial_id":0,"state":"nonsense"}\n'
    with open(workshop.paths.journal, "ab") as journal:
        journal.write(record + b'{"op_code":4}\n')
    size = workshop.paths.journal.stat().st_size
    ended = workshop.run("--n-trials", "5")
    assert ended.code == 3 and "Traceback" not in ended.err
    assert "line" in ended.err and "repair study" in ended.err
    assert workshop.paths.journal.stat().st_size == size
    with pytest.raises(JournalDamagedError):
        open_storage(workshop.paths.journal)


def test_a_record_that_means_nothing_met_on_the_way_ends_the_launch_in_one_line(
    workshop: Workshop,
) -> None:
    workshop.write(BUSY)
    process = workshop.start("--n-trials", "4")
    workshop.noted("running 0")
    with open(workshop.paths.journal, "ab") as journal:
        journal.write(b'{"op_code":6,"worker_id":"w","trial_id":0,"state":"nonsense"}\n')
    ended = finish(process)
    assert ended.code == 3 and "Traceback" not in ended.err, ended.err
    assert "expected a journal record, found one that means nothing" in ended.err
    assert "repair study" in ended.err


def test_a_read_only_folder_is_refused_before_anything_starts(workshop: Workshop) -> None:
    workshop.write("def objective(trial):\n    return 0.0\n")
    blocker = workshop.folder / "studies"
    blocker.write_text("a file where the folder should be")
    ended = workshop.run()
    assert ended.code == 2 and "--studies-dir" in ended.err and "Traceback" not in ended.err


def test_a_launch_whose_folder_was_removed_goes_on_with_its_journal(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder holds what can be written again: logs, the record of the launch, the model."""
    monkeypatch.setattr(slot, "BACKOFF_FIRST", 0.05)
    workshop.write(
        """
def objective(trial):
    if trial.number == 0:
        os._exit(1)
    return 0.0
"""
    )

    def remove(event: events.Event) -> None:
        if isinstance(event, (events.TrialStarted, events.TrialEnded)):
            shutil.rmtree(workshop.paths.directory, ignore_errors=True)

    assert workshop.launch(remove, n_trials=1).exit_code == 0
    assert workshop.states() == ["FAIL", "COMPLETE"]
    remove_last = when_stopping(workshop)
    assert workshop.launch(remove_last, n_trials=2).exit_code == 75


def when_stopping(workshop: Workshop) -> Callable[[events.Event], None]:
    """Stop at the first trial, and remove the folder then."""

    def listen(event: events.Event) -> None:
        if isinstance(event, events.TrialStarted):
            os.kill(os.getpid(), signal.SIGTERM)
        elif isinstance(event, events.WorkerEnded):
            shutil.rmtree(workshop.paths.directory)

    return listen


def test_an_objective_that_swallows_the_journals_error_does_not_go_on(workshop: Workshop) -> None:
    workshop.write(
        """
def objective(trial):
    note("running 0")
    told("go")
    try:
        trial.report(1.0, 0)
    except Exception:
        pass
    return 0.0
"""
    )
    process = workshop.start("--n-trials", "3")
    workshop.noted("running 0")
    process.send_signal(signal.SIGSTOP)  # only the worker can notice
    workshop.paths.journal.rename(workshop.folder / "elsewhere.log")
    workshop.tell("go")
    log: Path = workshop.paths.worker_log(0)
    wait_until(lambda: "JournalDamagedError" in log.read_text())
    process.send_signal(signal.SIGCONT)
    assert finish(process).code == 3


def test_a_lost_record_is_not_forgotten_although_there_is_room_again(workshop: Workshop) -> None:
    workshop.write(
        """
import resource

def objective(trial):
    room = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, room[1]))
    try:
        trial.set_user_attr("lost", "x" * 1000)
    except Exception:
        pass
    resource.setrlimit(resource.RLIMIT_FSIZE, room)
    return 0.0
"""
    )
    result = workshop.launch(n_trials=2)
    assert result.exit_code == 75 and "make room" in str(result.message)
    assert workshop.states() == ["FAIL", "WAITING"]
