"""What no worker says of itself: that it does nothing any more, or takes too long for a trial."""

import time
from dataclasses import field

from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.events import Listener, Note
from journal_launcher.launcher.pool import WorkerPool
from journal_launcher.launcher.slot import Slot

__all__ = ["SilenceWatch", "TrialTimeout"]

LONG = 120.0  # seconds
BETWEEN_LOOKS = 30.0
IDLE_CPU = 0.5  # seconds of CPU between two looks that still count as none


@dataclass
class SilenceWatch:
    """Names each trial once that reports nothing and uses no CPU, and each other task.

    It hangs, and nobody else would say so. --trial-timeout ends trials only.
    """

    pool: WorkerPool
    emit: Listener
    _next_look: float = 0.0
    _used: dict[int, float] = field(default_factory=dict)  # worker -> CPU seconds at the last look
    _busy_at: dict[int, float] = field(default_factory=dict)  # worker -> when it last did anything
    _named: set[tuple[int, str]] = field(default_factory=set)  # worker, what it does

    def look(self) -> None:
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + BETWEEN_LOOKS
        for slot in self.pool.slots:
            doing = slot.work.name
            if doing is not None and slot.process is not None:
                self._look_at(slot, doing, now)

    def _look_at(self, slot: Slot, doing: str, now: float) -> None:
        assert slot.process is not None
        used = slot.process.cpu_seconds()
        if used - self._used.get(slot.index, -1.0) > IDLE_CPU or used < self._used[slot.index]:
            self._busy_at[slot.index] = now
        self._used[slot.index] = used
        since = max(self._busy_at.get(slot.index, now), slot.work.since, slot.heard_at)
        if now - since >= LONG and (slot.index, doing) not in self._named:
            self._named.add((slot.index, doing))
            ending = "--trial-timeout to end such trials"
            if slot.work.trial is None:
                ending = "Ctrl-C to stop: it has no time limit, and the next launch repeats it"
            self.emit(
                Note(
                    f"worker {slot.index} ({slot.spec.device.label}), {doing}: no report and "
                    f"no CPU used for {now - since:.0f} s; see {slot.process.log}, and {ending}",
                    "warning",
                )
            )


@dataclass(frozen=True)
class TrialTimeout:
    """--trial-timeout: ends the worker of a trial that takes too long.

    Only trials have this limit: neither the preparation nor the baselines nor the refit.
    """

    pool: WorkerPool
    seconds: float | None

    def deadlines(self) -> list[tuple[Slot, float]]:
        """Who runs a trial, and until when it may."""
        limit = self.seconds
        running = (slot for slot in self.pool.slots if slot.work.trial is not None)
        if limit is None:
            return []
        return [(s, s.work.since + limit) for s in running if s.ending.trials_fault is None]

    def enforce(self) -> None:
        """Let every overdue worker write its stacks to its log, and stop it."""
        now = time.monotonic()
        for slot, deadline in self.deadlines():
            if now >= deadline and slot.process is not None:
                slot.process.dump_stacks()
                slot.terminate(f"trial timeout after {self.seconds:g} s")
