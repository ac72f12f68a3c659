"""A pulse for views, so that they move while no event comes."""

import threading
from collections.abc import Callable

__all__ = ["Ticker"]


class Ticker:
    """Call `tick` every `period` seconds, from a thread, between `start` and `stop`."""

    def __init__(self, period: float, tick: Callable[[], None]) -> None:
        self._period = period
        self._tick = tick
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="view", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """No call of `tick` is under way, and none follows, when this returns."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self._period):
            self._tick()
