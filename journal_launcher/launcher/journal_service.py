"""The journal for workers that reach it through us alone: we are its only writer.

What waits is appended at once, with one fsync, and nobody hears of a record before it is on disk.
Each worker asks one question at a time, so no more than one answer waits for it here. Every record
goes to every worker, so it is read and quoted once, and copied for each.
"""

import os
from bisect import bisect_left

from journal_launcher.base.channel import quoted
from journal_launcher.base.messages import Append, Read, Records
from journal_launcher.launcher.engine import WorkerProcess
from journal_launcher.study.journal.backend import Journal

__all__ = ["JournalService"]

_MOST = 1 << 20  # bytes of the journal in one answer; a longer line is sent whole


class JournalService:
    """Keeps the questions of workers until they are answered together."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._waiting: list[tuple[WorkerProcess, Append | Read]] = []
        self._latest = _Latest()

    def take(self, process: WorkerProcess, question: Append | Read) -> None:
        """A worker has asked; `answer` answers."""
        self._waiting.append((process, question))

    def answer(self) -> None:
        """Append all that waits, then tell everybody what is new to them.

        Raises:
            JournalDamagedError: the journal vanished, or changed underneath.
        """
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        failed = self._append([q for _, q in waiting if isinstance(q, Append)])
        try:
            descriptor = os.open(self._journal.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise self._journal.changed("it is gone") from None
        try:
            self._latest.read_on(descriptor)
            for process, question in waiting:
                error = failed if isinstance(question, Append) else None
                self._answer(process, question, error, descriptor)
        finally:
            os.close(descriptor)

    def _answer(
        self,
        process: WorkerProcess,
        question: Append | Read,
        failed: OSError | None,
        descriptor: int,
    ) -> None:
        lines = self._latest.since(question.offset)
        end, more = self._latest.end, False
        if lines is None:  # it has much to read yet
            found = _whole_lines(descriptor, question.offset)
            end = question.offset + len(found)
            more = len(found) > 0 and os.fstat(descriptor).st_size > end
            lines = quoted(found.decode(errors="surrogateescape"))
            self._latest.begin(end)
        error = None if failed is None else failed.strerror or str(failed)
        errno = None if failed is None else failed.errno
        process.send(Records(question.id, "", end, more, error, errno), lines)

    def _append(self, appends: list[Append]) -> OSError | None:
        """Why nothing of this counts; it may be partly there, as after any failed append."""
        records = [record for append in appends for record in append.records]
        try:
            self._journal.append_logs(records)
        except OSError as error:
            return error
        return None


class _Latest:
    """The end of the journal, quoted as it stands in an answer.

    end: the byte up to which it was read.
    """

    def __init__(self) -> None:
        self.end = -1  # it has not begun
        self._clear()

    def _clear(self) -> None:
        self._starts: list[int] = []  # of its lines: bytes of the journal
        self._places: list[int] = []  # and of what is quoted
        self._quoted = bytearray()

    def begin(self, end: int) -> None:
        """Somebody has read up to here; what follows is for all."""
        if self.end < 0:
            self.end = end

    def read_on(self, descriptor: int) -> None:
        if self.end < 0:
            return
        if os.fstat(descriptor).st_size < self.end:  # who opens it next will say so
            self._clear()
            self.end = -1
            return
        while found := _whole_lines(descriptor, self.end):
            for line in found.split(b"\n")[:-1]:
                self._starts.append(self.end)
                self._places.append(len(self._quoted))
                self._quoted += quoted(f"{line.decode(errors='surrogateescape')}\n")
                self.end += len(line) + 1
        self._forget()

    def since(self, offset: int) -> bytes | None:
        """Every line from byte `offset` on, quoted; None if that is too long ago."""
        if offset == self.end:
            return b""
        place = bisect_left(self._starts, offset)
        if place == len(self._starts) or self._starts[place] != offset:
            return None
        with memoryview(self._quoted) as everything:
            return bytes(everything[self._places[place] :])

    def _forget(self) -> None:
        """Keep what workers who are at their trials have not read."""
        if len(self._quoted) <= 2 * _MOST:
            return
        first = bisect_left(self._places, len(self._quoted) - _MOST)
        cut = self._places[first] if first < len(self._places) else len(self._quoted)
        del self._quoted[:cut]
        self._starts = self._starts[first:]
        self._places = [place - cut for place in self._places[first:]]


def _whole_lines(descriptor: int, start: int) -> bytes:
    """What follows byte `start`, up to the end of a line; a last line that has none is left out."""
    most = _MOST
    while True:
        found = os.pread(descriptor, most, start)
        end = found.rfind(b"\n") + 1
        if end or len(found) < most:
            return found[:end]
        most *= 2
