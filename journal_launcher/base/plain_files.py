"""Files opened as what they must be, plain ones: no link is followed and no FIFO waited for."""

import json
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from journal_launcher.base.errors import AGAIN, UsageError

__all__ = [
    "SAFELY",
    "found_at",
    "is_open_at",
    "open_plain",
    "parse_object",
    "read_object",
    "read_plain",
]

# A symlink could lead to somebody else's file, and opening a FIFO would block beyond Ctrl-C.
SAFELY = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK

_KINDS = {
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
}


def found_at(path: Path | str) -> str | None:
    """What lies at `path`, in words; None if there is nothing. A link is one, whatever is there."""
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    return _KINDS.get(stat.S_IFMT(mode), "a device")


def open_plain(path: Path | str, flags: int, *, follow: bool = False) -> int:
    """A descriptor of a plain file, which is made with mode 0600 if `flags` say so.

    follow: the path may be a link, as one of the user's own.

    Raises:
        UsageError: it is something else than a file.
        OSError: as `os.open`.
    """
    try:
        descriptor = os.open(path, flags | (SAFELY & ~os.O_NOFOLLOW if follow else SAFELY), 0o600)
    except OSError:
        if found_at(path) not in (None, "a file"):
            raise _not_plain(path) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _not_plain(path)
    return descriptor


def is_open_at(descriptor: int, path: Path | str) -> bool:
    """Is the open file still the one at `path`? Somebody may have removed or replaced it there."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def read_plain(path: Path | str, *, follow: bool = False) -> bytes:
    """The content of a plain file; raises as `open_plain`."""
    with open(open_plain(path, os.O_RDONLY, follow=follow), "rb") as file:
        return file.read()


def read_object(path: Path | str) -> dict[str, Any]:
    """The JSON object in a plain file; an empty one where there is none."""
    with suppress(OSError, UsageError):
        return parse_object(read_plain(path))
    return {}


def parse_object(text: bytes) -> dict[str, Any]:
    """A JSON object, or an empty one where `text` is none."""
    with suppress(ValueError, RecursionError):
        content = json.loads(text)
        if isinstance(content, dict):
            return content
    return {}


def _not_plain(path: Path | str) -> UsageError:
    return UsageError(
        f"{path}: expected a plain file, found {found_at(path)}; move it away and {AGAIN}"
    )
