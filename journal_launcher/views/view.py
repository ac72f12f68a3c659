"""Choose and open the view of a launch."""

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import IO, TextIO, cast

from rich.console import Console

from journal_launcher.base.events import Listener
from journal_launcher.base.streams import send_to_nowhere
from journal_launcher.views.live import LiveView
from journal_launcher.views.plain import PlainView
from journal_launcher.views.words import Detail

__all__ = ["make_view", "stderr_console"]


def make_view(
    stderr_is_terminal: bool, quiet: bool, verbosity: int, console: Console | None = None
) -> AbstractContextManager[Listener]:
    """The view for this stderr: a listener with an end that restores the terminal.

    quiet: draw nothing. verbosity: 1 or more adds every start and the "info" notes.
    console: where to draw (default: stderr).
    """
    if quiet:
        return nullcontext(lambda event: None)
    console = console or stderr_console()
    if stderr_is_terminal and console.is_terminal and not console.is_dumb_terminal:
        return LiveView(console, Detail.ALL if verbosity else Detail.FEW)
    return PlainView(console, Detail.ALL if verbosity else Detail.TRIALS)


def stderr_console() -> Console:
    """A console on stderr that outlives it."""
    console = Console(file=cast(IO[str], _LastingStream(sys.stderr)))
    if not console.width:  # COLUMNS=0 means unknown; Rich would print nothing at all
        console.width = 80
    return console


class _LastingStream:
    """Pass text on while the stream lasts: a closed terminal or pipe must not end a study."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.encoding = stream.encoding

    def isatty(self) -> bool:
        return self._stream.isatty()

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            send_to_nowhere(self._stream)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            send_to_nowhere(self._stream)
