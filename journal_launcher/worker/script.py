"""One run of a user's program: its output line by line, and the end of everything it started."""

import codecs
import contextlib
import os
import re
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import IO

import psutil

from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.errors import limit_met
from journal_launcher.base.job_kinds import COMMAND
from journal_launcher.base.processes import pidfd
from journal_launcher.worker.jobs.base import TrialFailedError
from journal_launcher.worker.numbered_lines import marked

__all__ = ["Line", "Script"]

GRACE = COMMAND.stop_grace  # seconds between SIGTERM and SIGKILL
_LOOK = 0.02  # seconds between two looks at processes that were told to stop
_LONGEST_LINE = 1 << 16
_TAIL_LINES, _TAIL_LINE, _TAIL = 10, 300, 1500  # lines; characters of each; of all
_SECRET = 6  # characters; shorter values of the environment are words such as "1" or "true"
_NO_SECRETS = ("JL_", "PWD", "OLDPWD", "HOME", "PATH", "SHELL", "VIRTUAL_ENV", "CONDA_PREFIX")
_FULL_PIPE = 16 + 1  # reads of 64 KiB that empty the largest pipe
_LINE_END = re.compile(r"\r\n|\n|\r(?=.)", re.DOTALL)  # a last \r may be half of \r\n


@dataclass(frozen=True)
class Line:
    """A line of output. One that ends in a carriage return was overwritten (a progress bar)."""

    text: str
    is_stdout: bool
    overwritten: bool


class _Stream:
    """One of the script's pipes: its bytes go on to our own output and are cut into lines.

    mark: what each line begins with in our output.
    """

    def __init__(self, pipe: IO[bytes], descriptor: int, mark: bytes) -> None:
        self.pipe = pipe
        self._mark = mark
        self._begun = False  # is our output in mid-line?
        self._ours = descriptor
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""
        self.ended = False
        os.set_blocking(pipe.fileno(), False)

    def read(self) -> list[Line] | None:
        """The lines in what is there to read; None if nothing is."""
        try:
            chunk = os.read(self.pipe.fileno(), 1 << 16)
        except BlockingIOError:
            return None
        self.ended = not chunk
        with contextlib.suppress(OSError):  # a log that cannot be written must not end the trial
            os.write(self._ours, self._marked(chunk))
        text = self._rest + self._decoder.decode(chunk, final=self.ended)
        lines = []
        start = 0
        for end in _LINE_END.finditer(text):
            lines.append(self._line(text[start : end.start()], end[0] == "\r"))
            start = end.end()
        self._rest = text[start:][-_LONGEST_LINE:]
        return None if self.ended else lines

    def _marked(self, chunk: bytes) -> bytes:
        if not chunk:
            return chunk
        begun, self._begun = self._begun, not chunk.endswith(b"\n")
        return marked(chunk, self._mark, b"\n", begun=begun)

    def last(self) -> list[Line]:
        """What came without a line end."""
        rest = self._rest.rstrip("\r")
        self._rest = ""
        return [self._line(rest, False)] if rest else []

    def _line(self, text: str, overwritten: bool) -> Line:
        return Line(text[-_LONGEST_LINE:], self._ours == 1, overwritten)


class Script:
    """A running program. Leaving the `with` block ends what is left of it, with all its children.

    It stays in this worker's process group, so that whoever kills the group kills it too.

    Args:
        mark: what each line of its output begins with in ours.

    Raises:
        TrialFailedError: it cannot be started.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        terminal: bool = False,
        mark: bytes = b"",
    ) -> None:
        self._strangers = _group()
        try:
            self._process = subprocess.Popen(
                list(arguments),
                stdin=None if terminal else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(environment),
            )
        except OSError as error:
            why = limit_met(error) or error.strerror
            raise TrialFailedError(f"cannot start {arguments[0]}: {why}") from None
        self._tail = deque[str](maxlen=_TAIL_LINES)
        self._seen: set[psutil.Process] = set()
        assert self._process.stdout is not None and self._process.stderr is not None
        pipes = (self._process.stdout, self._process.stderr)
        self._streams = tuple(_Stream(pipe, ours, mark) for ours, pipe in enumerate(pipes, 1))
        self._selector = selectors.DefaultSelector()
        for stream in self._streams:
            self._selector.register(stream.pipe, selectors.EVENT_READ, stream)
        self._exit = pidfd(self._process.pid)
        if self._exit is not None:
            self._selector.register(self._exit, selectors.EVENT_READ)

    def __enter__(self) -> "Script":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._end(signal.SIGTERM, GRACE)
        finally:
            self._end(signal.SIGKILL, GRACE)
            self._selector.close()
            for stream in self._streams:
                stream.pipe.close()
            if self._exit is not None:
                os.close(self._exit)

    def lines(self) -> Iterator[Line]:
        """All output until the program itself has ended; its background processes may go on."""
        while self._process.poll() is None:
            yield from self._read(_LOOK if self._exit is None else None)
        for stream in self._streams:
            for _ in range(_FULL_PIPE):
                if (lines := stream.read()) is None:
                    break
                yield from self._noted(lines)
            yield from self._noted(stream.last())

    @property
    def exit_status(self) -> int:
        return self._process.wait()

    def tail(self, environment: Mapping[str, str]) -> str:
        """The last lines of its output. A value of the environment appears as its name only."""
        text = "\n".join(self._tail)
        secrets = [
            (part, name)
            for name, value in environment.items()
            for part in value.splitlines()
            if len(part) >= _SECRET and not name.startswith(_NO_SECRETS)
        ]
        for part, name in sorted(secrets, key=lambda secret: -len(secret[0])):
            text = text.replace(part, f"${name}")
        return "\n".join(line[:_TAIL_LINE] for line in text.splitlines())[-_TAIL:]

    def _read(self, seconds: float | None) -> Iterator[Line]:
        for key, _ in self._selector.select(seconds):
            if isinstance(key.data, _Stream):
                lines = key.data.read()
                if key.data.ended:
                    self._selector.unregister(key.fileobj)
                yield from self._noted(lines or [])

    def _noted(self, lines: list[Line]) -> Iterator[Line]:
        for line in lines:
            if not line.overwritten and line.text.strip():
                self._tail.append(line.text.rstrip())
            yield line

    def _end(self, number: signal.Signals, seconds: float) -> None:
        """Signal all that is left of it, and wait until that is gone or the time is over."""
        told: set[int] = set()
        deadline = time.monotonic() + seconds
        while (left := self._left()) and time.monotonic() < deadline:
            for process in left:
                if process.pid not in told:
                    told.add(process.pid)
                    with contextlib.suppress(psutil.Error):
                        process.send_signal(number)
            time.sleep(_LOOK)  # the pipes may be closed, and the exit may have been seen
            for _ in self._read(0):
                pass

    def _left(self) -> list[psutil.Process]:
        """Its living processes: its tree, and members of this group that were not there before."""
        self._process.poll()
        with contextlib.suppress(psutil.Error):
            self._seen |= set(psutil.Process(self._process.pid).children(recursive=True))
        for pid in _group() - self._strangers:
            with contextlib.suppress(psutil.Error):
                self._seen.add(psutil.Process(pid))
        return [process for process in self._seen if _lives(process)]


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _group() -> set[int]:
    """The processes of our own group."""
    ours = os.getpgrp()
    found = set()
    for pid in psutil.pids():
        with contextlib.suppress(OSError):
            if os.getpgid(pid) == ours:
                found.add(pid)
    return found
