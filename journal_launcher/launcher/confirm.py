"""Let idle workers score the best trials once more, on fresh folds, before one of them is saved."""

from collections import deque

from journal_launcher.base.events import Note, PhaseChanged, WorkerReady
from journal_launcher.base.messages import Confirm
from journal_launcher.launcher.engine import WorkerProcess
from journal_launcher.launcher.ledger import TrialLedger
from journal_launcher.launcher.slot import Phase, Slot
from journal_launcher.launcher.supervisor import Supervisor
from journal_launcher.study import confirmation

__all__ = ["confirm_best"]

DEATHS = 2  # of workers over it (or at their start), before the scores that are there must do


def confirm_best(supervisor: Supervisor, ledger: TrialLedger) -> None:
    """Score every candidate that has no confirmed score yet; what is scored stays in the study."""
    if ledger.settings.confirm and ledger.settings.job_kind.has_confirmation:
        if not confirmation.has_fresh_folds(ledger.study):
            supervisor.emit(Note("--split time has no fresh folds: no trial is confirmed"))
        numbers = confirmation.unconfirmed(ledger.study, ledger.settings.confirm)
        if numbers and not supervisor.aborting:
            supervisor.emit(PhaseChanged("confirming"))
            _Round(supervisor, ledger, numbers).run()


class _Round:
    """The candidates of one launch, spread over the workers."""

    def __init__(self, supervisor: Supervisor, ledger: TrialLedger, numbers: list[int]) -> None:
        self._supervisor = supervisor
        self._ledger = ledger
        self._waiting = deque(numbers)
        self._given: list[tuple[Slot, WorkerProcess, int]] = []
        self._deaths = self._starts = 0

    def run(self) -> None:
        while (self._waiting or self._given) and not self._supervisor.aborting:
            self._give()
            self._supervisor.step()
            for given in self._given[:]:
                self._look_at(*given)

    def _give(self) -> None:
        slots = self._supervisor.pool.slots
        usable = next((slot for slot in slots if not slot.unusable), None)
        if not any(slot.alive or slot.awaits_restart for slot in slots):
            self._starts += 1
            if usable is None or self._starts > DEATHS:
                self._waiting.clear()
            else:
                self._supervisor.start(usable)
        for slot in slots:
            if self._waiting and slot.phase is Phase.IDLE and slot.process is not None:
                number = self._waiting.popleft()
                self._given.append((slot, slot.process, number))
                slot.begin_confirmation(number)
                slot.process.send(Confirm(number))

    def _look_at(self, slot: Slot, process: WorkerProcess, number: int) -> None:
        given = (slot, process, number)
        if number in self._ledger.confirmations_answered:
            self._given.remove(given)
            self._supervisor.emit(WorkerReady(slot.index))
        elif slot.process is not process:
            self._given.remove(given)
            self._deaths += 1
            self._waiting.append(number)
            if self._deaths >= DEATHS:
                self._supervisor.emit(
                    Note("confirming went wrong twice; the scores so far decide", "warning")
                )
                self._waiting.clear()
