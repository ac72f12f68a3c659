"""The worker's end of the two pipes, and its progress messages."""

import contextlib
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable

from journal_launcher.base.channel import Channel, LineBuffer
from journal_launcher.base.messages import (
    FromParent,
    FromWorker,
    Progress,
    Records,
    Spec,
    unexpected,
)
from journal_launcher.worker.leaving import held_back

__all__ = ["Connection", "ParentGoneError"]

_PROGRESS_INTERVAL = 0.2  # seconds between two progress messages; a view draws twice a second
_LOOK = 0.05  # seconds after which a thread looks whether another one has read its answer


class ParentGoneError(Exception):
    """The parent closed its end; the guard of this group is about to kill us."""


class Connection:
    """Blocking JSON lines from and to the parent; threads of the objective may ask, too."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        for descriptor in (incoming, outgoing):
            os.set_inheritable(descriptor, False)  # what the objective starts must not hold them
        self._in = incoming
        self._out = outgoing
        self.channel = Channel("", 0)
        self._readable = select.poll()
        self._readable.register(incoming, select.POLLIN)
        self._buffer, self._waiting = LineBuffer(), deque[bytes]()
        self._kept = deque[FromParent]()
        self._asked = 0
        self._answers: dict[int, Records] = {}
        # Reentrant: SIGTERM may unwind the thread that has it, which then asks once more.
        self._reading, self._sending = threading.RLock(), threading.RLock()
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
        """The next message that is no answer."""
        while not self._kept:
            with self._reading:
                self._read_one()
            time.sleep(0)  # whose answer it was may be waiting for the lock
        return self._kept.popleft()

    def ask(self, question: Callable[[int], FromWorker]) -> Records:
        """Send a question under a number of its own, and wait for the answer to it.

        One that nobody waits for any more, after SIGTERM, is passed over.
        """
        with self._sending:
            self._asked += 1
            number = self._asked
        self.send(question(number))
        while number not in self._answers:
            if self._reading.acquire(timeout=_LOOK):
                try:
                    if number not in self._answers:
                        self._read_one()
                finally:
                    self._reading.release()
        return self._answers.pop(number)

    def _read_one(self) -> None:
        message = self.channel.decode(self._next_line(), FromParent)
        if isinstance(message, Records):
            self._answers[message.id] = message
        else:
            self._kept.append(message)

    def _next_line(self) -> bytes:
        while not self._waiting:
            self._readable.poll()  # SIGTERM may end the waiting, and loses nothing that was read
            with held_back:
                chunk = os.read(self._in, 1 << 16)
                self._waiting.extend(self._buffer.feed(chunk))
            if not chunk:
                raise ParentGoneError
        return self._waiting.popleft()

    def send(self, message: FromWorker) -> None:
        """Send a message whole: a line that ends in the middle would take the next one with it."""
        rest = memoryview(self.channel.encode(message))
        with held_back, self._sending, contextlib.suppress(BrokenPipeError):
            while rest:
                rest = rest[os.write(self._out, rest) :]

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
