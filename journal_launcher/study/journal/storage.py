"""Optuna's journal storage, with a start that names its owner and several records in one append.

Both write only what stock Optuna itself could have written: no new operation codes.
"""

import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import BaseTrial, FrozenTrial, TrialState

from journal_launcher.base.artifacts.identity import IDENTITY_ATTRIBUTE
from journal_launcher.base.errors import (
    AGAIN,
    JournalLauncherError,
    ResumableStop,
    is_full_disk,
)
from journal_launcher.base.paths import is_study_name
from journal_launcher.study.attributes import optunas_own
from journal_launcher.study.first_load import load_in_place
from journal_launcher.study.journal.backend import DurableJournalFileBackend, Journal, loading
from journal_launcher.study.journal.lines import MEANINGLESS
from journal_launcher.study.optuna_private import (
    HookedJournalStorage,
    JournalOperation,
    fixed_params,
    storage_of,
)
from journal_launcher.study.owner import OWNER_ATTRIBUTE

__all__ = ["StudyStorage", "open_storage", "suggesting"]


class StudyStorage(HookedJournalStorage):
    """Owner and state in one record; several records in one append.

    `broken` keeps the first error of the journal itself. A user's objective may swallow the
    exception (it passes through `trial.report`), but the worker must not go on after it.
    """

    broken: JournalLauncherError | None = None
    _held: list[dict[str, Any]] | None = None  # records, inside `together`
    _last_read: Mapping[str, Any] = {}
    _opened: int | None = None  # the study that this storage was opened for
    again = AGAIN  # what to do once there is room

    def __init__(self, backend: Journal) -> None:
        self._renamed: dict[str, str] = {}
        self._journal = backend
        super().__init__(backend)  # type: ignore[arg-type]  # it has the two methods of theirs

    @property
    def journal(self) -> Journal:
        """What it stands on."""
        return self._journal

    def get_study_id_from_name(self, study_name: str) -> int:
        self._opened = super().get_study_id_from_name(study_name)
        return self._opened

    def start_trial(self, study_id: int, attributes: Mapping[str, Any]) -> int:
        """Create a RUNNING trial whose owner and other `attributes` are in the same record."""
        template = FrozenTrial(
            number=-1,
            trial_id=-1,
            state=TrialState.RUNNING,
            value=None,
            datetime_start=datetime.now(),
            datetime_complete=None,
            params={},
            distributions={},
            user_attrs=dict(attributes),
            system_attrs={},
            intermediate_values={},
        )
        return self.create_new_trial(study_id, template)

    def start_queued_trial(self, trial_id: int, attributes: Mapping[str, Any]) -> bool:
        """Make a queued trial ours and RUNNING; False if somebody else took it first.

        The owner is recorded before the state, so no RUNNING trial of ours is without one. It is
        one record, because Optuna raises for each one on a trial that somebody else has finished.
        """
        try:
            self.set_trial_user_attr(trial_id, OWNER_ATTRIBUTE, attributes[OWNER_ATTRIBUTE])
            if not self.set_trial_state_values(trial_id, TrialState.RUNNING):
                self.set_trial_user_attr(trial_id, OWNER_ATTRIBUTE, None)
                return False
        except UpdateFinishedTrialError:
            return False
        self.set_trial_user_attrs(trial_id, attributes)
        return True

    def set_trial_user_attrs(self, trial_id: int, attributes: Mapping[str, Any]) -> None:
        """Set several user attributes of a trial with one append (one fsync)."""
        with self.together():
            for key, value in attributes.items():
                self.set_trial_user_attr(trial_id, key, value)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write with one append what is written inside; nothing of it can be read before the end.

        For a storage that one thread uses.
        """
        # Optuna reads it after a creation, which is applied at the end only.
        self.forget_created()
        records = self._held = []
        try:
            yield
        finally:
            self._held = None
        with self.one_at_a_time:
            with self._remembering():
                self._journal.append_logs(records)
            self._apply_all()

    def _apply_all(self) -> None:
        """Optuna raises for each record of our own that does not go with the study: on a trial that
        somebody else has finished, or with another range. The first error counts."""
        try:
            self.read()
        except (UpdateFinishedTrialError, ValueError):
            with suppress(UpdateFinishedTrialError, ValueError):
                self._apply_all()
            raise

    def write(self, record: dict[str, Any]) -> None:
        if self._held is not None:
            self._held.append(record)
            return
        with self._remembering():
            super().write(record)

    def read(self) -> None:
        if self._held is not None:
            return
        with self._remembering():
            try:
                number = self.records_read
                logs = self._noting(self._journal.read_logs(number))
                if number == 0:
                    load_in_place(self.loading(), logs)
                else:
                    self.apply(logs)
            except MEANINGLESS as error:
                # Optuna refuses a record of our own (a finished trial, a contradicting range).
                if self._last_read.get("worker_id") == self.writer:
                    raise
                raise self._journal.meaningless(error) from None

    def _noting(self, logs: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for record in logs:
            self._last_read = record
            operation = record["op_code"]
            if operation == JournalOperation.DELETE_STUDY:
                self._judge_deletion(record)
            elif operation == JournalOperation.SET_TRIAL_SYSTEM_ATTR:
                record["system_attr"] = optunas_own(record["system_attr"])
            elif operation == JournalOperation.CREATE_TRIAL:
                if "system_attrs" in record:
                    record["system_attrs"] = optunas_own(record["system_attrs"])
                _check_values(record.get("values"))
                _check_values(None if record.get("value") is None else [record["value"]])
            elif operation == JournalOperation.SET_TRIAL_STATE_VALUES:
                _check_values(record.get("values"))
            elif operation == JournalOperation.CREATE_STUDY:
                _check_name(record["study_name"])
            yield record

    def _judge_deletion(self, record: Mapping[str, Any]) -> None:
        """Optuna would answer whatever is asked of a deleted study with a bare KeyError."""
        ours = record["worker_id"] == self.writer
        new = self._note_renaming(record["study_id"])
        if record["study_id"] == self._opened and not ours:
            if new is not None:
                how = f"somebody renamed this study to {new}, in a dashboard say"
                raise self._journal.changed(how, self.after_renaming(new))
            how = "somebody deleted this study, in a dashboard say"
            raise self._journal.changed(how, "the same command begins it anew")

    def _note_renaming(self, deleted: int) -> str | None:
        """optuna-dashboard renames a study by copying it, then deleting it; the copy's name."""
        studies = self.studies_read()
        old = studies.get(deleted)
        if old is None or IDENTITY_ATTRIBUTE not in old.user_attrs:
            return None
        identity = old.user_attrs[IDENTITY_ATTRIBUTE]
        for study in reversed(studies.values()):
            if study is not old and study.user_attrs.get(IDENTITY_ATTRIBUTE) == identity:
                self._renamed.pop(study.study_name, None)  # it has this name again
                self._renamed[old.study_name] = study.study_name
                return study.study_name
        return None

    def renamed_to(self, name: str) -> str | None:
        """What a study of this journal that was called `name` is called now, if it was renamed."""
        new = self._renamed.get(name)
        return new and (self.renamed_to(new) or new)

    def after_renaming(self, new: str) -> str:
        """What to do about it: a study's file bears its name."""
        if not is_study_name(new):
            return "rename it back there"
        journal = Path(self._journal.path)
        moved = shlex.join(["mv", "-n", str(journal), str(journal.with_name(f"{new}.log"))])
        return f"rename it back there, or type: {moved} and go on with --study-name {new}"

    @contextmanager
    def _remembering(self) -> Iterator[None]:
        try:
            yield
        except JournalLauncherError as error:
            self.broken = self.broken or error
            raise
        except OSError as error:
            remedy = "make room" if is_full_disk(error) else "see to that"
            stop = ResumableStop(
                f"the journal cannot be written ({error.strerror or error}); nothing acknowledged "
                f"is lost: {remedy} and {self.again}"
            )
            self.broken = self.broken or stop
            raise stop from error


def suggesting(trial: BaseTrial) -> AbstractContextManager[None]:
    """Record with one append what `trial` suggests inside; see `StudyStorage.together`.

    A trial that is not in a journal (a replay's) suggests as always.
    """
    if isinstance(trial, optuna.Trial) and not fixed_params(trial):
        # Before the block: a sampler may record what it draws from (a position in a sequence), and
        # the next worker must see it.
        _ = trial.relative_params
    storage = storage_of(trial)
    return storage.together() if isinstance(storage, StudyStorage) else nullcontext()


def open_storage(
    journal: Path,
    *,
    create: bool = False,
    read_only: bool = False,
    allow_network_fs: bool = False,
) -> StudyStorage:
    """Open a study's journal; see DurableJournalFileBackend for the errors."""
    backend = DurableJournalFileBackend(
        journal, create=create, read_only=read_only, allow_network_fs=allow_network_fs
    )
    with loading(backend):
        return StudyStorage(backend)


def _check_name(name: Any) -> None:
    if type(name) is not str:
        raise TypeError(f"a study's name is text, found {str(name)[:80]!r}")


def _check_values(values: Any) -> None:
    """Optuna takes any; whoever compares trials would stumble over one that is no number."""
    if values is not None and not (type(values) is list and all(map(_is_number, values))):
        raise TypeError(f"the values of a trial are numbers, found {str(values)[:80]!r}")


def _is_number(value: Any) -> bool:
    return type(value) is float or (type(value) in (int, bool) and abs(value) < 1 << 1023)
