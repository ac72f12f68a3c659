"""Whether trials keep their ids when the unreadable bytes of a journal are dropped.

Ids are positions: a replay numbers trials by the order of their CREATE records. Bytes that were
such a record shift every later trial, and what was written about one would go to another. But later
records name ids: a worker's parameters, reports and value are those of the trial that it created.
"""

from collections.abc import Iterator
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import TrialState

from journal_launcher.study.journal.lines import MEANINGLESS, parse_record
from journal_launcher.study.optuna_private import JournalOperation
from journal_launcher.study.salvage import Pieces

__all__ = ["find_doubt"]

# Parents and dashboards set attributes and fail trials of others; they do nothing else.
_BY_ITS_WORKER = (JournalOperation.SET_TRIAL_PARAM, JournalOperation.SET_TRIAL_INTERMEDIATE_VALUE)
_OF_ITS_WORKER = (TrialState.COMPLETE, TrialState.PRUNED)


def find_doubt(pieces: Pieces) -> str:
    """Why the holes cannot be dropped, or which record means nothing; "" if all is well."""
    ids = _Ids()
    for number, piece in enumerate(pieces, 1):
        if piece is None:
            ids.pass_hole()
            continue
        try:
            ids.take(parse_record(piece))
        except MEANINGLESS as error:
            return f"record {number} means nothing ({type(error).__name__}: {error})"
        if ids.contradicted:
            return f"without the lost bytes, record {number} is about nothing or another's trial"
    return "" if ids.proven else "nothing tells whether the lost bytes were a trial"


class _Ids:
    """Compares the ids that a replay gives with those that records name, from a hole on.

    proven: no trial was lost: none was created since the last hole, or the worker that created one
    writes about it under the id that it has here. Lost trials only add up, so that is enough.
    contradicted: a record is about nothing, or about another worker's trial.
    """

    def __init__(self) -> None:
        self.proven = True
        self.contradicted = False
        self._damaged = False
        self._records = _Records()
        self._storage = JournalStorage(self._records)
        self._trials = 0
        self._workers: dict[int, Any] = {}  # of each trial that runs
        self._since_hole: set[int] = set()

    def pass_hole(self) -> None:
        self._damaged = True
        self.proven = True
        self._since_hole.clear()

    def take(self, record: dict[str, Any]) -> None:
        """Raises what Optuna raises over a record that means nothing."""
        operation = record["op_code"]
        if operation == JournalOperation.CREATE_STUDY:
            self.contradicted = self._damaged  # no record proves the id of a study
        elif "study_id" in record:
            there = self._has_study(record["study_id"])
            self.contradicted = self._damaged and not there
            if there and operation == JournalOperation.CREATE_TRIAL:
                self._create(record)
        elif "trial_id" in record:
            self._follow(record)
        self._records.new = [record]
        self._storage.get_all_studies()  # applies it

    def _has_study(self, study: int) -> bool:
        try:
            self._storage.get_study_name_from_id(study)
        except KeyError:
            return False
        return True

    def _create(self, record: dict[str, Any]) -> None:
        trial = self._trials
        self._trials = self._trials + 1
        if self._damaged and not self._since_hole:
            self.proven = False
        self._since_hole.add(trial)
        if record.get("state", TrialState.RUNNING) == TrialState.RUNNING:
            self._workers[trial] = record["worker_id"]

    def _follow(self, record: dict[str, Any]) -> None:
        trial = record["trial_id"]
        worker = record.get("worker_id")
        operation = record["op_code"]
        ends = operation == JournalOperation.SET_TRIAL_STATE_VALUES
        state = record["state"] if ends else None
        fits = trial in range(self._trials)
        if operation in _BY_ITS_WORKER or state in _OF_ITS_WORKER:
            fits = worker is not None and self._workers.get(trial) == worker
            self.proven = self.proven or (fits and trial in self._since_hole)
        self.contradicted = self._damaged and not fits
        if state == TrialState.RUNNING:
            self._workers.setdefault(trial, worker)
        elif ends:
            self._workers.pop(trial, None)


class _Records(BaseJournalBackend):
    """A journal that grows by what a storage is to apply next."""

    def __init__(self) -> None:
        self.new: list[dict[str, Any]] = []

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        given = self.new
        self.new = []
        yield from given

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        raise NotImplementedError("only to be read")
