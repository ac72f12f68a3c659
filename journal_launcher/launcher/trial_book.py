"""The trials of one launch as its parent keeps them: how many are wanted, which failed, and why."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from journal_launcher.base import events
from journal_launcher.base.settings import LaunchSettings
from journal_launcher.study.study import BASELINES_ATTRIBUTE, StudyRecord

__all__ = ["TrialBook"]

EARLY_EXCEPTIONS = 3  # this many before the study's first finished trial: the objective is broken


@dataclass
class TrialBook:
    """Reads and ends trials in the journal, and counts this launch's failures.

    A death that is retried and an interruption do not count as failures; every other FAIL does.
    """

    settings: LaunchSettings
    study: StudyRecord
    launch: str
    emit: events.Listener
    failures: Counter[str] = field(default_factory=Counter)
    exceptions: int = 0
    _known: int | None = None  # trials of earlier launches, until their ranges were compared

    def __post_init__(self) -> None:
        self._known = len(self.study.trials())

    # --- what is wanted

    def remaining(self, grants: int) -> int:
        """Finished trials still wanted beyond the open grants. There is no other count."""
        return self.settings.n_trials - self.study.count()[0] - grants

    def next_queued(self, taken: set[int | None]) -> int | None:
        """The first queued trial that nobody was granted yet."""
        waiting = (trial.number for trial in self.study.trials(TrialState.WAITING))
        return next((number for number in waiting if number not in taken), None)

    @property
    def baselines(self) -> dict[str, Any] | None:
        """Scores of the dummy and the linear model, once they are known."""
        found = self.study.attribute(BASELINES_ATTRIBUTE)
        return found if isinstance(found, dict) else None

    def keep_baselines(self, content: dict[str, Any] | None) -> None:
        if content is not None:
            self.study.set_attribute(BASELINES_ATTRIBUTE, content)

    # --- how trials end

    def ended(
        self, worker: int, number: int, state: str, reason: str | None, seconds: float
    ) -> None:
        """Tell whoever watches."""
        best = self.study.best()
        finished, failed = self.study.count()
        values = self.study.trial(number).values
        if state != "FAIL":
            self._compare_ranges(number)
        self.emit(
            events.TrialEnded(
                worker=worker,
                number=number,
                state=state,
                values=tuple(values) if values else None,
                reason=reason,
                seconds=seconds,
                n_finished=finished,
                n_failed=failed,
                best_value=best.value if best else None,
                best_number=best.number if best else None,
            )
        )

    def _compare_ranges(self, number: int) -> None:
        """Note once in a launch that its search space is not that of the trials before it."""
        if self._known and number >= self._known:
            changed = self.study.changed_ranges(self.study.trial(number), self._known)
            if changed:
                text = f"the search space changed, earlier trials are kept: {', '.join(changed)}"
                self.emit(events.Note(text))
            self._known = None

    def count_failure(self, reason: str | None, *, raised: bool) -> None:
        self.failures[(reason or "unknown").partition(":")[0]] += 1
        self.exceptions += raised

    def bury(self, worker: int, problem: str, seconds: float, *, interrupted: bool) -> None:
        """Fail exactly the trial that a dead worker left; queue its parameters again if it may.

        An interrupted trial (by a stop of the launch) is queued without counting as a retry.
        """
        for trial in self.study.owned_trials(self.launch, worker):
            reason = events.INTERRUPTED if interrupted else problem
            again = interrupted or _retries(trial) < self.settings.max_retries
            if again:
                ended = self.study.fail_and_queue(trial, reason, retry=not interrupted)
            else:
                ended = self.study.fail(trial, reason)
            if not ended:
                continue  # it had finished: the journal is the truth, not the message that got lost
            if not again:
                self.count_failure(reason, raised=False)
            self.ended(worker, trial.number, "FAIL", reason, seconds)

    def bury_stale(self) -> None:
        """Fail the trials of launches that are gone; they were interrupted, so queue them again."""
        for trial in self.study.stale_trials():
            reason = f"{events.INTERRUPTED}: its worker died with its launch"
            if self.study.fail_and_queue(trial, reason, retry=False):
                self.emit(events.Note(f"trial {trial.number} was interrupted and is queued again"))

    def verdict(self) -> str | None:
        """Why the launch must end: too many failures; None to go on."""
        kinds = ", ".join(f"{count} x {kind}" for kind, count in self.failures.most_common())
        total = self.failures.total()
        if total >= self.settings.failure_limit:
            return f"{total} trials failed: {kinds}; --max-failures sets this limit"
        if self.exceptions >= EARLY_EXCEPTIONS and self.study.count()[0] == 0:
            return f"the first {self.exceptions} trials raised exceptions: {kinds}"
        return None


def _retries(trial: FrozenTrial) -> int:
    return len(trial.system_attrs.get("retry_history", ()))
