"""One worker process: its session, its pipes, its log file, and the end of its whole group."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from journal_launcher.base.channel import Channel, LineBuffer
from journal_launcher.base.errors import JournalLauncherError, UsageError, is_full_disk, limit_met
from journal_launcher.base.messages import FromParent, FromWorker
from journal_launcher.base.plain_files import open_plain
from journal_launcher.base.processes import pidfd
from journal_launcher.launcher.engine import WorkerSpec

__all__ = ["WORKER_PROGRAM", "LocalEngine", "LocalProcess", "cpu_seconds_of", "inherited"]

WORKER_PROGRAM = Path(__file__).parents[2] / "worker" / "__main__.py"

_FULL_PIPE = 16 + 1  # reads of 64 KiB that empty the largest pipe: others wait for their turn

# A guard in the worker's own process group waits for the parent's end of a pipe to close and then
# kills the group, itself included. It works where code inside the worker could not: when the worker
# hangs in C, is stopped, or started processes of its own. Being a member of the group, it also
# keeps the group's number from being given to anybody else. The parentheses make it nobody's child:
# an objective that waits for all its children must not wait for the guard.
_GUARDED = (
    "exec 3<&0 </dev/null; "
    "( { trap '' TERM INT HUP; read -r _ <&3; kill -KILL 0; } >/dev/null 2>&1 & ); "
    'exec "$@" 3<&-'
)


class LocalEngine:
    """Starts workers on this machine, each in a session of its own (see `engine.Engine`).

    given: a descriptor of functions that have no file, which every worker inherits.
    """

    through_parent = has_agents = False
    places_known = True

    def __init__(self, given: int | None = None) -> None:
        self._given = given

    def start(self, spec: WorkerSpec, launch: str, log: Path) -> "LocalProcess":
        return LocalProcess(spec, launch, log, self._given)


class LocalProcess:
    """A worker on this machine; `engine.WorkerProcess` says what each member must do."""

    def __init__(self, spec: WorkerSpec, launch: str, log: Path, given: int | None = None) -> None:
        self.spec = spec
        self.log = log
        self._given = () if given is None else (given,)
        self._channel = Channel(launch, spec.index)
        self._lines = LineBuffer()
        self.unsent = bytearray()  # of messages for which the pipe had no room
        self.hung_up = self.reads_no_more = False
        try:
            self._start()
        except OSError as error:
            if is_full_disk(error):
                raise
            limit = "use fewer workers, or raise the limit that `ulimit -a` shows"
            raise JournalLauncherError(
                f"worker {spec.index} cannot be started: {error.strerror}; "
                f"{limit_met(error) or limit}"
            ) from None
        self.exit_descriptor = pidfd(self._process.pid)

    def _start(self) -> None:
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
            to_worker, self.out_descriptor = _pipe(theirs, ours)
            self.messages_descriptor, from_worker = _pipe(ours, theirs)
            lifeline, self._lifeline = _pipe(theirs, ours)
            with self._open_output() as output:
                self._process = self._popen(to_worker, from_worker, lifeline, output)
            ours.pop_all()  # they stay open
        os.set_blocking(self.messages_descriptor, False)
        os.set_blocking(self.out_descriptor, False)

    def _open_output(self) -> BinaryIO:
        output = _open_log(self.log)
        self.log_start = output.tell()
        return output

    def _popen(
        self, to_worker: int, from_worker: int, lifeline: int, output: BinaryIO
    ) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [
                *("/bin/sh", "-c", _GUARDED, "worker"),
                *(sys.executable, "-P", str(WORKER_PROGRAM)),
                *map(str, (to_worker, from_worker, *self._given)),
            ],
            stdin=lifeline,
            stdout=output,
            stderr=output,
            env=dict(self.spec.environment),
            pass_fds=(to_worker, from_worker, *self._given),
            start_new_session=True,
        )

    @property
    def lost(self) -> bool:
        return False  # it is a child of ours: what became of it is known

    @property
    def shares_folder(self) -> bool:
        return True

    @property
    def left_folders(self) -> bool:
        return True

    def give(self, trial: int, folder: Path) -> None:
        """It finds the folder by itself."""

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, message: FromParent, lines: bytes = b"") -> None:
        """Send one message, as far as the pipe has room; `send_rest` sends what is left."""
        self.send_line(self._channel.encode(message, lines))

    def send_line(self, line: bytes) -> None:
        """Send a message that is encoded already, its line end included."""
        self.unsent += line
        self.send_rest()

    def send_rest(self) -> None:
        """Go on sending. A dead worker is noticed elsewhere; here it is no error."""
        try:
            while self.unsent:  # a bytearray loses its beginning without a copy of the rest
                del self.unsent[: os.write(self.out_descriptor, self.unsent)]
        except BlockingIOError:  # the worker reads its messages at its pace
            return
        except BrokenPipeError:
            self.reads_no_more = True
            self.unsent.clear()

    def receive(self) -> list[FromWorker]:
        """All messages that have arrived, without waiting."""
        return [self._channel.decode(line, FromWorker) for line in self.receive_lines()]

    def receive_lines(self) -> list[bytes]:
        """The same, not decoded; no more at once than a pipe can hold."""
        chunks = []
        with contextlib.suppress(BlockingIOError):
            for _ in range(_FULL_PIPE):
                chunk = os.read(self.messages_descriptor, 1 << 16)
                self.hung_up = not chunk
                if self.hung_up:
                    break
                chunks.append(chunk)
        return self._lines.feed(b"".join(chunks))

    def has_exited(self) -> bool:
        """Look without reaping, so that the pid stays ours until the group is killed."""
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # somebody else in this Python process reaped it
            return True

    def ask_to_stop(self) -> None:
        """Send SIGTERM to the worker alone; the processes it started are its own to end."""
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to the whole group. Safe until `reap`: the group's number is still held."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def dump_stacks(self) -> None:
        """Ask for every thread's stack in the log file (faulthandler in the worker)."""
        self._process.send_signal(signal.SIGUSR2)

    def cpu_seconds(self) -> float:
        return cpu_seconds_of(self.pid)

    def reap(self, seconds: float) -> int | None:
        """Kill what is left of the group, collect the exit status and close everything.

        None if it does not end within `seconds`: it is stuck in the kernel, often in a driver.
        """
        self.kill()
        status = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = self._process.wait(seconds)
        for descriptor in (self.out_descriptor, self.messages_descriptor, self._lifeline):
            os.close(descriptor)
        if self.exit_descriptor is not None:
            os.close(self.exit_descriptor)
        return status

    def log_tail(self, lines: int = 20) -> str:
        """The last lines that this process (not an earlier one) wrote to its log."""
        with (
            contextlib.suppress(FileNotFoundError, UsageError),
            open(self.log, "rb", opener=open_plain) as file,
        ):
            size = file.seek(0, os.SEEK_END)
            file.seek(max(self.log_start, size - 16_384))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
        return ""


@contextlib.contextmanager
def inherited(content: bytes | None) -> Iterator[int | None]:
    """A descriptor of the content in memory, for children; it is gone with the last of them."""
    if content is None:
        yield None
        return
    with _without_a_name() as file:
        file.write(content)
        file.flush()
        # Beyond those that the guard's shell uses.
        descriptor = fcntl.fcntl(file.fileno(), fcntl.F_DUPFD_CLOEXEC, 10)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _without_a_name() -> BinaryIO:
    if hasattr(os, "memfd_create"):
        return open(os.memfd_create("journal_launcher"), "wb")
    import tempfile  # macOS has no memory of that kind

    return cast(BinaryIO, tempfile.TemporaryFile())  # removed before anything is in it


def cpu_seconds_of(pid: int) -> float:
    """CPU time of a process and of everything it started, as far as it can be seen."""
    import psutil  # no launch waits for it before its workers are started

    total = 0.0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for member in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += sum(member.cpu_times()[:2])
    return total


def _open_log(log: Path) -> BinaryIO:
    """Open a worker's log to append; its folder may be removed at any moment, and is made again."""
    for _ in range(20):
        with contextlib.suppress(FileNotFoundError):
            log.parent.mkdir(parents=True, exist_ok=True)
            return open(log, "ab", opener=open_plain)
    return open(log, "ab", opener=open_plain)


def _pipe(reader: contextlib.ExitStack, writer: contextlib.ExitStack) -> list[int]:
    """A pipe beyond the descriptors that the guard's shell uses; who closes which end."""
    low = os.pipe()
    high = []
    try:
        for end, owner in zip(low, (reader, writer), strict=True):
            high.append(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10))
            owner.callback(os.close, high[-1])
    finally:
        for end in low:
            os.close(end)
    return high
