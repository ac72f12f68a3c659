"""Repair: recovers what is beyond doubt, keeps the original, and never renumbers trials."""

import fcntl
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from damage import COMPLETE, RUNNING, insert, line, two_workers
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
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
