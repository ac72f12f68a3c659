"""The driver, torch's CUDA, each GPU, and which of them a launch would take."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

from journal_launcher.base.errors import DeviceError, UsageError
from journal_launcher.devices.choose import Choice, Device, choose_devices, pin_environment
from journal_launcher.devices.nvml import (
    Gpu,
    Nvml,
    NvmlUnavailableError,
    User,
    open_nvml,
    process_name,
)
from journal_launcher.views.doctor.finding import Finding, Level, gib
from journal_launcher.worker.device_check import verify_device

__all__ = ["check_devices"]

_DEVICE_FILES = Path("/dev")
_NEEDS_DRIVER = {12: "525", 13: "580"}  # the oldest NVIDIA driver for each CUDA
_ON_CPU = "or use `--gpus none` to run on the CPU"
_PATIENCE = 10.0  # seconds for CUDA to answer; a launch waits a minute


def check_devices(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what is to be said of the driver, of each GPU, and of what a launch would take."""
    try:
        with open_nvml() as nvml:
            gpus, left_out = nvml.gpus()
            yield from _check_driver(nvml, bool(gpus))
            for gpu in gpus:
                yield _describe(nvml, gpu)
            yield from (_left_out(line) for line in left_out)
            yield from _check_mps(environment)
            # Inside: without persistence mode the driver starts anew once NVML is closed.
            yield from _check_choice(environment, left_out)
    except NvmlUnavailableError as error:
        if _has_device_files():
            yield Finding(
                "problem",
                "driver",
                f"this machine has an NVIDIA GPU, but its driver does not answer ({error})",
                "reboot or load the driver anew (`nvidia-smi` says more), in a container start it "
                f"with `--gpus all`, {_ON_CPU}",
            )
        yield from _check_choice(environment, ())


def _has_device_files() -> bool:
    return any(re.fullmatch(r"nvidia[0-9]+", path.name) for path in _DEVICE_FILES.glob("nvidia*"))


def _check_driver(nvml: Nvml, has_gpus: bool) -> Iterator[Finding]:
    """The driver beside the CUDA that torch was built for; torch itself is not imported."""
    driver, newest = nvml.driver()
    runs = f"NVIDIA {driver}" + (f", runs CUDA up to {newest[0]}.{newest[1]}" if newest else "")
    if not has_gpus:
        yield Finding("ok", "driver", runs)
        return
    torch, cuda = torch_build()
    if torch is None:  # the packages say so
        yield Finding("ok", "driver", runs)
    elif cuda is None:
        yield Finding(
            "problem",
            "driver",
            f"{runs}; torch {torch} is built without CUDA",
            "install a CUDA build of torch (https://pytorch.org/get-started/locally), " + _ON_CPU,
        )
    elif (needs := int(cuda.partition(".")[0])) > _newest(driver, newest):
        yield Finding(
            "problem",
            "driver",
            f"{runs}; torch {torch} is built for CUDA {cuda}",
            f"update the driver (CUDA {needs} needs {_NEEDS_DRIVER.get(needs, 'a newer one')} or "
            "newer), install a torch build for an older CUDA "
            f"(https://pytorch.org/get-started/locally), {_ON_CPU}",
        )
    else:
        yield Finding("ok", "driver", f"{runs}; torch {torch} is built for CUDA {cuda}")


def torch_build() -> tuple[str | None, str | None]:
    """Return torch's version and the CUDA it is built for, from its files; None where absent."""
    spec = find_spec("torch")
    for folder in (spec and spec.submodule_search_locations) or ():
        try:
            text = (Path(folder) / "version.py").read_text()
        except OSError:
            continue
        version = re.search(r"^__version__ *= *'([^']+)'", text, re.MULTILINE)
        cuda = re.search(r"^cuda\b[^=\n]*= *'([0-9.]+)'", text, re.MULTILINE)
        return version[1] if version else "unknown", cuda[1] if cuda else None
    return None, None


def _newest(driver: str, newest: tuple[int, int] | None) -> int:
    """The newest major CUDA that the driver runs: it runs every minor one of it."""
    if newest is not None:
        return newest[0]
    major = int(driver.partition(".")[0]) if driver.partition(".")[0].isdecimal() else 10**6
    return max((cuda for cuda, least in _NEEDS_DRIVER.items() if major >= int(least)), default=11)


def _describe(nvml: Nvml, gpu: Gpu) -> Finding:
    """A GPU with its memory, and who uses it."""
    used, total = nvml.memory(gpu)
    memory = f"{gib(used)} of {gib(total)} in use" if total else "memory unknown"
    users = list(nvml.users(gpu))
    said = [f"{kind}: {_names(users, kind)}" for kind in ("compute", "graphics")]
    said = [line for line in said if not line.endswith(": ")]
    mig = ", a MIG instance" if gpu.uuid != gpu.gpu_uuid else ""
    text = "; ".join([f"{gpu.index} {gpu.name}{mig} ({gpu.uuid}): {memory}", *said])
    if nvml.compute_mode(gpu) == "prohibited":
        mode = f"type `sudo nvidia-smi -i {gpu.index} -c DEFAULT`"
        return Finding("problem", "gpu", f"{text}; its compute mode lets nobody compute", mode)
    if nvml.compute_mode(gpu) == "exclusive":
        note = "its compute mode allows one process"
        return Finding("note", "gpu", f"{text}; {note}", "leave --workers-per-gpu at 1")
    return Finding("ok", "gpu", text)


def _names(users: list[User], kind: str) -> str:
    """The processes of a kind, the largest first."""
    largest_first = sorted(users, key=lambda user: -user.memory)
    return ", ".join(
        (process_name(user.pid) or f"pid {user.pid}")
        + (f" ({gib(user.memory)})" if user.memory else "")
        for user in largest_first
        if user.kind == kind and user.pid != os.getpid()
    )


def _left_out(line: str) -> Finding:
    if "MIG is on" in line:
        remedy = "make instances (`sudo nvidia-smi mig -cgi … -C`) or turn MIG off"
    else:
        remedy = "see `nvidia-smi`, and `dmesg` for Xid errors"
    return Finding("note", "gpu", line, remedy)


def _check_mps(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Whether NVIDIA's Multi-Process Service stands between the workers and the GPUs."""
    pipe = Path(environment.get("CUDA_MPS_PIPE_DIRECTORY", "/tmp/nvidia-mps")) / "control"
    if pipe.exists():
        yield Finding("note", "mps", f"MPS is on ({pipe.parent}): workers of one GPU share it")


def _check_choice(environment: Mapping[str, str], said: Sequence[str]) -> Iterator[Finding]:
    """What `--gpus auto` would take, and whether CUDA can open it, but for what was said."""
    try:
        choice = choose_devices("auto", environment, wait_seconds=0)
    except UsageError as error:
        yield _stopped("problem", str(error))
        return
    yield from (Finding("note", "launch", note) for note in choice.notes if note not in said)
    if not choice.devices:
        if not choice.notes:
            yield Finding("ok", "launch", "it would run on the CPU")
        return
    failures = _failures(choice, environment)
    opened = [device for device in choice.devices if device not in failures]
    if opened:
        taken = ", ".join(device.label for device in opened)
        yield Finding("ok", "launch", f"it would take {taken}")
    for problem in failures.values():
        yield _stopped("note" if opened else "problem", problem)


def _stopped(level: Level, error: str) -> Finding:
    """An error's line, which says last what to do."""
    text, found, remedy = error.rpartition("; ")
    return Finding(level, "launch", text if found else remedy, remedy if found else "")


def _failures(choice: Choice, environment: Mapping[str, str]) -> dict[Device, str]:
    """Why CUDA cannot open a device, for those that it cannot open."""

    def failure(device: Device) -> str | None:
        pinned = pin_environment(device, 1, environment)
        try:
            verify_device(device.uuid, seconds=_PATIENCE, environment=pinned)
        except DeviceError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(len(choice.devices)) as pool:
        found = pool.map(failure, choice.devices)
        return {
            device: problem
            for device, problem in zip(choice.devices, found, strict=True)
            if problem is not None
        }
