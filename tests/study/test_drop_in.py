"""Where Optuna's JournalFileBackend is used ours can be: the same signature, the same records."""

import inspect
import multiprocessing
import os
import threading
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import (
    JournalFileBackend,
    JournalFileOpenLock,
    JournalFileSymlinkLock,
)
from optuna.storages.journal._file import BaseJournalFileLock
from stock_and_ours import attribute, keys_by_stock, new_journal

from journal_launcher.base.errors import JournalDamagedError
from journal_launcher.study.journal.backend import DurableJournalFileBackend

RECORD = {"key": "value"}  # what Optuna's own tests append
STOCK_LOCKS = [JournalFileSymlinkLock, JournalFileOpenLock]
PROCESSES = partial(ProcessPoolExecutor, mp_context=multiprocessing.get_context("spawn"))


class OwnLock(BaseJournalFileLock):
    """A user's own, which other writers of theirs take."""

    def __init__(self, journal: Path) -> None:
        self.journal, self.steps = journal, list[str]()

    def acquire(self) -> bool:
        self.steps.append(f"acquired at {self.journal.stat().st_size}")
        return True

    def release(self) -> None:
        self.steps.append(f"released at {self.journal.stat().st_size}")


def test_every_parameter_of_optunas_is_accepted_in_its_place() -> None:
    theirs = list(inspect.signature(JournalFileBackend).parameters.values())
    ours = list(inspect.signature(DurableJournalFileBackend).parameters.values())
    assert [(p.name, p.kind, p.default) for p in ours[: len(theirs)]] == [
        (p.name, p.kind, p.default) for p in theirs
    ]


@pytest.mark.parametrize("executor", [PROCESSES, ThreadPoolExecutor], ids=["processes", "threads"])
@pytest.mark.parametrize(
    ("lock", "grace"), [(None, None), (JournalFileSymlinkLock, 30), (JournalFileOpenLock, None)]
)
def test_concurrent_appends_of_any_object(
    tmp_path: Path, executor: Any, lock: Any, grace: int | None
) -> None:
    path = str(tmp_path / "s.log")
    backend = DurableJournalFileBackend(path, lock(path, grace) if lock else None)
    pool: Executor
    with executor(3) as pool:
        list(pool.map(backend.append_logs, [[RECORD] for _ in range(60)], timeout=20))
    assert list(backend.read_logs(0)) == [RECORD] * 60
    assert list(JournalFileBackend(path).read_logs(0)) == [RECORD] * 60
    assert list(backend.read_logs(59)) == [RECORD] and list(backend.read_logs(60)) == []


@pytest.mark.parametrize("lock", STOCK_LOCKS)
def test_optunas_lock_of_this_log_is_ours_by_whatever_path(
    tmp_path: Path, lock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken in addition it would wait for itself, until its grace period is over."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    monkeypatch.chdir(tmp_path / "folder")
    for named in ("s.log", str(tmp_path / "folder" / "s.log"), str(tmp_path / "link" / "s.log")):
        backend = DurableJournalFileBackend("s.log", lock_obj=lock(named, grace_period=None))
        backend.append_logs([RECORD])
    assert list(backend.read_logs(0)) == [RECORD] * 3
    assert not os.path.lexists("s.log.lock")


@pytest.mark.parametrize("lock", STOCK_LOCKS)
def test_writers_that_hold_optunas_lock_are_waited_for(tmp_path: Path, lock: Any) -> None:
    journal = new_journal(tmp_path / "s.log")
    theirs, done = lock(str(journal)), threading.Event()
    backend = DurableJournalFileBackend(journal, lock(str(journal)))
    theirs.acquire()

    def append() -> None:
        backend.append_logs([attribute("ours")])
        done.set()

    writer = threading.Thread(target=append)
    writer.start()
    try:
        with journal.open("a") as file:  # a stock writer at work
            assert not done.is_set()
            file.write('{"op_code":2,"worker_id":"w","study_id":0,"user_attr":{"theirs":1}}\n')
            assert not done.is_set()
    finally:
        theirs.release()
        writer.join()
    assert keys_by_stock(journal) == ["theirs", "ours"]


def test_another_lock_is_held_around_each_append(tmp_path: Path) -> None:
    journal = new_journal(tmp_path / "s.log")
    lock = OwnLock(journal)
    before = journal.stat().st_size
    DurableJournalFileBackend(journal, lock).append_logs([attribute("a"), attribute("b")])
    after = journal.stat().st_size
    assert lock.steps == [f"acquired at {before}", f"released at {after}"] and after > before
    elsewhere = JournalFileOpenLock(str(tmp_path / "all of mine"))
    elsewhere.acquire()
    writer = threading.Thread(
        target=DurableJournalFileBackend(journal, elsewhere).append_logs, args=([attribute("c")],)
    )
    writer.start()
    assert "c" not in keys_by_stock(journal)
    elsewhere.release()
    writer.join()
    assert keys_by_stock(journal) == ["a", "b", "c"]


def test_such_an_object_is_damage_to_a_study(tmp_path: Path) -> None:
    journal = new_journal(tmp_path / "s.log", keys=1)
    storage = JournalStorage(DurableJournalFileBackend(journal))
    byte = journal.stat().st_size
    DurableJournalFileBackend(journal).append_logs([RECORD])
    said = f"line 3, byte {byte}: expected a journal record, found JSON that is not a record"
    with pytest.raises(JournalDamagedError, match=said):
        storage.get_all_studies()
    with pytest.raises(JournalDamagedError, match=said):
        optuna.load_study(
            study_name="study", storage=JournalStorage(DurableJournalFileBackend(journal))
        )
