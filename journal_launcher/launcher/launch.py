"""One launch, from settings to a published model."""

import contextlib
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from optuna.trial import TrialState

from journal_launcher.base import events
from journal_launcher.base.errors import AGAIN, ExitCode
from journal_launcher.base.files import write_json
from journal_launcher.base.paths import StudiesFolder, StudyPaths
from journal_launcher.base.times import utc
from journal_launcher.base.verdict import Verdict
from journal_launcher.devices.cpus import available_cores
from journal_launcher.launcher import model_store
from journal_launcher.launcher.archive import move_aside
from journal_launcher.launcher.confirm import confirm_best
from journal_launcher.launcher.engine import Engine, WorkerProcess, WorkerSpec, left_behind
from journal_launcher.launcher.engines.local import LocalEngine
from journal_launcher.launcher.ledger import TrialLedger
from journal_launcher.launcher.plan import devices_for, plan_workers
from journal_launcher.launcher.pool import WorkerPool
from journal_launcher.launcher.provenance import command_line, launch_record, versions
from journal_launcher.launcher.publish import save_best_model
from journal_launcher.launcher.signals import SignalInbox
from journal_launcher.launcher.stop import Stop
from journal_launcher.launcher.supervisor import Supervisor
from journal_launcher.launcher.trouble import full_disk_is_resumable, nothing_left_of_bad_input
from journal_launcher.settings.inputs import check_inputs
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.study.confirmation import unconfirmed
from journal_launcher.study.journal.storage import StudyStorage, open_storage
from journal_launcher.study.lease import Lease
from journal_launcher.study.study import BUDGET_ATTRIBUTE, SETTINGS_ATTRIBUTE, StudyRecord

__all__ = ["OnPublished", "run_launch"]

OnPublished = Callable[[], Verdict]
"""Judges the published model, while the launch still has the study."""

PREPARE_ATTEMPTS = 3


def run_launch(
    settings: LaunchSettings,
    emit: events.Listener = lambda event: None,
    environment: Mapping[str, str] | None = None,
    part_of: str | None = None,
    limit: float | None = None,
    on_published: OnPublished | None = None,
) -> events.LaunchEnded:
    """Run one launch and return how it ended; `emit` hears of everything but the end.

    part_of: the comparison that this launch belongs to, which may leave its model out later.
    limit: seconds after which it is stopped, whatever it is at, and failed. on_published: called
    once there is a published model, under the lease; its verdict is part of the end.

    Raises:
        JournalLauncherError: nothing was started (bad input, study in use, damaged journal), or the
            journal broke underneath. A launch that ran and failed returns LaunchEnded instead.
    """
    environment = os.environ if environment is None else environment
    paths = StudiesFolder.at(settings.studies_dir).study(settings.name)
    check_inputs(settings)
    choice = devices_for(settings, environment)
    specs = plan_workers(settings, choice, available_cores(), environment)
    launch_id = uuid.uuid4().hex
    with SignalInbox() as inbox:
        lease = Lease(paths.lease, paths.name, launch_id)
        launch = Launch(
            settings, paths, specs, launch_id, emit, inbox, lease, part_of, limit, on_published
        )
        with (
            full_disk_is_resumable(lambda: launch.again),
            nothing_left_of_bad_input(paths),
            lease,
        ):
            return launch.run(choice.notes)


class Launch:
    """What `run_launch` holds while it runs: the lease, the workers, the study."""

    def __init__(
        self,
        settings: LaunchSettings,
        paths: StudyPaths,
        specs: tuple[WorkerSpec, ...],
        launch_id: str,
        emit: events.Listener,
        inbox: SignalInbox,
        lease: Lease,
        part_of: str | None,
        limit: float | None,
        on_published: OnPublished | None,
    ) -> None:
        self.settings, self.paths, self.specs = settings, paths, specs
        self.launch_id, self.emit, self.inbox = launch_id, emit, inbox
        self.lease, self.part_of, self.limit = lease, part_of, limit
        self.on_published = on_published
        self.began, self.began_at = time.monotonic(), utc()
        self.again = AGAIN
        self.engine: Engine = LocalEngine()

    def run(self, notes: tuple[str, ...]) -> events.LaunchEnded:
        """The story. `notes` are said after the first line, which names the journal."""
        found = self._find_study()
        seed = self._seed(found)
        with self._pool() as pool:
            self.supervisor = self._supervisor(pool, seed)
            prepared = self._prepare(pool, self._workers_wanted(found, len(pool.slots)))
            study = self._open_study(found, prepared)
            self._announce(study, found is not None, [*notes, *prepared["notes"]])
            self.ledger = TrialLedger(self.settings, study, self.launch_id, self.emit)
            self.ledger.fail_stale_trials()
            self.supervisor.open(self.ledger, prepared)
            self.supervisor.run_trials()
            confirm_best(self.supervisor, self.ledger)
            self.lease.check_folder()
            sidecar = save_best_model(self.supervisor, self.ledger, self.paths, self._facts())
            self.supervisor.dismiss()
        return self._ended(study, sidecar)

    @contextlib.contextmanager
    def _pool(self) -> Iterator[WorkerPool]:
        pool = WorkerPool(self.specs, self._start_process)
        pool.watch(self.inbox.descriptor)
        try:
            yield pool
        finally:
            for pid in pool.close():
                self.emit(events.Note(left_behind(pid), "warning"))

    # --- before the study is open

    def _find_study(self) -> StudyRecord | None:
        """The existing study, unless it is about to be moved aside."""
        if self.settings.overwrite or not self.paths.journal.exists():
            return None
        return StudyRecord.find(self._storage(), self.paths.name)

    def _workers_wanted(self, found: StudyRecord | None, most: int) -> int:
        """A study with all its trials only needs workers for what is left to confirm or refit."""
        if found is None or found.count()[0] < self.settings.n_trials:
            return most
        return min(most, max(1, len(unconfirmed(found, self.settings.confirm))))

    def _storage(self, *, create: bool = False) -> StudyStorage:
        allow = self.settings.allow_network_fs
        storage = open_storage(self.paths.journal, create=create, allow_network_fs=allow)
        storage.again = self.settings.again
        return storage

    def _seed(self, found: StudyRecord | None) -> int:
        """As given; else the study's own; else 0."""
        if self.settings.seed is not None:
            return self.settings.seed
        return found.seed if found else 0

    def _start_process(self, spec: WorkerSpec) -> WorkerProcess:
        self.lease.check_folder()
        return self.engine.start(spec, self.launch_id, self.paths.worker_log(spec.index))

    def _supervisor(self, pool: WorkerPool, seed: int) -> Supervisor:
        settings = self.settings
        return Supervisor(
            settings=settings,
            pool=pool,
            emit=self.emit,
            inbox=self.inbox,
            deadline=None if settings.timeout is None else self.began + settings.timeout,
            limit=self.limit,
            paths=self.paths,
            seed=seed,
        )

    def _prepare(self, pool: WorkerPool, n_workers: int) -> dict[str, Any]:
        """Start the workers; the first one whose device works prepares while the others import."""
        self.emit(events.PhaseChanged("preparing"))
        for slot in pool.slots[:n_workers]:
            self.supervisor.start(slot, prepare=slot.index == 0)
        for slot in pool.slots:
            for _ in range(PREPARE_ATTEMPTS):
                answer = self.supervisor.prepare(slot)
                if answer is not None:
                    return answer.content
                if self.supervisor.stop is not None:
                    raise self.supervisor.stop.as_error()
                if slot.unusable:
                    break
            else:
                log = self.paths.worker_log(slot.index)
                raise Stop.failed(f"worker {slot.index} died while preparing; see {log}").as_error()
        raise Stop.failed("; ".join(str(s.unusable) for s in pool.slots), ExitCode.USAGE).as_error()

    # --- the study

    def _open_study(self, found: StudyRecord | None, prepared: dict[str, Any]) -> StudyRecord:
        data = prepared["content"].get("data", self.settings.data)  # its absolute path
        if found is not None:
            found.check_identity(prepared["identity"], data)
            study = found
        else:
            if self.settings.overwrite and self.paths.journal.exists():
                text = "to go on with the new one later, leave --overwrite out"
                self.emit(events.Note(f"the old study is now in {move_aside(self.paths)}; {text}"))
            self.again = self.settings.again
            storage = self._storage(create=True)
            self.lease.hold_journal()
            if self.paths.journal.stat().st_size:
                self.emit(
                    events.Note("no study in its journal (was it deleted?): a new one begins")
                )
            study = StudyRecord.create(storage, self.paths.name, prepared["identity"])
        for changed in study.note_changes(prepared["noted"]):
            self.emit(events.Note(f"{changed} changed since the last launch; trials are kept"))
        study.remember(BUDGET_ATTRIBUTE, self.settings.n_trials)
        study.remember(SETTINGS_ATTRIBUTE, {**self.settings.of_trials(), "data": data})
        self._write_record(None)
        return study

    def _announce(self, study: StudyRecord, resumed: bool, notes: list[str]) -> None:
        finished, failed = study.count()
        self.n_before, best = finished, study.best()
        self.emit(
            events.LaunchStarted(
                study=self.paths.name,
                journal=self.paths.journal,
                resumed=resumed,
                n_trials=self.settings.n_trials,
                n_finished=finished,
                n_failed=failed,
                directions=study.directions,
                metric=study.metric,
                best_value=best.value if best else None,
                best_number=best.number if best else None,
            )
        )
        for note in notes:
            self.emit(events.Note(note))
        self.emit(events.PhaseChanged("running"))

    def _facts(self) -> dict[str, Any]:
        """What the sidecar says about this launch."""
        return {
            "versions": versions(),
            "command_line": command_line(),
            "launch": self.launch_id,
            "started": self.began_at,
            "published": utc(),
            "part_of": self.part_of,
            "busy": self.supervisor.pool.busy_shares(),
        }

    # --- the end

    def _ended(self, study: StudyRecord, sidecar: dict[str, Any] | None) -> events.LaunchEnded:
        finished, failed = study.count()
        stop = self.supervisor.stop
        if stop is None and sidecar is None:
            stop = Stop.failed("no trial completed, so there is no model")
        elif stop is not None and stop.exit_code == ExitCode.DONE and sidecar is None:
            stop = Stop(
                stop.reason, ExitCode.FAILED, f"no trial completed before the {stop.reason}"
            )
        stop = stop or Stop("complete")
        judged = None
        if sidecar is not None and self.on_published is not None:
            judged = self.on_published()
        ended = events.LaunchEnded(
            study=self.paths.name,
            exit_reason=stop.reason,
            exit_code=stop.exit_code,
            n_trials=self.settings.n_trials,
            n_finished=finished,
            n_failed=failed,
            n_interrupted=self.ledger.interrupted,
            directions=study.directions,
            metric=study.metric,
            best_trial=self.ledger.best_trial(),
            model_path=model_store.model_path(self.paths, sidecar),
            journal=self.paths.journal,
            seconds=time.monotonic() - self.began,
            message=stop.message,
            sidecar=sidecar,
            baselines=self.ledger.baselines,
            health=judged,
            failures=dict(self.ledger.failures),
            overwrite=self.settings.overwrite,
            trial_seconds=self.ledger.trial_seconds(),
            busy=self.supervisor.pool.busy_shares(),
            n_before=self.n_before,
            n_pruned=len(study.trials(TrialState.PRUNED)),
        )
        self._write_record(ended)
        return ended

    def _write_record(self, ended: events.LaunchEnded | None) -> None:
        """launch.json: the last launch, for people; read back for the study's name alone."""
        workers = [
            {"index": spec.index, "device": spec.device.label, "threads": spec.threads}
            for spec in self.specs
        ]
        record = launch_record(self.launch_id, self.settings, workers, self.began_at, ended)
        self.lease.check_folder()
        self.paths.directory.mkdir(exist_ok=True)  # whoever removed it cost us nothing yet
        write_json(self.paths.launch_record, record)
