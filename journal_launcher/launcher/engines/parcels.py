"""Folders in messages: what is sent of one, part by part, and what the other end makes of it.

No part is longer than half a megabyte, so a file of any size takes little memory at both ends, and
other messages pass between two parts.
"""

import os
import sys
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from pathlib import Path

from journal_launcher.base.errors import JournalLauncherError, UsageError
from journal_launcher.base.messages import File, Whole
from journal_launcher.base.plain_files import open_plain

__all__ = ["keep", "parcels", "parcels_of_trial", "staged_parcels"]

_PART = 1 << 19  # bytes of a file in one message


def parcels(folder: Path, names: Iterable[str]) -> Iterator[File | Whole]:
    """These files of a folder.

    Raises:
        JournalLauncherError: one cannot be read.
    """
    for name in names:
        try:
            yield from _file(folder / name, name, None)
        except OSError as error:
            raise JournalLauncherError(f"{folder / name}: {error.strerror}") from None
    yield Whole(None)


def staged_parcels(folder: Path) -> Iterator[File | Whole]:
    """All of a folder that is to be saved.

    Raises:
        UsageError: there is something else in it than files and folders.
    """
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise UsageError(f"{path}: expected a file or a folder to save")
        if path.is_dir():
            yield File(name, "folder", "", 0.0, None)
        else:
            yield from _file(path, name, None)


def parcels_of_trial(folder: Path, trial: int) -> Iterator[File | Whole]:
    """All of a trial's folder. A link that stays inside stays a link; one that leads elsewhere,
    what is no file, and what vanishes meanwhile, is left out and named in the log."""
    root = folder.resolve()
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        try:
            if path.is_symlink():
                target = path.resolve(strict=True)
                if target.is_relative_to(root):
                    link = os.path.relpath(target, path.parent.resolve())
                    yield File(name, "link", link, 0.0, trial)
                    continue
            elif path.is_dir():
                yield File(name, "folder", "", 0.0, trial)
                continue
            elif path.is_file():
                yield from _file(path, name, trial)
                continue
        except (OSError, RuntimeError) as error:
            print(f"not carried: {path}: {error}", file=sys.stderr, flush=True)
            continue
        print(f"not carried, it is no file or leads elsewhere: {path}", file=sys.stderr, flush=True)
    yield Whole(trial)


def _file(path: Path, name: str, trial: int | None) -> Iterator[File]:
    with open(path, "rb", opener=open_plain) as file:
        modified = os.fstat(file.fileno()).st_mtime
        yield File(name, "file", "", modified, trial)
        while part := file.read(_PART):
            yield File(name, "file", b64encode(part).decode(), modified, trial)


def keep(part: File, folder: Path) -> None:
    """Write a part below `folder`, after those before it.

    Raises:
        JournalLauncherError: it would be elsewhere.
        OSError: the disk is full.
    """
    name = Path(part.name)
    path = folder / name
    if name.is_absolute() or ".." in name.parts or not name.parts:
        raise JournalLauncherError(f"unexpected file {part.name!r}")
    if part.kind == "folder":
        path.mkdir()
    elif part.kind == "link":
        if os.path.isabs(part.data) or not _stays_inside(path.parent / part.data, folder):
            raise JournalLauncherError(f"unexpected link {part.name!r} to {part.data!r}")
        path.symlink_to(part.data)
    else:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(path, flags, 0o666), "ab") as file:  # as the umask says
            file.write(b64decode(part.data))
            file.flush()
            os.utime(file.fileno(), (part.modified, part.modified))


def _stays_inside(path: Path, folder: Path) -> bool:
    return Path(os.path.normpath(path)).is_relative_to(folder)
