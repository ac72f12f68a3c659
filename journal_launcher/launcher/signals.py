"""Signals as messages: handlers only enqueue, the supervisor's loop acts."""

import contextlib
import os
import select
import signal
import threading
from types import FrameType, TracebackType

from journal_launcher.launcher.stop import Stop

__all__ = ["SignalInbox"]

INSISTENT = 3  # Ctrl-Cs that nobody heard end the launch where it is


class SignalInbox:
    """Catch SIGINT, SIGTERM and SIGHUP while open; `descriptor` is readable when one has come.

    SIGHUP stays ignored if it was (nohup). Outside the main thread Python can install no handlers:
    then nothing is caught and the caller's handlers stay.
    """

    def __init__(self) -> None:
        self.descriptor, self._write = os.pipe()
        os.set_blocking(self.descriptor, False)
        os.set_blocking(self._write, False)
        self._before: dict[int, signal._HANDLER] = {}
        self._unheard = 0  # Ctrl-Cs since the loop last looked

    def __enter__(self) -> "SignalInbox":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                    continue
                self._before[number] = signal.signal(number, self._enqueue)
        return self

    def _enqueue(self, number: int, frame: FrameType | None) -> None:
        self._unheard += number == signal.SIGINT
        if self._unheard >= INSISTENT:  # the loop itself waits, for a lock that a stopped one holds
            self._unheard = 0
            raise KeyboardInterrupt
        with contextlib.suppress(BlockingIOError):
            os.write(self._write, bytes([number]))

    def sleep(self, seconds: float) -> None:
        """Sleep before there is a loop that acts.

        Raises:
            JournalLauncherError: a signal has come.
        """
        select.select([self.descriptor], [], [], seconds)
        for number in self.take():
            raise Stop.by_signal(number).as_error()

    def take(self) -> list[int]:
        """The signals that have come since the last call, in order."""
        self._unheard = 0
        with contextlib.suppress(BlockingIOError):
            return list(os.read(self.descriptor, 64))
        return []

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self.descriptor)
        os.close(self._write)
