"""The journal of a worker whose parent has the file: it asks for every line, and to write any."""

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any, NamedTuple

from optuna.storages.journal import BaseJournalBackend

from journal_launcher.base.errors import JournalDamagedError
from journal_launcher.base.messages import Append, Read
from journal_launcher.study.journal.backend import changed, damaged, loading, meaning_nothing
from journal_launcher.study.journal.lines import NotOptunas, NotOptunasError, parse_record
from journal_launcher.study.journal.storage import StudyStorage
from journal_launcher.worker.connection import Connection

__all__ = ["JournalOverPipe", "open_through_parent"]


class _Place(NamedTuple):
    """How far the journal was read; replaced as a whole, for SIGTERM may come between two lines."""

    ahead: list[bytes]  # lines that the parent has sent
    used: int  # of those
    more: bool  # does the parent have others?
    number: int  # records read
    start: int  # byte at which the last one begins
    end: int  # and at which the next one does


_BEGINNING = _Place([], 0, True, 0, 0, 0)


class JournalOverPipe(BaseJournalBackend):
    """Optuna's two methods, by questions to the parent. A record is durable when it answers.

    path: the log, which lies on the parent's machine.
    """

    def __init__(self, connection: Connection, path: Path) -> None:
        self.path = str(path)
        self._connection = connection
        self._place = _BEGINNING
        self._fresh = False  # the answer to an append says what there is to read
        self._process = os.getpid()

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Let the parent append records.

        Raises:
            OSError: as from a file of one's own; nothing of these records counts.
        """
        if logs:
            self._ask(logs)
            self._fresh = True

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """Yield the records from number `log_number_from` on, as from a file of one's own."""
        if log_number_from != self._place.number:
            self._place, self._fresh = _BEGINNING, False
        if not self._fresh:
            self._ask()
        self._fresh = False
        while True:
            ahead, used, more, number, _, start = self._place
            if used == len(ahead):
                if not more:
                    return
                self._ask()
                continue
            line = ahead[used]
            record = self._parsed(line, number + 1, start)
            # Before the yield: Optuna counts a record as read also when applying it raises.
            end = start + len(line) + 1
            self._place = _Place(ahead, used + 1, more, number + 1, start, end)
            if number >= log_number_from:
                yield record

    def _parsed(self, line: bytes, number: int, start: int) -> dict[str, Any]:
        try:
            return parse_record(line)
        except NotOptunasError as error:
            damage = damaged(self.path, number, start, str(error))
            return NotOptunas(error.content, damage)
        except ValueError as error:
            raise damaged(self.path, number, start, str(error)) from None

    def _ask(self, records: list[dict[str, Any]] | None = None) -> None:
        """Fetch what follows, after appending `records`."""
        if os.getpid() != self._process:
            raise RuntimeError(
                "this worker's journal is its parent's: a process that the objective forked cannot "
                "use the trial or the study; return what it found and report it here"
            )
        ahead, used, _, number, start, end = self._place
        rest = ahead[used:]
        known = end + sum(len(line) + 1 for line in rest)
        if records is None:
            answer = self._connection.ask(lambda id: Read(id, known))
        else:
            answer = self._connection.ask(lambda id: Append(id, known, records))
        lines = answer.lines.encode(errors="surrogateescape").split(b"\n")[:-1]
        self._place = _Place([*rest, *lines], 0, answer.more, number, start, end)
        if answer.error is not None:
            raise OSError(answer.errno, answer.error, self.path)

    def changed(self, how: str, then: str = "put the file back and resume") -> JournalDamagedError:
        return changed(self.path, how, then)

    def meaningless(self, error: Exception) -> JournalDamagedError:
        number, start = self._place.number, self._place.start
        return damaged(self.path, number, start, meaning_nothing(error))


def open_through_parent(connection: Connection, path: Path) -> StudyStorage:
    """Open a study's journal, of which only the parent has the file."""
    backend = JournalOverPipe(connection, path)
    with loading(backend):
        return StudyStorage(backend)
