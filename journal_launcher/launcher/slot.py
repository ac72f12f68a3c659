"""One worker's place: which phase it is in, what it does, and the process that fills it."""

import time
from collections.abc import Mapping
from dataclasses import field, replace
from enum import Enum, auto

from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.errors import JournalLauncherError
from journal_launcher.base.job_kinds import WORKER_GRACE
from journal_launcher.base.messages import Grant
from journal_launcher.devices.choose import Device
from journal_launcher.launcher.engine import WorkerProcess, WorkerSpec

__all__ = ["STOP_GRACE", "Phase", "Slot"]

STOP_GRACE = WORKER_GRACE  # seconds between SIGTERM and SIGKILL of any worker
BACKOFF_FIRST = 1.0  # seconds until the restart after a death; it doubles with the next one
MAX_DEATHS = 3  # deaths in a row without a finished trial that stop a worker for good
LOSS_FIRST, LOSS_LONGEST = 2.0, 60.0  # seconds until the restart of a lost one; it doubles too
MAX_LOSSES = 10  # in a row without a finished trial; further ones count as deaths


class Phase(Enum):
    """Where a slot's process is in its life."""

    DOWN = auto()  # not started, or dead and waiting for its restart
    STARTING = auto()  # not ready yet
    IDLE = auto()  # asked for a trial and waits
    BUSY = auto()  # has a grant or a chore
    LEAVING = auto()  # was told to go
    CLOSED = auto()  # will not be started again, unless nobody else is left or deaths are forgotten


TRANSITIONS: Mapping[Phase, frozenset[Phase]] = {
    Phase.DOWN: frozenset({Phase.STARTING, Phase.CLOSED}),
    Phase.STARTING: frozenset({Phase.IDLE, Phase.LEAVING, Phase.DOWN, Phase.CLOSED}),
    Phase.IDLE: frozenset({Phase.BUSY, Phase.LEAVING, Phase.DOWN, Phase.CLOSED}),
    Phase.BUSY: frozenset({Phase.IDLE, Phase.LEAVING, Phase.DOWN, Phase.CLOSED}),
    Phase.LEAVING: frozenset({Phase.CLOSED}),
    Phase.CLOSED: frozenset({Phase.STARTING, Phase.DOWN}),
}


@dataclass
class Ending:
    """How far the end of one process has come that was told to stop."""

    trials_fault: str | None = None  # why it was told to, if its trial is to blame
    kill_at: float = float("inf")
    killed: bool = False
    lost: bool = False  # killed, and still there after the grace: the kernel holds it


@dataclass
class Work:
    """What a worker is busy with, and since when."""

    since: float = 0.0
    grant: Grant | None = None
    trial: int | None = None
    chore: str | None = None  # what it does besides trials, for people

    @property
    def name(self) -> str | None:
        """For people; None while there is nothing, or only a grant."""
        return self.chore if self.trial is None else f"trial {self.trial}"


@dataclass
class TrialTimes:
    """What the trials of one slot took, in all its processes."""

    first_grant: float = float("inf")
    since: float | None = None  # of the trial that runs
    until: float = 0.0  # the end of the last one
    seconds: float = 0.0

    def end(self) -> None:
        if self.since is not None:
            self.until = time.monotonic()
            self.seconds += self.until - self.since
            self.since = None


@dataclass
class Slot:
    """One worker's place. The process in it may die and be replaced; the slot stays.

    Every method but the last few says what has happened, and moves to the phase that follows.
    """

    spec: WorkerSpec
    process: WorkerProcess | None = None
    heard_at: float = 0.0
    ending: Ending = field(default_factory=Ending)
    work: Work = field(default_factory=Work)
    times: TrialTimes = field(default_factory=TrialTimes)
    deaths: int = 0  # in a row, without a finished trial
    losses: int = 0  # of workers that are not to blame, likewise
    restart_at: float = 0.0  # 0: no restart is due
    placed: bool = False  # has an agent said where it is, in this slot's whole life?
    host: str | None = None  # of this process, once its agent has said so
    hidden: bool = False  # a place that runs no trials, and no view shows
    unusable: str | None = None  # why its device cannot be used, named
    retiring: bool = False  # leaves after its trial: its GPU has enough workers
    _phase: Phase = field(default=Phase.DOWN, init=False)

    @property
    def index(self) -> int:
        return self.spec.index

    @property
    def phase(self) -> Phase:
        return self._phase

    @property
    def alive(self) -> bool:
        return self.process is not None

    @property
    def awaits_restart(self) -> bool:
        return self._phase is Phase.DOWN and self.restart_at > 0

    def _become(self, phase: Phase) -> None:
        """Change the phase; nothing else does."""
        if phase not in TRANSITIONS[self._phase]:
            raise JournalLauncherError(
                f"worker {self.index}: {self._phase.name} cannot become {phase.name}; this is an "
                "error of journal_launcher itself, please report it"
            )
        self._phase = phase

    # --- its process

    def place(self, device: Device) -> None:
        """An agent has said which device it is."""
        self.placed, self.host = True, device.host
        self.spec = replace(self.spec, device=device)

    def process_started(self, process: WorkerProcess) -> None:
        self._become(Phase.STARTING)
        self.process, self.ending, self.restart_at = process, Ending(), 0.0
        self.host = None
        self.end_work()

    def process_ended(self, *, lost: bool) -> None:
        """Its process is gone; it may be restarted unless it was told to leave, or is `lost`."""
        leaving = lost or self._phase is Phase.LEAVING
        self._become(Phase.CLOSED if leaving else Phase.DOWN)
        self.process = None

    def shut_down(self) -> None:
        """It is about to end by itself; killed if it does not, as a broken driver can make it."""
        if self._phase is not Phase.LEAVING:
            self._become(Phase.LEAVING)
        self.ending.kill_at = min(self.ending.kill_at, time.monotonic() + STOP_GRACE)

    def close(self) -> None:
        """Nobody starts it again."""
        if self._phase is not Phase.CLOSED:
            self._become(Phase.CLOSED)

    def bring_back(self) -> None:
        """What its trial has kept arrives: who was told to stop has its time for the rest."""
        if not self.ending.killed and self.ending.kill_at < float("inf"):
            self.ending.kill_at = time.monotonic() + STOP_GRACE

    def count_death(self) -> None:
        """Its process died: restart it after a while, or close it when it dies time and again."""
        self.deaths += 1
        if self.deaths >= MAX_DEATHS:
            self.close()
        else:
            self.schedule_restart(BACKOFF_FIRST * 2 ** (self.deaths - 1))

    def count_loss(self) -> float:
        """What carried its process is gone, a node say: try again after a growing while.

        Returns how long, in seconds.
        """
        pause = min(LOSS_LONGEST, LOSS_FIRST * float(2**self.losses))
        self.schedule_restart(pause)
        self.losses += 1
        return pause

    def count_success(self) -> None:
        """It finished a trial: what went wrong before is forgotten."""
        self.deaths = self.losses = 0

    def reset_deaths(self) -> None:
        """Forget all deaths so far; if it was closed for them it is started again."""
        self.deaths = 0
        if self._phase is Phase.CLOSED and not self.unusable:
            self._become(Phase.DOWN)
            self.schedule_restart(0.0)

    def schedule_restart(self, seconds: float) -> None:
        self.restart_at = time.monotonic() + seconds

    # --- what it does

    def assign(self, grant: Grant) -> None:
        """A trial may start."""
        self._become(Phase.BUSY)
        self.work = Work(time.monotonic(), grant=grant)
        self.times.first_grant = min(self.times.first_grant, self.work.since)

    def begin_trial(self, number: int) -> None:
        """The trial that was granted has this number."""
        self.work.since = time.monotonic()
        self.work.trial = number
        self.times.since = self.work.since

    def begin_confirmation(self, number: int) -> None:
        """A trial is scored again, which counts as no trial."""
        self._become(Phase.BUSY)
        self.work = Work(time.monotonic(), trial=number)

    def begin_chore(self, chore: str) -> None:
        """Be busy with something that is no trial."""
        self._become(Phase.BUSY)
        self.work = Work(time.monotonic(), chore=chore)

    def begin_preparation(self) -> None:
        """The one chore of a worker that is still starting."""
        self.work = Work(time.monotonic(), chore="the preparation")

    def end_chore(self) -> None:
        self.work.chore = None

    def end_work(self) -> None:
        """Whatever it was busy with is over."""
        self.work = Work()
        self.times.end()

    def free(self) -> None:
        """It asks for something to do; who was told to leave meanwhile gets nothing."""
        self.end_work()
        if self._phase is not Phase.LEAVING:
            self._become(Phase.IDLE)

    # --- ending its process

    def terminate(self, reason: str | None = None) -> None:
        """SIGTERM now, SIGKILL for the group after the grace. `reason`: its trial is to blame."""
        self.ending.trials_fault = self.ending.trials_fault or reason
        if self.process is not None and self.ending.kill_at == float("inf"):
            self.process.ask_to_stop()
            self.ending.kill_at = time.monotonic() + STOP_GRACE

    def kill(self) -> None:
        """SIGKILL now; who does not even die of that is lost after the grace."""
        if self.process is not None:
            self.process.kill()
            self.ending.killed, self.ending.kill_at = True, time.monotonic() + STOP_GRACE

    def kill_if_overdue(self) -> None:
        if self.process is not None and self.ending.kill_at <= time.monotonic():
            self.ending.lost = self.ending.killed
            self.kill()
