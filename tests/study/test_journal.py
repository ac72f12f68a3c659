"""The journal as a backend: compatible, strict about damage, never in a file it does not know."""

import logging
import os
import pickle
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from disk_steps import disk_steps
from optuna.storages.journal import JournalFileBackend
from stock_and_ours import (
    attribute,
    finish,
    keys_by_stock,
    new_journal,
    seconds_to_acquire,
    start,
)

from journal_launcher.base.errors import ExitCode, UsageError
from journal_launcher.study.journal.backend import DurableJournalFileBackend

NEXT = "after the fault"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def content(path: Path) -> bytes:
    return path.read_bytes()


class TestOpening:
    def test_is_a_stock_backend_and_creates_private_files(self, tmp_path: Path) -> None:
        backend = DurableJournalFileBackend(tmp_path / "s.log")
        assert isinstance(backend, JournalFileBackend)
        backend.append_logs([attribute("a")])
        assert mode(tmp_path / "s.log") == mode(tmp_path / "s.log.flock") == 0o600
        assert not os.path.lexists(tmp_path / "s.log.lock")

    def test_a_new_file_is_in_its_folder_after_a_power_loss(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        synced: list[str] = []
        fsync = os.fsync

        def noted(descriptor: int) -> None:
            synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
            assert (tmp_path / "s.log").exists(), "the folder has the new file by now"
            fsync(descriptor)

        monkeypatch.setattr(os, "fsync", noted)
        DurableJournalFileBackend(tmp_path / "s.log")
        assert synced == [str(tmp_path)]
        DurableJournalFileBackend(tmp_path / "s.log")
        assert len(synced) == 1, "nothing was created"

    def test_a_relative_path_survives_chdir(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path)
        backend = DurableJournalFileBackend("s.log")
        monkeypatch.chdir(tmp_path / "elsewhere")
        backend.append_logs([attribute("a")])
        assert list(backend.read_logs(0)) == [attribute("a")]
        assert list((tmp_path / "elsewhere").iterdir()) == []

    def test_create_false_never_creates(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="expected a journal, found none"):
            DurableJournalFileBackend(tmp_path / "s.log", create=False)
        assert list(tmp_path.iterdir()) == []

    def test_read_only_never_writes(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="found none"):
            DurableJournalFileBackend(tmp_path / "s.log", read_only=True)
        journal = new_journal(tmp_path / "s.log", keys=2)
        before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
        backend = DurableJournalFileBackend(journal, read_only=True)
        assert len(list(backend.read_logs(0))) == 3
        with pytest.raises(RuntimeError, match="read-only"):
            backend.append_logs([attribute("a")])
        assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before

    @pytest.mark.parametrize("read_only", [True, False])
    def test_a_symbolic_link_is_refused(self, tmp_path: Path, read_only: bool) -> None:
        victim = tmp_path / "victim"
        victim.write_text("precious")
        (tmp_path / "s.log").symlink_to(victim)
        with pytest.raises(UsageError, match="symbolic link"):
            DurableJournalFileBackend(tmp_path / "s.log", read_only=read_only)
        assert victim.read_text() == "precious"

    @pytest.mark.timeout(20)
    @pytest.mark.parametrize("read_only", [True, False])
    def test_a_pipe_is_refused_without_waiting_for_its_other_end(
        self, tmp_path: Path, read_only: bool
    ) -> None:
        os.mkfifo(tmp_path / "s.log")
        with pytest.raises(UsageError, match="something else than a file"):
            DurableJournalFileBackend(tmp_path / "s.log", read_only=read_only)

    def test_a_missing_folder_is_a_usage_error(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError) as caught:
            DurableJournalFileBackend(tmp_path / "no" / "s.log")
        assert caught.value.exit_code == ExitCode.USAGE

    def test_a_folder_that_cannot_be_written_is_a_usage_error(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        journal = new_journal(tmp_path / "s.log")
        monkeypatch.setattr(os, "access", lambda path, how: path != str(tmp_path))  # also as root
        with pytest.raises(UsageError, match="cannot be written"):
            DurableJournalFileBackend(journal)
        DurableJournalFileBackend(journal, read_only=True)

    def test_importing_it_loads_nothing_heavy(self) -> None:
        code = (
            "import sys, journal_launcher; journal_launcher.DurableJournalFileBackend\n"
            "print(sorted({'torch', 'sklearn', 'pandas', 'catboost'} & set(sys.modules)))"
        )
        assert finish(start(code))[0].strip() == "[]"


class TestAppending:
    def test_writes_the_same_bytes_as_stock(self, tmp_path: Path) -> None:
        values: list[Any] = ["ü\n\0\udc80", float("nan"), float("-inf"), 1e-320, 10**30, None, {}]
        records = [attribute(f"k{index}", value) for index, value in enumerate(values)]
        JournalFileBackend(str(tmp_path / "stock.log")).append_logs(records)
        DurableJournalFileBackend(tmp_path / "ours.log").append_logs(records)
        assert content(tmp_path / "ours.log") == content(tmp_path / "stock.log")

    def test_a_value_that_is_not_json_leaves_no_trace(self, tmp_path: Path) -> None:
        journal = new_journal(tmp_path / "s.log", keys=1)
        before = content(journal)
        with pytest.raises(TypeError):
            DurableJournalFileBackend(journal).append_logs(
                [attribute("a"), attribute("b", object())]
            )
        assert content(journal) == before

    def test_nothing_to_append_writes_nothing(self, tmp_path: Path) -> None:
        journal = new_journal(tmp_path / "s.log")
        before = content(journal)
        DurableJournalFileBackend(journal).append_logs([])
        assert content(journal) == before

    def test_threads_may_share_one_backend(self, tmp_path: Path) -> None:
        journal = new_journal(tmp_path / "s.log")
        backend = DurableJournalFileBackend(journal)

        def write(thread: int) -> None:
            for index in range(25):
                backend.append_logs([attribute(f"{thread}-{index}")])

        threads = [threading.Thread(target=write, args=(index,)) for index in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(keys_by_stock(journal)) == 200

    @pytest.mark.timeout(30)
    def test_a_slow_disk_of_one_writer_keeps_no_other_from_writing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Flushes that overlap share one commit of the disk; behind a lock they would queue."""
        journal = new_journal(tmp_path / "s.log")
        flushing, flushed, fsync = threading.Event(), threading.Event(), os.fsync

        def slow(descriptor: int) -> None:
            if threading.current_thread() is thread:
                flushing.set()
                assert flushed.wait(20)
            fsync(descriptor)

        def write() -> None:
            DurableJournalFileBackend(journal).append_logs([attribute("slow")])

        thread = threading.Thread(target=write)
        monkeypatch.setattr(os, "fsync", slow)
        thread.start()
        assert flushing.wait(20)
        assert seconds_to_acquire(str(journal)) < 5
        DurableJournalFileBackend(journal).append_logs([attribute("quick")])
        assert thread.is_alive()  # not acknowledged before it is on the disk
        flushed.set()
        thread.join()
        assert keys_by_stock(journal) == ["slow", "quick"]

    def test_survives_pickling(self, tmp_path: Path) -> None:
        backend = DurableJournalFileBackend(new_journal(tmp_path / "s.log", keys=1))
        list(backend.read_logs(0))
        copy = pickle.loads(pickle.dumps(backend))
        copy.append_logs([attribute("a")])
        assert len(list(copy.read_logs(0))) == 3


class TestTornTail:
    def test_cut_at_every_byte_of_the_last_three_records(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        whole = content(new_journal(tmp_path / "whole.log", keys=5))
        lines = whole.splitlines(keepends=True)
        journal, torn = tmp_path / "s.log", tmp_path / "s.log.torn"
        for size in range(len(whole) - sum(map(len, lines[-3:])), len(whole)):
            journal.write_bytes(whole[:size])
            torn.unlink(missing_ok=True)
            caplog.clear()
            DurableJournalFileBackend(journal).append_logs([attribute(NEXT)])
            complete = whole[: size + 1].count(b"\n")  # a record that lacks its newline only: kept
            assert keys_by_stock(journal) == [f"k{i}" for i in range(complete - 1)] + [NEXT]
            tail = whole[:size].rpartition(b"\n")[2]
            assert len(caplog.messages) == bool(tail)
            cut = bool(tail) and complete == whole[:size].count(b"\n")
            assert torn.exists() == cut
            if cut:
                assert tail in content(torn)

    def test_stock_glues_at_the_same_cut(self, tmp_path: Path) -> None:
        """The control: what the test above would show of a backend that mends nothing."""
        journal = new_journal(tmp_path / "s.log", keys=5)
        os.truncate(journal, journal.stat().st_size - 10)
        JournalFileBackend(str(journal)).append_logs([attribute(NEXT)])
        assert NEXT not in keys_by_stock(journal)

    @pytest.mark.parametrize(
        "tail", [b"\0" * 4096, b'{"op_code":2}\0\0', b"[1, 2]", b"x" * 200_000]
    )
    def test_what_is_no_record_is_saved_and_cut(self, tmp_path: Path, tail: bytes) -> None:
        journal = new_journal(tmp_path / "s.log", keys=2)
        with journal.open("ab") as file:
            file.write(tail)
        DurableJournalFileBackend(journal).append_logs([attribute(NEXT)])
        assert keys_by_stock(journal) == ["k0", "k1", NEXT]
        assert tail in content(tmp_path / "s.log.torn")
        assert mode(tmp_path / "s.log.torn") == 0o600

    def test_it_is_on_the_disk_elsewhere_before_it_is_cut(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        journal = new_journal(tmp_path / "s.log")
        with journal.open("ab") as file:
            file.write(b'{"op_')
        steps = disk_steps(monkeypatch)
        DurableJournalFileBackend(journal).append_logs([attribute(NEXT)])
        kept, cut, written = "fsync s.log.torn", "ftruncate s.log", "write s.log"
        assert steps == [kept, cut, written, "unlink s.log.lock", "fsync s.log"]

    def test_a_link_in_the_place_of_what_is_kept_leads_nowhere(self, tmp_path: Path) -> None:
        journal = new_journal(tmp_path / "s.log")
        with journal.open("ab") as file:
            file.write(b'{"op_')
        (tmp_path / "s.log.torn").symlink_to(tmp_path / "theirs")
        before = content(journal)
        with pytest.raises(UsageError, match="expected a plain file, found a symbolic link"):
            DurableJournalFileBackend(journal).append_logs([attribute(NEXT)])
        assert content(journal) == before and not (tmp_path / "theirs").exists()

    def test_a_journal_that_is_one_torn_record(self, tmp_path: Path) -> None:
        (tmp_path / "s.log").write_bytes(b'{"op_code":0,"work')
        backend = DurableJournalFileBackend(tmp_path / "s.log")
        backend.append_logs([attribute("a")])
        assert list(backend.read_logs(0)) == [attribute("a")]

    def test_says_in_one_line_what_was_done(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        journal = new_journal(tmp_path / "s.log")
        end = journal.stat().st_size
        with journal.open("ab") as file:
            file.write(b'{"op_')
        caplog.clear()
        DurableJournalFileBackend(journal).append_logs([attribute(NEXT)])
        (record,) = caplog.records
        assert (record.name, record.levelno) == ("journal_launcher", logging.WARNING)
        assert f"{journal}, byte {end}: cut away 5 bytes" in record.getMessage()
