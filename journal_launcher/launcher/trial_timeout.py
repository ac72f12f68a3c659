"""--trial-timeout: end the worker of a trial that takes too long."""

import time
from dataclasses import dataclass

from journal_launcher.launcher.pool import WorkerPool
from journal_launcher.launcher.slot import Slot

__all__ = ["TrialTimeout"]


@dataclass(frozen=True)
class TrialTimeout:
    """Only trials have this limit: neither the preparation nor the baselines nor the refit."""

    pool: WorkerPool
    seconds: float | None

    def deadlines(self) -> list[tuple[Slot, float]]:
        """Who runs a trial, and until when it may."""
        limit = self.seconds
        running = (slot for slot in self.pool.slots if slot.work.trial is not None)
        if limit is None:
            return []
        return [(s, s.work.since + limit) for s in running if s.ending.stop_reason is None]

    def enforce(self) -> None:
        """Let every overdue worker write its stacks to its log, and stop it."""
        now = time.monotonic()
        for slot, deadline in self.deadlines():
            if now >= deadline and slot.process is not None:
                slot.process.dump_stacks()
                slot.terminate(f"trial timeout after {self.seconds:g} s")
