"""The journal for workers that reach it through us alone: we are its only writer.

What waits is appended at once, with one fsync, and nobody hears of a record before it is on disk.
Each worker asks one question at a time, so no more than one answer waits for it here.
"""

import os

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
            for process, question in waiting:
                error = failed if isinstance(question, Append) else None
                process.send(_answer(descriptor, question, error))
        finally:
            os.close(descriptor)

    def _append(self, appends: list[Append]) -> OSError | None:
        """Why nothing of this counts; it may be partly there, as after any failed append."""
        records = [record for append in appends for record in append.records]
        try:
            self._journal.append_logs(records)
        except OSError as error:
            return error
        return None


def _answer(descriptor: int, question: Append | Read, failed: OSError | None) -> Records:
    lines = _whole_lines(descriptor, question.offset)
    end = question.offset + len(lines)
    return Records(
        id=question.id,
        lines=lines.decode(errors="surrogateescape"),
        offset=end,
        more=len(lines) > 0 and os.fstat(descriptor).st_size > end,
        error=None if failed is None else failed.strerror or str(failed),
        errno=None if failed is None else failed.errno,
    )


def _whole_lines(descriptor: int, start: int) -> bytes:
    """What follows byte `start`, up to the end of a line; a last line that has none is left out."""
    most = _MOST
    while True:
        found = os.pread(descriptor, most, start)
        end = found.rfind(b"\n") + 1
        if end or len(found) < most:
            return found[:end]
        most *= 2
