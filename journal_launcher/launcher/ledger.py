"""The trials of one launch as its parent keeps them: how many are wanted, which failed, and why."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from journal_launcher.base import events
from journal_launcher.base.artifacts.scores import Baselines, Confirmation
from journal_launcher.base.artifacts.trial_attributes import TrialAttributes
from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.visible import visible
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.study import attributes
from journal_launcher.study.another import carry_over
from journal_launcher.study.confirmation import confirmation_of, keep_confirmation, winner
from journal_launcher.study.owner import owner_of
from journal_launcher.study.queueing import misfits, not_yet_queued
from journal_launcher.study.study import (
    BASELINES_ATTRIBUTE,
    STOPPED_ATTRIBUTE,
    StudyHandle,
)
from journal_launcher.study.tally import NO_MODULE, by_cause, failure_kind

__all__ = ["TrialLedger"]

_DYING = 5.0
"""Seconds that workers have to die whose launch is gone."""

EARLY_EXCEPTIONS = 3  # this many before the study's first finished trial: the objective is broken


@dataclass
class TrialLedger:
    """Reads and ends trials in the journal, and counts this launch's failures.

    A death that is retried and an interruption do not count as failures; every other FAIL does.
    """

    settings: LaunchSettings
    study: StudyHandle
    launch: str
    emit: events.Listener
    failures: Counter[str] = field(default_factory=Counter)
    exceptions: int = 0
    interrupted: int = 0
    confirmations_answered: set[int] = field(default_factory=set)  # with or without success
    _first: list[dict[str, Any]] = field(default_factory=list)
    _names: frozenset[str] = frozenset()  # of the default parameters
    _remedy: str | None = None  # what to type for the module that the last failed trial lacked
    _known: int | None = None  # trials of earlier launches, until their ranges were compared

    def __post_init__(self) -> None:
        self._known = len(self.study.trials())
        self.was_stopped = self.study.was_stopped(self.settings.n_trials)

    # --- what is wanted

    def remaining(self, grants: int) -> int:
        """Finished trials still wanted beyond the open grants. There is no other count."""
        if self.was_stopped or self.study.is_out_of_patience(self.settings.patience):
            return 0
        return self.settings.n_trials - self.study.count()[0] - grants

    def lost_patience(self) -> str | None:
        """Why the study is done before it has all its trials; None if it is not."""
        patience = self.settings.patience
        all_there = self.study.count()[0] >= self.settings.n_trials
        if all_there or not self.study.is_out_of_patience(patience):
            return None
        best = self.study.best()
        what = "brought no better Pareto front"
        if len(self.study.directions) == 1:
            than = "" if best is None else f" better than trial {best.number}"
            what = f"brought nothing{than}"
        return f"{patience} finished trials in a row {what} (--patience)"

    def carry_over(self) -> str:
        """What to type for a study of a changed space."""
        return carry_over(self.study.name)

    def remember_stop(self) -> None:
        """Remember that `study.stop()` ended this launch: the same command trains nothing more."""
        self.study.remember(STOPPED_ATTRIBUTE, self.settings.n_trials)

    def check_enqueue(self) -> None:
        """Look what of [[enqueue]] is to be queued.

        Raises:
            UsageError: a parameter that the study's trials do not have, or a value outside of it.
        """
        self._first = not_yet_queued(self.study, self.settings.enqueue or ())

    def queue_first(self, defaults: Mapping[str, Any] | None) -> None:
        """Queue the default parameters, once in the life of a study, and then [[enqueue]]."""
        if defaults is not None:
            self._names = frozenset(defaults)
            self.study.queue_defaults(defaults)
        for params in self._first:
            self.study.enqueue(params)

    def next_queued(self, taken: set[int | None]) -> int | None:
        """The first queued trial that nobody was granted yet."""
        return next((number for number in self.study.waiting() if number not in taken), None)

    @property
    def baselines(self) -> Baselines | None:
        """Scores of the dummy and the linear model, once they are known."""
        return attributes.baselines(self.study.attribute(BASELINES_ATTRIBUTE))

    def keep_baselines(self, found: Baselines | None) -> None:
        if found is not None:
            self.study.set_attribute(BASELINES_ATTRIBUTE, found.to_json())

    def winner(self) -> FrozenTrial | None:
        """The trial to save, by the confirmed scores if there are any."""
        return winner(self.study, self.settings.confirm)

    def best_trial(self) -> events.BestTrial | None:
        """The winner for people and scripts; of several objectives, the first Pareto-optimal."""
        best = self.winner()
        n_pareto = None
        if best is None:
            front = self.study.pareto_front()
            if not front:
                return None
            best = front[0]
            n_pareto = len(front)
        confirmed = confirmation_of(self.study, best.number) if self.settings.confirm else None
        return events.BestTrial(
            best.number,
            tuple(best.values),
            best.params,
            n_pareto,
            confirmable=self.settings.job_kind.has_confirmation,
            confirmed_score=confirmed.score if confirmed else None,
        )

    def keep_confirmation(self, number: int, found: Confirmation) -> None:
        """A score stays in the study; a failure does not: the next launch tries again."""
        self.confirmations_answered.add(number)
        if found.score is not None:
            keep_confirmation(self.study, number, found)
            return
        text = f"trial {number} could not be confirmed: {found.reason}"
        self.emit(events.Note(text, "warning"))

    def trial_seconds(self) -> float:
        """What all trials took so far, in the whole life of the study."""
        return sum(map(attributes.seconds, self.study.trials()))

    def repeats(self, number: int) -> int | None:
        """The trial that this one was queued for again."""
        return TrialAttributes.from_json(self.study.trial(number).user_attrs).repeats

    # --- how trials end

    def announce_end(
        self,
        worker: int,
        number: int,
        state: str,
        reason: str | None,
        seconds: float,
        queued_as: int | None = None,
    ) -> None:
        """Tell whoever watches."""
        best = self.study.best()
        finished, failed = self.study.count()
        trial = self.study.trial(number)
        if state != "FAIL":
            self._compare_ranges(number)
        if state == "COMPLETE":
            self._compare_queued(trial)
        self.emit(
            events.TrialEnded(
                worker=worker,
                number=number,
                state=state,
                values=tuple(trial.values) if trial.values else None,
                reason=reason,
                seconds=seconds,
                n_finished=finished,
                n_failed=failed,
                best_value=best.value if best else None,
                best_number=best.number if best else None,
                params=trial.params,
                attributes=trial.user_attrs,
                queued_as=queued_as,
            )
        )

    def _compare_queued(self, trial: FrozenTrial) -> None:
        """Warn of a name that was queued and that nothing asked for: a slip of the pen, often; and
        of a value outside its range, which nobody knew when a new study was given it."""
        queued = attributes.queued_params(trial.system_attrs)
        ignored = sorted(queued.keys() - trial.params.keys() - self._names)
        problems = [f"{', '.join(ignored)}, which nothing asked for"] if ignored else []
        problems += misfits(queued, trial.distributions)
        for problem in problems:
            text = f"trial {trial.number} was queued with {problem}"
            self.emit(events.Note(text, "warning"))

    def _compare_ranges(self, number: int) -> None:
        """Note once in a launch that its search space is not that of the trials before it."""
        if self._known and number >= self._known:
            changed = self.study.changed_ranges(self.study.trial(number), self._known)
            if changed:
                text = f"the search space changed, earlier trials are kept: {', '.join(changed)}"
                self.emit(events.Note(text))
            self._known = None

    def count_failure(self, reason: str | None, *, raised: bool) -> None:
        kind = failure_kind(reason)
        self.failures[kind] += 1
        lacks = kind.startswith(NO_MODULE)
        self._remedy = (reason or "").rpartition("; ")[2] if lacks else None
        self.exceptions += raised

    def fail_trial_of(
        self, worker: int, problem: str, seconds: float, *, interrupted: bool
    ) -> None:
        """Fail exactly the trial that a dead worker left; queue its parameters again if it may.

        An interrupted trial (by a stop of the launch) is queued without counting as a retry.
        """
        for trial in self.study.owned_trials(self.launch, worker):
            reason = events.INTERRUPTED if interrupted else problem
            again = (
                interrupted
                or len(attributes.retries(trial.system_attrs)) < self.settings.max_retries
            )
            copy = None
            if again:
                copy = self.study.fail_and_queue(trial, reason, retry=not interrupted)
            if copy is None and (again or not self.study.fail(trial, reason)):
                continue  # it had finished: the journal is the truth, not the message that got lost
            if not again:
                self.count_failure(reason, raised=False)
            self.interrupted += interrupted
            self.announce_end(worker, trial.number, "FAIL", reason, seconds, copy)

    def fail_stale_trials(self) -> None:
        """Fail the trials of launches that are gone; they were interrupted, so queue them again."""
        for trial in self.study.stale_trials(_DYING):
            reason = f"{events.INTERRUPTED}: {events.DIED_WITH_LAUNCH}"
            copy = self.study.fail_and_queue(trial, reason, retry=False)
            if copy is not None:
                text = f"trial {trial.number} was interrupted and is queued again as trial {copy}"
                self.emit(events.Note(text + self._gone_with_node(trial)))

    def _gone_with_node(self, trial: FrozenTrial) -> str:
        """What did not come back, since the launch itself was killed."""
        owner = owner_of(trial.user_attrs)
        if owner is None or owner.via != "node" or not self.settings.job_kind.has_folders:
            return ""
        return f"; what this run of it may have kept in its folder on {owner.host} is gone"

    def causes(self) -> dict[str, int]:
        """How many trials failed in this launch, by cause."""
        found = by_cause(self.failures.elements())
        return {cause: len(places) for cause, places in found.items()}

    def reason_to_stop(self, log: Path) -> str | None:
        """Why the launch must end: too many failures; None to go on. log: of the last one."""
        causes = ((visible(cause), count) for cause, count in self.causes().items())
        kinds = ", ".join(f"{count} x {cause}" for cause, count in causes)
        more = self._remedy or f"see {log}"
        total = self.failures.total()
        if total >= self.settings.failure_limit:
            return f"{total} trials failed: {kinds}; --max-failures sets this limit; {more}"
        if self.exceptions >= EARLY_EXCEPTIONS and self.study.count()[0] == 0:
            what = "failed" if self.settings.command is not None else "raised exceptions"
            return f"the first {self.exceptions} trials {what}: {kinds}; {more}"
        return None
