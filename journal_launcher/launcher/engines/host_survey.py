"""What the hosts of a launch have, asked before there is a study; and which workers that makes."""

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from journal_launcher import __version__
from journal_launcher.base import messages
from journal_launcher.base.channel import Channel, is_message
from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.errors import UsageError
from journal_launcher.base.messages import FromWorker
from journal_launcher.devices.choose import Device
from journal_launcher.launcher.engines.carried import AGENT, NO_FOLDER, NO_PROGRAM, NO_PYTHON
from journal_launcher.settings.hosts import HERE, Host
from journal_launcher.settings.launch_settings import LaunchSettings

__all__ = ["CHANNEL", "Found", "asked", "devices_of", "missing", "read", "survey", "surveyed"]

_NO_CONNECTION = 255  # as ssh says it
_PATIENCE = 60.0  # seconds for a host's answer; connecting alone ends after ConnectTimeout
CHANNEL = Channel("survey", 0)


@dataclass(frozen=True)
class Found:
    """What a host has answered; see `messages.Surveyed`."""

    host: Host
    devices: tuple[Device, ...]
    cores: int
    notes: tuple[str, ...] = ()
    problem: str | None = None


def survey(
    settings: LaunchSettings,
    sources: dict[str, Any],
    commands: Mapping[Host, Sequence[str]],
    environment: Mapping[str, str],
    sleep: Callable[[float], None],
) -> list[Found]:
    """Ask all hosts at once by the commands that run an agent there.

    Raises:
        UsageError: one does not answer, or is not as this machine; what to type.
        JournalLauncherError: from `sleep`.
    """
    with contextlib.ExitStack() as stack:
        questions: list[_Question] = []
        for host, command in commands.items():
            places = (os.getcwd(), settings.remote_dir or "")
            question = messages.Survey(settings.to_json(), sources, *places, host.name)
            line = CHANNEL.encode(question)
            try:
                one = stack.enter_context(asked(line, command, environment))
            except OSError as error:
                raise UsageError(
                    f"--hosts {host}: {command[0]} cannot be started ({error.strerror}); install "
                    "OpenSSH's client (Debian: apt install openssh-client)"
                ) from None
            questions.append(_Question(host, *one))
        until = time.monotonic() + _PATIENCE
        while any(one.process.poll() is None for one in questions) and time.monotonic() < until:
            sleep(0.02)
        return [one.answer() for one in questions]


@contextlib.contextmanager
def asked(
    line: bytes, command: Sequence[str], environment: Mapping[str, str]
) -> Iterator[tuple["subprocess.Popen[bytes]", IO[bytes], IO[bytes]]]:
    """A question on its way to a command: its process, what it says on its outputs. No process of
    it is left.

    Raises:
        OSError: it cannot be started.
    """
    with (
        tempfile.TemporaryFile() as question,
        tempfile.TemporaryFile() as said,
        tempfile.TemporaryFile() as complained,
    ):
        question.write(line)
        question.seek(0)
        process = subprocess.Popen(
            command,
            stdin=question,
            stdout=said,
            stderr=complained,
            env=dict(environment),
            start_new_session=True,
        )
        try:
            yield process, said, complained
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@dataclass(frozen=True)
class _Question:
    host: Host
    process: "subprocess.Popen[bytes]"
    said: IO[bytes]
    complained: IO[bytes]

    def answer(self) -> Found:
        """What the host has.

        Raises:
            UsageError: what is wrong there, and what to type.
        """
        found = surveyed(read(self.said), "--hosts")
        if found is not None:
            return self._found(found)
        raise UsageError(f"--hosts: {self.host.name}: {self._why_silent()}")

    def _found(self, said: messages.Surveyed) -> Found:
        devices = tuple(
            Device("gpu", str(o["uuid"]), str(o["index"]), str(o["name"]), self.host.label)
            for o in said.devices
        )
        return Found(self.host, devices, said.cores, tuple(said.notes), said.problem)

    def _why_silent(self) -> str:
        name, status = self.host.name, self.process.poll()
        lines = read(self.complained).decode(errors="replace").strip().splitlines()
        last = lines[-1].strip().rstrip(".") if lines else ""
        without = f"or leave {name} out of --hosts"
        if status is None:
            return f"no answer within {_PATIENCE:.0f} s; try: ssh {name} true; {without}"
        if status == _NO_CONNECTION and name != HERE:
            said = last or "no connection"
            return f"{said}; this must log in without a question: ssh {name}; {without}"
        return missing(name, status, last)


def surveyed(said: bytes, option: str) -> messages.Surveyed | None:
    """What an agent has found, in all that it has said; None: it has not come so far.

    Raises:
        UsageError: what is wrong there, and what to type.
    """
    for line in filter(is_message, said.split(b"\n")):
        message = CHANNEL.decode(line, FromWorker)
        if isinstance(message, messages.Failed):
            raise UsageError(f"{option}: {message.message}")
        if isinstance(message, messages.Surveyed):
            return message
    return None


def missing(host: str, status: int, complained: str) -> str:
    """Why the script that starts an agent has ended there without an answer, and what to type."""
    if status == NO_FOLDER:
        return f"expected the folder {Path.cwd()} there too, found none; type: {_copy(host)}"
    if status in (NO_PYTHON, NO_PROGRAM):
        what = sys.executable if status == NO_PYTHON else AGENT
        return f"expected {what} there too, found none; type: {_install(host)}"
    return f"expected an answer of {AGENT}, found {complained or f'exit status {status}'!r}"


def devices_of(
    settings: LaunchSettings, answers: Sequence[Found]
) -> tuple[list[tuple[Found, Device]], tuple[str, ...]]:
    """Which workers the hosts get, and what is said of that.

    Where one has GPUs, those without stay idle, as GPUs do that are busy. Else each has one worker
    on its CPU, or as many as its count says.

    Raises:
        UsageError: no host has what was asked for, or not as much as its count says.
    """
    broken = [found for found in answers if found.problem is not None]
    problems = [f"{found.host.label}: {found.problem}" for found in broken]
    if problems and settings.gpus != "auto":
        raise UsageError(f"--hosts: {problems[0]}")
    _check_different(answers)
    notes = [f"{found.host.label}: {note}" for found in answers for note in found.notes]
    if not problems and not any(found.devices for found in answers):
        return _on_cpus(settings, answers), tuple(notes)
    placed = []
    for found in answers:
        wanted = found.host.count or len(found.devices)
        if wanted > len(found.devices):
            raise UsageError(_too_few(found))
        if not found.devices and found.problem is None:
            notes.append(f"{found.host.label} stays idle; --gpus none uses the CPUs of all hosts")
        placed += [(found, device) for device in found.devices[:wanted]]
    if not placed:
        raise UsageError(f"--hosts: {'; '.join(problems)}")
    return placed, (*notes, *(f"{problem}; going on without it" for problem in problems))


def _on_cpus(settings: LaunchSettings, answers: Sequence[Found]) -> list[tuple[Found, Device]]:
    if settings.gpus_per_worker > 1:
        raise UsageError(
            f"--gpus-per-worker {settings.gpus_per_worker}: this launch uses no GPU; leave it away"
        )
    return [
        (found, Device("cpu", None, None, "CPU", found.host.label))
        for found in answers
        for _ in range(found.host.count or 1)
    ]


def _check_different(answers: Sequence[Found]) -> None:
    seen: dict[str, str] = {}
    for found in answers:
        for uuid in ",".join(str(device.uuid) for device in found.devices).split(","):
            other = seen.setdefault(uuid, found.host.label)
            if uuid and other != found.host.label:
                raise UsageError(
                    f"--hosts: {other} and {found.host.label} are one machine (both have {uuid}); "
                    "name it once"
                )


def _too_few(found: Found) -> str:
    label, count = found.host.label, len(found.devices)
    why = "; ".join(filter(None, [found.problem, *found.notes]))
    instead = f"type {found.host.name}:{count}" if count else f"leave {found.host.name} away"
    return (
        f"--hosts {found.host}: expected {found.host.count} free GPUs on {label}, found "
        f"{count or 'none'}{f' ({why})' if why else ''}; {instead}"
    )


def _copy(name: str) -> str:
    here = shlex.quote(str(Path.cwd()))
    return f"{_on(name, f'mkdir -p {here}')} && rsync -a {here}/ {name}:{here}/"


def _install(name: str) -> str:
    """What puts this program and its Python there: a checkout is copied, a package installed."""
    root = AGENT.parents[2]
    if (root / "launch.sh").exists():
        there = shlex.quote(str(root))
        copied = f"rsync -a --exclude=.venv {there}/ {name}:{there}/"
        made = _on(name, f"mkdir -p {there}")
        return f"{made} && {copied} && {_on(name, f'{there}/launch.sh doctor')}"
    prefix = shlex.quote(sys.prefix)
    package = f"journal-launcher=={__version__}"
    return _on(name, f"python3 -m venv {prefix} && {prefix}/bin/pip install {package}")


def _on(name: str, command: str) -> str:
    """A command there, as it is typed here: two shells read it."""
    return f"ssh {name} {shlex.quote(command)}"


def read(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()
