"""What we use of Optuna that Optuna does not document; no other file of the package names it.

A new Optuna may rename or change any of it. `tests/study/test_optuna_private.py` says which.
"""

import copy
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileOpenLock, JournalFileSymlinkLock
from optuna.storages.journal._file import BaseJournalFileLock
from optuna.storages.journal._storage import JournalOperation, JournalStorageReplayResult
from optuna.study._frozen import FrozenStudy
from optuna.trial import BaseTrial, FrozenTrial, TrialState

__all__ = [
    "CONSTRAINT",
    "CONSTRAINTS",
    "FAILED_TRIAL",
    "FIXED_PARAMS",
    "METRIC_NAMES",
    "RETRY_HISTORY",
    "BaseJournalFileLock",
    "FrozenStudy",
    "HookedJournalStorage",
    "HookedTrial",
    "JournalOperation",
    "Loading",
    "PartOfStudy",
    "fixed_params",
    "lock_file",
    "renumbered",
    "storage_of",
    "study_id",
    "system_attributes",
    "trial_id",
]

METRIC_NAMES = "study:metric_names"
"""System attribute of a study: what plots and dashboards call its values."""

FAILED_TRIAL = "failed_trial"
"""System attribute of a trial: the number of the first one that it repeats."""

RETRY_HISTORY = "retry_history"
"""System attribute of a trial: the numbers of all that it repeats."""

CONSTRAINTS = "constraints"
"""System attribute of a trial: what a sampler's constraints_func returned."""

CONSTRAINT = f"{CONSTRAINTS}:"
"""How the system attribute begins that `set_constraint` keeps."""

FIXED_PARAMS = "fixed_params"
"""System attribute of a trial: what it was queued with."""


T = TypeVar("T", FrozenStudy, FrozenTrial)


def study_id(study: optuna.Study | FrozenStudy) -> int:
    """What a storage calls the study."""
    return study._study_id


def renumbered(found: T, study_id: int | None, user_attributes: dict[str, Any]) -> T:
    """A copy for a storage that calls the study otherwise and shows other attributes."""
    made = copy.copy(found)
    made.user_attrs = user_attributes
    if isinstance(made, FrozenStudy) and study_id is not None:
        made._study_id = study_id
    return made


def trial_id(trial: optuna.Trial | FrozenTrial) -> int:
    """What a storage calls the trial."""
    return trial._trial_id


def storage_of(trial: BaseTrial) -> BaseStorage | None:
    """Where `trial` records; None for a FixedTrial, which records nowhere."""
    found: BaseStorage | None = getattr(trial, "storage", None)
    return found


def fixed_params(trial: optuna.Trial) -> Mapping[str, Any]:
    """What it was queued with: the sampler is not asked for that."""
    found: dict[str, Any] = trial._fixed_params
    return found


def system_attributes(trial: optuna.Trial) -> Mapping[str, Any]:
    """What it had when it began, which its own process asks for without a look into the journal."""
    found: dict[str, Any] = trial._cached_frozen_trial.system_attrs
    return found


def lock_file(lock: JournalFileSymlinkLock | JournalFileOpenLock) -> str:
    """The file by which stock Optuna excludes other writers."""
    return lock._lock_file


class HookedTrial(optuna.Trial):
    """A trial of which every `suggest_*` passes through one method."""

    def draw(self, name: str, distribution: BaseDistribution) -> Any:
        return super()._suggest(name, distribution)

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        return self.draw(name, distribution)


class PartOfStudy(optuna.Study):
    """A study for the eyes of a sampler, which sees the trials `shown` and no others."""

    shown: Sequence[FrozenTrial] = ()

    def _get_trials(
        self,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
        use_cache: bool = False,
    ) -> list[FrozenTrial]:
        return [trial for trial in self.shown if states is None or trial.state in states]


class HookedJournalStorage(JournalStorage):
    """Optuna's journal storage, in which one method writes and one reads."""

    def write(self, record: dict[str, Any]) -> None:
        """Append what Optuna is about to record."""
        self._backend.append_logs([record])

    def read(self) -> None:
        """Apply what is new in the journal, before an answer and after a record of our own."""
        self.apply(self._backend.read_logs(self.records_read))

    @property
    def records_read(self) -> int:
        """As long as it is the same, so is everything that was read."""
        return self._replay_result.log_number_read

    @property
    def writer(self) -> str:
        """Whom the records of this thread name as theirs."""
        return self._replay_result.worker_id

    @property
    def one_at_a_time(self) -> AbstractContextManager[Any]:
        """Held around `write` and `read`, as Optuna does."""
        return self._thread_lock

    def apply(self, records: Iterable[dict[str, Any]]) -> None:
        """Change the studies and trials in memory as the next `records` of the journal say."""
        self._replay_result.apply_logs(records)

    def loading(self) -> "Loading":
        """What is in memory, for whoever changes it before anybody reads it."""
        return Loading(self._replay_result)

    def studies_read(self) -> dict[int, FrozenStudy]:
        """Every study by its id, as of what was read; not to be changed."""
        return self._replay_result._studies

    def trials_read(self, study: int, start: int = 0) -> list[FrozenTrial]:
        """A study's trials from number `start` on, as of what was read; not to be changed."""
        result = self._replay_result
        return [result._trials[trial] for trial in result._study_id_to_trial_ids[study][start:]]

    def trial_read(self, study: int, number: int) -> FrozenTrial:
        """One trial of a study, as of what was read; not to be changed."""
        result = self._replay_result
        return result._trials[result._study_id_to_trial_ids[study][number]]

    def forget_created(self) -> None:
        """Let there be an id of a created trial, -1, also before the first one is read back."""
        self._replay_result._last_created_trial_id_by_this_process = -1

    def _write_log(self, op_code: int, extra_fields: dict[str, Any]) -> None:
        self.write({"op_code": op_code, "worker_id": self.writer, **extra_fields})

    def _sync_with_backend(self) -> None:
        self.read()


class Loading:
    """What a storage has in memory, open to changes while nobody has seen a trial of it.

    Attributes:
        trials: each by its id.
        studies: the id of each trial's study.
        set_param: apply a SET_TRIAL_PARAM record as Optuna does, by a copy of its trial.
    """

    def __init__(self, result: JournalStorageReplayResult) -> None:
        self._result = result
        self.trials: Mapping[int, FrozenTrial] = result._trials
        self.studies: Mapping[int, int] = result._trial_id_to_study_id
        self.set_param: Callable[[dict[str, Any]], None] = result._apply_set_trial_param

    def run(
        self, records: Iterable[dict[str, Any]], in_place: Callable[[dict[str, Any]], bool]
    ) -> None:
        """Apply `records`, by Optuna those for which `in_place` returns False."""
        result = self._result
        for record in records:
            if in_place(record):
                result.log_number_read += 1
            else:
                result.apply_logs([record])
