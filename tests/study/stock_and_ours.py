"""What the journal tests share: stock Optuna as the judge, and real processes."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection

from journal_launcher.study.journal.backend import DurableJournalFileBackend
from journal_launcher.study.journal.lock import JournalLock

ROOT = Path(__file__).resolve().parents[2]
BACKENDS: dict[str, Any] = {"stock": JournalFileBackend, "ours": DurableJournalFileBackend}


# A process that holds the lock of argv[1] until its stdin ends.
HOLD = (
    "import sys\n"
    "from journal_launcher.study.journal.lock import JournalLock\n"
    "lock = JournalLock(sys.argv[1])\n"
    "lock.acquire()\n"
    "print('held', flush=True)\n"
    "sys.stdin.read()\n"
    "lock.release()\n"
)


def attribute(key: str, value: Any = 1) -> dict[str, Any]:
    """A record that sets an attribute of study 0."""
    return {"op_code": 2, "worker_id": "w-1", "study_id": 0, "user_attr": {key: value}}


def new_journal(path: Path, keys: int = 0) -> Path:
    """A journal with one study named "study" and the attributes k0, k1 …"""
    backend = DurableJournalFileBackend(path)
    JournalStorage(backend).create_new_study([StudyDirection.MINIMIZE], "study")
    for index in range(keys):
        backend.append_logs([attribute(f"k{index}", "v" * 20)])
    return path


def keys_by_stock(path: Path) -> list[str]:
    """The study's attributes as stock Optuna reads them; the judge of every fault test."""
    storage = JournalStorage(JournalFileBackend(str(path)))
    return list(storage.get_study_user_attrs(0))


def trials_by_stock(path: Path) -> list[optuna.trial.FrozenTrial]:
    """The study's trials as stock Optuna reads them."""
    return JournalStorage(JournalFileBackend(str(path))).get_all_trials(0)


def start(code: str, *arguments: object) -> "subprocess.Popen[str]":
    """Run `code` in a new Python process."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    paths = [str(ROOT), str(Path(__file__).parent)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: "subprocess.Popen[str]", seconds: float = 60) -> tuple[str, str]:
    """Wait for a process that must succeed; its output and errors."""
    output, errors = process.communicate(timeout=seconds)
    assert process.returncode == 0, errors
    return output, errors


def said(process: "subprocess.Popen[str]") -> str:
    """The next line that a process prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def wait_until(happened: Callable[[], bool], seconds: float = 10) -> float:
    """Poll until something has happened; the seconds that it took."""
    started = time.monotonic()
    while not happened():
        assert time.monotonic() - started < seconds, f"not within {seconds} s"
        time.sleep(0.002)
    return time.monotonic() - started


def seconds_to_acquire(journal: str) -> float:
    """How long one acquisition takes; the lock is released again."""
    lock, started = JournalLock(journal), time.monotonic()
    lock.acquire()
    took = time.monotonic() - started
    lock.release()
    return took
