"""Every error the program raises on purpose, and the exit code that each one means.

    JournalLauncherError            1   the launch failed
    ├── UsageError                  2   bad input or usage; nothing was started
    │   ├── IdentityError           2   the study was created for something else
    │   └── DeviceError             2   a worker cannot use its device; others may
    ├── JournalDamagedError         3   the journal cannot be read, or changed underneath
    │   └── OtherStudiesError       3   it is whole, and has studies of other names alone
    ├── StudyInUseError             4   another launch holds the study
    └── ResumableStop              75   stopped from outside or disk full; the same command goes on

The message is one line for a person: what was expected, what was found, where, and what to type
next. `cli` prints it after "error: " and exits with `exit_code`; nobody else catches it to print.
"""

import errno
import os
import re
from collections.abc import Sequence
from enum import IntEnum

from journal_launcher.base.visible import one_line

__all__ = [
    "AGAIN",
    "DeviceError",
    "ExitCode",
    "IdentityError",
    "JournalDamagedError",
    "JournalLauncherError",
    "OtherStudiesError",
    "ResumableStop",
    "StudyInUseError",
    "UsageError",
    "is_full_disk",
    "limit_met",
]

AGAIN = "type the same command again"
_NO_MORE = re.compile(f"can't start new thread|Cannot fork|{os.strerror(errno.EAGAIN)}")


class ExitCode(IntEnum):
    """Exit codes are API: scripts and schedulers decide by them."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    JOURNAL = 3
    IN_USE = 4
    RESUMABLE = 75
    INTERRUPTED = 130


class JournalLauncherError(Exception):
    """Root of the tree: the launch failed."""

    exit_code = ExitCode.FAILED


class UsageError(JournalLauncherError):
    """Bad input or usage: nothing was started and nothing was written."""

    exit_code = ExitCode.USAGE

    def __init__(self, message: str) -> None:
        # A file or a column may be named with a line break, or with what moves the cursor.
        super().__init__(one_line(message))


class IdentityError(UsageError):
    """The study was created for something else, such as other data."""


class DeviceError(UsageError):
    """A worker's device cannot be used; those of others may."""


class JournalDamagedError(JournalLauncherError):
    """The journal cannot be read as it is, vanished, or was changed underneath us."""

    exit_code = ExitCode.JOURNAL


class OtherStudiesError(JournalDamagedError):
    """The journal is whole, and has studies of other names alone: `names`."""

    def __init__(self, message: str, names: Sequence[str]) -> None:
        super().__init__(message)
        self.names = tuple(names)


class StudyInUseError(JournalLauncherError):
    """Another launch holds the study's lease."""

    exit_code = ExitCode.IN_USE


class ResumableStop(JournalLauncherError):
    """Stopped from outside (signal, full disk): nothing is lost, the same command goes on."""

    exit_code = ExitCode.RESUMABLE

    @classmethod
    def of_full_disk(cls, error: BaseException, again: str = AGAIN) -> "ResumableStop":
        """What `is_full_disk` amounts to; `again` says how to go on."""
        what = getattr(error, "filename", None) or "a file"
        why = getattr(error, "strerror", None) or error
        return cls(
            f"cannot write {what} ({why}); nothing acknowledged is lost: make room and {again}"
        )


def is_full_disk(error: BaseException) -> bool:
    """Did a file lack room? Some libraries keep only number and words: "(os error 28)"."""
    codes = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    words = str(error)
    return getattr(error, "errno", None) in codes or any(
        os.strerror(code) in words and re.search(rf"(?i)err(or|no) {code}\b", words)
        for code in codes
    )


def limit_met(error: BaseException) -> str | None:
    """What to do about an error that comes of too many processes or threads, or too little memory.

    None for any other error.
    """
    less = f"or use fewer --workers (--workers-per-gpu), and {AGAIN}"
    if isinstance(error, MemoryError):
        return f"no memory is left here (see `free -h`, `ulimit -v`): make room, {less}"
    own = type(error).__module__ == "builtins"  # others may raise when they are asked for words
    if own and isinstance(error, RuntimeError | OSError) and _NO_MORE.search(str(error)):
        return (
            "no more processes or threads may be started here (see `ulimit -u`, and the pids limit "
            f"of a container or batch job): raise the limit, {less}"
        )
    return None
