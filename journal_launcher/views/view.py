"""Choose and open the view of a launch."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, TextIO, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from journal_launcher.base.events import Listener
from journal_launcher.base.streams import beneath, send_to_nowhere
from journal_launcher.base.visible import visible
from journal_launcher.views.listeners import fan_out
from journal_launcher.views.live import LiveView
from journal_launcher.views.plain import PlainView
from journal_launcher.views.summary import summarizing
from journal_launcher.views.ticker import TickingView
from journal_launcher.views.words import Detail

__all__ = ["choose_view", "make_view", "stderr_console"]


@contextmanager
def make_view(
    stderr_is_terminal: bool, quiet: bool, verbosity: int, console: Console | None = None
) -> Iterator[Listener]:
    """The view for this stderr: a listener with an end that restores the terminal.

    quiet: draw nothing. verbosity: 1 or more adds every start and the "info" notes.
    console: where to draw (default: stderr).
    """
    if quiet:
        yield lambda event: None
        return
    console = console or stderr_console()
    with choose_view(stderr_is_terminal, verbosity, console) as view:
        yield fan_out(view, summarizing(console))


def choose_view(stderr_is_terminal: bool, verbosity: int, console: Console) -> TickingView:
    if stderr_is_terminal and console.is_terminal and not console.is_dumb_terminal:
        return LiveView(console, Detail.ALL if verbosity else Detail.FEW)
    return PlainView(console, Detail.ALL if verbosity else Detail.TRIALS)


def stderr_console() -> Console:
    """A console on stderr that outlives it."""
    stream = cast(IO[str], _LastingStream(beneath(sys.stderr)))
    console = _TextConsole(file=stream, markup=False, emoji=False)
    if not console.width:  # COLUMNS=0 means unknown; Rich would print nothing at all
        console.width = 80
    return console


class _TextConsole(Console):
    """Rich draws with control sequences of its own; the text in between brings none."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for text, style, control in super().render(renderable, options):
            if style is not None and style.link:  # Rich reads links out of what others print
                style = style.update_link(None)
            yield Segment(text if control else visible(text), style, control)


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
