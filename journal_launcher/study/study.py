"""The study as the parent sees it: create or resume, count, fail, queue again."""

import contextlib
import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from journal_launcher.base.artifacts.identity import IDENTITY_ATTRIBUTE, Identity
from journal_launcher.base.artifacts.trial_attributes import TrialAttributes, without_ours
from journal_launcher.base.errors import IdentityError, JournalDamagedError, OtherStudiesError
from journal_launcher.base.paths import typed
from journal_launcher.study.another import (
    Data,
    carry_over,
    same_values,
    shortened,
    why_another,
)
from journal_launcher.study.attributes import (
    COPY_OF,
    changed_notes,
    is_imported,
    refittable,
    repeated,
    retries,
    table,
    text,
    whole,
)
from journal_launcher.study.choices import as_kept
from journal_launcher.study.journal.storage import StudyStorage
from journal_launcher.study.optuna_private import (
    FAILED_TRIAL,
    METRIC_NAMES,
    RETRY_HISTORY,
    study_id,
    trial_id,
)
from journal_launcher.study.owner import owner_of
from journal_launcher.study.stagnation import Stagnation
from journal_launcher.study.tally import Tally, best_of, check_values, pareto_front, ranked

__all__ = ["IDENTITY_ATTRIBUTE", "StudyHandle"]

BASELINES_ATTRIBUTE = "journal_launcher_baselines"
NOTED_ATTRIBUTE = "journal_launcher_noted"
SETTINGS_ATTRIBUTE = "journal_launcher_settings"  # of the last launch: what a replay repeats
BUDGET_ATTRIBUTE = "journal_launcher_n_trials"  # of the last launch, for whoever looks
STOPPED_ATTRIBUTE = "journal_launcher_stopped"  # n_trials of the launch that study.stop() ended
BEST_ATTRIBUTE = "journal_launcher_best_trial"  # saved as the best: its number, or a front's


@contextlib.contextmanager
def _without_a_word() -> Iterator[None]:
    """Optuna logs that it created a study; `launch()` prints nothing in its caller's process."""
    logger = logging.getLogger("optuna.storages")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)


class StudyHandle:
    """One study in its journal."""

    def __init__(self, storage: StudyStorage, name: str) -> None:
        self.storage = storage
        self._study = optuna.study.Study(name, storage)  # the sampler is each worker's own
        self._identity: Identity | None = None  # once it is there it stays what it is
        self._begin_tally()

    def _begin_tally(self) -> None:
        self._read = -1  # records, at the last look at the trials
        self._trials: list[FrozenTrial] = []
        self._listed: tuple[FrozenTrial, ...] | None = ()  # the same, for others
        self._tally = Tally(lambda trials: next(iter(self._ranked(trials)), None))
        self._stagnation = Stagnation(
            self.directions, lambda trial: not self._refits() or refittable(trial)
        )

    @classmethod
    def find(cls, storage: StudyStorage, name: str) -> "StudyHandle | None":
        """The study of this name, or None for a journal without any study.

        Raises:
            JournalDamagedError: the journal holds other studies only, perhaps this one renamed.
        """
        names = [study.study_name for study in storage.get_all_studies()]
        if name in names:
            return cls(storage, name)
        new = storage.renamed_to(name)
        if new in names:
            raise JournalDamagedError(
                f"study {name} was renamed to {new} in its journal, in a dashboard say; "
                f"{storage.after_renaming(new)}"
            )
        if names:
            raise OtherStudiesError(
                f"expected study {name} in its journal, found {', '.join(names[:3])}: was the file "
                "renamed? give it back its name, or pass --study-name; of another program, "
                f"`{typed()} import FILE.log` brings it here",
                names,
            )
        return None

    @classmethod
    def create(cls, storage: StudyStorage, name: str, identity: Mapping[str, Any]) -> "StudyHandle":
        """`identity` is kept as it is given: its JSON is what later launches compare and hash."""
        said = Identity.from_json(identity)
        directions = [optuna.study.StudyDirection[d.upper()] for d in said.directions or ()]
        with _without_a_word():
            storage.create_new_study(directions, name)
        study = cls(storage, name)
        study.set_attribute(IDENTITY_ATTRIBUTE, dict(identity))
        if said.metric:  # what Optuna's plots and its dashboard call the value
            storage.set_study_system_attr(study_id(study._study), METRIC_NAMES, [said.metric])
        return study

    # --- what the study is

    @property
    def name(self) -> str:
        return self._study.study_name

    @property
    def directions(self) -> tuple[str, ...]:
        return tuple(d.name.lower() for d in self._study.directions)

    def attribute(self, key: str) -> Any:
        return self._study.user_attrs.get(key)

    def has_imported(self, trial: int) -> bool:
        """Did an import bring this trial, without its folder?"""
        return is_imported(self._study.user_attrs, trial)

    def set_attribute(self, key: str, value: Any) -> None:
        self._study.set_user_attr(key, value)

    def remember(self, key: str, value: Any) -> None:
        """Set an attribute unless it says so already: every one is a record in the journal."""
        value = json.loads(json.dumps(value))  # as it will be read back
        if self.attribute(key) != value:
            self.set_attribute(key, value)

    @property
    def identity(self) -> Identity | None:
        found = self.attribute(IDENTITY_ATTRIBUTE)
        return Identity.from_json(found) if isinstance(found, dict) else None

    @property
    def metric(self) -> str | None:
        return self.identity.metric if self.identity else None

    @property
    def budget(self) -> int | None:
        """Finished trials that the last launch wanted."""
        return whole(self.attribute(BUDGET_ATTRIBUTE))

    @property
    def settings(self) -> dict[str, Any]:
        """Of the last launch, as far as it recorded them."""
        return table(self.attribute(SETTINGS_ATTRIBUTE))

    @property
    def seed(self) -> int:
        """The seed that it was created with; 0 if nobody said what it is.

        Raises:
            IdentityError: what stands there is no seed, and every other one is another study.
        """
        if self.attribute(IDENTITY_ATTRIBUTE) is None:
            return 0
        if self.identity is None or self.identity.seed is None:
            raise self._odd_identity()
        return self.identity.seed

    def _odd_identity(self) -> IdentityError:
        found = shortened(self.attribute(IDENTITY_ATTRIBUTE))
        return IdentityError(
            f"study {self.name}: expected its attribute {IDENTITY_ATTRIBUTE} to say what the study "
            f"is, with a whole number as seed, found {found}; somebody changed it: set it right, "
            "choose another --study-name, or move the study aside with --overwrite"
        )

    def check_identity(
        self,
        wanted: Mapping[str, Any],
        data: str | None = None,
        noted: Mapping[str, Any] | None = None,
    ) -> None:
        """Adopt a study without identity; refuse one that was created for something else.

        `data` is what this launch calls its data; noted: as for `note_changes`.

        Raises:
            IdentityError: shows what the study has and what was asked for.
        """
        found = None if self.identity is None else self.identity.to_json()
        if found is None and self.attribute(IDENTITY_ATTRIBUTE) is not None:
            raise self._odd_identity()
        if list(self.directions) != list(Identity.from_json(wanted).directions or ()):
            found = {**(found or {}), "directions": list(self.directions)}
        if found is None:
            self.set_attribute(IDENTITY_ATTRIBUTE, dict(wanted))
            self._begin_tally()  # of a table, what counts as the best is another question
            return
        finished, _ = self.count()
        refused = why_another(
            found,
            wanted,
            Data(
                before=text(self.settings.get("data")),
                now=data,
                same_values=same_values(self.attribute(NOTED_ATTRIBUTE), noted),
            ),
            carry_over(self.name),
            finished=finished > 0,
        )
        if refused is not None:
            raise IdentityError(f"study {self.name}{refused}")

    def note_changes(self, noted: Mapping[str, Any]) -> list[str]:
        """Remember what may change between launches; the names of what did since the last one."""
        before = self.attribute(NOTED_ATTRIBUTE)
        if before != noted:
            self.set_attribute(NOTED_ATTRIBUTE, dict(noted))
        return changed_notes(before, noted)

    def check(self) -> None:
        """Read what is new in the journal; raises if it vanished or changed underneath."""
        self.storage.get_study_name_from_id(study_id(self._study))

    # --- its trials

    def _look(self) -> None:
        """Take in what is new; a parent asks several times between two records."""
        self.check()
        if self._read == self.storage.records_read:
            return
        self._read = self.storage.records_read
        study = study_id(self._study)
        before = [self.storage.trial_read(study, t.number) for t in self._tally.under_way]
        since = self.storage.trials_read(study, len(self._trials))
        for trial in before:
            self._trials[trial.number] = trial
        self._trials += since
        self._listed = None
        self._tally.take([*before, *since])

    def trials(self, *states: TrialState) -> Sequence[FrozenTrial]:
        """All trials, or those in a state; not to be changed."""
        self._look()
        if states:
            return [trial for trial in self._trials if trial.state in states]
        if self._listed is None:
            self._listed = tuple(self._trials)
        return self._listed

    def count(self) -> tuple[int, int]:
        """(finished, failed) trials; what a stop interrupted did not fail."""
        self._look()
        return self._tally.counts

    def was_stopped(self, n_trials: int) -> bool:
        """Did `study.stop()` end a launch that wanted as many: is a grid exhausted, say?"""
        return bool(self.attribute(STOPPED_ATTRIBUTE) == n_trials)

    def is_out_of_patience(self, patience: int | None) -> bool:
        """Did so many finished trials in a row bring nothing better?"""
        return patience is not None and self._stagnation.length(self.trials()) >= patience

    def wants_more(self, n_trials: int, patience: int | None = None) -> bool:
        """Has a launch that wants so many finished trials any left to run?"""
        done = self.was_stopped(n_trials) or self.is_out_of_patience(patience)
        return self.count()[0] < n_trials and not done

    def waiting(self) -> Iterator[int]:
        """Numbers of the queued trials, in order."""
        self._look()
        for trial in self._tally.under_way:
            if trial.state == TrialState.WAITING:
                yield trial.number

    def trial(self, number: int) -> FrozenTrial:
        self._look()
        return self._trials[number]

    def best(self) -> FrozenTrial | None:
        """The best COMPLETE trial of a single-objective study; the earliest of equals."""
        self._look()
        return self._tally.leader

    def ranked(self) -> list[FrozenTrial]:
        """The COMPLETE trials of a single-objective study, best first.

        Of a job that refits, those that can be refitted: a foreign writer's trials cannot.
        """
        return self._ranked(self.trials())

    def _ranked(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        trials = [trial for trial in trials if trial.state == TrialState.COMPLETE]
        if self._refits():
            trials = [trial for trial in trials if refittable(trial)]
        return ranked(trials, self.directions)

    def _refits(self) -> bool:
        """Asked with every trial, so the identity is read once."""
        if self._identity is None:
            self._identity = self.identity
        return self._identity is not None and self._identity.job_kind.refits

    def passed_over(self) -> FrozenTrial | None:
        """The trial that would be the best if it could be refitted; None if `best` is."""
        first = best_of(self.trials(TrialState.COMPLETE), self.directions)
        best = self.best()
        same = first is None or (best is not None and best.number == first.number)
        return None if same else first

    def pareto_front(self) -> list[FrozenTrial]:
        return pareto_front(self._study)

    def check_values(self) -> None:
        """Raise JournalDamagedError unless every trial has a value for each direction."""
        check_values(self._study)

    def queue_defaults(self, params: Mapping[str, Any]) -> None:
        """Queue the default parameters as trial 0, exactly once in the life of a study.

        Not by comparing with what was queued: another launch may have other ranges.
        """
        if not self.trials():
            self._study.enqueue_trial(dict(params))

    def enqueue(self, params: Mapping[str, Any]) -> int:
        """Queue a trial with these parameters and return its number."""
        self._study.enqueue_trial(dict(params))
        return max(self.waiting())

    def changed_ranges(self, trial: FrozenTrial, before: int) -> list[str]:
        """Parameters of `trial` whose range is not that of the trials with numbers below `before`.

        Optuna accepts wider and narrower ranges of the same kind; the user should know.
        """
        earlier: dict[str, BaseDistribution] = {}
        for old in self.trials()[:before]:
            earlier.update(old.distributions)
        return sorted(
            f"{name} ({earlier[name]} before, now {distribution})"
            for name, distribution in trial.distributions.items()
            if name in earlier and earlier[name] != distribution
        )

    # --- ending what somebody else began

    def stale_trials(self, patience: float = 0.0) -> list[FrozenTrial]:
        """RUNNING trials whose owner is provably dead. Needs the lease.

        patience: seconds that owners have to die whose launch is gone: on a busy machine their
        guards do not kill them at once.
        """
        running = [(trial, owner_of(trial.user_attrs)) for trial in self.trials(TrialState.RUNNING)]
        owned = [(trial, owner) for trial, owner in running if owner is not None]
        deadline = time.monotonic() + patience
        while any(owner.is_ending() for _, owner in owned) and time.monotonic() < deadline:
            time.sleep(0.01)
        return [trial for trial, owner in owned if owner.is_dead()]

    def owned_trials(self, launch: str, worker: int) -> list[FrozenTrial]:
        """RUNNING trials that a worker of `launch` left behind (at most one)."""
        owners = ((trial, owner_of(trial.user_attrs)) for trial in self.trials(TrialState.RUNNING))
        return [
            trial
            for trial, owner in owners
            if owner is not None and (owner.launch, owner.worker) == (launch, worker)
        ]

    def fail(self, trial: FrozenTrial, reason: str) -> bool:
        """End a dead worker's trial; False if it had finished after all."""
        said = TrialAttributes(fail_reason=reason).to_json()
        with contextlib.suppress(UpdateFinishedTrialError):
            self.storage.set_trial_user_attrs(trial_id(trial), said)
            self.storage.set_trial_state_values(trial_id(trial), TrialState.FAIL)
            return True
        return False

    def fail_and_queue(self, trial: FrozenTrial, reason: str, *, retry: bool) -> int | None:
        """End a dead worker's trial and queue its parameters again.

        Returns the number of the copy, None if the trial had finished.

        Copy and end are one append, the copy first. If a power loss keeps only the beginning of it,
        the next launch finds the trial still RUNNING; its first append here completes what was
        torn, and then it sees whether there is a copy.
        """
        said = TrialAttributes(fail_reason=reason).to_json()
        with contextlib.suppress(UpdateFinishedTrialError):
            self.storage.set_trial_user_attrs(trial_id(trial), said)
            copied = self._copy_of(trial) is not None
            with self.storage.together():
                if not copied:
                    self.queue_again(trial, retry=retry)
                self.storage.set_trial_state_values(trial_id(trial), TrialState.FAIL)
            return self._copy_of(trial)
        return None

    def _copy_of(self, trial: FrozenTrial) -> int | None:
        later = self.trials()[trial.number :]
        return next((t.number for t in later if repeated(t.system_attrs) == trial.number), None)

    def queue_again(self, trial: FrozenTrial, *, retry: bool) -> None:
        """Queue the parameters of a failed trial anew.

        With `retry` the copy is linked by Optuna's own attributes and counts as a retry; without,
        it takes the place of a trial that was only interrupted.
        """
        system = {**trial.system_attrs, COPY_OF: trial.number}
        if retry:
            system[RETRY_HISTORY] = [*retries(system), trial.number]
            system.setdefault(FAILED_TRIAL, trial.number)
        self._study.add_trial(
            optuna.create_trial(
                state=TrialState.WAITING,
                params=trial.params,
                distributions={name: as_kept(d) for name, d in trial.distributions.items()},
                user_attrs={
                    **without_ours(trial.user_attrs),
                    **TrialAttributes(repeats=trial.number).to_json(),
                },
                system_attrs=system,
            )
        )
