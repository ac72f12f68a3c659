"""The worker's end of the two pipes, and its progress messages."""

import contextlib
import os
import time
from collections import deque
from typing import Any

from journal_launcher.base.messages import Channel, LineBuffer, Message

__all__ = ["Connection", "ParentGoneError"]

_PROGRESS_INTERVAL = 0.2  # seconds between two progress messages; a view draws 4 times a second


class ParentGoneError(Exception):
    """The parent closed its end; the guard of this group is about to kill us."""


class Connection:
    """Blocking JSON lines from and to the parent."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        for descriptor in (incoming, outgoing):
            os.set_inheritable(descriptor, False)  # what the objective starts must not hold them
        self._in, self._out = incoming, outgoing
        self._channel = Channel("", 0)
        self._buffer, self._waiting = LineBuffer(), deque[bytes]()
        self._last_progress = 0.0

    def receive_spec(self) -> Message:
        """The first message; it says which launch and worker this is."""
        line = self._next_line()
        self._channel = Channel.of_spec(line)
        return self._channel.decode(line)

    def receive(self) -> Message:
        return self._channel.decode(self._next_line())

    def _next_line(self) -> bytes:
        while not self._waiting:
            chunk = os.read(self._in, 1 << 16)
            if not chunk:
                raise ParentGoneError
            self._waiting.extend(self._buffer.feed(chunk))
        return self._waiting.popleft()

    def send(self, type: str, **content: Any) -> None:
        data = self._channel.encode(type, **content)
        with contextlib.suppress(BrokenPipeError):
            while data:
                data = data[os.write(self._out, data) :]

    def progress(
        self, number: int, unit: str, step: int, total: int | None, value: float | None
    ) -> None:
        """Tell how far a trial is, a few times a second at most."""
        now = time.monotonic()
        if now - self._last_progress >= _PROGRESS_INTERVAL:
            self._last_progress = now
            finite = value is not None and abs(value) < float("inf")
            self.send(
                "progress",
                number=number,
                unit=unit,
                step=step,
                total=total,
                value=value if finite else None,
            )
