"""A worker elsewhere: a local client (srun) carries the lines between us and its agent.

The client is a child of ours, so all that is known of a local process holds for it: it has a
pidfd, and its stderr is the log. Its end is the worker's end, for nobody reads that one's words any
more; how the worker ended only the agent can say.
"""

import contextlib
import os
import signal
import subprocess
import sys
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from journal_launcher.base import messages
from journal_launcher.base.errors import JournalLauncherError
from journal_launcher.base.messages import FromParent, FromWorker
from journal_launcher.launcher.engine import WorkerSpec
from journal_launcher.launcher.engines.local import LocalProcess

__all__ = ["AGENT", "CarriedProcess"]

AGENT = Path(__file__).parents[1] / "agent.py"

# As the guard of a local worker, but the client is asked first: one that is queued takes itself out
# of the queue only when it is told by SIGTERM.
_GUARDED = (
    "( { trap '' TERM INT HUP; read -r _; kill -TERM 0; n=0; "
    "while kill -0 $$ && [ $n -lt 30 ]; do sleep 0.1; n=$((n+1)); done; kill -KILL 0; } "
    '<&"$0" >/dev/null 2>&1 & ); exec "$@"'
)


class CarriedProcess(LocalProcess):
    """A client and the worker behind it; `engine.WorkerProcess` says what each member must do.

    client: the command that runs another one on a node. carry: what the agent is told first.
    """

    def __init__(
        self,
        spec: WorkerSpec,
        launch: str,
        log: Path,
        client: Sequence[str],
        carry: messages.Carry,
    ) -> None:
        self._client = client
        self._placed = self._told_to_die = self._insisted = False
        self._status: int | None = None
        self._cpu_seconds = 0.0
        self._staging: Path | None = None
        super().__init__(spec, launch, log)
        self.send(carry)

    def _popen(
        self, to_worker: int, from_worker: int, lifeline: int, output: BinaryIO
    ) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [
                *("/bin/sh", "-c", _GUARDED, str(lifeline)),
                *self._client,
                *(sys.executable, "-P", str(AGENT)),
            ],
            stdin=to_worker,
            stdout=from_worker,
            stderr=output,
            env=dict(self.spec.environment),
            pass_fds=(lifeline,),
            start_new_session=True,
        )

    @property
    def lost(self) -> bool:
        return self._status is None and not self._told_to_die

    @property
    def said_how_it_ended(self) -> bool:
        """Has the agent seen the worker's end?"""
        return self._status is not None

    def send(self, message: FromParent, lines: bytes = b"") -> None:
        if isinstance(message, messages.Refit):
            self._staging = Path(message.staging)
        super().send(message, lines)

    def receive(self) -> list[FromWorker]:
        return [message for message in super().receive() if not self._is_of_agent(message)]

    def _is_of_agent(self, message: FromWorker) -> bool:
        """What the agent says of itself is for nobody else; where it is, is for everybody."""
        match message:
            case messages.Used(seconds):
                self._cpu_seconds = seconds
            case messages.File():
                self._keep(message)
            case messages.Exited(status):
                self._status = status
            case _:
                self._placed |= isinstance(message, messages.Placed)
                return False
        return True

    def _keep(self, part: messages.File) -> None:
        """Write a part of a staged file where the worker of a local launch would have."""
        name = Path(part.name)
        if self._staging is None or name.is_absolute() or ".." in name.parts:
            raise JournalLauncherError(f"worker {self.spec.index}: unexpected file {part.name!r}")
        path = self._staging / name
        if part.folder:
            path.mkdir()
            return
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(path, flags, 0o666), "ab") as file:  # as the umask says
            file.write(b64decode(part.data))

    def ask_to_stop(self) -> None:
        if self._placed:
            self.send(messages.Signal("TERM"))
        else:  # still queued, and so out of the queue
            self._process.send_signal(signal.SIGTERM)

    def dump_stacks(self) -> None:
        if self._placed:
            self.send(messages.Signal("USR2"))

    def kill(self) -> None:
        """Tell agent and client at first; kill the client where that was no use."""
        if self._told_to_die or self._insisted:
            super().kill()
            return
        self._told_to_die = True
        self.send(messages.Signal("KILL"))
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGTERM)

    def cpu_seconds(self) -> float:
        return self._cpu_seconds

    def reap(self, seconds: float) -> int | None:
        if not self.has_exited():
            self.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
        with contextlib.suppress(JournalLauncherError):
            self.receive()  # how it ended, if nobody has heard that yet
        self._insisted = True
        status = super().reap(1.0)
        return status if self._status is None else self._status
