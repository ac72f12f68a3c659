"""The worker's end of the two pipes, and its progress messages."""

import contextlib
import os
import time
from collections import deque

from journal_launcher.base.messages import (
    Channel,
    FromParent,
    FromWorker,
    LineBuffer,
    Progress,
    Spec,
    unexpected,
)

__all__ = ["Connection", "ParentGoneError"]

_PROGRESS_INTERVAL = 0.2  # seconds between two progress messages; a view draws twice a second


class ParentGoneError(Exception):
    """The parent closed its end; the guard of this group is about to kill us."""


class Connection:
    """Blocking JSON lines from and to the parent."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        for descriptor in (incoming, outgoing):
            os.set_inheritable(descriptor, False)  # what the objective starts must not hold them
        self._in = incoming
        self._out = outgoing
        self.channel = Channel("", 0)
        self._buffer, self._waiting = LineBuffer(), deque[bytes]()
        self._last_progress = 0.0

    def receive_spec(self) -> Spec:
        """The first message; from now on `channel` says which launch and worker this is."""
        line = self._next_line()
        self.channel = Channel.of_spec(line)
        spec = self.channel.decode(line, FromParent)
        if not isinstance(spec, Spec):
            raise unexpected(spec)
        return spec

    def receive(self) -> FromParent:
        return self.channel.decode(self._next_line(), FromParent)

    def _next_line(self) -> bytes:
        while not self._waiting:
            chunk = os.read(self._in, 1 << 16)
            if not chunk:
                raise ParentGoneError
            self._waiting.extend(self._buffer.feed(chunk))
        return self._waiting.popleft()

    def send(self, message: FromWorker) -> None:
        data = self.channel.encode(message)
        with contextlib.suppress(BrokenPipeError):
            while data:
                data = data[os.write(self._out, data) :]

    def progress(
        self,
        number: int,
        unit: str,
        step: int,
        total: int | None,
        value: float | None,
        within: tuple[int, int] | None = None,
    ) -> None:
        """Tell how far a trial is, a few times a second at most."""
        now = time.monotonic()
        if now - self._last_progress >= _PROGRESS_INTERVAL:
            self._last_progress = now
            finite = value is not None and abs(value) < float("inf")
            round_, rounds = within or (None, None)
            value = value if finite else None
            self.send(Progress(number, unit, step, total, value, round_, rounds))
