"""Paused holders, robbers and crowds at the lock."""

import os
import signal
import threading
from pathlib import Path

import pytest
from optuna.storages.journal import JournalFileSymlinkLock
from stock_and_ours import (
    HOLD,
    attribute,
    finish,
    keys_by_stock,
    new_journal,
    said,
    seconds_to_acquire,
    start,
    wait_until,
)

from journal_launcher.study.journal import lock as lock_module
from journal_launcher.study.journal.backend import DurableJournalFileBackend
from journal_launcher.study.journal.lock import JournalLock


@pytest.fixture
def journal(tmp_path: Path) -> str:
    return str(tmp_path / "s.log")


class TestPausedHolders:
    @pytest.mark.parametrize("seconds", [1.2, pytest.param(60, marks=pytest.mark.slow)])
    def test_ours_never_steal_and_say_who_holds_it(
        self,
        journal: str,
        seconds: float,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        if seconds < 10:
            monkeypatch.setattr(lock_module, "STALL_S", 0.2)
            monkeypatch.setattr(lock_module, "GRACE_S", 0.2)
            monkeypatch.setattr(lock_module, "_watch", lock_module._Watch())
        process = start(HOLD, journal)
        assert said(process) == "held"
        os.kill(process.pid, signal.SIGSTOP)
        acquired = threading.Event()
        lock = JournalLock(journal)

        def wait() -> None:
            lock.acquire()
            acquired.set()
            lock.release()

        thread = threading.Thread(target=wait)
        thread.start()
        assert not acquired.wait(seconds)
        message = caplog.messages[0]
        assert f"held by process {process.pid} for " in message
        assert f"{journal}.lock" in message
        assert len(caplog.messages) < 6
        os.kill(process.pid, signal.SIGCONT)
        finish(process)
        assert acquired.wait(20)
        thread.join()

    def test_a_long_holder_shows_stock_waiters_a_sign_of_life(
        self, journal: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lock_module, "STALL_S", 0.1)
        monkeypatch.setattr(lock_module, "_watch", lock_module._Watch())
        lock = JournalLock(journal)
        lock.acquire()
        before = os.stat(f"{journal}.lock").st_mtime_ns  # through the link, as stock looks at it
        wait_until(lambda: os.stat(f"{journal}.lock").st_mtime_ns > before, 2)
        lock.release()

    def test_the_watching_thread_ends_when_there_is_nothing_to_watch(
        self, journal: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lock_module, "STALL_S", 0.05)
        monkeypatch.setattr(lock_module, "_watch", lock_module._Watch())
        seconds_to_acquire(journal)
        assert lock_module._watch._running
        wait_until(lambda: not lock_module._watch._running, 2)
        seconds_to_acquire(journal)
        assert lock_module._watch._running

    def test_robbed_by_stock_it_notices_and_waits_again(self, tmp_path: Path) -> None:
        """Paused between taking the lock and writing; a stock writer takes it after its grace."""
        journal = new_journal(tmp_path / "s.log")
        code = (
            "import logging, os, signal, sys\n"
            "from stock_and_ours import attribute\n"
            "from journal_launcher.study.journal.backend import DurableJournalFileBackend\n"
            "logging.basicConfig()\n"
            "backend = DurableJournalFileBackend(sys.argv[1])\n"
            "mend, paused = backend._mend_tail, []\n"
            "def pause_once(descriptor):\n"
            "    end = mend(descriptor)\n"
            "    if not paused:\n"
            "        paused.append(True)\n"
            "        print('pausing', flush=True)\n"
            "        os.kill(os.getpid(), signal.SIGSTOP)\n"
            "    return end\n"
            "backend._mend_tail = pause_once\n"
            "backend.append_logs([attribute('paused')])\n"
        )
        process = start(code, journal)
        assert said(process) == "pausing"
        thief = JournalFileSymlinkLock(str(journal), grace_period=3)
        thief.acquire()
        line = b'{"op_code":2,"worker_id":"w","study_id":0,"user_attr":{"thief":1}}\n'
        with open(journal, "ab", buffering=0) as file:
            file.write(line[:30])
            os.kill(process.pid, signal.SIGCONT)
            with pytest.raises(Exception, match="timed out"):  # it waits while the thief writes
                process.communicate(timeout=0.5)
            file.write(line[30:])
        thief.release()
        errors = finish(process)[1]
        assert "was taken by another program while process" in errors
        assert keys_by_stock(journal) == ["thief", "paused"]

    def test_robbed_before_it_has_looked_at_the_tail_it_cuts_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The unfinished record at the end is what the thief is writing."""
        journal, link = new_journal(tmp_path / "s.log"), tmp_path / "s.log.lock"
        line = b'{"op_code":2,"worker_id":"w","study_id":0,"user_attr":{"thief":1}}\n'
        acquire, times = JournalLock.acquire, 0

        def robbed_once(lock: JournalLock) -> bool:
            nonlocal times
            times += 1
            if times == 2:
                thief.write(line[30:])
                link.unlink()
            acquire(lock)
            if times == 1:
                link.unlink()
                link.symlink_to(journal)
                thief.write(line[:30])
            return True

        monkeypatch.setattr(JournalLock, "acquire", robbed_once)
        with open(journal, "ab", buffering=0) as thief:
            DurableJournalFileBackend(journal).append_logs([attribute("ours")])
        assert keys_by_stock(journal) == ["thief", "ours"]
        assert not (tmp_path / "s.log.torn").exists() and not os.path.lexists(link)


BREAK_LOCKS = (
    "import os, sys\n"
    "from pathlib import Path\n"
    "from journal_launcher.study.journal.lock import JournalLock\n"
    "from optuna.storages.journal import JournalFileSymlinkLock\n"
    "journal, rounds, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]\n"
    "crowd = 0\n"
    "for number in range(rounds):\n"
    "    print('ready', flush=True)\n"
    "    sys.stdin.readline()\n"
    "    lock = JournalLock(journal) if kind == 'ours' else JournalFileSymlinkLock(journal, 1)\n"
    "    lock.acquire()\n"
    "    inside = f'{journal}.inside'\n"
    "    try:\n"
    "        os.close(os.open(inside, os.O_CREAT | os.O_EXCL))\n"
    "        for _ in range(2000):\n"
    "            pass\n"
    "        os.unlink(inside)\n"
    "    except OSError:\n"
    "        crowd += 1\n"
    "    try:\n"
    "        lock.release()\n"
    "    except RuntimeError:\n"
    "        crowd += 1\n"
    "print('crowd', crowd, flush=True)\n"
)


def most_holders(journal: str, kind: str, rounds: int) -> int:
    """How often two of eight processes that found one stale lock held it together."""
    Path(journal).touch()
    Path(f"{journal}.flock").touch()
    breakers = [start(BREAK_LOCKS, journal, rounds, kind) for _ in range(8)]
    for _ in range(rounds):
        assert {said(breaker) for breaker in breakers} == {"ready"}
        os.symlink("s.log.flock" if kind == "ours" else journal, f"{journal}.lock")
        for breaker in breakers:
            assert breaker.stdin is not None
            breaker.stdin.write("\n")
            breaker.stdin.flush()
    return sum(int(finish(breaker)[0].split()[-1]) for breaker in breakers)


@pytest.mark.parametrize("rounds", [30, pytest.param(500, marks=pytest.mark.slow)])
def test_eight_breakers_of_one_stale_lock(journal: str, rounds: int) -> None:
    assert most_holders(journal, "ours", rounds) == 0


@pytest.mark.slow
def test_eight_stock_breakers_hold_it_together(journal: str) -> None:
    """The control: stock waiters whose grace ends together break each other's fresh locks."""
    assert most_holders(journal, "stock", 10) > 0
