"""A pulse for views, so that they move while no event comes."""

import contextlib
import threading
from abc import abstractmethod
from contextlib import AbstractContextManager
from typing import Self

from journal_launcher.base.events import Event

__all__ = ["TickingView"]


class TickingView(AbstractContextManager["TickingView"]):
    """A listener whose `tick` is called every `period` seconds, from a thread, while it is open."""

    def __init__(self, period: float) -> None:
        self._period = period
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._run, name="view", daemon=True)

    @abstractmethod
    def __call__(self, event: Event) -> None: ...

    @abstractmethod
    def tick(self) -> None: ...

    def __enter__(self) -> Self:
        with contextlib.suppress(RuntimeError):  # no threads left: it moves when events come
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """No call of `tick` is under way, and none follows, when this returns."""
        self._left.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._left.wait(self._period):
            self.tick()
