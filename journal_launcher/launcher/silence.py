"""Notice a worker that reports nothing and uses no CPU: it hangs, and nobody else would say so."""

import time
from dataclasses import dataclass, field

from journal_launcher.base.events import Listener, Note
from journal_launcher.launcher.pool import WorkerPool
from journal_launcher.launcher.slot import Slot

__all__ = ["SilenceWatch"]

LONG = 120.0  # seconds
BETWEEN_LOOKS = 30.0
IDLE_CPU = 0.5  # seconds of CPU between two looks that still count as none


@dataclass
class SilenceWatch:
    """Names each silent trial once, and each other task. --trial-timeout ends trials only."""

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
