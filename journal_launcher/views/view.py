"""Choose and open the view of a launch."""

import os
import sys
from types import TracebackType
from typing import IO, Protocol, Self, TextIO, cast

from rich.console import Console

from journal_launcher.base.events import Event
from journal_launcher.views.live import LiveView
from journal_launcher.views.plain import PlainView
from journal_launcher.views.words import Detail

__all__ = ["View", "make_view", "stderr_console"]


class View(Protocol):
    """A listener with a beginning and an end; leaving it restores the terminal."""

    def __call__(self, event: Event) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def make_view(
    stderr_is_terminal: bool, quiet: bool, verbosity: int, console: Console | None = None
) -> View:
    """The view for this stderr.

    quiet: draw nothing. verbosity: 1 or more adds every start and the "info" notes.
    console: where to draw (default: stderr).
    """
    if quiet:
        return _QuietView()
    console = console or stderr_console()
    if stderr_is_terminal and console.is_terminal and not console.is_dumb_terminal:
        return LiveView(console, Detail.ALL if verbosity else Detail.FEW)
    return PlainView(console, Detail.ALL if verbosity else Detail.TRIALS)


def stderr_console() -> Console:
    """A console on stderr that outlives it."""
    return Console(file=cast(IO[str], _LastingStream(sys.stderr)))


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
            self._send_to_nowhere()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            self._send_to_nowhere()

    def _send_to_nowhere(self) -> None:
        """Without this, Python's own flush at exit fails too and turns the exit code into 120."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)


class _QuietView:
    def __call__(self, event: Event) -> None:
        return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return
