"""What an idle worker gets to do, and when: the one place that spends the budget."""

import time
from typing import TYPE_CHECKING

from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.messages import Baseline, Grant
from journal_launcher.launcher.pool import WorkerPool
from journal_launcher.launcher.slot import Phase, Slot

if TYPE_CHECKING:  # they import Optuna, which comes after the workers' start
    from journal_launcher.launcher.folders_elsewhere import FoldersElsewhere
    from journal_launcher.launcher.ledger import TrialLedger

__all__ = ["Dispatcher"]

FIRST_GRANTS_WAIT = 5.0  # seconds after the first worker is ready


@dataclass
class Dispatcher:
    """Hands out grants while finished trials and open grants are fewer than the budget.

    The first ones wait for every worker that is still starting, but no longer than 5 s after the
    first worker is ready: equal trials then mean equal shares, and no GPU waits for a slow start.
    The `baselines`, if the job has some, are scored once per study, by the first worker without a
    trial.
    """

    pool: WorkerPool
    ledger: "TrialLedger"
    baselines: bool
    folders: "FoldersElsewhere | None" = None
    _first_ready: float | None = None
    _open: bool = False
    _scored: bool = False

    def note_ready(self) -> None:
        self._first_ready = self._first_ready or time.monotonic()

    @property
    def opens_at(self) -> float | None:
        """When the first grants go out even if a worker is still starting."""
        if self._open or self._first_ready is None:
            return None
        return self._first_ready + FIRST_GRANTS_WAIT

    def dispatch(self, *, trials: bool) -> None:
        """Give every idle worker something to do; `trials`: new ones may start."""
        if not self._are_open():
            return
        idle = [slot for slot in self.pool.slots if slot.phase is Phase.IDLE]
        left = self.remaining() if trials and idle else 0
        for slot in idle:
            if slot.retiring:
                self.pool.dismiss_one(slot)
            elif left > 0:
                self._give(slot)
                left -= 1
            elif self._wants_baselines():
                self._score_baselines(slot)

    def are_settled(self) -> bool:
        """Is nothing under way, and are the baselines scored if anybody can score them?"""
        slots = self.pool.slots
        if any(slot.work.grant or slot.work.name for slot in slots):
            return False
        return not (self._wants_baselines() and any(slot.alive for slot in slots))

    def left(self) -> bool:
        """Is there a trial that nobody was granted yet?"""
        return self.remaining() > 0

    def remaining(self) -> int:
        """How many trials nobody was granted yet."""
        granted = sum(slot.work.grant is not None for slot in self.pool.slots)
        return self.ledger.remaining(granted)

    def _are_open(self) -> bool:
        at = self.opens_at
        if at is not None:
            starting = any(slot.phase is Phase.STARTING for slot in self.pool.slots)
            self._open = not starting or time.monotonic() >= at
        return self._open

    def _give(self, slot: Slot) -> None:
        """Let an idle worker start a trial; queued trials go first."""
        assert slot.process is not None
        grants = (s.work.grant for s in self.pool.slots)
        queued = self.ledger.next_queued({grant.trial for grant in grants if grant})
        grant = Grant(queued)
        slot.assign(grant)
        if queued is not None and self.folders is not None:
            self.folders.give_queued(slot.process, queued)
        slot.process.send(grant)

    def _wants_baselines(self) -> bool:
        return self.baselines and not self._scored and self.ledger.baselines is None

    def _score_baselines(self, slot: Slot) -> None:
        assert slot.process is not None
        self._scored = True
        slot.begin_chore("the baselines")
        slot.process.send(Baseline())
