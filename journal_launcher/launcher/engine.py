"""The seam between a launch and where its workers run: what the parent needs of a worker's process.

Pool, supervisor and watchdog know this file alone; `engines/` holds what fulfils it. A worker on
another machine is a client on this one, whose two pipes carry the messages: so there is always a
local process with descriptors for a selector, and its end is the worker's end.

Nothing here may block but `reap`, and nothing may raise because the worker is dead already: it may
die between any two calls. Its death is told by `has_exited` alone, never by the end of a pipe.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.messages import FromParent, FromWorker
from journal_launcher.devices.choose import Device

__all__ = ["Engine", "WorkerProcess", "WorkerSpec", "left_behind"]


@dataclass(frozen=True)
class WorkerSpec:
    """Blueprint of a worker: which device it is pinned to and how many CPU threads it may use."""

    index: int
    device: Device
    threads: int
    environment: Mapping[str, str]


class WorkerProcess(Protocol):
    """One started worker, from its start to `reap`; after that nobody calls it any more."""

    @property
    def pid(self) -> int:
        """The local process, for people: who it is when it does not end."""
        ...

    @property
    def log(self) -> Path:
        """Where its output goes, a file on this machine."""
        ...

    @property
    def messages_descriptor(self) -> int:
        """Readable when `receive` has something, until `reap`."""
        ...

    @property
    def exit_descriptor(self) -> int | None:
        """Readable once it has ended, until `reap`; None: the parent has to look now and then."""
        ...

    @property
    def out_descriptor(self) -> int:
        """Writable when `send_rest` can go on; watched only while something is `unsent`."""
        ...

    @property
    def unsent(self) -> bytes | bytearray:
        """What was sent and has not left the parent yet; empty once the worker reads no more."""
        ...

    @property
    def hung_up(self) -> bool:
        """Has `receive` come to the end of what it says? That is not its own end."""
        ...

    @property
    def lost(self) -> bool:
        """After its end: is only what carried its words gone? Then neither it nor its trial is to
        blame, and it may still run somewhere, but can say nothing any more."""
        ...

    @property
    def shares_folder(self) -> bool:
        """Does it see the studies folder? Else trials' folders are given to it and come back, and
        a table's arrays are fetched."""
        ...

    @property
    def left_folders(self) -> bool:
        """After its end: is here what its trials have left in their folders?"""
        ...

    def give(self, trial: int, folder: Path) -> None:
        """Let it have a copy as the trial's folder, before it hears what is sent next."""
        ...

    def send(self, message: FromParent, lines: bytes = b"") -> None:
        """Send a message whole, after those before it; what finds no room now is `unsent`.

        lines: as for `channel.Channel.encode`.
        """
        ...

    def send_rest(self) -> None:
        """Go on sending what is `unsent`."""
        ...

    def receive(self) -> list[FromWorker]:
        """Every message that has arrived and was not received yet, in order.

        What a worker said before it died is still received after `has_exited` and before `reap`.

        Raises:
            JournalLauncherError: it said what is no message of this launch and program version.
        """
        ...

    def has_exited(self) -> bool:
        """Has it ended? Looks without collecting: `reap` still has to be called."""
        ...

    def ask_to_stop(self) -> None:
        """Let the worker unwind its trial and leave; it may take its time, or ignore this."""
        ...

    def kill(self) -> None:
        """End it and everything it started, at once, without asking. Safe at any time."""
        ...

    def dump_stacks(self) -> None:
        """Ask for the stacks of all its threads in `log`."""
        ...

    def cpu_seconds(self) -> float:
        """CPU time of it and of everything it started, as far as that can be seen; it may fall."""
        ...

    def reap(self, seconds: float) -> int | None:
        """Kill what is left of it, wait so long for its end and close every descriptor.

        Returns its exit status, a signal as a negative number; None if it did not end in time.
        """
        ...

    def log_tail(self, lines: int = 20) -> str:
        """The last lines that this process, and none before it, wrote to `log`."""
        ...


class Engine(Protocol):
    """Who starts workers, and thereby where they run."""

    @property
    def through_parent(self) -> bool:
        """Do its workers reach the journal through the parent alone?"""
        ...

    @property
    def has_agents(self) -> bool:
        """Is each worker started by an agent, which says where that is, and may have to wait?"""
        ...

    @property
    def places_known(self) -> bool:
        """Has every place answered before the first start? Then an agent that does not begin was
        lost, and is tried again; else the place is wrong."""
        ...

    def start(self, spec: WorkerSpec, launch: str, log: Path) -> WorkerProcess:
        """Start one worker of a launch; its output is appended to `log`.

        Raises:
            JournalLauncherError: it cannot be started, in one line that says what to do.
            OSError: the disk is full.
        """
        ...


def left_behind(pid: int) -> str:
    """What the user is told of a process that does not end."""
    return f"worker process {pid} was killed but does not end; it is left behind (see dmesg)"
