"""Which launch has which GPU: a lock on a file for each UUID, which dies with its launch.

NVML sees a launch only once its workers compute; two that begin at the same moment would take the
same GPUs. Another user's launches have files of their own: of those NVML tells.
"""

import fcntl
import os
import tempfile
from pathlib import Path

from journal_launcher.base.errors import UsageError
from journal_launcher.base.plain_files import open_plain

__all__ = ["Claims", "claimant_of", "lock_file"]


class Claims:
    """The GPUs of one launch. Use as a context manager; at its end they are free again."""

    def __init__(self) -> None:
        self._descriptors: list[int] = []

    def __enter__(self) -> "Claims":
        return self

    def __exit__(self, *_: object) -> None:
        while self._descriptors:
            os.close(self._descriptors.pop())

    def take(self, uuid: str) -> str | None:
        """Claim a GPU; or return who has it, "pid 4711"."""
        descriptor = lock_file(uuid, os.O_RDWR | os.O_CREAT)
        if descriptor is None:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return _named(descriptor)
        os.ftruncate(descriptor, os.pwrite(descriptor, str(os.getpid()).encode(), 0))
        self._descriptors.append(descriptor)
        return None


def claimant_of(uuid: str) -> str | None:
    """Who has a GPU, "pid 4711"; None if no launch of this user has."""
    descriptor = lock_file(uuid, os.O_RDONLY)
    if descriptor is None:  # NVML alone decides
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _named(descriptor)
    os.close(descriptor)
    return None


def lock_file(name: str, flags: int) -> int | None:
    """A file to lock, named by a GPU's UUID; None where there is none, or no place for one."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(runtime or f"{tempfile.gettempdir()}/journal_launcher-{os.getuid()}")
    folder = folder / "journal_launcher-gpus"
    try:
        if flags & os.O_CREAT:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return open_plain(folder / name.replace("/", "_"), flags)
    except (OSError, UsageError):
        return None


def _named(descriptor: int) -> str:
    pid = os.pread(descriptor, 20, 0).decode(errors="replace")
    os.close(descriptor)
    return f"pid {pid}"
