"""The program's own streams when nobody reads them any more, or nobody ever did."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from journal_launcher.base.visible import visible

__all__ = [
    "beneath",
    "open_closed_streams",
    "send_to_nowhere",
    "show_controls",
    "while_read",
]

_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def open_closed_streams() -> None:
    """Put /dev/null where stdin, stdout or stderr was closed, as by `2>&-`.

    A file that is opened next would get its number, and what any library prints there would land
    in that file.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) < len(_STREAMS):
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for number, (name, mode) in enumerate(_STREAMS):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


def show_controls() -> None:
    """Let nothing steer the terminal that this process prints: not by click, nor in a traceback,
    nor by a library that logs. What draws with control sequences writes to `beneath` instead."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, _ShowingControls):
            setattr(sys, name, _ShowingControls(stream))


def beneath(stream: TextIO) -> TextIO:
    """The stream as it was before `show_controls`."""
    return stream._stream if isinstance(stream, _ShowingControls) else stream


class _ShowingControls:
    """A stream for text alone; without `buffer`, by which others would go around it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        if hasattr(stream, "reconfigure"):  # click would have written UTF-8 to an ASCII stream
            stream.reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        self._stream.write(visible(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":
            raise AttributeError(name)
        return getattr(self._stream, name)


@contextmanager
def while_read(stream: TextIO) -> Iterator[None]:
    """Print to `stream` in this block; a reader that has left does not decide the exit code."""
    try:
        yield
        stream.flush()
    except BrokenPipeError:
        send_to_nowhere(stream)


def send_to_nowhere(stream: TextIO) -> None:
    """Without this, Python's own flush at exit fails too and turns the exit code into 120."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
