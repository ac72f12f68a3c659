"""How a launch begins: with its devices, its lease and its workers' processes.

Nothing that is imported up here imports Optuna: the parent loads it, with `course.py`, while the
workers do the same.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from typing import TYPE_CHECKING

from journal_launcher.base import events
from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.errors import AGAIN, UsageError
from journal_launcher.base.paths import StudiesFolder, StudyPaths
from journal_launcher.base.times import utc
from journal_launcher.base.verdict import Verdict
from journal_launcher.devices.choose import CPU, pin_environment
from journal_launcher.devices.claims import Claims
from journal_launcher.devices.cpus import available_cores
from journal_launcher.devices.meter import GpuMeter
from journal_launcher.devices.nvml import KeptNvml
from journal_launcher.launcher.engine import Engine, WorkerProcess, WorkerSpec, left_behind
from journal_launcher.launcher.engines.local import LocalEngine, LocalProcess, inherited
from journal_launcher.launcher.plan import devices_for, plan_workers
from journal_launcher.launcher.pool import WorkerPool
from journal_launcher.launcher.signals import SignalInbox
from journal_launcher.launcher.slot import Slot
from journal_launcher.launcher.supervisor import Supervisor
from journal_launcher.launcher.trouble import full_disk_is_resumable, nothing_left_of_bad_input
from journal_launcher.settings.inputs import check_inputs
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.study.lean_optuna import import_optuna
from journal_launcher.study.lease import Lease

if TYPE_CHECKING:  # few launches pack
    from journal_launcher.launcher.packing import Packer

__all__ = ["Launch", "OnPublished", "run_launch"]

OnPublished = Callable[[], Verdict]
"""Judges the published model, while the launch still has the study."""


def run_launch(
    settings: LaunchSettings,
    emit: events.Listener = lambda event: None,
    environment: Mapping[str, str] | None = None,
    part_of: str | None = None,
    limit: float | None = None,
    on_published: OnPublished | None = None,
    code: bytes | None = None,
) -> events.LaunchEnded:
    """Run one launch and return how it ended; `emit` hears of everything but the end.

    part_of: the comparison that this launch belongs to, which may leave its model out later.
    limit: seconds after which it is stopped, whatever it is at, and failed. on_published: called
    once there is a published model, under the lease; its verdict is part of the end. code: the
    content of a `GivenCode`, of functions that have no file.

    Raises:
        JournalLauncherError: nothing was started (bad input, study in use, damaged journal), or the
            journal broke underneath. A launch that ran and failed returns LaunchEnded instead.
    """
    environment = os.environ if environment is None else environment
    paths = StudiesFolder.at(settings.studies_dir).study(settings.name)
    check_inputs(settings)
    if settings.hosts is not None or settings.engine == "ray":
        whom = "hosts" if settings.hosts is not None else "nodes of the cluster"
        emit(events.Note(f"asking the {whom} what they have"))
    with (
        SignalInbox() as inbox,
        Claims() as claims,
        KeptNvml() as kept,
        inherited(code) as given,
    ):
        engine, specs, notes = _planned(settings, environment, claims, inbox, kept, given)
        meter = GpuMeter(kept, (spec.device for spec in specs))
        launch = Launch(settings, paths, specs, emit, part_of, on_published, engine, meter=meter)
        with (
            full_disk_is_resumable(lambda: launch.again),
            nothing_left_of_bad_input(paths),
            launch.lease,
            launch.workers(inbox, limit) as supervisor,
            meter,
        ):
            import_optuna()

            from journal_launcher.launcher.course import Course

            return Course(launch, supervisor).run(notes)


def _planned(
    settings: LaunchSettings,
    environment: Mapping[str, str],
    claims: Claims,
    inbox: SignalInbox,
    kept: KeptNvml,
    given: int | None,
) -> tuple[Engine, tuple[WorkerSpec, ...], tuple[str, ...]]:
    """Who starts the workers, which ones, and what is said of that."""
    if settings.elsewhere and given is not None:
        raise UsageError(
            f"{settings.elsewhere}: expected a function of a file or a module, which other "
            "machines can import, found one that only this process has; write it into a file"
        )
    if settings.hosts is not None:
        from journal_launcher.launcher.engines.ssh import SshEngine

        by_ssh = SshEngine(settings, environment, inbox.sleep)
        return by_ssh, *by_ssh.plan()
    if settings.engine == "slurm":
        from journal_launcher.launcher.engines.slurm import SlurmEngine

        engine = SlurmEngine(settings, environment)
        return engine, *engine.plan()
    if settings.engine == "ray":
        from journal_launcher.launcher.engines.ray import RayEngine

        on_ray = RayEngine(settings, environment, inbox.sleep)
        return on_ray, *on_ray.plan()
    choice = devices_for(settings, environment, claims.take, inbox.sleep, kept.open)
    specs = plan_workers(settings, choice, available_cores(), environment)
    return LocalEngine(given), specs, choice.notes


@dataclass
class Launch:
    """What a launch is and has, from its beginning to its end."""

    settings: LaunchSettings
    paths: StudyPaths
    specs: tuple[WorkerSpec, ...]
    emit: events.Listener
    part_of: str | None
    on_published: OnPublished | None
    engine: Engine = field(default_factory=LocalEngine)
    id: str = field(default_factory=lambda: os.urandom(16).hex())
    began: float = field(default_factory=time.monotonic)
    began_at: str = field(default_factory=utc)
    again: str = AGAIN
    meter: GpuMeter = field(default_factory=lambda: GpuMeter(KeptNvml(), ()))

    def __post_init__(self) -> None:
        self.lease = Lease(self.paths.lease, self.paths.name, self.id)

    def has_journal(self) -> bool:
        """Is there a journal that the launch goes on with?"""
        return not self.settings.overwrite and self.paths.journal.exists()

    @contextlib.contextmanager
    def workers(self, inbox: SignalInbox, limit: float | None) -> Iterator[Supervisor]:
        """Start the workers; at the end nothing of them is left, whatever happened."""
        pool = WorkerPool(self.specs, self._start_process)
        pool.watch(inbox.descriptor)
        try:
            timeout = self.settings.timeout
            supervisor = Supervisor(
                settings=self.settings,
                pool=pool,
                emit=self.emit,
                inbox=inbox,
                no_trials_after=None if timeout is None else self.began + timeout,
                limit=limit,
                paths=self.paths,
                meter=self.meter,
                packer=self._packer(),
                through_parent=self.engine.through_parent,
                places_known=self.engine.places_known,
            )
            # One is always needed; how many, a study that exists says once it has been read.
            first, *others = pool.slots
            supervisor.start(first, *(() if self.has_journal() else others), prepares=first)
            self.emit(events.PhaseChanged("preparing"))
            yield supervisor
        finally:
            for pid in pool.close():
                self.emit(events.Note(left_behind(pid), "warning"))

    def _packer(self) -> "Packer | None":
        if not self.settings.packs:
            return None
        from journal_launcher.launcher.packing import Packer

        return Packer(self.specs, available_cores(), self.emit)

    @contextlib.contextmanager
    def a_worker_here(self, pool: WorkerPool) -> Iterator[Slot]:
        """A place for one more worker on this machine, to prepare what the nodes cannot."""
        cores = available_cores()
        environment = pin_environment(CPU, cores, os.environ)
        slot = Slot(WorkerSpec(len(self.specs), CPU, cores, environment), hidden=True)
        pool.slots.append(slot)
        yield slot
        pool.end(slot)

    def _start_process(self, spec: WorkerSpec) -> WorkerProcess:
        self.lease.check_folder()
        log = self.paths.worker_log(spec.index)
        if self.engine.has_agents and spec.index >= len(self.specs):
            return LocalProcess(spec, self.id, log)
        return self.engine.start(spec, self.id, log)
