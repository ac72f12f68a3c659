"""Who runs a trial, and whether that process is provably dead."""

import os
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from journal_launcher.base.dataclass import dataclass
from journal_launcher.study.attributes import number, text, whole

__all__ = ["OWNER_ATTRIBUTE", "Owner", "owner_of"]

OWNER_ATTRIBUTE = "jl_owner"


@dataclass(frozen=True)
class Owner:
    """A process, named so that it can never be mistaken for another one.

    `started` is the start time in clock ticks since boot (Linux), which no change of the wall clock
    moves; `namespace` tells containers of one machine apart, where pids mean different processes.
    `via` is "parent" where the parent writes the journal for it, and "node" where, besides, the
    folders of its trials are on its node alone.
    """

    launch: str
    worker: int
    host: str
    boot: str
    namespace: str
    pid: int
    started: float
    via: str | None = None

    @classmethod
    def this_process(cls, launch: str, worker: int, via: str | None = None) -> "Owner":
        pid = os.getpid()
        host = os.uname().nodename
        return cls(launch, worker, host, _boot(), _namespace(), pid, _started(pid), via)

    def to_json(self) -> dict[str, Any]:
        content = asdict(self)
        if self.via is None:  # as earlier versions have it, which read no other key
            del content["via"]
        return content

    def is_dead(self) -> bool:
        """True only with proof. Call it while holding the study's lease.

        Same boot and namespace: the pid is gone or was given to another process. Same boot, other
        namespace (a container that is gone or unreachable): the lease proves that the owner's
        parent is dead, and a worker does not outlive its parent. Another boot of the same host:
        dead. Another host: unknown. One that wrote through its parent is dead to the journal
        wherever it was: whoever holds the lease knows that nobody writes for it any more.
        """
        if self.via is not None:
            return True
        if self.boot != _boot():
            return self.host == os.uname().nodename
        if self.namespace != _namespace():
            return True
        try:
            return _started(self.pid) != self.started
        except ProcessLookupError:
            return True

    def is_ending(self) -> bool:
        """Does it still live here? Whoever holds the lease knows that it is about to be killed."""
        here = (self.boot, self.namespace) == (_boot(), _namespace())
        return here and not self.is_dead()

    def __str__(self) -> str:
        return f"worker {self.worker} (pid {self.pid} on {self.host})"


def owner_of(user_attributes: dict[str, Any]) -> Owner | None:
    """The owner recorded in a trial's user attributes; None for a foreign writer's trial."""
    content = user_attributes.get(OWNER_ATTRIBUTE)
    names = {field.name for field in fields(Owner)}
    if not isinstance(content, dict) or {*content, "via"} != names:
        return None
    read: dict[str, Callable[[Any], Any]] = dict.fromkeys(content, text)
    read |= {"worker": whole, "pid": whole, "started": number}
    owner = {key: read[key](value) for key, value in content.items()}
    return None if None in owner.values() else Owner(**owner)


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        import psutil  # only where there is no /proc

        return str(int(psutil.boot_time()))


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _started(pid: int) -> float:
    """Start time of a living process; a zombie is dead."""
    try:
        # The command in parentheses may hold spaces; state is field 3, start time field 22.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            raise ProcessLookupError(pid) from None
        return _started_without_proc(pid)
    if fields[0] in "ZX":
        raise ProcessLookupError(pid)
    return float(fields[19])


def _started_without_proc(pid: int) -> float:
    import psutil

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        raise ProcessLookupError(pid) from None
