"""The course of a launch that has begun: from the study in its journal to its published model."""

import time
from dataclasses import replace

from optuna.trial import TrialState

from journal_launcher.base import events
from journal_launcher.base.artifacts.sidecar import Provenance, Sidecar
from journal_launcher.base.errors import ExitCode
from journal_launcher.base.files import write_json
from journal_launcher.base.messages import Preparation, Prepared
from journal_launcher.base.times import utc
from journal_launcher.launcher import model_store
from journal_launcher.launcher.archive import move_aside
from journal_launcher.launcher.confirm import confirm_best
from journal_launcher.launcher.launch import Launch
from journal_launcher.launcher.ledger import TrialLedger
from journal_launcher.launcher.provenance import command_line, launch_record, versions
from journal_launcher.launcher.publish import save_best_model
from journal_launcher.launcher.slot import Slot
from journal_launcher.launcher.stop import Stop
from journal_launcher.launcher.supervisor import Supervisor
from journal_launcher.settings.inputs import objective_name
from journal_launcher.study.confirmation import unconfirmed
from journal_launcher.study.journal.storage import StudyStorage, open_storage
from journal_launcher.study.study import BUDGET_ATTRIBUTE, SETTINGS_ATTRIBUTE, StudyHandle

__all__ = ["Course"]

PREPARE_ATTEMPTS = 3
FIRST_WAIT = 10.0  # seconds until another worker than the first may prepare
PLACES_WAIT = 60.0  # seconds; a worker that is queued for longer is checked when it starts


class Course:
    """What follows once the first workers' processes are there."""

    def __init__(self, launch: Launch, supervisor: Supervisor) -> None:
        self.launch = launch
        self.supervisor = supervisor
        self.settings = launch.settings
        self.paths = launch.paths
        self.emit = launch.emit

    def run(self, notes: tuple[str, ...]) -> events.LaunchEnded:
        """The story. `notes` are said after the first line, which names the journal."""
        found = self._find_study()
        seed = self._seed(found)
        self._start_others(found)
        prepared = self._prepare(seed, found)
        self._check_nodes()
        self.folds = prepared.content.get("folds_sha256")
        study = self._open_study(found, prepared)
        self._announce(study, found is not None, [*notes, *prepared.notes])
        self.ledger = TrialLedger(self.settings, study, self.launch.id, self.emit)
        self.ledger.fail_stale_trials()
        self.ledger.check_enqueue()
        self.supervisor.open(self.ledger, prepared, seed)
        self.supervisor.run_trials()
        confirm_best(self.supervisor, self.ledger)
        self.launch.lease.check_folder()
        sidecar = save_best_model(self.supervisor, self.ledger, self.paths, self._provenance())
        self.supervisor.dismiss()
        return self._ended(study, sidecar)

    # --- before the study is open

    def _find_study(self) -> StudyHandle | None:
        """The existing study, unless it is about to be moved aside."""
        if not self.launch.has_journal():
            return None
        self.launch.lease.hold_journal()  # another launch may have begun it after we took the lease
        return StudyHandle.find(self._storage(), self.paths.name)

    def _storage(self, *, create: bool = False) -> StudyStorage:
        # Where workers write through us we are the only writer, on whatever file system.
        allow = self.settings.allow_network_fs or self.launch.engine.through_parent
        storage = open_storage(self.paths.journal, create=create, allow_network_fs=allow)
        storage.again = self.settings.again
        return storage

    def _seed(self, found: StudyHandle | None) -> int:
        """As given; else the study's own; else 0."""
        if self.settings.seed is not None:
            return self.settings.seed
        return found.seed if found else 0

    def _start_others(self, found: StudyHandle | None) -> None:
        """Start the workers that are wanted and were not started before the journal was read."""
        slots = self.supervisor.pool.slots
        wanted = slots[: self._workers_wanted(found, len(slots))]
        self.supervisor.start(*(slot for slot in wanted if not slot.alive))

    def _workers_wanted(self, found: StudyHandle | None, most: int) -> int:
        """A study with all its trials only needs workers for what is left to confirm or refit."""
        if found is None or found.wants_more(self.settings.n_trials, self.settings.patience):
            return most
        return min(most, max(1, len(unconfirmed(found, self.settings.confirm))))

    def _prepare(self, seed: int, found: StudyHandle | None) -> Preparation:
        """The first worker whose device works prepares while the others import."""
        slots = self._placed_first()
        if not self.launch.engine.has_agents or not self.settings.job_kind.has_model_type:
            return self._prepared_by(slots, seed, found)
        # Where the studies folder, or this one, is not seen, the data need not be there either.
        seeing = [s for s in slots if s.placed and s.process and s.process.shares_folder]
        able = seeing if self.settings.remote_dir is None else []
        with self.launch.a_worker_here(self.supervisor.pool) as slot:
            return self._prepared_by([*able, slot], seed, found)

    def _prepared_by(self, slots: list[Slot], seed: int, found: StudyHandle | None) -> Preparation:
        begun = found.identity if found else None
        for slot in slots:
            for _ in range(PREPARE_ATTEMPTS):
                answer = self.supervisor.prepare(slot, seed, begun)
                if isinstance(answer, Prepared):
                    return self._named_as_here(answer.content)
                if self.supervisor.stop is not None:
                    raise self.supervisor.stop.as_error()
                others = any(other.alive for other in slots if other is not slot)
                if slot.unusable or (slot.losses and others):
                    break
            else:
                if slot.losses and slot is not slots[-1]:  # its node is to blame
                    continue
                log = self.paths.worker_log(slot.index)
                raise Stop.failed(f"worker {slot.index} died while preparing; see {log}").as_error()
        raise Stop.failed(_why_none(slots), ExitCode.USAGE).as_error()

    def _named_as_here(self, found: Preparation) -> Preparation:
        """What identifies a study names code by its place on this machine, whoever looked."""
        settings, identity = self.settings, found.identity
        if settings.command is not None:
            identity = replace(identity, command=settings.command)
        elif settings.objective is not None:
            name = objective_name(settings.objective, self.paths.folder)
            identity = replace(identity, objective=name)
        return replace(found, identity=identity)

    def _placed_first(self) -> list[Slot]:
        """All places; of those on nodes, first the ones that need not wait for a free GPU."""
        slots = self.supervisor.pool.slots
        if not self.launch.engine.has_agents:
            return slots
        until = time.monotonic() + FIRST_WAIT
        for slot in slots:  # the next one too, where one cannot be used
            if not any(s.placed for s in slots):
                self.supervisor.await_places([slot], until - time.monotonic())
        waiting = [slot for slot in slots if slot.alive and not slot.placed]
        if waiting == [slot for slot in slots if slot.alive] and waiting:
            log = self.paths.worker_log(waiting[0].index)
            self.emit(events.Note(f"no worker has got its place yet; see {log}"))
        while waiting and self.supervisor.stop is None and not any(s.placed for s in slots):
            self.supervisor.step()
            waiting = [slot for slot in slots if slot.alive and not slot.placed]
        if self.supervisor.stop is not None:
            raise self.supervisor.stop.as_error()
        return sorted(slots, key=lambda slot: not slot.placed)

    def _check_nodes(self) -> None:
        """What a node lacks ends the launch before there is a study."""
        if self.launch.engine.has_agents:
            self.supervisor.await_places(self.supervisor.pool.slots, PLACES_WAIT)
            if self.supervisor.stop is not None:
                raise self.supervisor.stop.as_error()

    # --- the study

    def _open_study(self, found: StudyHandle | None, prepared: Preparation) -> StudyHandle:
        identity = prepared.identity.to_json()
        data = prepared.content.get("data", self.settings.data)  # its absolute path
        if found is not None:
            found.check_identity(identity, data, prepared.noted)
            found.check_values()
            study = found
        else:
            if self.settings.overwrite and self.paths.journal.exists():
                text = "to go on with the new one later, leave --overwrite out"
                aside = move_aside(self.paths, data)
                self.emit(events.Note(f"the old study is now in {aside}; {text}"))
            self.launch.again = self.settings.again
            storage = self._storage(create=True)
            self.launch.lease.hold_journal()
            if self.paths.journal.stat().st_size:
                self.emit(
                    events.Note("no study in its journal (was it deleted?): a new one begins")
                )
            study = StudyHandle.create(storage, self.paths.name, identity)
        for changed in study.note_changes(prepared.noted):
            self.emit(events.Note(f"{changed} changed since the last launch; trials are kept"))
        study.remember(BUDGET_ATTRIBUTE, self.settings.n_trials)
        study.remember(SETTINGS_ATTRIBUTE, {**self.settings.of_trials(), "data": data})
        self._write_record(None)
        return study

    def _announce(self, study: StudyHandle, resumed: bool, notes: list[str]) -> None:
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
                n_pruned=len(study.trials(TrialState.PRUNED)),
            )
        )
        for note in notes:
            self.emit(events.Note(note))
        self.emit(events.PhaseChanged("running"))

    def _provenance(self) -> Provenance:
        """What the sidecar says about this launch."""
        return Provenance(
            versions=versions(),
            command_line=command_line(),
            launch=self.launch.id,
            started=self.launch.began_at,
            published=utc(),
            part_of=self.launch.part_of,
            busy=self.supervisor.pool.busy_shares(),
        )

    # --- the end

    def _ended(self, study: StudyHandle, sidecar: Sidecar | None) -> events.LaunchEnded:
        finished, failed = study.count()
        stop = self.supervisor.stop
        if stop is None and sidecar is None:
            stop = Stop.failed("no trial completed, so there is no model")
        elif stop is not None and stop.exit_code == ExitCode.DONE and sidecar is None:
            stop = Stop(
                stop.reason, ExitCode.FAILED, f"no trial completed before the {stop.reason}"
            )
        if stop is None and not self.ledger.was_stopped:
            lost_patience = self.ledger.lost_patience()
            stop = Stop("patience", message=lost_patience) if lost_patience else Stop("complete")
        stop = stop or Stop("stopped")
        if stop.reason == "stopped" and stop.exit_code == ExitCode.DONE:
            self.ledger.remember_stop()
        judged = None
        if sidecar is not None and self.launch.on_published is not None:
            judged = self.launch.on_published()
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
            seconds=time.monotonic() - self.launch.began,
            message=stop.message,
            sidecar=sidecar,
            baselines=self.ledger.baselines,
            health=judged,
            failures=self.ledger.causes(),
            overwrite=self.settings.overwrite,
            trial_seconds=self.ledger.trial_seconds(),
            busy=self.supervisor.pool.busy_shares(),
            n_before=self.n_before,
            folds=self.folds,
            n_pruned=len(study.trials(TrialState.PRUNED)),
            n_waiting=len(list(study.waiting())),
            gpus=self._gpus(),
        )
        self._write_record(ended)
        return ended

    def _gpus(self) -> tuple[events.GpuLoad, ...]:
        loads, packer = self.launch.meter.over_launch(), self.supervisor.packer
        return loads if packer is None else packer.with_workers(loads)

    def _write_record(self, ended: events.LaunchEnded | None) -> None:
        """launch.json: the last launch, for people; read back for the study's name alone."""
        workers = [
            {"index": spec.index, "device": spec.device.label, "threads": spec.threads}
            for spec in (slot.spec for slot in self.supervisor.pool.slots)
        ]
        record = launch_record(self.launch.id, self.settings, workers, self.launch.began_at, ended)
        self.launch.lease.check_folder()  # whoever removed it cost us nothing yet
        write_json(self.paths.launch_record, record)


def _why_none(slots: list[Slot]) -> str:
    """Why no worker could prepare: the first three reasons, each once."""
    lost = "the worker was lost while preparing"
    said = dict.fromkeys(slot.unusable or f"{slot.spec.device.label}: {lost}" for slot in slots)
    more = [f"and {len(said) - 3} more"] if len(said) > 3 else []
    return "; ".join([*list(said)[:3], *more])
