"""On a worker's node: start the worker as a parent on one machine would, and carry its lines.

Its stdin and stdout are the two pipes to the parent, its stderr is the worker's log: what starts it
(srun, ssh) need carry no more. The end of stdin is the end of the parent, or of what carried us:
then the worker is killed, as it is by its guard when this process is.

Where the studies folder is not seen, the worker has one of its own here, of the same layout: a
trial's folder comes into it before a trial that goes on, and goes to the parent when its trial has
ended and is the best, or was interrupted. The table's arrays lie beside, once for all workers.
"""

import contextlib
import os
import select
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

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
from journal_launcher.devices.claims import Claims
from journal_launcher.devices.cpus import available_cores
from journal_launcher.launcher.engine import WorkerSpec
from journal_launcher.launcher.engines.local import LocalProcess
from journal_launcher.launcher.engines.node_arrays import NodeArrays
from journal_launcher.launcher.engines.parcels import keep, parcels_of_trial, staged_parcels
from journal_launcher.launcher.engines.scratch import scratch_folder, take_over
from journal_launcher.launcher.engines.sources import check_sources, seen_from
from journal_launcher.launcher.plan import devices_for
from journal_launcher.settings.launch_settings import LaunchSettings

__all__ = ["Agent", "main"]

_CPU_EVERY = 10.0  # seconds between two reports of the worker's CPU time
_REAP = 10.0  # seconds that a killed worker has to end
_ASK_AGAIN = 0.2  # seconds until an agent looks again whether another one has fetched the arrays


class _Worker(LocalProcess):
    """A worker whose output is the agent's stderr."""

    def _open_output(self) -> BinaryIO:
        self.log_start = 0
        return os.fdopen(os.dup(2), "ab", buffering=0)


class Agent:
    """Carries lines between a parent (two descriptors) and the one worker that it starts.

    claims: keeps other launches off the worker's GPU, where no scheduler does.
    """

    def __init__(self, incoming: int, outgoing: int, scratch: Path, claims: Claims) -> None:
        self._in = incoming
        self._out = outgoing
        self._scratch = scratch
        self._claims = claims
        self._staging = scratch / "staging"
        self._paths: StudyPaths | None = None  # of the studies folder here; None: the parent's own
        self._given: set[int] = set()  # trials whose folder was sent for the refit
        self._sent: set[int] = set()  # and those whose folder went to the parent already
        self._arrays: NodeArrays | None = None
        self._held: messages.Open | None = None  # until the arrays are there
        self._lines = LineBuffer()
        self._asked_to_end = False
        self._next_report = 0.0

    def run(self) -> int:
        """Serve until the worker has ended, or the parent has."""
        self._write(b"\n")  # the shell that started us may have said something
        lines = self._first_lines(1)
        if not lines:
            return ExitCode.FAILED
        self._channel = Channel.of_spec(lines[0])
        self._host = _host()
        try:
            _check_program(lines[0])
            first = self._channel.decode(lines[0], FromParent)
            if isinstance(first, messages.Survey):
                self._survey(first)
                return ExitCode.DONE
            lines += self._first_lines(2 - len(lines))
            if len(lines) < 2:
                return ExitCode.FAILED
            self._start(first, self._channel.decode(lines[1], FromParent))
        except DeviceError as error:  # others may go on
            return self._refuse(messages.Unusable(str(error), self._host), error.exit_code)
        except JournalLauncherError as error:
            text = f"{self._host}: {error}"
            return self._refuse(messages.Failed(text, int(error.exit_code), None), error.exit_code)
        try:
            for line in lines[2:]:
                self._from_parent(line)
            return self._carry()
        except DeviceError as error:  # others may go on
            self._worker.reap(_REAP)
            return self._refuse(messages.Unusable(str(error), self._host), error.exit_code)
        except JournalLauncherError as error:  # what it staged cannot be saved
            self._worker.reap(_REAP)
            return self._refuse(messages.Failed(str(error), 1, None), ExitCode.FAILED)
        finally:
            if self._arrays is not None:
                self._arrays.leave()

    def _first_lines(self, count: int) -> list[bytes]:
        """So many lines, or more; fewer only at the parent's end."""
        lines: list[bytes] = []
        while len(lines) < count:
            chunk = os.read(self._in, 1 << 16)
            if not chunk:
                return lines
            lines += self._lines.feed(chunk)
        return lines

    def _refuse(self, why: FromWorker, status: int) -> int:
        self._say(why)
        self._say(messages.Exited(int(status)))
        return int(status)

    # --- the start

    def _survey(self, asked: messages.Survey) -> None:
        settings = self._enter(asked, asked.settings)
        devices: list[dict[str, Any]] = []
        notes: list[str] = []
        problem = None
        try:
            choice = devices_for(settings, os.environ)
            notes += choice.notes
            devices += [
                {"uuid": one.uuid, "index": str(one.index), "name": one.name}
                for one in choice.devices
            ]
        except UsageError as error:
            problem = str(error)
        self._say(messages.Surveyed(devices, available_cores(), notes, problem))

    def _enter(
        self, told: messages.Carry | messages.Survey, settings: dict[str, Any]
    ) -> LaunchSettings:
        """Go to what stands for the launch's folder here; the settings as they are seen from there.

        Raises:
            UsageError: it is not there, or the code in it is another.
        """
        name = told.host or self._host
        self._host = name.rpartition("@")[2]
        found = LaunchSettings.from_json(settings)
        if told.remote_dir:
            try:
                os.chdir(Path(told.remote_dir).expanduser())
            except (OSError, RuntimeError) as error:
                why = getattr(error, "strerror", None) or error
                there = shlex.quote(f"{name}:{told.remote_dir}/")
                raise UsageError(
                    f"--remote-dir {told.remote_dir}: expected a folder like {told.project}, "
                    f"found: {why}; type where the launch runs: rsync -a ./ {there}"
                ) from None
            found = seen_from(told.project, found)
        check_sources(found, told.sources, name)
        return found

    def _start(self, carry: FromParent, spec: FromParent) -> None:
        if not isinstance(carry, messages.Carry) or not isinstance(spec, messages.Spec):
            raise messages.unexpected(carry)
        settings = self._enter(carry, spec.settings)
        take_over(self._scratch, f"{self._channel.launch} {self._channel.worker}")
        lease = read_object(StudyPaths(Path(spec.folder), spec.study).lease)
        sees = lease.get("launch") == carry.lease
        if not sees:
            self._paths = StudyPaths(self._scratch / "studies", spec.study)
            with self._full_disk_ends_this_worker():
                self._paths.directory.mkdir(parents=True)
            spec = replace(spec, folder=str(self._paths.folder), sees=False)
        if spec.device_uuid is not None and not carry.gpus:
            device = self._claimed(spec.device_uuid, shared=settings.gpus != "auto")
        else:
            device = _device(carry.gpus)
        device = replace(device, host=self._host)
        environment = pin_environment(device, spec.threads, {**carry.environment, **os.environ})
        index = None if device.index is None else str(device.index)
        self._say(
            messages.Placed(self._host, _step(), sees, device.kind, device.uuid, index, device.name)
        )
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

    def _claimed(self, uuids: str, *, shared: bool) -> Device:
        """The GPU that the launch has found to be free, which others leave alone from now on.

        shared: the user named it, or all, whoever else uses it.
        """
        for uuid in uuids.split(","):
            holder = self._claims.take(uuid)
            if holder is not None and not shared:
                raise DeviceError(f"another launch ({holder}) has it")
        return _only(uuids, len(uuids.split(",")))

    # --- the loop

    def _carry(self) -> int:
        worker = self._worker
        reading = [self._in, worker.messages_descriptor]
        if worker.exit_descriptor is not None:
            reading.append(worker.exit_descriptor)
        while True:
            if worker.hung_up and worker.messages_descriptor in reading:  # readable for ever
                reading.remove(worker.messages_descriptor)
            writing = [worker.out_descriptor] if worker.unsent else []
            ready, writable, _ = select.select(reading, writing, [], self._seconds_to_look())
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
            self._look_for_arrays()

    def _end(self) -> int:
        status = self._worker.reap(_REAP)
        if status is None:
            return ExitCode.FAILED  # stuck in the kernel; the parent learns that we are gone
        self._bring_back()
        self._say(messages.Whole(None))
        # Told to leave, and not by the parent: the scheduler wants the node back. That is no fault
        # of the worker, so the parent is not told how it ended.
        if status != ExitCode.RESUMABLE or self._asked_to_end:
            self._say(messages.Exited(status))
        return ExitCode.DONE

    def _seconds_to_look(self) -> float:
        limit = 1.0 if self._worker.exit_descriptor is None else _CPU_EVERY
        if self._waits_for_arrays():
            limit = _ASK_AGAIN
        return min(limit, max(0.0, self._next_report - time.monotonic()))

    def _report(self) -> None:
        if time.monotonic() >= self._next_report:
            self._next_report = time.monotonic() + _CPU_EVERY
            self._say(messages.Used(self._worker.cpu_seconds()))

    # --- lines from the parent

    def _read_parent(self) -> bool:
        """Pass on what the parent says; False if there is no parent any more."""
        chunk = os.read(self._in, 1 << 20)
        for line in self._lines.feed(chunk):
            self._from_parent(line)
        return bool(chunk)

    def _from_parent(self, line: bytes) -> None:
        if type_of(line) not in ("signal", "open", "refit", "file", "whole"):
            self._worker.send_line(line + b"\n")
            return
        message = self._channel.decode(line, FromParent)
        match message:
            case messages.Open():
                self._on_open(message)
            case messages.Refit():
                shutil.rmtree(self._staging, ignore_errors=True)
                self._staging.mkdir()
                if self._paths is not None:
                    self._given = set(self._paths.trial_folders())
                self._worker.send(replace(message, staging=str(self._staging)))
            case messages.Signal("KILL"):
                self._asked_to_end = True
                self._worker.kill()
            case messages.Signal(name):
                self._asked_to_end |= name != "USR2"
                os.kill(self._worker.pid, getattr(signal, f"SIG{name}"))
            case messages.File() | messages.Whole():
                with self._full_disk_ends_this_worker():
                    self._keep(message)

    # --- files from the parent

    def _keep(self, message: messages.File | messages.Whole) -> None:
        if message.trial is not None and self._paths is not None:
            folder = self._paths.trial_folder(message.trial)
            folder.mkdir(parents=True, exist_ok=True)
            self._paths.trial_mark(message.trial).touch()
            if isinstance(message, messages.File):
                keep(message, folder)
        elif self._arrays is not None and isinstance(message, messages.File):
            self._arrays.keep(message)
        elif self._arrays is not None:
            self._arrays.complete()
            self._open_with_arrays()

    def _on_open(self, message: messages.Open) -> None:
        if self._paths is None or "files" not in message.prepared.content:
            self._worker.send(message)
            return
        self._held = message
        self._arrays = NodeArrays(message.prepared.content)
        self._look_for_arrays()

    def _waits_for_arrays(self) -> bool:
        return self._held is not None and self._arrays is not None and not self._arrays.filling

    def _look_for_arrays(self) -> None:
        """Use them if another agent of this node has fetched them, fetch them if none does."""
        if not self._waits_for_arrays():
            return
        assert self._arrays is not None
        with self._full_disk_ends_this_worker():
            there = self._arrays.take()
        if there:
            self._open_with_arrays()
        elif there is not None:
            print(f"fetching the table's arrays to {self._arrays.directory}", file=sys.stderr)
            sys.stderr.flush()
            self._say(messages.Fetch())

    def _open_with_arrays(self) -> None:
        assert self._held is not None and self._arrays is not None
        prepared = self._held.prepared
        content = {**prepared.content, "directory": str(self._arrays.directory)}
        self._worker.send(replace(self._held, prepared=replace(prepared, content=content)))
        self._held = None

    @contextlib.contextmanager
    def _full_disk_ends_this_worker(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DeviceError(
                f"no place in {self._scratch.parent}: {error.strerror}; make room there, or set "
                "TMPDIR to a folder with more"
            ) from None

    # --- lines from the worker

    def _from_worker(self) -> None:
        for line in self._worker.receive_lines():
            if type_of(line) == "staged":
                for part in staged_parcels(self._staging):
                    self._say(part)
            elif type_of(line) == "ended":
                self._bring_back()
            elif type_of(line) == "whole":
                self._send_folder(self._channel.decode(line, FromWorker))
                continue
            self._write(line + b"\n")

    def _bring_back(self) -> None:
        """Send the parent the folders that trials have left: a worker removes those of losers."""
        if self._paths is None:
            return
        for number in sorted(set(self._paths.trial_folders()) - self._given):
            if number not in self._sent:
                self._send_folder(messages.Whole(number))
            self._paths.remove_trial_folder(number)
        self._sent.clear()

    def _send_folder(self, whole: FromWorker) -> None:
        if self._paths is None or not isinstance(whole, messages.Whole) or whole.trial is None:
            raise messages.unexpected(whole)
        for part in parcels_of_trial(self._paths.trial_folder(whole.trial), whole.trial):
            self._say(part)
        self._sent.add(whole.trial)

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


def _device(gpus: int) -> Device:
    """The one device that the scheduler gave us: it hides the others."""
    return _only("all", gpus) if gpus else CPU


def _only(request: str, gpus: int) -> Device:
    try:
        devices = choose_devices(request, os.environ, together=gpus).devices
    except UsageError as error:
        raise DeviceError(str(error)) from None
    if len(devices) != 1:
        raise DeviceError(
            f"expected {gpus} GPU{'s' * (gpus > 1)} for this worker, found {len(devices) * gpus} "
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
    with scratch_folder() as scratch, Claims() as claims:
        return Agent(os.dup(0), outgoing, scratch, claims).run()


if __name__ == "__main__":
    raise SystemExit(main())
