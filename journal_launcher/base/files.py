"""Durable file replacement. The only `os.replace` of the project lives here."""

import fcntl
import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from journal_launcher.base.errors import UsageError
from journal_launcher.base.plain_files import open_plain, read_plain

__all__ = [
    "append_line",
    "check_result",
    "finite",
    "fsync_directory",
    "locked",
    "move_into_place",
    "read_json",
    "write_bytes",
    "write_json",
    "write_new_bytes",
    "write_result",
]


def fsync_directory(directory: Path) -> None:
    """Make a creation, rename or unlink inside `directory` survive a power loss."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def move_into_place(source: Path, target: Path) -> None:
    """Rename `source` (a file or a directory on the same file system) to `target`, durably."""
    os.replace(source, target)
    fsync_directory(target.parent)


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` with `content`: a reader sees the old file or the new one, never a part."""
    with _written_beside(path, content) as temporary:
        move_into_place(temporary, path)


def write_new_bytes(path: Path, content: bytes) -> None:
    """Create `path` with `content`, all at once.

    Raises:
        FileExistsError: it is there already, and stays as it is.
    """
    with _written_beside(path, content) as temporary:
        os.link(temporary, path)
        temporary.unlink()
        fsync_directory(path.parent)


def check_result(flag: str, path: Path) -> None:
    """Refuse what is there and no file, before what belongs into it is worked out.

    Raises:
        UsageError: names `flag`.
    """
    if os.path.exists(path) and not path.is_file():  # /dev/null would become a plain file
        raise UsageError(f"{flag} {path}: expected a file to write, found a folder, pipe or device")


def write_result(flag: str, path: Path, content: bytes) -> None:
    """Replace the file that a user named by `flag`; a link stays one.

    Raises:
        UsageError: it is no file, or cannot be written.
    """
    check_result(flag, path)
    try:
        write_bytes(Path(os.path.realpath(path)), content)
    except OSError as problem:
        raise UsageError(f"{flag} {path}: cannot be written: {problem.strerror}") from None


@contextmanager
def _written_beside(path: Path, content: bytes) -> Iterator[Path]:
    """A durable file with `content` in the same folder; removed if the body fails."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def finite(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as JSON has them: infinities and NaN, which a choice may be, become text."""
    return {
        name: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in params.items()
    }


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Replace `path` with `content` as indented JSON, which has no NaN and no infinity."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    # Half a surrogate pair, which a parameter may hold, stays the escape that JSON has for it.
    write_bytes(path, text.encode(errors="backslashreplace") + b"\n")


def append_line(path: Path, line: bytes) -> None:
    """Append one line, durably; what a power loss left of another stays a line of its own."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
    with open(open_plain(path, flags), "ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else b"\n" + line
        file.write(line + b"\n")
        file.flush()
        os.fsync(file.fileno())
    fsync_directory(path.parent)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Exclude others who change `path`, by an operating-system lock that dies with its holder."""
    descriptor = open_plain(f"{path}.flock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def read_json(path: Path, newest_schema: int, *, follow: bool = False) -> dict[str, Any]:
    """Read a JSON object written by this program or an older one.

    follow: the path may be a link, as one of the user's own.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not a plain file with a JSON object, or its `schema_version` is newer than
            `newest_schema`.
    """
    try:
        content = json.loads(read_plain(path, follow=follow))
    except UsageError as problem:
        raise ValueError(str(problem)) from None
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: expected a JSON object, found {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a JSON object, found {type(content).__name__}")
    version = content.get("schema_version")
    if not isinstance(version, int) or version > newest_schema:
        raise ValueError(
            f"{path}: schema_version {version!r} is not one this version reads "
            f"(newest: {newest_schema}); upgrade journal_launcher"
        )
    return content
