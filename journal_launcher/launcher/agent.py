"""On a worker's node: start the worker as a parent on one machine would, and carry its lines.

Its stdin and stdout are the two pipes to the parent, its stderr is the worker's log: what starts it
(srun) need carry no more. The end of stdin is the end of the parent, or of what carried us: then
the worker is killed, as it is by its guard when this process is.
"""

import contextlib
import os
import select
import shutil
import signal
import sys
import time
from base64 import b64encode
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

if __name__ == "__main__":  # at the end, as in a worker
    sys.path.append(str(Path(__file__).resolve().parents[2]))

from journal_launcher import __version__
from journal_launcher.base import messages
from journal_launcher.base.channel import Channel, LineBuffer, program_of, type_of
from journal_launcher.base.errors import DeviceError, ExitCode, JournalLauncherError, UsageError
from journal_launcher.base.messages import FromParent, FromWorker
from journal_launcher.base.paths import StudyPaths
from journal_launcher.base.plain_files import read_object
from journal_launcher.devices.choose import CPU, Device, choose_devices, pin_environment
from journal_launcher.launcher.engine import WorkerSpec
from journal_launcher.launcher.engines.local import LocalProcess
from journal_launcher.launcher.engines.scratch import scratch_folder
from journal_launcher.launcher.engines.sources import check_sources, seen_from
from journal_launcher.settings.launch_settings import LaunchSettings

__all__ = ["Agent", "main"]

_PART = 1 << 19  # bytes of a file in one message
_CPU_EVERY = 10.0  # seconds between two reports of the worker's CPU time
_REAP = 10.0  # seconds that a killed worker has to end


class _Worker(LocalProcess):
    """A worker whose output is the agent's stderr."""

    def _open_output(self) -> BinaryIO:
        self.log_start = 0
        return os.fdopen(os.dup(2), "ab", buffering=0)


class Agent:
    """Carries lines between a parent (two descriptors) and the one worker that it starts."""

    def __init__(self, incoming: int, outgoing: int, scratch: Path) -> None:
        self._in = incoming
        self._out = outgoing
        self._staging = scratch / "staging"
        self._lines = LineBuffer()
        self._asked_to_end = False
        self._next_report = 0.0

    def run(self) -> int:
        """Serve until the worker has ended, or the parent has."""
        first: list[bytes] = []
        while len(first) < 2:
            chunk = os.read(self._in, 1 << 16)
            if not chunk:
                return ExitCode.FAILED
            first += self._lines.feed(chunk)
        self._channel = Channel.of_spec(first[0])
        try:
            self._start(first[0], first[1])
        except DeviceError as error:  # others may go on
            return self._refuse(messages.Unusable(str(error)), error.exit_code)
        except JournalLauncherError as error:
            text = f"{_host()}: {error}"
            return self._refuse(messages.Failed(text, int(error.exit_code), None), error.exit_code)
        for line in first[2:]:
            self._from_parent(line)
        try:
            return self._carry()
        except JournalLauncherError as error:  # what it staged cannot be saved
            self._worker.reap(_REAP)
            return self._refuse(messages.Failed(str(error), 1, None), ExitCode.FAILED)

    def _refuse(self, why: FromWorker, status: int) -> int:
        self._say(why)
        self._say(messages.Exited(int(status)))
        return int(status)

    # --- the start

    def _start(self, first: bytes, second: bytes) -> None:
        carry = self._channel.decode(first, FromParent)
        spec = self._channel.decode(second, FromParent)
        if not isinstance(carry, messages.Carry) or not isinstance(spec, messages.Spec):
            raise messages.unexpected(carry)
        _check_program(first)
        settings = _enter(carry, LaunchSettings.from_json(spec.settings))
        _check_folder(StudyPaths(Path(spec.folder), spec.study), carry.lease)
        check_sources(settings, carry.sources, _host())
        device = replace(_device(carry.gpus), host=_host())
        environment = pin_environment(device, spec.threads, os.environ)
        index = None if device.index is None else str(device.index)
        self._say(messages.Placed(_host(), _step(), device.kind, device.uuid, index, device.name))
        blueprint = WorkerSpec(self._channel.worker, device, spec.threads, environment)
        self._worker = _Worker(blueprint, self._channel.launch, Path(os.devnull))
        self._worker.send(
            replace(
                spec,
                settings=settings.to_json(),
                device=device.label,
                device_uuid=device.uuid,
            )
        )

    # --- the loop

    def _carry(self) -> int:
        worker = self._worker
        reading = [self._in, worker.messages_descriptor]
        if worker.exit_descriptor is not None:
            reading.append(worker.exit_descriptor)
        while True:
            writing = [worker.out_descriptor] if worker.unsent else []
            ready, writable, _ = select.select(reading, writing, [], self._seconds_to_report())
            if writable:
                worker.send_rest()
            self._from_worker()
            if self._in in ready and not self._read_parent():
                worker.reap(_REAP)
                return ExitCode.FAILED
            if worker.has_exited():
                self._from_worker()  # what it said before its end
                return self._end()
            self._report()

    def _end(self) -> int:
        status = self._worker.reap(_REAP)
        if status is None:
            return ExitCode.FAILED  # stuck in the kernel; the parent learns that we are gone
        # Told to leave, and not by the parent: the scheduler wants the node back. That is no fault
        # of the worker, so the parent is not told how it ended.
        if status != ExitCode.RESUMABLE or self._asked_to_end:
            self._say(messages.Exited(status))
        return ExitCode.DONE

    def _seconds_to_report(self) -> float:
        limit = 1.0 if self._worker.exit_descriptor is None else _CPU_EVERY
        return min(limit, max(0.0, self._next_report - time.monotonic()))

    def _report(self) -> None:
        if time.monotonic() >= self._next_report:
            self._next_report = time.monotonic() + _CPU_EVERY
            self._say(messages.Used(self._worker.cpu_seconds()))

    # --- lines from the parent

    def _read_parent(self) -> bool:
        """Pass on what the parent says; False if there is no parent any more."""
        chunk = os.read(self._in, 1 << 16)
        for line in self._lines.feed(chunk):
            self._from_parent(line)
        return bool(chunk)

    def _from_parent(self, line: bytes) -> None:
        if type_of(line) not in ("signal", "refit"):
            self._worker.send_line(line + b"\n")
            return
        message = self._channel.decode(line, FromParent)
        if isinstance(message, messages.Refit):
            shutil.rmtree(self._staging, ignore_errors=True)
            self._staging.mkdir()
            self._worker.send(replace(message, staging=str(self._staging)))
        elif isinstance(message, messages.Signal):
            self._asked_to_end |= message.name != "USR2"
            if message.name == "KILL":
                self._worker.kill()
            else:
                os.kill(self._worker.pid, getattr(signal, f"SIG{message.name}"))

    # --- lines from the worker

    def _from_worker(self) -> None:
        for line in self._worker.receive_lines():
            if type_of(line) == "staged":
                self._send_staged()
            self._write(line + b"\n")

    def _send_staged(self) -> None:
        for path in sorted(self._staging.rglob("*")):
            name = str(path.relative_to(self._staging))
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise UsageError(f"{path}: expected a file or a folder to save")
            if path.is_dir():
                self._say(messages.File(name, "", folder=True))
                continue
            self._say(messages.File(name, "", folder=False))
            with open(path, "rb") as file:
                while part := file.read(_PART):
                    self._say(messages.File(name, b64encode(part).decode(), folder=False))

    def _say(self, message: FromWorker) -> None:
        self._write(self._channel.encode(message))

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        with contextlib.suppress(BrokenPipeError):
            while rest:
                rest = rest[os.write(self._out, rest) :]


def _check_program(line: bytes) -> None:
    found = program_of(line)
    if found != __version__:
        raise UsageError(
            f"expected journal_launcher {found}, as the launch runs, found {__version__} in "
            f"{sys.prefix}; type there: {sys.executable} -m pip install journal-launcher=={found}"
        )


def _check_folder(paths: StudyPaths, lease: str) -> None:
    if read_object(paths.lease).get("launch") != lease:
        raise UsageError(
            f"expected the studies folder {paths.folder} of the launch, found another one or none; "
            "choose one on a file system that all nodes share with --studies-dir"
        )


def _enter(carry: messages.Carry, settings: LaunchSettings) -> LaunchSettings:
    """Go to what stands for the launch's folder here; the settings as they are seen from there."""
    if not carry.remote_dir:
        return settings
    try:
        os.chdir(Path(carry.remote_dir).expanduser())
    except (OSError, RuntimeError) as error:
        raise UsageError(
            f"--remote-dir {carry.remote_dir}: expected a folder like {carry.project}, found: "
            f"{getattr(error, 'strerror', None) or error}; type where the launch runs: rsync -a ./ "
            f"{_host()}:{carry.remote_dir}/"
        ) from None
    return seen_from(carry.project, settings)


def _device(gpus: int) -> Device:
    """The one device that the scheduler gave us: it hides the others."""
    if not gpus:
        return CPU
    try:
        devices = choose_devices("all", os.environ, together=gpus).devices
    except UsageError as error:
        raise DeviceError(str(error)) from None
    if len(devices) != 1:
        raise DeviceError(
            f"expected {gpus} GPU{'s' * (gpus > 1)} of this job step, found {len(devices) * gpus} "
            f"(CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES')!r})"
        )
    return devices[0]


def _host() -> str:
    return os.environ.get("SLURMD_NODENAME") or os.uname().nodename


def _step() -> str | None:
    job, step = (os.environ.get(f"SLURM_{name}_ID") for name in ("JOB", "STEP"))
    return f"{job}.{step}" if job and step else None


def main() -> int:
    """Carry one worker on stdin and stdout."""
    outgoing = os.dup(1)
    os.dup2(2, 1)  # whatever prints goes to the log
    # A scheduler signals every process of a step. The worker unwinds; we carry its last words.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with scratch_folder() as scratch:
        return Agent(os.dup(0), outgoing, scratch).run()


if __name__ == "__main__":
    raise SystemExit(main())
