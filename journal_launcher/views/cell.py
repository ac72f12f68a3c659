"""The view in a notebook's cell: one line that is written anew, and a line for each warning."""

import time
from collections.abc import Callable
from typing import TextIO

from rich.text import Text

from journal_launcher.base.events import LaunchEnded
from journal_launcher.base.visible import one_line, visible
from journal_launcher.views.summary import summary
from journal_launcher.views.telling import TellingView
from journal_launcher.views.words import PHASES, Detail, standing

__all__ = ["CellView"]


class CellView(TellingView):
    """Plain text on `stream`, which is that of the cell. A carriage return begins the line anew.

    The line moves every second, so that a launch whose trials take hours is seen to be alive.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(1.0, Detail.FEW, clock)
        self._stream = stream
        self._shown = ""

    def _end(self, event: LaunchEnded) -> None:
        self._stay(one_line(summary(event)[0]))

    def tick(self) -> None:
        """Write the line where it has changed."""
        with self._lock:
            line = self._status()
            if line != self._shown and not self._over:
                self._replace(line)

    def _status(self) -> str:
        board = self._board
        phase = PHASES.get(board.phase, board.phase)
        if not board.study:
            return phase
        line = one_line(standing(board))
        return line if board.phase == "running" else f"{line}; {phase}"

    def _print(self, line: Text) -> None:
        self._stay(line.plain)

    def _stay(self, text: str) -> None:
        """A line that stays; what is rewritten goes on below it."""
        self._replace(visible(text))
        self._stream.write("\n")
        self._stream.flush()
        self._shown = ""

    def _replace(self, line: str) -> None:
        self._stream.write(f"\r{line:<{len(self._shown)}}")
        self._stream.flush()
        self._shown = line
