"""The program's own streams when nobody reads them any more, or nobody ever did."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

__all__ = ["open_closed_streams", "send_to_nowhere", "while_read"]

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
