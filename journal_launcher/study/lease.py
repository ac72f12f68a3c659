"""The study's lease: one launch at a time, held by operating-system locks that die with it.

Two of them: on NAME/lease.lock, which says who holds it, and on the journal itself, which stays if
somebody removes NAME/ in mid-run.
"""

import contextlib
import fcntl
import json
import os
import stat
import time
from pathlib import Path
from typing import Any

from journal_launcher.base.errors import (
    AGAIN,
    JournalDamagedError,
    StudyInUseError,
    UsageError,
)
from journal_launcher.base.paths import StudyPaths
from journal_launcher.base.plain_files import is_open_at, open_plain, read_object
from journal_launcher.base.times import utc
from journal_launcher.study.folder import check_folder, has_strange_entries

__all__ = ["Lease", "holder_of"]

_ATTEMPTS, _BETWEEN = 10, 0.02  # seconds
_REQUEUED_WAIT = 120.0  # seconds; a file server gives up a lost node's locks after 90


class Lease:
    """Exclusive hold on a study. Use as a context manager.

    Raises:
        StudyInUseError: another launch holds it; the message says who.
        UsageError: the studies folder cannot be written, or NAME/ is not the study's.
    """

    def __init__(self, path: Path, study: str, launch: str) -> None:
        self._path = path
        self._study = study
        self._launch = launch
        self._paths = StudyPaths(path.parent.parent, path.parent.name)
        self._descriptor = self._journal = -1
        self._folder: os.stat_result | None = None  # NAME/ as it was checked

    def __enter__(self) -> "Lease":
        check_folder(self._paths)  # before anything is made in it
        try:
            self.hold_journal()
            self._take_in_place()
        except BaseException:
            self.__exit__()
            raise
        return self

    def hold_journal(self) -> None:
        """Lock the journal, if there is one by now; again after another took its place.

        Raises:
            StudyInUseError: another launch holds it.
        """
        try:
            descriptor = open_plain(self._paths.journal, os.O_RDWR)
        except (OSError, UsageError):
            return  # there is none yet; whoever opens it says what else may be wrong
        self._close("_journal")
        self._journal = descriptor
        if not self._locks(descriptor):
            raise self._in_use()

    def _take_in_place(self) -> None:
        self._take()
        # Its last holder may have removed it while we waited.
        while not is_open_at(self._descriptor, self._path):
            self._close("_descriptor")
            self._take()
        holder = {
            "schema_version": 1,
            "pid": os.getpid(),
            "host": os.uname().nodename,
            "launch": self._launch,
            "study": self._study,
            "since": utc(),
        }
        if job := os.environ.get("SLURM_JOB_ID"):
            holder["job"] = job
        os.ftruncate(self._descriptor, os.pwrite(self._descriptor, json.dumps(holder).encode(), 0))
        with contextlib.suppress(FileNotFoundError):  # removed at this very moment
            self._folder = os.lstat(self._path.parent)

    def check_folder(self) -> None:
        """Look again whether NAME/ is the folder that was checked, before something goes there.

        One that was removed is made anew.

        Raises:
            JournalDamagedError: a link or another folder took its place.
        """
        try:
            with contextlib.suppress(FileExistsError):
                self._path.parent.mkdir()
            now = os.lstat(self._path.parent)
        except FileNotFoundError:
            return  # whoever writes there says what is wrong with it
        if self._folder is not None and os.path.samestat(now, self._folder):
            return
        if not stat.S_ISDIR(now.st_mode) or has_strange_entries(self._paths):
            raise JournalDamagedError(
                f"{self._path.parent}: changed underneath (another folder or a link took its "
                f"place); nothing was written to it: put the study's folder back and {AGAIN}"
            )
        self._folder = now

    def _take(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = open_plain(self._path, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise UsageError(
                f"cannot write to the studies folder {self._path.parent.parent}: {error.strerror}; "
                "choose another with --studies-dir"
            ) from None
        if not self._locks(self._descriptor):
            raise self._in_use()

    def _locks(self, descriptor: int) -> bool:
        """Lock it, if nobody has it.

        A requeued Slurm job is alone with its number: if that holds the lease, its run before is
        dead, and a file server has only not noticed yet that a node is gone.
        """
        job = os.environ.get("SLURM_JOB_ID")
        requeued = job and os.environ.get("SLURM_RESTART_COUNT", "0") != "0"
        ours = requeued and read_object(self._path).get("job") == job
        until = time.monotonic() + (_REQUEUED_WAIT if ours else 0.0)
        while not _lock(descriptor):
            if time.monotonic() >= until:
                return False
        return True

    def _in_use(self) -> StudyInUseError:
        return StudyInUseError(
            f"study {self._study} is in use by {_describe(read_object(self._path))}; wait for it, "
            "stop it, or choose another --study-name"
        )

    def __exit__(self, *_: object) -> None:
        self._close("_descriptor")
        self._close("_journal")

    def _close(self, which: str) -> None:
        descriptor = getattr(self, which)
        setattr(self, which, -1)
        if descriptor >= 0:
            os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Try for a moment: `holder_of` in another process holds a shared lock while it looks."""
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(_BETWEEN)
    return False


def holder_of(path: Path) -> str | None:
    """Who holds the lease at `path` now, in words; None when it is free."""
    try:
        descriptor = open_plain(path, os.O_RDONLY)
    except (OSError, UsageError):
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _describe(read_object(path))
    finally:
        os.close(descriptor)
    return None


def _describe(holder: dict[str, Any]) -> str:
    if not holder:
        return "another launch"
    return f"pid {holder.get('pid')} on {holder.get('host')} since {holder.get('since')}"
