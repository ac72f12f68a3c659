"""Repair: recovers what is beyond doubt, keeps the original, and never renumbers trials."""

import fcntl
import json
import os
import threading
from pathlib import Path
from typing import Any

import optuna
import pytest
from damage import COMPLETE, FAIL, RUNNING, insert, line, line_of, overwrite, two_workers
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from stock_and_ours import attribute, keys_by_stock, new_journal, trials_by_stock

from journal_launcher.base.errors import JournalDamagedError, UsageError
from journal_launcher.study import repair as module
from journal_launcher.study.journal.backend import DurableJournalFileBackend
from journal_launcher.study.repair import diagnose, repair


def refused_by_us(journal: Path) -> bool:
    try:
        JournalStorage(DurableJournalFileBackend(journal))
    except JournalDamagedError:
        return True
    return False


class TestSound:
    def test_a_sound_journal_is_left_alone(self, tmp_path: Path) -> None:
        journal = two_workers(tmp_path / "s.log", 4)
        before = journal.read_bytes(), sorted(os.listdir(tmp_path))
        report = repair(journal)
        assert (report.verdict, report.records, report.problems) == ("sound", 13, ())
        assert report.lines() == [f"{journal}: sound, 13 records"]
        assert (journal.read_bytes(), sorted(os.listdir(tmp_path))) == before

    def test_an_empty_journal_is_sound(self, tmp_path: Path) -> None:
        (tmp_path / "s.log").touch()
        assert diagnose(tmp_path / "s.log").verdict == "sound"

    def test_no_journal_and_links_are_usage_errors(self, tmp_path: Path) -> None:
        (tmp_path / "link.log").symlink_to(new_journal(tmp_path / "s.log"))
        for name in ("missing.log", "link.log"):
            for act in (diagnose, repair):
                with pytest.raises(UsageError):
                    act(tmp_path / name)


class TestCertain:
    """Damage that nobody can have counted as a record."""

    TORN = b'{"op_code":4,"worker_id":"w-9","study_id":0,"datet'

    @pytest.mark.parametrize(
        ("damage", "recovered"),
        [
            (b"\n", 0),
            (TORN + line(attribute("glued")), 1),
            (line(attribute("glued"))[:-1] + line(attribute("glued2")), 2),
            (b"\0" * 4096 + line(attribute("glued")), 1),
            (line(attribute("x"))[:30] + b"\n", 0),
        ],
    )
    def test_is_repaired_and_the_original_kept(
        self, tmp_path: Path, damage: bytes, recovered: int
    ) -> None:
        journal = new_journal(tmp_path / "s.log", keys=3)
        byte = insert(journal, 2, damage)
        damaged = journal.read_bytes()
        assert refused_by_us(journal)

        dry = repair(journal, dry_run=True)
        assert (dry.verdict, dry.backup) == ("repairable", None)
        assert journal.read_bytes() == damaged
        assert [(p.line, p.byte) for p in dry.problems] == [(3, byte)]

        report = repair(journal)
        assert (report.verdict, report.recovered) == ("repaired", recovered)
        assert report.backup is not None
        assert report.backup.name.startswith("s.log.2")
        assert report.backup.name.endswith("Z.bak")
        assert report.backup.read_bytes() == damaged
        found = keys_by_stock(journal)
        assert [key for key in found if key.startswith("k")] == ["k0", "k1", "k2"]
        assert len(found) == 3 + recovered
        assert f"line 3, byte {byte}: " in report.lines()[0]
        assert str(report.backup) in report.lines()[-1]
        assert diagnose(journal).verdict == "sound"
        assert not os.path.lexists(f"{journal}.lock")

    @pytest.mark.parametrize("garbage", [b"garbage\n", b"\0" * 200 + b"\n", b"a\nb\n"])
    def test_garbage_after_which_nothing_is_created_is_dropped(
        self, tmp_path: Path, garbage: bytes
    ) -> None:
        journal = two_workers(tmp_path / "s.log", 4)
        whole = journal.read_bytes()
        journal.write_bytes(whole + garbage)
        assert refused_by_us(journal)
        assert repair(journal).verdict == "repaired"
        assert journal.read_bytes() == whole

    @pytest.mark.parametrize("cut", [1, 25])
    def test_a_torn_tail(self, tmp_path: Path, cut: int) -> None:
        journal = new_journal(tmp_path / "s.log", keys=3)
        os.truncate(journal, journal.stat().st_size - cut)
        report = repair(journal)
        assert (report.verdict, report.recovered) == ("repaired", int(cut == 1))
        assert keys_by_stock(journal) == ["k0", "k1", "k2"][: 3 if cut == 1 else 2]

    def test_what_stock_leaves_after_a_kill(self, tmp_path: Path) -> None:
        """The torn tail glued by stock, then written to by a worker that got a stale trial."""
        journal = two_workers(tmp_path / "s.log", 4)
        with journal.open("ab") as file:
            file.write(self.TORN)
        storage = JournalStorage(JournalFileBackend(str(journal)))
        with pytest.raises(AttributeError):
            storage.create_new_trial(0)
        storage._backend.append_logs([attribute("later")])
        with pytest.raises(json.JSONDecodeError):
            trials_by_stock(journal)
        assert repair(journal).recovered == 1
        assert [t.state for t in trials_by_stock(journal)] == [COMPLETE] * 4 + [RUNNING]
        assert keys_by_stock(journal) == ["later"]

    def test_other_stock_writers_after_a_glued_line(self, tmp_path: Path) -> None:
        """Each appends once more before it reads the damage; nobody has counted the torn record."""
        journal = two_workers(tmp_path / "s.log", 4)
        storages = [JournalStorage(JournalFileBackend(str(journal))) for _ in range(3)]
        with journal.open("ab") as file:
            file.write(self.TORN)
        for storage in storages:
            with pytest.raises((AttributeError, json.JSONDecodeError)):
                storage.create_new_trial(0)
        report = repair(journal)
        assert (report.verdict, report.recovered) == ("repaired", 1)
        found = [(trial.state, trial.value) for trial in trials_by_stock(journal)]
        assert found == [(COMPLETE, n) for n in range(4)] + [(RUNNING, None)] * 3


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

    @pytest.mark.parametrize("operation", [5, 6, 8])
    def test_half_a_line_that_creates_nothing_is_dropped_wherever_it_is(
        self, tmp_path: Path, operation: int
    ) -> None:
        journal = two_workers(tmp_path / "s.log", 6)
        insert(journal, 5, b'{"op_code":%d,"worker_id":"w-1","tri\n' % operation)
        assert repair(journal).verdict == "repaired"
        trials = trials_by_stock(journal)
        expected = [(COMPLETE, n, {"x": n}) for n in range(6)]
        assert [(t.state, t.value, t.params) for t in trials] == expected

    def test_a_lost_parameter_is_not_taken_for_a_trial(self, tmp_path: Path) -> None:
        journal = two_workers(tmp_path / "s.log", 6)
        overwrite(journal, line_of(journal, 5, 1), b"garbage\n")
        assert repair(journal).verdict == "repaired"
        trials = trials_by_stock(journal)
        assert [(t.state, t.value) for t in trials] == [(COMPLETE, n) for n in range(6)]
        assert [t.params for t in trials] == [{"x": n} if n != 1 else {} for n in range(6)]

    def test_a_lone_worker_does_not_own_two_trials(self, tmp_path: Path) -> None:
        journal = new_journal(tmp_path / "s.log")
        worker = JournalStorage(DurableJournalFileBackend(journal))
        for number in range(3):
            trial = worker.create_new_trial(0)
            worker.set_trial_user_attr(trial, "a", number)
            worker.set_trial_state_values(trial, COMPLETE, [number])
        overwrite(journal, line_of(journal, 8, 1), b"garbage\n")
        assert (repair(journal).verdict, len(trials_by_stock(journal))) == ("repaired", 3)

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

    def test_a_lost_trial_is_noticed_by_what_its_worker_wrote(self, tmp_path: Path) -> None:
        """Whichever of a worker's trials it was, and whoever else wrote meanwhile."""
        journal = two_workers(tmp_path / "s.log", 6)
        lines = journal.read_bytes().splitlines(keepends=True)
        for number in range(6):
            at = line_of(two_workers(tmp_path / f"{number}.log", 6), 4, number)
            damaged = [*lines[:at], b"garbage\n", *lines[at + 1 :]]
            self._is_untouched(journal, damaged, "is about nothing or another's trial")

    @pytest.mark.parametrize(("late", "verdict"), [(False, "repaired"), (True, "unrepairable")])
    def test_its_worker_writes_nothing_after_the_end_of_a_trial(
        self, tmp_path: Path, late: bool, verdict: str
    ) -> None:
        journal = two_workers(tmp_path / "s.log", 2)
        lines = journal.read_bytes().splitlines(keepends=True)
        param = lines[line_of(journal, 5, 0)]
        journal.write_bytes(b"".join([lines[0], b"garbage\n", *lines[1:], *([param] * late)]))
        assert repair(journal).verdict == verdict

    def test_any_number_of_lines_that_were_no_trial_is_dropped(self, tmp_path: Path) -> None:
        journal = two_workers(tmp_path / "s.log", 4)
        whole = journal.read_bytes()
        insert(journal, 3, b"garbage\n" * 40)
        assert repair(journal).verdict == "repaired"
        assert journal.read_bytes() == whole

    @pytest.mark.parametrize("fields", [b'"trial_id":0', b'"trial_id":"0","worker_id":"w"'])
    def test_a_journal_that_optuna_opens_is_sound(self, tmp_path: Path, fields: bytes) -> None:
        """What Optuna does without, or passes over (a text as id), is no damage."""
        journal = two_workers(tmp_path / "s.log", 2)
        insert(journal, 3, b'{"op_code":8,"user_attr":{"a":1},%s}\n' % fields)
        assert len(trials_by_stock(journal)) == 2
        assert diagnose(journal).verdict == "sound"

    def test_doubt_leaves_everything_untouched(self, tmp_path: Path) -> None:
        journal = two_workers(tmp_path / "s.log", 4)
        lines = journal.read_bytes().splitlines(keepends=True)
        create = lines[line_of(journal, 4, 0)]
        # The new trial is number 4 if the garbage was nothing, and 5 if it was a trial.
        self._is_untouched(journal, [*lines, b"garbage\n", create], "nothing tells")
        # The study itself.
        self._is_untouched(journal, [b"garbage\n", *lines[1:]], "is about nothing")
        # The last trial, of which later records tell.
        last = max(at for at, text in enumerate(lines) if text.startswith(b'{"op_code":4,'))
        damaged = [*lines[:last], b"garbage\n", *lines[last + 1 :]]
        self._is_untouched(journal, damaged, "is about nothing")
        # A study without trials.
        journal.unlink()
        lines = new_journal(journal, keys=2).read_bytes().splitlines(keepends=True)
        self._is_untouched(journal, [b"garbage\n", *lines[1:]], "is about nothing")

    @staticmethod
    def _is_untouched(journal: Path, lines: list[bytes], why: str) -> None:
        journal.write_bytes(b"".join(lines))
        before = journal.read_bytes(), sorted(os.listdir(journal.parent))
        report = repair(journal)
        assert (report.verdict, report.backup) == ("unrepairable", None)
        assert why in report.reason
        assert report.lines()[-1].startswith(f"{journal}: cannot be repaired, nothing changed")
        assert (journal.read_bytes(), sorted(os.listdir(journal.parent))) == before

    def test_a_record_that_means_nothing_is_named(self, tmp_path: Path) -> None:
        journal = two_workers(tmp_path / "s.log", 2)
        insert(journal, 3, b'{"op_code":6}\n')
        assert "record 4 means nothing" in repair(journal).reason


def test_open_journals_notice_the_repair(tmp_path: Path) -> None:
    journal = new_journal(tmp_path / "s.log", keys=2)
    backend = DurableJournalFileBackend(journal)
    list(backend.read_logs(0))
    insert(journal, 3, b"\n")
    repair(journal)
    with pytest.raises(JournalDamagedError, match="changed underneath"):
        backend.append_logs([attribute("a")])


def test_a_writer_beside_it_waits_and_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between reading and replacing nothing may be appended: it would be acknowledged and lost."""
    journal = new_journal(tmp_path / "s.log", keys=2)
    insert(journal, 2, b"\n")
    backend = DurableJournalFileBackend(journal)
    acknowledged: list[str] = []
    refused: list[Exception] = []

    def append() -> None:
        try:
            backend.append_logs([attribute("beside")])
            acknowledged.append("beside")
        except JournalDamagedError as error:
            refused.append(error)

    writer = threading.Thread(target=append)

    def excluded() -> bool:
        with open(f"{journal}.flock") as side:
            try:
                fcntl.flock(side, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return os.path.islink(f"{journal}.lock")  # which stock writers obey
            return False

    examine, write = module._examine, module.write_bytes
    held: list[bool] = []

    def examined(path: Path) -> Any:
        held.append(excluded())
        found = examine(path)
        writer.start()
        return found

    def written(path: Path, content: bytes) -> None:
        held.append(excluded())
        write(path, content)
        held.append(excluded())

    monkeypatch.setattr(module, "_examine", examined)
    monkeypatch.setattr(module, "write_bytes", written)
    (tmp_path / "s.log.flock").touch()
    assert repair(journal).verdict == "repaired"
    writer.join()
    assert held == [True] * 3
    assert len(refused) == 1 and "changed underneath" in str(refused[0])
    assert keys_by_stock(journal) == ["k0", "k1", *acknowledged]


def test_a_failed_write_leaves_the_journal_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = new_journal(tmp_path / "s.log", keys=2)
    insert(journal, 2, b"\n")
    before = journal.read_bytes()

    def fail(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        repair(journal)
    assert journal.read_bytes() == before
    assert not os.path.lexists(f"{journal}.lock")
