"""The crash-safe journal: Optuna's journal file with a lock and an append that survive kill -9.

Byte-compatible with stock Optuna at every moment: stock readers and writers may join at any time.

    storage = optuna.storages.JournalStorage(DurableJournalFileBackend("study.log"))
"""

import errno
import gc
import json
import logging
import os
import shlex
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from optuna.storages.journal import (
    JournalFileBackend,
    JournalFileOpenLock,
    JournalFileSymlinkLock,
)

from journal_launcher.base.errors import JournalDamagedError, UsageError
from journal_launcher.base.files import fsync_directory
from journal_launcher.base.paths import typed
from journal_launcher.base.plain_files import SAFELY, open_plain
from journal_launcher.study.journal.lines import (
    MEANINGLESS,
    NotOptunas,
    NotOptunasError,
    parse_record,
)
from journal_launcher.study.journal.lock import JournalLock, holding
from journal_launcher.study.journal.network import network_file_system, refuse_network
from journal_launcher.study.optuna_private import BaseJournalFileLock, lock_file

__all__ = [
    "DurableJournalFileBackend",
    "Journal",
    "changed",
    "damaged",
    "loading",
    "meaning_nothing",
    "network_file_system",
    "save_torn",
    "torn_bytes",
]

_logger = logging.getLogger("journal_launcher")


class DurableJournalFileBackend(JournalFileBackend):
    """Optuna's journal file, made to survive kills, full disks and torn writes.

    A record is durable when `append_logs` returns. Threads and processes may share the file.

    Args:
        file_path: the log; made absolute.
        lock_obj: a lock that other writers take, held around our own. Optuna's locks of this very
            log need no second holder: ours places the same file, with their default grace period.
        create: create a missing log; otherwise that is an error.
        read_only: never write, lock or create anything.
        allow_network_fs: accept a file system on which locks may not reach other machines.

    Raises:
        UsageError: no such log, not a plain file, not writable, or on a network file system.
    """

    def __init__(
        self,
        file_path: str | os.PathLike[str],
        lock_obj: BaseJournalFileLock | None = None,
        *,
        create: bool = True,
        read_only: bool = False,
        allow_network_fs: bool = False,
    ) -> None:
        # Not super().__init__: it creates the log by a race and keeps a dictionary entry per line.
        self.path = os.path.abspath(os.fspath(file_path))
        self._other_lock = None if _is_stock_lock(lock_obj, self.path) else lock_obj
        self._read_only = read_only
        self._position = (0, 0, 0)  # records read; where the last one ends; where it starts
        self._refusal: str | None = None
        if not (read_only or allow_network_fs):
            refuse_network(self.path)
        try:
            if create and not read_only:
                _create(self.path)
            self._file = self._identify()
        except OSError as error:
            raise UsageError(_cannot_open(self.path, error)) from None

    def _identify(self) -> tuple[int, int]:
        """Device and inode of the log, once it is known to be usable."""
        access = os.O_RDONLY if self._read_only else os.O_RDWR
        descriptor = os.open(self.path, access | SAFELY)
        status = os.fstat(descriptor)
        os.close(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"{self.path}: expected a journal, found something else than a file")
        folder = os.path.dirname(self.path)
        if not (self._read_only or os.access(folder, os.W_OK | os.X_OK)):
            raise UsageError(
                f"{folder}: cannot be written, and the journal's lock must be created there"
            )
        return status.st_dev, status.st_ino

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """Yield the records from number `log_number_from` on; an unfinished last line is not there.

        Goes on where the last call stopped; any other number reads from the start. An object that
        names no operation is given like a record, and refused when a storage asks for it.

        Raises:
            JournalDamagedError: a line is not a record, or the log changed underneath.
        """
        number, offset, _ = self._position
        if number != log_number_from:
            number = 0
            offset = 0
        with self._opened(os.O_RDONLY) as descriptor:
            size = os.fstat(descriptor).st_size
            if size == offset:
                return  # the usual answer: a parent asks before each of its decisions
            # What is behind the last newline may be cut away and replaced while we read; no byte
            # before it ever is. So look for it first, and read up to there.
            end = _end_of_lines(descriptor, size)
            os.lseek(descriptor, offset, os.SEEK_SET)
            with open(descriptor, "rb", buffering=1 << 16, closefd=False) as lines:
                for line in lines:
                    if offset >= end:
                        return
                    number = number + 1
                    start = offset
                    offset = offset + len(line)
                    if number <= log_number_from:
                        continue
                    try:
                        record = parse_record(line)
                    except NotOptunasError as error:
                        damage = self._damaged(number, start, str(error))
                        record = NotOptunas(error.content, damage)
                    except ValueError as error:
                        raise self._damaged(number, start, str(error)) from None
                    # Before the yield: Optuna counts a record as read also when applying it raises.
                    self._position = (number, offset, start)
                    yield record

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append records; when this returns, they are on disk, whole, in one piece.

        Raises:
            JournalDamagedError: the log changed underneath.
            OSError: the record (of several: the last ones) was not written, as with ENOSPC; or an
                fsync failed: the outcome is unknown and every further append is refused.
            RuntimeError: the journal was opened read-only.
        """
        if self._read_only:
            raise RuntimeError(f"{self.path}: opened read-only, nothing can be recorded")
        if self._refusal is not None:
            raise OSError(self._refusal)
        # Before the lock: a value that JSON does not know must not cost others anything.
        lines = b"".join(json.dumps(log, separators=(",", ":")).encode() + b"\n" for log in logs)
        if lines:
            with holding(self._other_lock) if self._other_lock else nullcontext():
                while not self._append_under_lock(lines):
                    pass

    def _append_under_lock(self, lines: bytes) -> bool:
        """Append and return True, or return False if a stock writer robbed us of the lock."""
        lock = JournalLock(self.path)
        try:
            lock.acquire()
            with self._opened(os.O_RDWR | os.O_APPEND) as descriptor:
                if not lock.still_ours():
                    return False
                end = self._mend_tail(descriptor)
                if not lock.still_ours():
                    return False
                self._write(descriptor, lines, end)
                lock.release()
                # Without the lock, so that writers flush together: the disk commits once for all.
                self._sync(descriptor)
            return True
        except FileNotFoundError:  # the lock's own file cannot be made
            raise self.changed("it is gone with its folder") from None
        finally:
            # Ctrl-C may come at any point, also right after acquire: then this process would wait
            # for itself when Optuna records the interrupted trial.
            if lock.held:
                lock.release()

    def _write(self, descriptor: int, lines: bytes, end: int) -> None:
        view = memoryview(lines)
        written = 0
        try:
            while written < len(lines):
                written += os.write(descriptor, view[written:])
        except BaseException as error:
            # Cut our own bytes only, and no whole line of several: somebody may have read it.
            if written < len(lines) and os.fstat(descriptor).st_size == end + written:
                os.ftruncate(descriptor, end + lines.rfind(b"\n", 0, written) + 1)
            if isinstance(error, OSError):
                said = f"the record was not written: {error.strerror}"
                raise OSError(error.errno, said, self.path) from None
            raise

    def _sync(self, descriptor: int) -> None:
        try:
            os.fsync(descriptor)
        except OSError as error:
            # The kernel may have dropped the pages: a second fsync would succeed and prove nothing.
            self._refusal = f"{self.path}: no record is accepted since an fsync failed"
            said = f"fsync failed, whether the record is on disk is unknown: {error.strerror}"
            raise OSError(error.errno, said, self.path) from None

    def _mend_tail(self, descriptor: int) -> int:
        """Complete or cut away what a killed writer left; return the end of the last line."""
        size = os.fstat(descriptor).st_size
        if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n":
            return size
        start = _end_of_lines(descriptor, size)
        tail = os.pread(descriptor, size - start, start)
        try:
            parse_record(tail)
        except ValueError:
            save_torn(self.path, tail, start)
            os.ftruncate(descriptor, start)
            done = f"cut away {len(tail)} bytes of an unfinished record"
            size = start
        else:
            size += os.write(descriptor, b"\n")
            done = "completed a record that lacked its newline"
        _logger.warning("%s, byte %d: %s (its writer was killed)", self.path, start, done)
        return size

    @contextmanager
    def _opened(self, access: int) -> Iterator[int]:
        try:
            descriptor = os.open(self.path, access | SAFELY)
        except FileNotFoundError:
            raise self.changed("it is gone") from None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise self.changed("a symbolic link took its place") from None
            raise
        try:
            status = os.fstat(descriptor)
            (_, offset, _) = self._position
            if (status.st_dev, status.st_ino) != self._file:
                raise self.changed("another file took its place")
            if status.st_size < offset:
                raise self.changed(f"{offset} bytes were read, {status.st_size} are left")
            if offset and os.pread(descriptor, 1, offset - 1) != b"\n":
                raise self.changed(f"byte {offset} no longer ends a record")
            yield descriptor
        finally:
            os.close(descriptor)

    def changed(self, how: str, then: str = "put the file back and resume") -> JournalDamagedError:
        """What to raise when somebody did something to the log that no other writer does."""
        return changed(self.path, how, then)

    def meaningless(self, error: Exception) -> JournalDamagedError:
        """What to raise when Optuna could not apply the record that was read last."""
        number, _, start = self._position
        return self._damaged(number, start, meaning_nothing(error))

    def _damaged(self, number: int, byte: int, found: str) -> JournalDamagedError:
        return damaged(self.path, number, byte, found)


def changed(path: str, how: str, then: str) -> JournalDamagedError:
    """What to raise when somebody did something to the log that no other writer does."""
    return JournalDamagedError(f"{path}: journal changed underneath ({how}); {then}")


def damaged(path: str, number: int, byte: int, found: str) -> JournalDamagedError:
    """What to raise over a line that is no record."""
    folder, name = os.path.split(path)
    command = f"{typed()} repair {shlex.quote(name.removesuffix('.log'))}"
    return JournalDamagedError(
        f"{path}, line {number}, byte {byte}: expected a journal record, found "
        f"{found}; run: {command} --studies-dir {shlex.quote(folder)}"
    )


def meaning_nothing(error: Exception) -> str:
    """What was found where Optuna could not apply a record."""
    return f"one that means nothing ({type(error).__name__}: {error})"


class Journal(Protocol):
    """What a storage needs of the backend that it stands on: a file, or a parent that has it."""

    path: str

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]: ...

    def append_logs(self, logs: list[dict[str, Any]]) -> None: ...

    def changed(self, how: str, then: str = ...) -> JournalDamagedError: ...

    def meaningless(self, error: Exception) -> JournalDamagedError: ...


@contextmanager
def loading(backend: Journal) -> Iterator[None]:
    """Around `JournalStorage(backend)`: faster, and meaningless records are JournalDamagedError.

    Loading makes millions of objects and no garbage: collecting costs a quarter of its time.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    except MEANINGLESS as error:
        raise backend.meaningless(error) from None
    finally:
        if collecting:
            gc.enable()


def torn_bytes(journal: Path) -> int:
    """How many bytes follow the last whole line: a record that its writer has not finished."""
    with open(journal, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        return size - _end_of_lines(file.fileno(), size)


def save_torn(journal: str, tail: bytes, start: int) -> None:
    """Keep a cut-away tail in `NAME.log.torn` for inspection, under a line that says what it is."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    header = f"--- {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} byte {start}, {len(tail)} bytes\n"
    with open(open_plain(f"{journal}.torn", flags), "ab") as torn:
        torn.write(header.encode() + tail + b"\n")
        torn.flush()
        os.fsync(torn.fileno())


def _create(path: str) -> None:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | SAFELY, 0o600))
    except FileExistsError:
        return
    fsync_directory(Path(path).parent)


def _is_stock_lock(lock: BaseJournalFileLock | None, journal: str) -> bool:
    """Whether `lock` is one of Optuna's own on this journal: with ours it would wait for itself."""
    if not isinstance(lock, JournalFileSymlinkLock | JournalFileOpenLock):
        return False
    places = [os.path.split(os.path.abspath(path)) for path in (lock_file(lock), f"{journal}.lock")]
    return len({(os.path.realpath(folder), name) for folder, name in places}) == 1


def _cannot_open(path: str, error: OSError) -> str:
    if os.path.islink(path):
        return f"{path}: is a symbolic link, which is refused; name the journal that it points at"
    if isinstance(error, FileNotFoundError):
        return f"{path}: expected a journal, found none"
    return f"{path}: the journal cannot be opened: {error.strerror}"


def _end_of_lines(descriptor: int, size: int) -> int:
    """Byte after the last newline before `size`, found from the end in bounded memory."""
    while size > 0:
        start = max(0, size - (1 << 16))
        newline = os.pread(descriptor, size - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        size = start
    return 0
