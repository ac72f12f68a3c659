"""Replay a journal whose holes are filled in one of the possible ways, and judge the result."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from optuna.storages.journal._storage import JournalOperation, JournalStorageReplayResult
from optuna.trial import TrialState

from journal_launcher.study.journal.lines import MEANINGLESS, parse_record
from journal_launcher.study.salvage import Pieces

__all__ = ["Variant"]

_WRITER = "journal-launcher-repair-"


class Variant:
    """One way to fill the holes, replayed by stock Optuna.

    `content` is the mended journal, line by line; `fits` says whether it makes sense.

    Args:
        pieces: the records and holes.
        filled: for each hole, whether a trial is placed there.

    It fits if every record after the first hole refers to an existing, unfinished trial, and what
    only a trial's own worker writes comes from that worker.
    """

    def __init__(self, pieces: Pieces, filled: Sequence[bool]) -> None:
        self.content: list[bytes] = []
        self.fits = True
        self.meaningless = ""
        self._judging = False
        self._state = JournalStorageReplayResult(_WRITER)
        self._owners: dict[int, str] = {}
        self._placeholders: dict[int, int] = {}  # trial id -> index in content
        self._replay(pieces, iter(filled))

    @property
    def replaced(self) -> int:
        """How many lost trials got a placeholder."""
        return len(self._placeholders)

    def _replay(self, pieces: Pieces, filled: Iterator[bool]) -> None:
        for number, piece in enumerate(pieces, 1):
            if piece is None:
                self._judging = True
                if next(filled):
                    self._place_trial()
            else:
                self._apply(parse_record(piece), number)
                self.content.append(piece)
            if not self.fits:
                return
        for trial, index in self._placeholders.items():
            self.content[index] = self._placeholder(trial)

    def _apply(self, record: dict[str, Any], number: int) -> None:
        try:
            self.fits = not self._judging or self._refers_well(record)
            self._note_owner(record)
            self._state.apply_logs([record])
        except MEANINGLESS as error:
            self.fits = False
            self.meaningless = f"record {number} means nothing ({type(error).__name__}: {error})"

    def _refers_well(self, record: dict[str, Any]) -> bool:
        if "study_id" in record:
            return record["study_id"] in self._state._studies
        if "trial_id" not in record:
            return True
        trial = self._state._trials.get(record["trial_id"])
        if trial is None or trial.state.is_finished():
            return False
        return not _only_by_owner(record) or self._owns(record["worker_id"], trial._trial_id)

    def _owns(self, worker: str, trial: int) -> bool:
        if trial in self._placeholders and trial not in self._owners:
            # The lost trial was this worker's, unless it is busy with another one.
            busy = any(
                owner == worker and not self._state._trials[owned].state.is_finished()
                for owned, owner in self._owners.items()
            )
            if not busy:
                self._owners[trial] = worker
        return self._owners.get(trial) == worker

    def _note_owner(self, record: dict[str, Any]) -> None:
        """Remember who makes a trial RUNNING."""
        operation, running = record["op_code"], TrialState.RUNNING
        if operation == JournalOperation.CREATE_TRIAL:
            if record.get("state", running) == running:
                self._owners[len(self._state._trials)] = record["worker_id"]
        elif operation == JournalOperation.SET_TRIAL_STATE_VALUES and record["state"] == running:
            trial = self._state._trials.get(record["trial_id"])
            if trial is not None and trial.state == TrialState.WAITING:
                self._owners[trial._trial_id] = record["worker_id"]

    def _place_trial(self) -> None:
        studies = list(self._state._studies)
        if len(studies) != 1:  # nobody knows whose trial it was
            self.fits = False
            return
        trial = len(self._state._trials)
        self._placeholders[trial] = len(self.content)
        self.content.append(b"")
        self._state.apply_logs([_create_trial(studies[0], self._latest_start(), _WRITER)])

    def _latest_start(self) -> str:
        starts = (trial.datetime_start for trial in reversed(self._state._trials.values()))
        latest = next((start for start in starts if start), datetime.now())
        return latest.astimezone(UTC).isoformat(timespec="microseconds")

    def _placeholder(self, trial: int) -> bytes:
        """RUNNING if later records finish the trial, else FAIL."""
        frozen = self._state._trials[trial]
        assert frozen.datetime_start is not None
        start = frozen.datetime_start.astimezone(UTC).isoformat(timespec="microseconds")
        study, worker = self._state._trial_id_to_study_id[trial], self._owners.get(trial, _WRITER)
        record = _create_trial(study, start, worker)
        if not frozen.state.is_finished():
            reason = {"jl_fail_reason": "its record was damaged; repair put this one in its place"}
            record |= {"state": TrialState.FAIL, "datetime_complete": start, "user_attrs": reason}
        return json.dumps(record, separators=(",", ":")).encode() + b"\n"


def _create_trial(study: int, start: str, worker: str) -> dict[str, Any]:
    return {
        "op_code": JournalOperation.CREATE_TRIAL,
        "worker_id": worker,
        "study_id": study,
        "datetime_start": start,
    }


def _only_by_owner(record: dict[str, Any]) -> bool:
    """Parents and dashboards set attributes and fail trials of others; they do nothing else."""
    if record["op_code"] == JournalOperation.SET_TRIAL_STATE_VALUES:
        return record["state"] in (TrialState.COMPLETE, TrialState.PRUNED)
    return record["op_code"] in (
        JournalOperation.SET_TRIAL_PARAM,
        JournalOperation.SET_TRIAL_INTERMEDIATE_VALUE,
    )
