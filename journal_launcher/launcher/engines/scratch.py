"""A folder of an agent's own on its node; the next agent sweeps what killed ones have left."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from journal_launcher.base.errors import UsageError

__all__ = ["scratch_folder"]

_LOCK = "lock"  # held as long as the folder's agent lives
_ATTEMPTS = 20


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A new empty folder, removed at the end.

    Raises:
        UsageError: there is no place for one.
    """
    base = Path(tempfile.gettempdir()) / f"journal-launcher-{os.getuid()}"
    try:
        folder, lock = _made_in(base)
    except OSError as error:
        raise UsageError(
            f"{os.uname().nodename}: no scratch folder in {base} ({error.strerror}); make room, or "
            "set TMPDIR to a folder of your own"
        ) from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
        with contextlib.suppress(OSError):  # others have theirs in it
            base.rmdir()


def _made_in(base: Path) -> tuple[Path, int]:
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(FileNotFoundError):  # who swept last has removed it
            base.mkdir(mode=0o700, exist_ok=True)
            status = os.lstat(base)
            if status.st_uid != os.getuid():
                raise PermissionError(0, f"it belongs to user {status.st_uid}")
            gate = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(gate, fcntl.LOCK_EX)  # nobody sweeps what has no lock yet
                for other in base.iterdir():
                    _sweep(other)
                folder = Path(tempfile.mkdtemp(dir=base))
                lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                fcntl.flock(lock, fcntl.LOCK_EX)
                return folder, lock
            finally:
                os.close(gate)
    raise FileNotFoundError(0, "it is removed time and again")


def _sweep(folder: Path) -> None:
    """Remove a folder whose agent is dead: a lock dies with its holder."""
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:  # its agent was killed between two steps, or removes it now
        shutil.rmtree(folder, ignore_errors=True)
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        pass
    finally:
        os.close(lock)
