"""A worker elsewhere: a local client (srun) carries the lines between us and its agent.

The client is a child of ours, so all that is known of a local process holds for it: it has a
pidfd, and its stderr is the log. Its end is the worker's end, for nobody reads that one's words any
more; how the worker ended only the agent can say.

Where its node does not see the studies folder, files go the same way: to the agent as fast as it
reads them, one part at a time, while short messages pass between two parts.
"""

import contextlib
import fcntl
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from journal_launcher.base import messages
from journal_launcher.base.errors import AGAIN, JournalLauncherError
from journal_launcher.base.files import move_into_place
from journal_launcher.base.messages import FromParent, FromWorker, Preparation
from journal_launcher.base.paths import StudiesFolder, StudyPaths
from journal_launcher.base.plain_files import found_at
from journal_launcher.launcher.engine import WorkerSpec
from journal_launcher.launcher.engines.local import LocalProcess
from journal_launcher.launcher.engines.parcels import keep, parcels, parcels_of_trial
from journal_launcher.launcher.engines.sources import digests
from journal_launcher.settings.launch_settings import LaunchSettings

__all__ = [
    "AGENT",
    "NO_FOLDER",
    "NO_PROGRAM",
    "NO_PYTHON",
    "CarriedProcess",
    "CarryingEngine",
    "agent_command",
    "agent_script",
    "carried_environment",
]

AGENT = Path(__file__).parents[1] / "agent.py"
NO_FOLDER, NO_PYTHON, NO_PROGRAM = 121, 122, 123  # how a script on a node ends without them
# What belongs to this session, and means nothing on another machine.
_OF_SESSION = (
    *("_", "PWD", "OLDPWD", "SHLVL", "HOSTNAME", "TMPDIR", "TERM", "TMUX", "STY"),
    *("DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "CUDA_VISIBLE_DEVICES"),
)
_OF_SESSION_TOO = ("SSH_", "XDG_", "DBUS_", "SLURM", "LD_")  # how their names begin

_PIPE = 1 << 20  # bytes that both pipes hold: fewer turns for large files
_A_TURN = 16  # parts that are sent until others have their turn

# As the guard of a local worker, but the client is asked first: one that is queued takes itself out
# of the queue only when it is told by SIGTERM. (dash cannot say <& to a number of two digits.)
_GUARDED = (
    "( { trap '' TERM INT HUP; read -r _; kill -TERM 0; n=0; "
    "while kill -0 $$ && [ $n -lt 30 ]; do sleep 0.1; n=$((n+1)); done; kill -KILL 0; } "
    '<"/dev/fd/$0" >/dev/null 2>&1 & ); exec "$@"'  # dash knows no <&10
)


class CarryingEngine:
    """What engines are alike in whose workers are carried (see `engine.Engine`)."""

    through_parent = has_agents = True

    def __init__(self, settings: LaunchSettings, environment: Mapping[str, str]) -> None:
        self._settings = settings
        self._environment = environment
        self._lease = StudiesFolder.at(settings.studies_dir).study(settings.name).lease
        self._sources = digests(settings)

    def _carry(
        self, launch: str, gpus: int, host: str = "", *, with_environment: bool = False
    ) -> messages.Carry:
        """What an agent is told first, just before it starts."""
        _show_to_others(self._lease)
        places = (os.getcwd(), self._settings.remote_dir or "")
        environment = carried_environment(self._environment) if with_environment else {}
        return messages.Carry(launch, self._sources, gpus, *places, host, environment)

    def _agent_script(self) -> str:
        """What a shell on a node does to run an agent there."""
        start = None if self._settings.remote_dir else os.getcwd()
        return agent_script(start, self._environment.get("PYTHONPATH"))


class CarriedProcess(LocalProcess):
    """A client and the worker behind it; `engine.WorkerProcess` says what each member must do.

    client: the command that runs the agent on a node. carry: what that is told first.
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
        self._sees = True  # until its agent says otherwise
        self._status: int | None = None
        self._cpu_seconds = 0.0
        self._staging: Path | None = None
        self._paths: StudyPaths | None = None
        self._prepared: Preparation | None = None
        self._waiting: deque[FromParent | Iterator[FromParent]] = deque()  # for what is unsent
        self._arriving: dict[int, Path] = {}  # where trials' folders are put together
        self._left_all = False
        super().__init__(spec, launch, log)
        for pipe in (self.out_descriptor, self.messages_descriptor):
            with contextlib.suppress(OSError, AttributeError):  # beyond a limit, or on macOS
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)
        self.send(carry)

    def _popen(
        self, to_worker: int, from_worker: int, lifeline: int, output: BinaryIO
    ) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [
                *("/bin/sh", "-c", _GUARDED, str(lifeline)),
                *self._client,
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

    @property
    def shares_folder(self) -> bool:
        return self._sees

    @property
    def left_folders(self) -> bool:
        return self._sees or self._left_all

    # --- to the agent

    def give(self, trial: int, folder: Path) -> None:
        if not self._sees:
            self._waiting.append(parcels_of_trial(folder, trial))

    def send(self, message: FromParent, lines: bytes = b"") -> None:
        match message:
            case messages.Spec():
                self._paths = StudyPaths(Path(message.folder), message.study)
            case messages.Open():
                self._prepared = message.prepared
            case messages.Refit():
                self._staging = Path(message.staging)
        overtakes = isinstance(message, messages.Signal | messages.Records | messages.Bye)
        if self._waiting and not overtakes:
            self._waiting.append(message)
            self.send_rest()
        else:
            super().send(message, lines)

    def send_rest(self) -> None:
        """The same, and then what waits; a part at a time, so that no file is in memory whole."""
        super().send_rest()
        for _ in range(_A_TURN):
            if self.unsent or not self._take_waiting():
                return
            super().send_rest()
        self._take_waiting()  # the pool goes on where something is unsent

    def _take_waiting(self) -> bool:
        """Make the next message of what waits `unsent`; False if nothing waits."""
        if self.reads_no_more:
            self._waiting.clear()
        while self._waiting:
            first = self._waiting[0]
            message = first if isinstance(first, FromParent) else next(first, None)
            if message is first or message is None:
                self._waiting.popleft()
            if message is not None:
                self.unsent += self._channel.encode(message)
                return True
        return False

    # --- from the agent

    def receive(self) -> list[FromWorker]:
        return [message for message in super().receive() if not self._is_of_agent(message)]

    def _is_of_agent(self, message: FromWorker) -> bool:
        """What the agent says of itself is for nobody else; where it is, is for everybody, and that
        a trial's folder arrives."""
        match message:
            case messages.Used(seconds):
                self._cpu_seconds = seconds
            case messages.Exited(status):
                self._status, self.hung_up = status, True  # its last word
            case messages.Fetch():
                self._send_arrays()
            case messages.Whole(trial=None):
                self._left_all = True
            case messages.File(trial=None):
                self._keep(message, self._staging)
            case messages.File(trial=int(trial)):
                self._keep(message, self._place_of(trial))
                return False
            case messages.Whole(trial=int(trial)):
                self._install(trial)
                return False
            case messages.Placed():
                self._placed, self._sees = True, message.sees
                return False
            case _:
                return False
        return True

    def _send_arrays(self) -> None:
        if self._prepared is None or "files" not in self._prepared.content:
            raise messages.unexpected(messages.Fetch())
        content = self._prepared.content
        self._waiting.append(parcels(Path(content["directory"]), sorted(content["files"])))
        self.send_rest()

    def _keep(self, part: messages.File, folder: Path | None) -> None:
        """Write a part of a file where the worker of a local launch would have."""
        try:
            if folder is None:
                raise JournalLauncherError(f"unexpected file {part.name!r}")
            keep(part, folder)
        except JournalLauncherError as error:
            raise JournalLauncherError(f"worker {self.spec.index}: {error}") from None

    def _place_of(self, trial: int) -> Path:
        """Where the trial's folder is put together."""
        if trial not in self._arriving:
            assert self._paths is not None
            place = self._paths.arriving_folder(trial, self.spec.index)
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            self._arriving[trial] = place
        return self._arriving[trial]

    def _install(self, trial: int) -> None:
        """What has arrived is the trial's folder; until now an earlier copy of it is there."""
        place = self._place_of(trial)
        assert self._paths is not None
        folder, mark = self._paths.trial_folder(trial), self._paths.trial_mark(trial)
        found = found_at(folder)
        if found is not None and not (found == "a folder" and mark.exists()):
            raise JournalLauncherError(f"{folder}: expected no {found} there; move it and {AGAIN}")
        self._paths.remove_trial_folder(trial)
        mark.touch(mode=0o600)
        move_into_place(place, folder)
        del self._arriving[trial]

    # --- its end

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
        for place in self._arriving.values():
            shutil.rmtree(place, ignore_errors=True)
        return status if self._status is None else self._status


def agent_command() -> tuple[str, ...]:
    """What starts an agent on a node; it has the same paths as this machine."""
    return (sys.executable, "-P", str(AGENT))


def agent_script(start: str | None, python_path: str | None) -> str:
    """The same as a script that ends at once where there is none. start: where; None: the agent
    finds its way."""
    python, *rest = map(shlex.quote, agent_command())
    lines = [
        _or_exit(f"cd {shlex.quote(start or '/')} 2>/dev/null", start or "/", NO_FOLDER),
        _or_exit(f"[ -x {python} ]", sys.executable, NO_PYTHON),
        _or_exit(f"[ -r {rest[-1]} ]", str(AGENT), NO_PROGRAM),
    ]
    if python_path:  # the agent looks for the user's modules where the worker will
        known = '[ -n "$PYTHONPATH" ]'
        lines.append(f"{known} || PYTHONPATH={shlex.quote(python_path)}; export PYTHONPATH")
    return "; ".join([*lines, f"exec {' '.join([python, *rest])}"])


def _or_exit(test: str, missing: str, status: int) -> str:
    """Who started it may hear of the status, or see a log only."""
    said = shlex.quote(f"expected {missing} here too, found none")
    return f"{test} || {{ echo {said} >&2; exit {status}; }}"


def carried_environment(environment: Mapping[str, str]) -> dict[str, object]:
    """What a worker elsewhere may need of ours, unless its host says otherwise."""
    return {
        name: value
        for name, value in environment.items()
        if name not in _OF_SESSION and not name.startswith(_OF_SESSION_TOO)
    }


def _show_to_others(lease: Path) -> None:
    """From now on others see it too, where it is on a network file system."""
    with contextlib.suppress(OSError):
        descriptor = os.open(lease, os.O_RDONLY | os.O_CLOEXEC)
        os.fsync(descriptor)
        os.close(descriptor)
