"""Plain lines for logs and pipes: one for each notable event, a status line every few seconds."""

import time
from collections.abc import Callable

from rich.console import Console
from rich.text import Text

from journal_launcher.views.figures import clock_time, duration
from journal_launcher.views.telling import TellingView
from journal_launcher.views.words import PHASES, Detail, standing

__all__ = ["PlainView"]

_OFTEN = 5.0
_SELDOM = 30.0
_SOON = 60.0
_SHOWN_WORKERS = 4


class PlainView(TellingView):
    """A view for anything that is not a terminal.

    A thread calls `tick` every second: a launch whose trials take hours and report nothing must
    still say that it is alive.
    """

    def __init__(
        self,
        console: Console,
        detail: Detail = Detail.TRIALS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(1.0, detail, clock)
        self._console = console
        self._next_status = _OFTEN

    def tick(self) -> None:
        """Print a status line if one is due: every 5 s, after the first minute every 30 s."""
        with self._lock:
            elapsed = self._board.elapsed()
            if elapsed < self._next_status or self._over:
                return
            self._next_status = elapsed + (_OFTEN if elapsed < _SOON else _SELDOM)
            self._print(Text(self._status()))

    def _status(self) -> str:
        board = self._board
        hidden = self._narrator.hidden
        if not board.study:
            return PHASES.get(board.phase, board.phase)
        self._narrator.hidden = 0
        line = standing(
            board, f"finished ({hidden} not shown one by one)" if hidden else "finished"
        )
        running = self._running()
        if board.phase == "running":
            return f"{line}; running {running}" if running else line
        return f"{line}; {PHASES.get(board.phase, board.phase)}{running and f': {running}'}"

    def _running(self) -> str:
        busy = [row for row in self._board.present() if row.state == "busy"]
        shown = []
        for row in busy[:_SHOWN_WORKERS]:
            age = duration(self._board.age(row))
            expected = self._board.expected(row)
            if expected is not None and row.rounds:
                age = f"{age} of about {duration(expected)}"
            shown.append(f"trial {row.trial} ({', '.join(filter(None, (row.progress, age)))})")
        if len(busy) > len(shown):
            shown.append(f"{len(busy) - len(shown)} more")
        return ", ".join(shown)

    def _print(self, line: Text) -> None:
        stamp = Text(f"{clock_time(self._board.elapsed()):>7}  ")
        self._console.print(stamp + line, soft_wrap=True, highlight=False)
