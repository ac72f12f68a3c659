"""The journal's lock: a flock that dies with its holder, plus the symlink that stock Optuna obeys.

Ours alone would need only the flock on `NAME.log.flock`. Stock writers know nothing of it, so its
holder also places their symlink `NAME.log.lock`, pointing at the side file. Whoever holds the
flock therefore knows that such a symlink, when it is already there, was left by a dead process.
"""

import fcntl
import itertools
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from journal_launcher.base.plain_files import is_open_at, open_plain
from journal_launcher.study.optuna_private import BaseJournalFileLock

__all__ = ["GRACE_S", "STALL_S", "JournalLock", "holding"]

GRACE_S = 30.0  # how long a stock lock may stay unchanged before it counts as dead: stock's default
STALL_S = 5.0  # waiting longer is reported; holding longer shows stock waiters a sign of life

_logger = logging.getLogger("journal_launcher")

# A flock lives as long as any copy of its descriptor, so a child forked while a thread holds the
# lock would keep it after our death. The child closes these at once; the mutex makes open (close)
# and its registration one step for a fork in another thread, and is reentrant for signal handlers.
_fork_mutex = threading.RLock()
_descriptors: set[int] = set()


def _open(path: str) -> int:
    with _fork_mutex:
        descriptor = open_plain(path, os.O_RDWR | os.O_CREAT)
        _descriptors.add(descriptor)
    return descriptor


def _close(descriptor: int) -> None:
    with _fork_mutex:
        try:
            _descriptors.discard(descriptor)
        finally:  # also after Ctrl-C: it holds the lock
            os.close(descriptor)


class _Watch:
    """Call back everybody who has been in a stage for longer than STALL_S, from one thread.

    The thread starts with the first stage and ends when there was none for STALL_S: a thread per
    append would cost more than the append.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._keys = itertools.count()
        self._stages: dict[int, tuple[float, Callable[[float], None]]] = {}
        self._running = False
        self._used = False

    def begin(self, action: Callable[[float], None]) -> int:
        """Call `action(age in seconds)` about every STALL_S until `end`."""
        key = next(self._keys)
        with self._mutex:
            self._stages[key] = (time.monotonic(), action)
            self._used = True
            start = not self._running
            self._running = True
        if start:
            try:
                threading.Thread(target=self._run, name="journal-lock", daemon=True).start()
            except RuntimeError:  # no threads left, or the interpreter is ending: append unwatched
                self._running = False
        return key

    def end(self, key: int) -> None:
        self._stages.pop(key, None)

    @contextmanager
    def stage(self, action: Callable[[float], None]) -> Iterator[None]:
        key = self.begin(action)
        try:
            yield
        finally:
            self.end(key)

    def _run(self) -> None:
        while True:
            time.sleep(STALL_S)
            with self._mutex:
                if not self._used and not self._stages:
                    self._running = False
                    return
                self._used = False
                stages = list(self._stages.values())
            for since, action in stages:
                age = time.monotonic() - since
                if age >= STALL_S:
                    action(age)


_watch = _Watch()


def _forget_in_child() -> None:
    global _watch
    for descriptor in _descriptors:
        os.close(descriptor)
    _descriptors.clear()
    _watch = _Watch()
    _fork_mutex.release()


os.register_at_fork(
    before=_fork_mutex.acquire,
    after_in_parent=_fork_mutex.release,
    after_in_child=_forget_in_child,
)


def _identity(link: str) -> tuple[int, int]:
    status = os.lstat(link)
    return status.st_ino, status.st_mtime_ns


@contextmanager
def holding(lock: BaseJournalFileLock) -> Iterator[None]:
    """Hold `lock`, ours or one of Optuna's, inside."""
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


class JournalLock(BaseJournalFileLock):
    """Exclude every other writer of `journal`, ours and stock, in this process and in others.

    Released the moment its holder dies, whatever it was doing. Never taken from a live holder of
    ours; a stock lock is broken after it has not changed for GRACE_S.

    Args:
        journal: absolute path of the log.
    """

    def __init__(self, journal: str) -> None:
        self._link = f"{journal}.lock"
        self._side = f"{journal}.flock"
        # Found from the link's own folder, so that it never dangles, in containers neither.
        self._target = os.path.basename(self._side)
        self._descriptor = -1
        self._placed = (0, 0)
        self._stage = -1

    def acquire(self) -> bool:
        """Wait until the lock is ours; return True.

        Raises:
            OSError: the folder cannot be written, the disk is full, or it knows no flock.
        """
        with _watch.stage(self._tell_who_holds):
            self._flock()
            try:
                self._placed = self._place_link()
            except BaseException:
                self.release()
                raise
        self._stage = _watch.begin(self._show_life)
        return True

    @property
    def held(self) -> bool:
        """Whether this object was acquired and not released."""
        return self._descriptor >= 0

    def release(self) -> None:
        """Let the next writer in.

        Raises:
            RuntimeError: not acquired.
        """
        if not self.held:
            raise RuntimeError(f"{self._link}: released without being held")
        _watch.end(self._stage)
        # From the close on, another thread may use this very object: touch nothing after it.
        descriptor = self._descriptor
        self._descriptor = -1
        try:
            if self._is_in_place():
                os.unlink(self._link)
        finally:
            _close(descriptor)

    def still_ours(self) -> bool:
        """Whether no stock writer has taken the lock from us, as they do after we paused 30 s."""
        if self._is_in_place():
            return True
        _logger.warning(
            "%s was taken by another program while process %d was paused; waiting for it again",
            self._link,
            os.getpid(),
        )
        return False

    def _is_in_place(self) -> bool:
        try:
            return _identity(self._link) == self._placed
        except FileNotFoundError:
            return False

    def _flock(self) -> None:
        while True:
            descriptor = _open(self._side)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if is_open_at(descriptor, self._side):
                    os.pwrite(descriptor, b"%-10d %-17.3f\n" % (os.getpid(), time.monotonic()), 0)
                    self._placed = (0, 0)
                    self._descriptor = descriptor
                    return
            finally:
                if self._descriptor != descriptor:  # interrupted, or somebody removed the side file
                    _close(descriptor)

    def _place_link(self) -> tuple[int, int]:
        """Place the stock symlink, breaking a dead one; the flock is held."""
        seen = (0, 0)
        since = 0.0
        pause = 0.001
        while True:
            try:
                os.symlink(self._target, self._link)
                return _identity(self._link)
            except FileExistsError:
                pass
            except FileNotFoundError:
                if not os.path.isdir(os.path.dirname(self._link)):
                    raise
                continue
            try:
                found = _identity(self._link)
                target = self._link_target()
            except FileNotFoundError:
                continue
            if target == self._target:
                self._break_link(found)
                continue
            if found != seen:
                seen = found
                since = time.monotonic()
            elif time.monotonic() - since > GRACE_S:
                _logger.warning(
                    "%s has not changed for %.0f s: its holder counts as dead", self._link, GRACE_S
                )
                self._break_link(found)
                continue
            time.sleep(pause)
            pause = min(2 * pause, 0.05)

    def _link_target(self) -> str:
        """What the link points at; "" for the plain file of stock's JournalFileOpenLock."""
        try:
            return os.readlink(self._link)
        except FileNotFoundError:
            raise
        except OSError:
            return ""

    def _break_link(self, found: tuple[int, int]) -> None:
        aside = f"{self._link}{uuid.uuid4()}.rename"
        try:
            os.rename(self._link, aside)
        except FileNotFoundError:
            return
        if _identity(aside) != found:
            # A stock waiter broke it first and this is its live lock: put it back.
            with suppress(FileExistsError):
                os.link(aside, self._link, follow_symlinks=False)
        os.unlink(aside)

    def _show_life(self, _age: float) -> None:
        with suppress(FileNotFoundError):
            os.utime(self._side)

    def _tell_who_holds(self, age: float) -> None:
        periods = int(age / STALL_S)
        if periods & (periods - 1) == 0:  # after 5, 10, 20, 40 … seconds
            _logger.warning("waiting %.0f s for %s: %s", age, self._link, self._holder())

    def _holder(self) -> str:
        try:
            target = self._link_target()
            with open(open_plain(self._side, os.O_RDONLY)) as side:
                process, since = side.read(64).split()
            if target == self._target:
                held = time.monotonic() - float(since)
                return f"held by process {process} for {held:.0f} s (never taken from a live one)"
        except (OSError, ValueError):
            return "its holder has not said who it is"
        return f"held by another program ({target or 'a plain file'})"
