"""Optuna's journal storage with two records that it has no call for.

Both write only what stock Optuna itself could have written: no new operation codes.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import JournalStorage
from optuna.storages.journal._storage import JournalOperation
from optuna.trial import FrozenTrial, TrialState

from journal_launcher.base.errors import JournalLauncherError, ResumableStop
from journal_launcher.study.first_replay import replay_in_place
from journal_launcher.study.journal import DurableJournalFileBackend, replaying
from journal_launcher.study.owner import OWNER_ATTRIBUTE

__all__ = ["StudyStorage", "open_storage"]


class StudyStorage(JournalStorage):
    """Owner and state in one record; several attributes in one append.

    `broken` keeps the first error of the journal itself. A user's objective may swallow the
    exception (it passes through `trial.report`), but the worker must not go on after it.
    """

    broken: JournalLauncherError | None = None

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
        with self._thread_lock, self._remembering():
            self._backend.append_logs(
                [
                    {
                        "op_code": JournalOperation.SET_TRIAL_USER_ATTR,
                        "worker_id": self._replay_result.worker_id,
                        "trial_id": trial_id,
                        "user_attr": {key: value},
                    }
                    for key, value in attributes.items()
                ]
            )
            self._sync_with_backend()

    def _write_log(self, op_code: int, extra_fields: dict[str, Any]) -> None:
        with self._remembering():
            super()._write_log(op_code, extra_fields)

    def _sync_with_backend(self) -> None:
        with self._remembering():
            if self._replay_result.log_number_read == 0:
                replay_in_place(self._replay_result, self._backend.read_logs(0))
            else:
                super()._sync_with_backend()

    @contextmanager
    def _remembering(self) -> Iterator[None]:
        try:
            yield
        except JournalLauncherError as error:
            self.broken = self.broken or error
            raise
        except OSError as error:
            stop = ResumableStop(
                f"the journal cannot be written ({error.strerror or error}); nothing acknowledged "
                "is lost: make room and type the same command again"
            )
            self.broken = self.broken or stop
            raise stop from error


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
    with replaying(backend):
        return StudyStorage(backend)
