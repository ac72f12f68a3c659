"""Which trial a line of a worker's log is of: `[trial 3] epoch 1`."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import AnyStr, ClassVar, TextIO

__all__ = ["NumberedLines", "mark_of", "marked", "number_lines", "of_trial"]


class NumberedLines(io.TextIOWrapper):
    """A text stream on another one's bytes; a line that begins during a trial says its number.

    What this process writes through Python. Other processes and libraries in C write to the same
    file without passing here: no pipe is between them and the log, so that a kill loses no line.
    """

    trial: ClassVar[int | None] = None

    def __init__(self, stream: TextIO) -> None:
        super().__init__(
            stream.buffer,
            encoding=stream.encoding,
            errors=stream.errors,
            line_buffering=getattr(stream, "line_buffering", False),
            write_through=getattr(stream, "write_through", False),
        )
        self._below = stream  # without anybody who keeps it, it closes what both write to
        self._begun = False  # is it in mid-line?

    def write(self, text: str) -> int:
        if not text:
            return super().write(text)
        shown = text
        if NumberedLines.trial is not None:
            shown = marked(text, mark_of(NumberedLines.trial), "\n", begun=self._begun)
        self._begun = not text.endswith("\n")
        super().write(shown)
        return len(text)


def mark_of(number: int) -> str:
    """What a line of the trial begins with."""
    return f"[trial {number}] "


def marked(text: AnyStr, mark: AnyStr, end: AnyStr, *, begun: bool) -> AnyStr:
    """`text` with the mark before each line; the first one may have `begun` before."""
    body = text.removesuffix(end)
    lines = body.replace(end, end + mark) + text[len(body) :]
    return lines if begun else mark + lines


def number_lines() -> None:
    """Let stdout and stderr of this process number their lines."""
    sys.stdout = NumberedLines(sys.stdout)
    sys.stderr = NumberedLines(sys.stderr)


@contextmanager
def of_trial(number: int) -> Iterator[None]:
    """Say that what is written inside is of this trial."""
    NumberedLines.trial = number
    try:
        yield
    finally:
        NumberedLines.trial = None
