"""The workers of a launch: a slot for each, the process that fills it, and waiting for them all."""

import selectors
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

from journal_launcher.base.messages import Message
from journal_launcher.launcher.engine import WorkerProcess, WorkerSpec

__all__ = ["Crew", "Grant", "Phase", "Slot", "StartWorker"]

STOP_GRACE = 10.0  # seconds between SIGTERM and SIGKILL
BACKOFF_FIRST = 1.0  # seconds until the restart after a death; it doubles with the next one
STRIKES = 3  # deaths in a row without a finished trial that stop a worker for good

StartWorker = Callable[[WorkerSpec], WorkerProcess]


class Phase(Enum):
    """Where a slot's process is in its life."""

    DOWN = auto()  # not started, or dead and waiting for its restart
    STARTING = auto()  # not ready yet
    IDLE = auto()  # asked for a trial and waits
    BUSY = auto()  # has a grant or another task
    LEAVING = auto()  # was told to go
    CLOSED = auto()  # will not be started again


@dataclass(frozen=True)
class Grant:
    """Permission to start one trial; `queued` is the number of a queued trial, or None."""

    queued: int | None


@dataclass
class Slot:
    """One worker's place. The process in it may die and be replaced; the slot stays."""

    spec: WorkerSpec
    process: WorkerProcess | None = None
    phase: Phase = Phase.DOWN
    grant: Grant | None = None
    trial: int | None = None
    task: str | None = None  # what it does besides trials, for people
    busy_since: float = 0.0
    heard_at: float = 0.0
    condemned: str | None = None  # why this process was told to stop, if its trial is to blame
    unusable: str | None = None  # why its device cannot be used, named
    strikes: int = 0
    restart_at: float = 0.0
    kill_at: float = field(default=float("inf"))
    killed: bool = False
    lost: bool = False  # killed, and still there after the grace: the kernel holds it
    first_grant: float = float("inf")
    trial_since: float | None = None
    trials_until: float = 0.0  # the end of its last trial
    trials_took: float = 0.0  # seconds

    @property
    def index(self) -> int:
        return self.spec.index

    @property
    def alive(self) -> bool:
        return self.process is not None

    def begin(self, task: str) -> None:
        """Be busy with something that is no trial."""
        self.task, self.busy_since = task, time.monotonic()

    def permit(self, grant: Grant) -> None:
        """A trial may start."""
        self.grant, self.phase, self.busy_since = grant, Phase.BUSY, time.monotonic()
        self.first_grant = min(self.first_grant, self.busy_since)

    def begin_trial(self, number: int) -> None:
        self.trial, self.busy_since = number, time.monotonic()
        self.trial_since = self.busy_since

    def free(self) -> None:
        """Whatever it was busy with is over."""
        self.grant, self.trial, self.task = None, None, None
        if self.trial_since is not None:
            self.trials_until = time.monotonic()
            self.trials_took += self.trials_until - self.trial_since
            self.trial_since = None


class Crew:
    """All slots. `wait` is the only place where the parent sleeps."""

    def __init__(self, specs: Sequence[WorkerSpec], start: StartWorker) -> None:
        self.slots = [Slot(spec) for spec in specs]
        self._start = start
        self._selector = selectors.DefaultSelector()

    def watch(self, descriptor: int) -> None:
        """Let `wait` return when `descriptor` becomes readable (signals)."""
        self._selector.register(descriptor, selectors.EVENT_READ)

    def start(self, slot: Slot) -> WorkerProcess:
        process = slot.process = self._start(slot.spec)
        slot.free()
        slot.phase, slot.condemned = Phase.STARTING, None
        slot.kill_at, slot.killed, slot.lost = float("inf"), False, False
        self._selector.register(process.messages_descriptor, selectors.EVENT_READ)
        if process.exit_descriptor is not None:
            self._selector.register(process.exit_descriptor, selectors.EVENT_READ)
        return process

    def wait(self, seconds: float) -> None:
        """Sleep until a worker speaks or dies, a signal comes, or the time is over."""
        if any(slot.process and slot.process.exit_descriptor is None for slot in self.slots):
            seconds = min(seconds, 0.1)  # no pidfd here: look at the processes instead
        now = time.monotonic()
        for slot in self.slots:
            if slot.alive:
                seconds = min(seconds, slot.kill_at - now)
            elif slot.phase is Phase.DOWN and slot.restart_at:
                seconds = min(seconds, slot.restart_at - now)
        full = [slot.process for slot in self.slots if slot.process and slot.process.unsent]
        for process in full:
            self._selector.register(process.out_descriptor, selectors.EVENT_WRITE)
        self._selector.select(max(0.0, seconds))
        for process in full:
            self._selector.unregister(process.out_descriptor)
            process.send_rest()

    def messages(self) -> Iterator[tuple[Slot, Message]]:
        for slot in self.slots:
            if slot.process is not None:
                for message in slot.process.receive():
                    slot.heard_at = time.monotonic()
                    yield slot, message

    def exited(self) -> list[Slot]:
        """Slots whose process has ended and waits to be reaped, or is lost."""
        return [s for s in self.slots if s.process and (s.lost or s.process.has_exited())]

    def reap(self, slot: Slot, seconds: float = 0.5) -> int | None:
        """Collect a dead process; its slot is DOWN, or CLOSED if it was told to leave.

        None: it does not end within `seconds` and is left behind, and its slot is CLOSED.
        """
        process = slot.process
        assert process is not None
        self._selector.unregister(process.messages_descriptor)
        if process.exit_descriptor is not None:
            self._selector.unregister(process.exit_descriptor)
        status = process.reap(seconds)
        leaving = slot.phase is Phase.LEAVING or status is None
        slot.process, slot.phase = None, Phase.CLOSED if leaving else Phase.DOWN
        return status

    def strike(self, slot: Slot) -> float | None:
        """Count a death; seconds until the restart, or None when the slot is closed for good."""
        slot.strikes += 1
        if slot.strikes >= STRIKES:
            slot.phase = Phase.CLOSED
            return None
        delay: float = BACKOFF_FIRST * 2 ** (slot.strikes - 1)
        slot.restart_at = time.monotonic() + delay
        return delay

    def forgive(self) -> None:
        """Forget all deaths so far; who was closed for them is started again."""
        for slot in self.slots:
            if slot.phase is Phase.CLOSED and not slot.unusable:
                slot.phase, slot.restart_at = Phase.DOWN, time.monotonic()
            slot.strikes = 0

    def due(self) -> list[Slot]:
        """Dead slots whose restart is due."""
        now = time.monotonic()
        return [s for s in self.slots if s.phase is Phase.DOWN and 0 < s.restart_at <= now]

    def dismiss(self) -> None:
        """Say bye to every worker; those that wait for a restart are not started again."""
        self.close_waiting()
        for slot in self.slots:
            if slot.process is not None and slot.phase is not Phase.LEAVING:
                if slot.phase is Phase.STARTING:  # it may import for minutes before it reads this
                    self.stop(slot)
                slot.process.send("bye")
                self.let_go(slot)

    def let_go(self, slot: Slot) -> None:
        """It is about to end by itself; killed if it does not, as a broken driver can make it."""
        slot.phase = Phase.LEAVING
        slot.kill_at = min(slot.kill_at, time.monotonic() + STOP_GRACE)

    def close_waiting(self) -> None:
        """Give up on restarts."""
        for slot in self.slots:
            if slot.phase is Phase.DOWN:
                slot.phase = Phase.CLOSED

    def stop(self, slot: Slot) -> None:
        """SIGTERM now, SIGKILL for the group after the grace."""
        if slot.process is not None and slot.kill_at == float("inf"):
            slot.process.ask_to_stop()
            slot.kill_at = time.monotonic() + STOP_GRACE

    def kill_overdue(self) -> None:
        """Kill whoever ignores SIGTERM; who does not even die of that is lost after the grace."""
        now = time.monotonic()
        for slot in self.slots:
            if slot.process is not None and slot.kill_at <= now:
                slot.lost = slot.killed
                self._kill(slot)

    def kill_all(self) -> None:
        for slot in self.slots:
            self._kill(slot)

    def _kill(self, slot: Slot) -> None:
        if slot.process is not None:
            slot.process.kill()
            slot.killed, slot.kill_at = True, time.monotonic() + STOP_GRACE

    def give_up(self) -> None:
        """Wait for nobody any more."""
        for slot in self.slots:
            slot.lost = slot.process is not None

    def close(self) -> list[int]:
        """Leave nothing behind, whatever happened before; the pids of those who do not end."""
        self.kill_all()
        deadline, left = time.monotonic() + STOP_GRACE, []
        for slot in self.slots:
            if slot.process is not None:
                pid = slot.process.pid
                if self.reap(slot, max(0.0, deadline - time.monotonic())) is None:
                    left.append(pid)
        self._selector.close()
        return left

    def busy_shares(self) -> tuple[float, ...] | None:
        """How much of the time for trials each worker spent with one; None if none ran.

        That time goes from the first grant to the end of the last trial.
        """
        until = max(slot.trials_until for slot in self.slots)
        whole = until - min(slot.first_grant for slot in self.slots)
        if whole <= 0:
            return None
        return tuple(round(slot.trials_took / whole, 4) for slot in self.slots)

    def log_of(self, slot: Slot) -> Path | None:
        return slot.process.log if slot.process else None
