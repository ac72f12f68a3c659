"""The lock, with real processes: dies with its holder, is never stolen, and stock obeys it."""

import errno
import fcntl
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from optuna.storages.journal import JournalFileOpenLock, JournalFileSymlinkLock
from stock_and_ours import (
    HOLD,
    attribute,
    keys_by_stock,
    new_journal,
    said,
    seconds_to_acquire,
    start,
)

from journal_launcher.base.errors import UsageError
from journal_launcher.study.journal import lock as lock_module
from journal_launcher.study.journal.backend import DurableJournalFileBackend
from journal_launcher.study.journal.lock import JournalLock


@pytest.fixture
def journal(tmp_path: Path) -> str:
    return str(tmp_path / "s.log")


@contextmanager
def holder(journal: str) -> Iterator[int]:
    """Another process that holds the lock; its id."""
    process = start(HOLD, journal)
    try:
        assert said(process) == "held"
        yield process.pid
    finally:
        process.kill()
        process.communicate()


class TestHolding:
    def test_leaves_no_link_behind_and_knows_misuse(self, journal: str) -> None:
        lock = JournalLock(journal)
        assert lock.acquire() is True
        assert os.path.samefile(f"{journal}.lock", f"{journal}.flock")
        assert Path(f"{journal}.flock").read_text().split()[0] == str(os.getpid())
        lock.release()
        assert not os.path.lexists(f"{journal}.lock")
        with pytest.raises(RuntimeError, match="without being held"):
            lock.release()

    def test_excludes_threads_that_share_the_object(self, journal: str) -> None:
        lock, inside, most = JournalLock(journal), [0], [0]

        def work() -> None:
            for _ in range(50):
                lock.acquire()
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0)
                inside[0] -= 1
                lock.release()

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert most[0] == 1

    def test_a_side_file_that_was_removed_does_not_split_the_lock(self, journal: str) -> None:
        first, second = JournalLock(journal), JournalLock(journal)
        first.acquire()
        waiting = threading.Thread(target=second.acquire)
        waiting.start()
        waiting.join(0.1)
        os.unlink(f"{journal}.flock")
        first.release()
        waiting.join(10)
        assert os.path.samefile(f"{journal}.lock", f"{journal}.flock")
        with pytest.raises(BlockingIOError), open(f"{journal}.flock") as side:
            fcntl.flock(side, fcntl.LOCK_EX | fcntl.LOCK_NB)
        second.release()

    @pytest.mark.timeout(20)
    def test_a_link_that_cannot_be_placed_leaves_nothing_locked(
        self, journal: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        lock = JournalLock(journal)
        with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
            patch.setattr(os, "symlink", full)
            lock.acquire()
        assert not lock.held
        seconds_to_acquire(journal)

    @pytest.mark.timeout(20)
    def test_a_side_file_that_is_a_link_is_refused(self, journal: str, tmp_path: Path) -> None:
        os.symlink(tmp_path / "theirs", f"{journal}.flock")
        with pytest.raises(UsageError, match="expected a plain file, found a symbolic link"):
            JournalLock(journal).acquire()
        assert not (tmp_path / "theirs").exists()

    def test_stock_waits_for_us(self, journal: str) -> None:
        lock, done = JournalLock(journal), threading.Event()
        lock.acquire()

        def wait() -> None:
            other = JournalFileSymlinkLock(journal)
            other.acquire()
            done.set()
            other.release()

        thread = threading.Thread(target=wait)
        thread.start()
        assert not done.wait(0.2)
        lock.release()
        assert done.wait(20)
        thread.join()

    @pytest.mark.parametrize("kind", [JournalFileSymlinkLock, JournalFileOpenLock])
    def test_we_wait_for_stock(self, journal: str, kind: type[JournalFileSymlinkLock]) -> None:
        other = kind(journal)
        other.acquire()
        threading.Timer(0.2, other.release).start()
        assert 0.15 < seconds_to_acquire(journal) < 2


class TestDeadHolders:
    def test_a_killed_holder_costs_nothing(self, journal: str) -> None:
        for _ in range(3):
            with holder(journal) as process:
                os.kill(process, signal.SIGKILL)
            assert os.path.lexists(f"{journal}.lock")
            assert seconds_to_acquire(journal) < 0.1

    def test_stock_is_still_blocked_by_a_killed_holder(self, journal: str) -> None:
        """The control: the same kill, and the lock of the other kind."""
        ours = "journal_launcher.study.journal.lock import JournalLock"
        stock = "optuna.storages.journal import JournalFileSymlinkLock as JournalLock"
        code = HOLD.replace(ours, stock)
        Path(journal).touch()
        process = start(code, journal)
        assert said(process) == "held"
        process.kill()
        process.communicate()
        done = threading.Event()
        other = JournalFileSymlinkLock(journal, grace_period=3)

        def wait() -> None:
            other.acquire()
            done.set()
            other.release()

        thread = threading.Thread(target=wait)
        thread.start()
        assert not done.wait(1)
        thread.join()

    def test_a_stale_stock_lock_is_broken_after_its_grace(
        self, journal: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lock_module, "GRACE_S", 0.3)
        os.symlink("s.log", f"{journal}.lock")  # dangles, which stock waiters never get over
        assert 0.3 < seconds_to_acquire(journal) < 1

    def test_a_stock_lock_that_changes_hands_is_not_stale(
        self, journal: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lock_module, "GRACE_S", 0.4)
        ended = threading.Event()

        os.symlink(journal, f"{journal}.lock")

        def hand_over() -> None:
            for _ in range(10):
                ended.wait(0.1)
                os.symlink(journal, f"{journal}.new")
                os.rename(f"{journal}.new", f"{journal}.lock")
            ended.set()
            os.unlink(f"{journal}.lock")

        thread = threading.Thread(target=hand_over)
        thread.start()
        assert seconds_to_acquire(journal) > 0.9
        thread.join()

    def test_a_live_stock_lock_that_replaced_the_dead_one_is_put_back(self, journal: str) -> None:
        lock = JournalLock(journal)
        os.symlink("s.log.flock", f"{journal}.lock")
        dead = lock_module._identity(f"{journal}.lock")
        os.unlink(f"{journal}.lock")
        os.symlink(journal, f"{journal}.lock")
        lock._break_link(dead)
        assert os.readlink(f"{journal}.lock") == journal
        assert sorted(os.listdir(os.path.dirname(journal))) == ["s.log.lock"]


FORK_WHILE_HELD = (
    "import fcntl, os, sys, threading, time\n"
    "from journal_launcher.study.journal.lock import JournalLock\n"
    "held = threading.Event()\n"
    "def hold():\n"
    "    if sys.argv[2] == 'ours':\n"
    "        JournalLock(sys.argv[1]).acquire()\n"
    "    else:\n"
    "        side = os.open(sys.argv[1] + '.flock', os.O_RDWR | os.O_CREAT)\n"
    "        fcntl.flock(side, fcntl.LOCK_EX)\n"
    "    held.set()\n"
    "    time.sleep(60)\n"
    "threading.Thread(target=hold, daemon=True).start()\n"
    "held.wait()\n"
    "child = os.fork()\n"
    "if child == 0:\n"
    "    time.sleep(60)\n"
    "print(child, flush=True)\n"
    "time.sleep(60)\n"
)


@pytest.mark.parametrize("kind", ["ours", "plain flock"])
def test_a_forked_child_that_outlives_its_killed_parent(journal: str, kind: str) -> None:
    process = start(FORK_WHILE_HELD, journal, kind)
    child = int(said(process))
    process.kill()
    process.wait()
    try:
        with open(f"{journal}.flock") as side:
            if kind == "ours":
                assert seconds_to_acquire(journal) < 0.1
            else:  # the control: without the hook at fork, the child keeps the lock
                with pytest.raises(BlockingIOError):
                    fcntl.flock(side, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.kill(child, signal.SIGKILL)
        process.communicate()


def test_an_interrupt_right_after_acquiring_does_not_keep_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Optuna catches Ctrl-C in an objective and records the trial's failure: a second append."""
    journal = new_journal(tmp_path / "s.log")
    backend = DurableJournalFileBackend(journal)
    acquire = JournalLock.acquire

    def interrupted(lock: JournalLock) -> bool:
        acquire(lock)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(JournalLock, "acquire", interrupted)
        with pytest.raises(KeyboardInterrupt):
            backend.append_logs([attribute("a")])
    assert seconds_to_acquire(str(journal)) < 0.1
    assert keys_by_stock(journal) == []


def test_an_interrupt_while_releasing_does_not_keep_the_lock(
    journal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(set[int]):
        def discard(self, descriptor: int) -> None:
            super().discard(descriptor)
            raise KeyboardInterrupt

    lock = JournalLock(journal)
    with monkeypatch.context() as patch:
        patch.setattr(lock_module, "_descriptors", Interrupted())
        lock.acquire()
        with pytest.raises(KeyboardInterrupt):
            lock.release()
    with open(f"{journal}.flock") as side:
        fcntl.flock(side, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_an_interrupted_waiter_leaves_the_holder_alone(
    journal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    holding, waiting = JournalLock(journal), JournalLock(journal)
    holding.acquire()

    def interrupt(descriptor: int, how: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", interrupt)
        with pytest.raises(KeyboardInterrupt):
            waiting.acquire()
    assert holding.still_ours()
    assert not waiting.held
    assert len(lock_module._descriptors) == 1
    holding.release()
    assert lock_module._descriptors == set()


def test_quiet_when_all_is_well(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    backend = DurableJournalFileBackend(new_journal(tmp_path / "s.log"))
    caplog.clear()
    for index in range(20):
        backend.append_logs([attribute(f"k{index}")])
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []
