"""Ids are positions: repair never gives a trial another one's results."""

import os
from pathlib import Path
from typing import Any

import optuna
import pytest
from damage import COMPLETE, FAIL, RUNNING, insert, line, line_of, overwrite, two_workers
from optuna.storages import JournalStorage
from optuna.trial import TrialState
from stock_and_ours import new_journal, trials_by_stock

from journal_launcher.study.journal.backend import DurableJournalFileBackend
from journal_launcher.study.repair import repair
from journal_launcher.study.replay import Variant


class TestPositions:
    """Damage that may have been a trial: dropping it would renumber all later ones."""

    BROKEN = (
        b"garbage\n",
        b"\0" * 120 + b"\n",
        b'{"op_code":4,"worker_id":"w\n',
        b'{"op_code":5,"wor\0\0\0\0\n',  # the zeroes may hide a newline and another record
    )

    def test_dropping_would_be_wrong(self, tmp_path: Path) -> None:
        """The control: the naive repair gives trials each other's results."""
        journal = two_workers(tmp_path / "s.log", 4)
        overwrite(journal, line_of(journal, 4, 1), b"")
        found = [(trial.state, trial.value) for trial in trials_by_stock(journal)]
        assert found != [(COMPLETE, 0), (COMPLETE, 2), (COMPLETE, 3)]

    @pytest.mark.parametrize("broken", BROKEN)
    @pytest.mark.parametrize("number", [0, 1, 2])
    def test_a_lost_trial_gets_a_placeholder_and_its_results(
        self, tmp_path: Path, number: int, broken: bytes
    ) -> None:
        journal = two_workers(tmp_path / "s.log", 6)
        overwrite(journal, line_of(journal, 4, number), broken)
        report = repair(journal)
        assert (report.verdict, report.replaced) == ("repaired", 1)
        trials = trials_by_stock(journal)
        expected = [(COMPLETE, n, {"x": n}) for n in range(6)]
        assert [(t.state, t.value, t.params) for t in trials] == expected

    @pytest.mark.parametrize("broken", BROKEN)
    def test_no_trial_ever_gets_anothers_results(self, tmp_path: Path, broken: bytes) -> None:
        journal = two_workers(tmp_path / "s.log", 6)
        whole, repaired = journal.read_bytes(), 0
        for index in range(whole.count(b"\n")):
            journal.write_bytes(whole)
            overwrite(journal, index, broken)
            if repair(journal).verdict == "unrepairable":
                continue
            repaired += 1
            trials = trials_by_stock(journal)
            assert len(trials) == 6
            for number, trial in enumerate(trials):
                assert trial.value in (number, None)
                assert trial.params in ({"x": number}, {})
            complete = sum(trial.state == COMPLETE and bool(trial.params) for trial in trials)
            assert complete >= 5
        assert repaired >= 12

    def test_a_lost_trial_that_never_ended_fails(self, tmp_path: Path) -> None:
        journal = new_journal(tmp_path / "s.log")
        dying, living = (JournalStorage(DurableJournalFileBackend(journal)) for _ in range(2))
        lost = dying.create_new_trial(0)
        dying.set_trial_user_attr(lost, "a", 1)
        for _ in range(2):
            living.set_trial_state_values(living.create_new_trial(0), COMPLETE, [1.0])
        overwrite(journal, 1, b"garbage\n")
        assert repair(journal).replaced == 1
        trials = trials_by_stock(journal)
        assert [t.state for t in trials] == [FAIL, COMPLETE, COMPLETE]
        assert "repair" in trials[0].user_attrs["jl_fail_reason"]

    def test_a_lost_parameter_is_not_taken_for_a_trial(self, tmp_path: Path) -> None:
        journal = two_workers(tmp_path / "s.log", 6)
        overwrite(journal, line_of(journal, 5, 1), b"garbage\n")
        report = repair(journal)
        assert (report.verdict, report.replaced) == ("repaired", 0)
        trials = trials_by_stock(journal)
        assert [(t.state, t.value) for t in trials] == [(COMPLETE, n) for n in range(6)]
        assert [t.params for t in trials] == [{"x": n} if n != 1 else {} for n in range(6)]

    def test_a_lone_worker_does_not_own_two_trials(self, tmp_path: Path) -> None:
        """With a trial in the gap, its next trial would hold both that one and its own."""
        journal = new_journal(tmp_path / "s.log")
        worker = JournalStorage(DurableJournalFileBackend(journal))
        for number in range(3):
            trial = worker.create_new_trial(0)
            worker.set_trial_user_attr(trial, "a", number)
            worker.set_trial_state_values(trial, COMPLETE, [number])
        overwrite(journal, line_of(journal, 8, 1), b"garbage\n")
        assert (repair(journal).verdict, len(trials_by_stock(journal))) == ("repaired", 3)

    @pytest.mark.parametrize(("late", "fits"), [(False, True), (True, False)])
    def test_nothing_may_follow_the_end_of_a_trial(self, late: bool, fits: bool) -> None:
        when = "2026-01-01T00:00:00+00:00"
        writer = {"worker_id": "w-1"}
        records: list[dict[str, Any]] = [
            {"op_code": 0, **writer, "study_name": "study", "directions": [1]},
            {"op_code": 4, **writer, "study_id": 0, "datetime_start": when},
            {"op_code": 8, **writer, "trial_id": 0, "user_attr": {"a": 1}},
            {"op_code": 6, **writer, "trial_id": 0, "state": 3, "values": None},
        ]
        records[3]["datetime_complete"] = when
        if late:
            records.append(records[2])
        pieces: list[bytes | None] = [line(record) for record in records]
        pieces.insert(1, None)
        assert Variant(pieces, (False,)).fits == fits

    def test_records_of_a_supervisor_do_not_confuse_it(self, tmp_path: Path) -> None:
        """A parent writes attributes of trials that are not its own, and fails them."""
        journal = two_workers(tmp_path / "s.log", 2)
        worker, parent = (JournalStorage(DurableJournalFileBackend(journal)) for _ in range(2))
        dead = worker.create_new_trial(0)
        parent.set_trial_user_attr(dead, "jl_fail_reason", "killed")
        parent.set_trial_state_values(dead, FAIL)
        queued = optuna.trial.create_trial(state=TrialState.WAITING)
        retry = parent.create_new_trial(0, queued)
        other = JournalStorage(DurableJournalFileBackend(journal))
        other.set_trial_state_values(retry, RUNNING)
        other.set_trial_state_values(retry, COMPLETE, [7.0])
        overwrite(journal, line_of(journal, 5, 0), b"garbage\n")
        assert repair(journal).verdict == "repaired"
        assert [t.state for t in trials_by_stock(journal)][2:] == [FAIL, COMPLETE]

    def test_doubt_leaves_everything_untouched(self, tmp_path: Path) -> None:
        journal = two_workers(tmp_path / "s.log", 4)
        lines = journal.read_bytes().splitlines(keepends=True)
        create = lines[line_of(journal, 4, 0)]
        # The new trial is number 4 if the garbage was nothing, and 5 if it was a trial.
        self._is_untouched(journal, [*lines, b"garbage\n", create], "both with and without")
        # The study itself.
        self._is_untouched(journal, [b"garbage\n", *lines[1:]], "neither with nor without")

    @staticmethod
    def _is_untouched(journal: Path, lines: list[bytes], why: str) -> None:
        journal.write_bytes(b"".join(lines))
        before = journal.read_bytes(), sorted(os.listdir(journal.parent))
        report = repair(journal)
        assert (report.verdict, report.backup) == ("unrepairable", None)
        assert why in report.reason
        assert report.lines()[-1].startswith(f"{journal}: cannot be repaired, nothing changed")
        assert (journal.read_bytes(), sorted(os.listdir(journal.parent))) == before

    def test_too_many_holes_are_not_tried(self, tmp_path: Path) -> None:
        journal = two_workers(tmp_path / "s.log", 4)
        insert(journal, 3, b"garbage\n" * 40)
        assert "40 places may have held a trial" in repair(journal).reason

    def test_a_record_that_means_nothing_is_named(self, tmp_path: Path) -> None:
        journal = two_workers(tmp_path / "s.log", 2)
        insert(journal, 3, b'{"op_code":6}\n')
        assert "record 4 means nothing" in repair(journal).reason
