"""Folders of agents on their node; who comes or goes sweeps what killed agents have left."""

import contextlib
import fcntl
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from journal_launcher.base.errors import UsageError
from journal_launcher.base.plain_files import is_open_at

__all__ = ["SharedFolder", "scratch_folder", "take_over"]

_LOCK = "lock"  # held as long as an agent that uses the folder lives
_WHOLE = "whole"  # is there once a shared folder has been filled
_ATTEMPTS = 20
_LAST_WORDS = 5.0  # seconds that an agent has to die of SIGKILL


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A new empty folder, removed at the end.

    Raises:
        UsageError: there is no place for one.
    """
    try:
        with _gate() as base:
            _sweep_all(base)
            folder = Path(tempfile.mkdtemp(dir=base))
            lock = _lock_of(folder)
            fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError as error:
        raise UsageError(
            f"{os.uname().nodename}: no scratch folder in {_base()} ({error.strerror}); make room, "
            "or set TMPDIR to a folder of your own"
        ) from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
        _remove_base()


class SharedFolder:
    """A folder that all agents of a node share which ask for the same name.

    One of them fills it while the others wait; the last one that leaves removes it. If the one that
    fills it dies, another one takes over, for a lock dies with its holder.
    """

    def __init__(self, name: str) -> None:
        self.path = _base() / name
        self._lock: int | None = None

    def take(self) -> bool | None:
        """Is it filled, and stays so until `leave`? False: it is empty and ours to fill. None:
        somebody else fills it, so ask again.

        Raises:
            OSError: there is no place for it.
        """
        with _gate():
            self.path.mkdir(mode=0o700, exist_ok=True)
            lock = _lock_of(self.path)
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                filled = (self.path / _WHOLE).exists()
                if not filled:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                return None
            self._lock = lock
        if not filled:  # but somebody may have begun to fill it, and died
            for path in self.path.iterdir():
                if path.name != _LOCK:
                    shutil.rmtree(path)
        return filled

    def filled(self) -> None:
        """Whoever filled it lets the others use it."""
        assert self._lock is not None
        with _gate():  # between the two locks nobody may sweep
            (self.path / _WHOLE).touch()
            fcntl.flock(self._lock, fcntl.LOCK_SH)

    def leave(self) -> None:
        """Use it no more."""
        if self._lock is None:
            return
        with contextlib.suppress(OSError), _gate():
            os.close(self._lock)
            self._lock = None
            _sweep(self.path)
        _remove_base()


def take_over(folder: Path, owner: str) -> None:
    """Say whose `folder` is, a worker's, and end the agent that was this worker's before.

    Its parent has lost it, behind a network that was down say: nobody reads its words, but it still
    has the GPU.
    """
    for other in folder.parent.iterdir():
        if other != folder:
            _end(other, owner)
    mine = f"{os.getpid()} {os.uname().nodename} {owner}"
    (folder / _LOCK).write_text(mine)


def _end(folder: Path, owner: str) -> None:
    with contextlib.suppress(OSError):
        pid, _, whose = (folder / _LOCK).read_text().partition(" ")
        if whose != f"{os.uname().nodename} {owner}":
            return
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            until = time.monotonic() + _LAST_WORDS
            while not _locked(lock) and time.monotonic() < until:
                os.kill(int(pid), signal.SIGKILL)  # its own: it holds the lock
                time.sleep(0.02)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)


def _base() -> Path:
    return Path(tempfile.gettempdir()) / f"journal-launcher-{os.getuid()}"


@contextlib.contextmanager
def _gate() -> Iterator[Path]:
    """The folder of all folders, in which nobody else makes or sweeps one meanwhile.

    Raises:
        OSError: it cannot be made, or is somebody else's.
    """
    gate = _closed_gate(_base())
    try:
        yield _base()
    finally:
        os.close(gate)


def _closed_gate(base: Path) -> int:
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(FileNotFoundError):  # who left last has removed it
            base.mkdir(mode=0o700, exist_ok=True)
            status = os.lstat(base)
            if status.st_uid != os.getuid():
                raise PermissionError(0, f"it belongs to user {status.st_uid}")
            gate = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            fcntl.flock(gate, fcntl.LOCK_EX)
            if is_open_at(gate, base):
                return gate
            os.close(gate)
    raise FileNotFoundError(0, "it is removed time and again")


def _remove_base() -> None:
    with contextlib.suppress(OSError), _gate() as base:
        _sweep_all(base)
        base.rmdir()  # others may have theirs in it


def _lock_of(folder: Path) -> int:
    return os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _sweep_all(base: Path) -> None:
    for folder in base.iterdir():
        _sweep(folder)


def _sweep(folder: Path) -> None:
    """Remove a folder whose agents are dead: a lock dies with its holder."""
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:  # its agent was killed between two steps, or removes it now
        shutil.rmtree(folder, ignore_errors=True)
        return
    try:
        if _locked(lock):
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
