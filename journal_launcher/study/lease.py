"""The study's lease: one launch at a time, held by an operating-system lock that dies with it."""

import contextlib
import fcntl
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

from journal_launcher.base.errors import StudyInUseError, UsageError
from journal_launcher.base.times import utc

__all__ = ["Lease", "holder_of"]

_ATTEMPTS, _BETWEEN = 10, 0.02  # seconds


class Lease:
    """Exclusive hold on a study. Use as a context manager.

    Raises:
        StudyInUseError: another launch holds it; the message says who.
        UsageError: the studies folder cannot be written.
    """

    def __init__(self, path: Path, study: str, launch: str) -> None:
        self._path, self._study, self._launch = path, study, launch
        self._descriptor = -1

    def __enter__(self) -> "Lease":
        self._take()
        while not self._is_in_place():  # its last holder removed it while we waited
            os.close(self._descriptor)
            self._take()
        holder = {
            "schema_version": 1,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "launch": self._launch,
            "since": utc(),
        }
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps(holder).encode(), 0)
        return self

    def _take(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(self._path, flags, 0o600)
        except OSError as error:
            raise UsageError(
                f"cannot write to the studies folder {self._path.parent.parent}: {error.strerror}; "
                "choose another with --studies-dir"
            ) from None
        if not _lock(self._descriptor):
            os.close(self._descriptor)
            raise StudyInUseError(
                f"study {self._study} is in use by {_describe(_read(self._path))}; wait for it, "
                "stop it, or choose another --study-name"
            )

    def _is_in_place(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._descriptor), os.lstat(self._path))
        except FileNotFoundError:
            return False

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


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
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _describe(_read(path))
    finally:
        os.close(descriptor)
    return None


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _describe(holder: dict[str, Any]) -> str:
    if not holder:
        return "another launch"
    return f"pid {holder.get('pid')} on {holder.get('host')} since {holder.get('since')}"
