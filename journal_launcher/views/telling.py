"""What all views of a launch have in common: what was heard is kept, and told line by line."""

import threading
import time
from abc import abstractmethod
from collections.abc import Callable

from rich.text import Text

from journal_launcher.base.events import Event, LaunchEnded
from journal_launcher.views.board import Board
from journal_launcher.views.ticker import TickingView
from journal_launcher.views.words import Detail, Narrator

__all__ = ["TellingView"]


class TellingView(TickingView):
    """Prints a line for each event that is worth one. `_print` and `_end` are called under `_lock`,
    which `tick`, in a thread of its own, has to take."""

    def __init__(
        self, period: float, detail: Detail, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(period)
        self._board = Board(clock)
        self._narrator = Narrator(detail, clock)
        self._over = False
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._board.fold(event)
            line = self._narrator.line(event, self._board)
            if line is not None:
                self._print(line)
            if isinstance(event, LaunchEnded):
                self._over = True
                self._end(event)

    @abstractmethod
    def _print(self, line: Text) -> None: ...

    def _end(self, event: LaunchEnded) -> None:
        """The launch is over; nothing that moves is shown any more."""
