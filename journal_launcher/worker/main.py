"""A worker: spec in, exit code out.

It checks its device, prepares the data if told to, opens the journal and then runs one granted
trial after the other until the parent says bye. Objectives may print: stdout is the log file.
"""

import contextlib
import copy
import faulthandler
import json
import logging
import os
import signal
import sys
import time
import traceback
from pathlib import Path

import optuna

from journal_launcher.base import messages
from journal_launcher.base.artifacts.scores import Confirmation
from journal_launcher.base.artifacts.trial_attributes import Placed, TrialAttributes
from journal_launcher.base.errors import (
    AGAIN,
    DeviceError,
    ExitCode,
    JournalLauncherError,
    ResumableStop,
    is_full_disk,
    limit_met,
)
from journal_launcher.base.paths import StudyPaths
from journal_launcher.base.visible import visible
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.study.choices import JournalTrial
from journal_launcher.study.journal.storage import StudyStorage, open_storage
from journal_launcher.study.optuna_private import study_id
from journal_launcher.study.owner import OWNER_ATTRIBUTE, Owner
from journal_launcher.worker import leaving, trial_folders
from journal_launcher.worker.connection import Connection, ParentGoneError
from journal_launcher.worker.cuda_errors import breaks_process
from journal_launcher.worker.device_check import DeviceStatus, verify_device
from journal_launcher.worker.history import History
from journal_launcher.worker.jobs import Job, make_job
from journal_launcher.worker.numbered_lines import of_trial
from journal_launcher.worker.sampling import Search
from journal_launcher.worker.trials import WorkerStudy, evaluate, finish_trial, forks_end_here
from journal_launcher.worker.user_errors import (
    is_all_ours,
    missing_module,
    told_of,
    traceback_of,
)

__all__ = ["Notes", "main"]


class _ContextLostError(Exception):
    """A CUDA error that this process does not survive."""


class Notes(logging.Handler):
    """What the worker's own code logs is a line for the user, wherever it happens."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection

    def emit(self, record: logging.LogRecord) -> None:
        self._connection.send(messages.Note(record.getMessage()))


def main(arguments: list[str]) -> int:
    """Run one worker on two inherited pipes (`arguments`: their descriptors).

    A third descriptor is of functions that have no file.
    """
    if arguments[:1] in (["--debug"], ["--replay"]):
        from journal_launcher.worker.foreground import debug, replay

        task = messages.ForegroundTask(**json.loads(arguments[1]))
        return debug(task) if arguments[0] == "--debug" else replay(task)
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR2, all_threads=True)
    leaving.listen()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    incoming, outgoing, *given = map(int, arguments)
    for descriptor in given:
        os.set_inheritable(descriptor, False)  # it is nothing for what the objective starts
    connection = Connection(incoming, outgoing)
    library = logging.getLogger("journal_launcher.tabular")
    library.addHandler(Notes(connection))
    library.setLevel(logging.INFO)
    try:
        with forks_end_here():
            Worker(connection, *given).run()
    except leaving.ToldToLeave:
        return ExitCode.RESUMABLE
    except ParentGoneError:
        return ExitCode.FAILED
    except _ContextLostError:
        print("after this CUDA error the process is of no more use: it ends", file=sys.stderr)
        sys.stdout.flush()
        os._exit(ExitCode.FAILED)  # tearing CUDA down could hang
    except BaseException as error:
        return _report_failure(connection, error)
    return ExitCode.DONE


def _report_failure(connection: Connection, error: BaseException) -> int:
    """Tell the parent what ended this worker; our own errors are one line, others a traceback."""
    limit = limit_met(error) or missing_module(error)
    ours = isinstance(error, JournalLauncherError) or limit is not None
    with contextlib.suppress(OSError):  # the disk may be full
        traceback.print_exc()
    if isinstance(error, DeviceError):
        connection.send(messages.Unusable(str(error)))
        return ExitCode.FAILED
    connection.send(
        messages.Failed(
            message=visible(limit or str(error) if ours else f"{type(error).__name__}: {error}"),
            exit_code=int(error.exit_code) if isinstance(error, JournalLauncherError) else 1,
            traceback=told_of(error) if ours else traceback_of(error),
            internal=not ours and is_all_ours(error),
        )
    )
    return ExitCode.FAILED


class Worker:
    """One child process pinned to one device."""

    def __init__(self, connection: Connection, given: int | None = None) -> None:
        self._connection = connection
        self._given = given
        self._spec = connection.receive_spec()
        spec = self._spec
        self._settings = LaunchSettings.from_json(spec.settings)
        self._paths = StudyPaths(Path(spec.folder), spec.study)
        self._owner = Owner.this_process(
            connection.channel.launch,
            connection.channel.worker,
            via=("parent" if spec.sees else "node") if spec.through_parent else None,
        )
        self._number: int | None = None
        self._device_status: DeviceStatus
        self._job: Job
        self._search: Search
        self._storage: StudyStorage
        self._study: WorkerStudy
        self._seed = 0
        self._again = AGAIN

    def run(self) -> None:
        """Serve until the parent says bye."""
        try:
            self._run()
        except Exception as error:
            if isinstance(error, JournalLauncherError) or not is_full_disk(error):
                raise
            raise ResumableStop.of_full_disk(error, self._again) from error

    def _run(self) -> None:
        spec = self._spec
        self._device_status = verify_device(spec.device_uuid)
        gpu = spec.device_uuid is not None
        self._job = make_job(self._settings, self._paths, gpu, spec.threads, self._given)
        cold = spec.prepare
        if not cold:
            self._warm_up()
        while isinstance(message := self._connection.receive(), messages.Prepare):
            prepared = self._job.prepare(message.seed, message.begun)
            if cold:  # before the answer: a device that fails leaves no study behind
                self._warm_up()
                cold = False
            self._connection.send(messages.Prepared(prepared))
        if cold and isinstance(message, messages.Open):  # another one has prepared
            self._warm_up()
        if isinstance(message, messages.Bye):
            return
        if not isinstance(message, messages.Open):
            raise messages.unexpected(message)
        self._open(message)
        self._connection.send(messages.Ready(self._job.defaults()))
        self._serve()

    def _warm_up(self) -> None:
        self._job.warm_up()
        self._search = Search(self._settings)  # the user's samplers may be in the objective's file

    def _open(self, message: messages.Open) -> None:
        self._seed = message.seed
        self._again = self._settings.again
        self._job.open(message.prepared, self._seed, self._progress)
        self._storage = self._open_storage()
        self._storage.again = self._again
        self._study = WorkerStudy(self._paths.name, self._storage)
        self._study.pruner = self._search.pruner
        self._history = History(self._study, self._storage)

    def _open_storage(self) -> StudyStorage:
        if self._spec.through_parent:
            from journal_launcher.worker.remote_journal import open_through_parent

            return open_through_parent(self._connection, self._paths.journal)
        allow = self._settings.allow_network_fs
        return open_storage(self._paths.journal, allow_network_fs=allow)

    def _serve(self) -> None:
        self._connection.send(messages.Request())
        while not isinstance(message := self._connection.receive(), messages.Bye):
            match message:
                case messages.Grant(queued):
                    self._run_trial(queued)
                case messages.Baseline():
                    self._connection.send(messages.Scored(self._job.baselines()))
                case messages.Confirm(number):
                    self._confirm(number)
                case messages.Refit(number, staging):
                    self._refit(number, Path(staging))
                    continue  # nothing is left to do but to leave
                case _:
                    raise messages.unexpected(message)
            self._connection.send(messages.Request())

    def _progress(
        self,
        unit: str,
        step: int,
        total: int | None,
        value: float | None,
        within: tuple[int, int] | None = None,
    ) -> None:
        if self._number is not None:
            self._connection.progress(self._number, unit, step, total, value, within)

    def _run_trial(self, queued: int | None) -> None:
        trial_id = self._start(queued)
        if trial_id is None:
            return  # somebody else took the queued trial; the next request returns the grant
        number = self._number = self._storage.get_trial(trial_id).number
        self._connection.send(messages.Started(number))
        started = time.monotonic()
        self._study.sampler = self._search.sampler(self._seed, number, self._history)
        trial = JournalTrial(self._study, trial_id)
        with of_trial(number):
            outcome = evaluate(self._job, trial, len(self._study.directions))
        if leaving.told():  # and a bare `except:` of the objective swallowed it
            raise leaving.ToldToLeave
        if self._storage.broken is not None:
            raise self._storage.broken
        seconds = time.monotonic() - started
        attributes = {} if outcome.state.name == "FAIL" else dict(self._job.attributes())
        attributes |= TrialAttributes(duration_s=round(seconds, 3)).to_json()
        broken = outcome.broken
        if not self._spec.sees and outcome.state.name == "COMPLETE":
            kept = trial_folders.to_bring_first(self._paths, self._study, number, outcome.values)
            if kept is not None:  # before its end counts: a best trial never lacks its files
                self._connection.send(messages.Whole(kept))
        outcome = finish_trial(self._storage, self._study, trial, outcome, attributes)
        self._number = None
        self._job.recorded(self._study)
        for callback in self._search.callbacks:
            callback(self._study, self._storage.get_trial(trial_id))
        self._connection.send(
            messages.Ended(
                number=number,
                state=outcome.state.name,
                reason=outcome.reason,
                raised=outcome.raised,
                incompatible=outcome.incompatible,
                seconds=seconds,
                stop=self._study.ends_launch,
                work=self._job.work(),
            )
        )
        if broken:
            raise _ContextLostError

    def _start(self, queued: int | None) -> int | None:
        placed = Placed(
            worker=self._owner.worker,
            device=self._spec.device,
            device_uuid=self._spec.device_uuid,
            device_status=self._device_status,
            threads=self._spec.threads,
        )
        attributes = {OWNER_ATTRIBUTE: self._owner.to_json(), **placed.to_json()}
        if queued is None:
            return self._storage.start_trial(study_id(self._study), attributes)
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(
            study_id(self._study), queued
        )
        return trial_id if self._storage.start_queued_trial(trial_id, attributes) else None

    def _confirm(self, number: int) -> None:
        self._number = number
        trial = self._study.get_trials(deepcopy=False)[number]
        try:
            found = self._job.confirm(trial)
        except Exception as error:  # the trial loses by it, the launch does not
            traceback.print_exc()
            if breaks_process(error):
                raise _ContextLostError from None
            found = Confirmation(reason=f"{type(error).__name__}: {error}")
        self._number = None
        self._connection.send(messages.Confirmed(number, found))

    def _refit(self, number: int | None, staging: Path) -> None:
        trials = self._study.get_trials(deepcopy=False)
        best = None if number is None else copy.deepcopy(trials[number])
        self._number = number
        try:
            sidecar = self._job.refit(self._study, best, staging)
        except Exception as error:
            if not breaks_process(error):
                raise
            traceback.print_exc()
            raise _ContextLostError from None  # a fresh process may try again
        self._number = None
        self._connection.send(messages.Staged(sidecar))
