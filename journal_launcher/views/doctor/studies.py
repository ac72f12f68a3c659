"""The studies folder: its file system, its room, and a real lock and append in a passing file."""

import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from journal_launcher.base.errors import JournalLauncherError
from journal_launcher.base.paths import StudiesFolder
from journal_launcher.study.journal.network import file_system, network_file_system
from journal_launcher.views.doctor.finding import Finding, Level, gib

__all__ = ["check_studies"]

_ELSEWHERE = "choose another folder with --studies-dir"
_PASSING = {
    "tmpfs": "studies are lost at a reboot",
    "ramfs": "studies are lost at a reboot",
    "overlay": "in a container, studies are lost with it: mount a volume",
}
_NO_ROOM, _LITTLE_ROOM = 16 * 2**20, 2**30  # bytes
_NO_INODES = 100
_FEW_INODES = 10_000
_SLOW = 0.2  # seconds for an append that is durable; every trial makes some


def check_studies(root: Path) -> Iterator[Finding]:
    """Yield what is to be said of the folder, or of the one that it would be made in."""
    there = next(path for path in (root, *root.parents) if path.exists())
    made = "" if there == root else ", which a launch would make"
    yield Finding("ok", "studies", f"{root}{made}")
    yield _check_kind(root)
    yield from _check_room(there)
    yield _try(there)
    yield from _check_writable(StudiesFolder(root))


def _check_kind(root: Path) -> Finding:
    kind = file_system(root)
    if network_file_system(root) is not None:
        return Finding(
            "problem",
            "studies",
            f"on a network file system ({kind}), where locks may not hold between machines",
            "use a local --studies-dir, or --allow-network-fs if only this machine writes",
        )
    if kind in _PASSING:
        return Finding("note", "studies", f"on {kind}", _PASSING[kind])
    return Finding("ok", "studies", f"on {kind}, a local file system" if kind else "kind unknown")


def _check_room(there: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(there).free
    found = os.statvfs(there)
    text = f"{gib(free)} free"
    if free < _LITTLE_ROOM:
        level: Level = "problem" if free < _NO_ROOM else "note"
        yield Finding(level, "studies", text, f"make room, or {_ELSEWHERE}")
    else:
        yield Finding("ok", "studies", text)
    if found.f_files:  # some file systems have no fixed number
        text = f"{found.f_favail} inodes free"
        if found.f_favail < _FEW_INODES:
            level = "problem" if found.f_favail < _NO_INODES else "note"
            yield Finding(level, "studies", text, f"remove files, or {_ELSEWHERE}")
        else:
            yield Finding("ok", "studies", text)


def _try(there: Path) -> Finding:
    """Lock a journal and append to it, as a launch does, in a folder that is removed again."""
    try:
        with tempfile.TemporaryDirectory(prefix=".doctor-", dir=there) as folder:
            return _lock_and_append(Path(folder) / "doctor.log")
    except (OSError, JournalLauncherError) as error:
        why = error.strerror if isinstance(error, OSError) else None
        text = f"{there} cannot be written as a journal needs it: {why or error}"
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            return Finding("problem", "studies", text, f"make room, or {_ELSEWHERE}")
        return Finding("problem", "studies", text, f"mend its permissions, or {_ELSEWHERE}")


def _lock_and_append(journal: Path) -> Finding:
    from journal_launcher.study.journal.backend import DurableJournalFileBackend
    from journal_launcher.study.journal.lock import JournalLock, holding

    backend = DurableJournalFileBackend(str(journal), allow_network_fs=True)
    start = time.monotonic()
    backend.append_logs([{"doctor": True}])
    seconds = time.monotonic() - start
    with holding(JournalLock(str(journal))), open(f"{journal}.flock") as other:
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            excludes = True
        else:
            excludes = False
    if not excludes:
        text = "a lock that is held is given to another one: writers would mix their lines"
        return Finding("problem", "studies", text, _ELSEWHERE)
    text = f"a lock holds, and an append reaches the disk in {1000 * seconds:.0f} ms"
    if seconds > _SLOW:
        return Finding("note", "studies", text, "a local disk is quicker: see --studies-dir")
    return Finding("ok", "studies", text)


def _check_writable(studies: StudiesFolder) -> Iterator[Finding]:
    """Name the studies that somebody else made."""
    paths = map(studies.study, studies.names())
    barred = [each.name for each in paths if not os.access(each.journal, os.R_OK | os.W_OK)]
    if barred:
        who = f"{', '.join(barred[:5])}{' …' if len(barred) > 5 else ''}"
        text = f"you may not read and write the journal of {who}"
        yield Finding("note", "studies", text, "mend the permissions to go on with them")
