"""SIGTERM from the parent: unwind the objective (its `finally` blocks run) and leave.

What must not be torn, a line to the parent say, holds it back for that moment.
"""

import os
import signal
import threading
from types import FrameType

__all__ = ["ToldToLeave", "held_back", "listen", "told"]


class ToldToLeave(BaseException):
    """The parent wants this worker to end."""


class _HeldBack:
    """A context in which the main thread is not told; it is on leaving the outermost one."""

    told = False
    _waits = False
    _depth = 0

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():  # which alone is ever told
            self._depth += 1

    def __exit__(self, *_: object) -> None:
        if threading.current_thread() is threading.main_thread():
            self._depth -= 1
            if self._waits and not self._depth:
                self._waits = False
                raise ToldToLeave

    def on_sigterm(self, number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # told once; a second would cut the unwinding
        self.told = True
        if self._depth:
            self._waits = True
        else:
            raise ToldToLeave


held_back = _HeldBack()


def listen() -> None:
    """From now on SIGTERM raises ToldToLeave in the main thread."""
    signal.signal(signal.SIGTERM, held_back.on_sigterm)
    # A child that the objective forks is nobody's worker: SIGTERM ends it like any process.
    os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))


def told() -> bool:
    """Has SIGTERM come, whoever may have swallowed what it raised?"""
    return held_back.told
