"""Ask NVML which GPUs there are and who uses their memory. Nothing here touches CUDA.

Only six NVML calls are taken for granted (init, shutdown, count, handle by index, UUID, name). Any
other may be missing from the binding or the driver, or may fail without the right permission:
that means "unknown", never an error.
"""

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import field
from pathlib import Path
from typing import Any

from journal_launcher.base.dataclass import dataclass

__all__ = [
    "Gpu",
    "KeptNvml",
    "Nvml",
    "NvmlUnavailableError",
    "Usage",
    "User",
    "open_nvml",
    "process_name",
]

_GIB = 2**30
_MAPS = Path("/proc/self/maps")
_NVLINK = 2  # NVML_P2P_CAPS_INDEX_NVLINK


class NvmlUnavailableError(Exception):
    """NVML cannot be used; the message says why. The caller decides whether that is an error."""


@dataclass(frozen=True)
class Gpu:
    """Something a worker can be pinned to: a whole GPU, or one MIG instance of a GPU."""

    index: int  # nvidia-smi's; for a MIG instance, its GPU's
    name: str
    uuid: str  # what CUDA_VISIBLE_DEVICES accepts: "GPU-…" or "MIG-…"
    gpu_uuid: str  # of the whole GPU; the same as `uuid` without MIG
    old_mig_name: str | None = None  # "MIG-GPU-…/gi/ci", the only name before driver 470
    handle: Any = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class User:
    """A process on a GPU."""

    kind: str  # "compute" or "graphics"
    pid: int  # in a container, another's may mean nothing here
    memory: int  # bytes; 0: unknown


@dataclass(frozen=True)
class Usage:
    """What other processes do with a GPU, and the memory that they hold; bytes."""

    others: int
    total: int  # 0: unknown
    who: str  # the largest processes that can be named; "" if none can
    computes: bool = False  # one of them is listed as computing, and only that
    draws: bool = False  # it has a desktop: screens, browsers, and in WSL all of Windows

    @property
    def busy(self) -> bool:
        """Whether a launch must leave it alone.

        Memory of processes that are not listed is a desktop's up to half of it, where there is one;
        elsewhere, in a container say, it is somebody's work above 1 GiB or 10 %.
        """
        half = (self.total or float("inf")) / 2
        return self.computes or self.others > (half if self.draws else self._little)

    @property
    def of_desktop(self) -> bool:
        """Whether a desktop is all that uses it, and is worth a word."""
        return not self.busy and self.others > self._little

    @property
    def _little(self) -> float:
        return min(_GIB, 0.1 * (self.total or float("inf")))

    def __str__(self) -> str:
        of_total = f" of {self.total / _GIB:.1f}" if self.total else ""
        who = f" ({self.who})" if self.who else ""
        return f"others hold {self.others / _GIB:.1f}{of_total} GiB{who}"


@contextmanager
def open_nvml() -> Iterator["Nvml"]:
    """Initialise NVML for the length of a `with` block, or raise NvmlUnavailableError."""
    nvml = _initialised()
    try:
        yield nvml
    finally:
        nvml.ask("nvmlShutdown")


def _initialised() -> "Nvml":
    try:
        library = importlib.import_module("pynvml")
    except ImportError:
        raise NvmlUnavailableError(
            "the module pynvml is missing; install nvidia-ml-py to use GPUs"
        ) from None
    try:
        library.nvmlInit()
    except Exception as error:  # bindings differ in what they raise without a (working) driver
        raise NvmlUnavailableError(_of_nvml(error)) from error
    return Nvml(library)


class KeptNvml:
    """NVML for the length of a launch, initialised when it is first asked for.

    Without persistence mode a driver that nobody has open sleeps: what looks for GPUs, the check of
    each worker and its library would each wait until it has woken up, seconds on a big machine.
    """

    def __init__(self) -> None:
        self._abandoned = False
        self.nvml: Nvml | None = None

    def __enter__(self) -> "KeptNvml":
        return self

    def __exit__(self, *_: object) -> None:
        if self.nvml is not None and not self._abandoned:
            self.nvml.ask("nvmlShutdown")

    @contextmanager
    def open(self) -> Iterator["Nvml"]:
        """As `open_nvml`, but it stays open behind the block."""
        if self.nvml is None:
            self.nvml = _initialised()
        yield self.nvml

    def abandon(self) -> None:
        """Leave it open: its driver hangs, and closing it would hang with it."""
        self._abandoned = True


def _of_nvml(error: Exception) -> str:
    """Its words, which name NVML themselves or not."""
    return str(error) if str(error).startswith("NVML") else f"NVML: {error}"


class Nvml:
    """An initialised NVML; get one from `open_nvml`."""

    def __init__(self, library: Any) -> None:
        self._library = library

    def ask(self, function: str, *arguments: object) -> Any:
        """Return the answer of an optional NVML call, None where it is missing or fails."""
        try:
            return getattr(self._library, function)(*arguments)
        except Exception:  # AttributeError, TypeError, NVMLError, ...: all mean "unknown"
            return None

    def gpus(self) -> tuple[list[Gpu], list[str]]:
        """Return the GPUs in nvidia-smi's order, and one line for each that cannot be used.

        With MIG on, CUDA can only use a GPU's instances: they take its place.
        """
        try:
            count = self._library.nvmlDeviceGetCount()
        except Exception as error:
            raise NvmlUnavailableError(_of_nvml(error)) from error
        found: list[Gpu] = []
        problems: list[str] = []
        for index in range(count):
            try:
                gpu = self._gpu(index)
            except Exception as error:  # the count includes lost GPUs, and those of other jobs
                problems.append(f"GPU {index} is left out: NVML: {error}")
                continue
            if not self._mig_is_on(gpu):
                found.append(gpu)
            elif instances := self._mig_instances(gpu):
                found += instances
            else:
                problems.append(f"GPU {index} {gpu.name} is left out: MIG is on, without instances")
        return found, problems

    def usage(self, gpu: Gpu) -> Usage:
        """Measure the memory that processes other than this one hold.

        Used memory counts what no listed process explains: in a container the processes of
        others are missing from the lists, or have pids that mean nothing here.
        """
        held: dict[int, int] = {}
        pids: dict[str, set[int]] = {"compute": set(), "graphics": set()}
        for user in self.users(gpu):  # one process can be there twice
            held[user.pid] = max(held.get(user.pid, 0), user.memory)
            pids[user.kind].add(user.pid)
        # In a container a listed pid may be another's: one without CUDA is not there itself.
        me = os.getpid() if _has_cuda() else None
        own = held.pop(me, 0) if me is not None else 0
        used, total = self.memory(gpu)
        largest_first = sorted(held, key=lambda pid: -held[pid])
        names = [name for pid in largest_first if (name := process_name(pid))]
        others = max(sum(held.values()), used - own)
        return Usage(
            others,
            total,
            ", ".join(names[:3]),
            computes=any(map(_works, pids["compute"] - pids["graphics"] - {me})),
            draws=bool(pids["graphics"] or self._has_screen(gpu) or _in_wsl()),
        )

    def _has_screen(self, gpu: Gpu) -> bool:
        return bool(self.ask("nvmlDeviceGetDisplayActive", gpu.handle))

    def users(self, gpu: Gpu) -> Iterator[User]:
        """Yield the processes that NVML lists, one that computes and draws twice."""
        for kind in ("Compute", "Graphics"):
            for process in self.ask(f"nvmlDeviceGet{kind}RunningProcesses", gpu.handle) or ():
                yield User(kind.lower(), process.pid, process.usedGpuMemory or 0)

    def driver(self) -> tuple[str, tuple[int, int] | None]:
        """Return the driver's version ("unknown") and the newest CUDA that it runs, if it says."""
        version = _text(self.ask("nvmlSystemGetDriverVersion") or "unknown")
        cuda = self.ask("nvmlSystemGetCudaDriverVersion_v2")  # 12040 is 12.4
        return version, (cuda // 1000, cuda % 1000 // 10) if cuda else None

    def compute_mode(self, gpu: Gpu) -> str:
        """Return who may use the GPU: "default", "exclusive" (one process) or "prohibited"."""
        modes = {2: "prohibited", 1: "exclusive", 3: "exclusive"}
        return modes.get(self.ask("nvmlDeviceGetComputeMode", gpu.handle), "default")

    def distance(self, one: Gpu, other: Gpu) -> int:
        """How far one GPU is from another: the smaller, the faster they talk to each other.

        0 with NVLink between them; else NVML's level of what they share: 10 a board, 20 and 30
        bridges, 40 a NUMA node, 50 the machine; 100 where it does not say.
        """
        if self.ask("nvmlDeviceGetP2PStatus", one.handle, other.handle, _NVLINK) == 0:
            return 0
        level = self.ask("nvmlDeviceGetTopologyCommonAncestor", one.handle, other.handle)
        return 100 if level is None else int(level)

    def memory(self, gpu: Gpu) -> tuple[int, int]:
        """Return used and total bytes, 0 where unknown."""
        # Version 1 counts what the driver reserves for itself as used: about 1 GiB on big GPUs.
        version = getattr(self._library, "nvmlMemory_v2", None)
        memory = self.ask("nvmlDeviceGetMemoryInfo", gpu.handle, version)
        if memory is None:
            memory = self.ask("nvmlDeviceGetMemoryInfo", gpu.handle)
        return (0, 0) if memory is None else (memory.used, memory.total)

    def utilization(self, gpu: Gpu) -> float | None:
        """Return the share of the last moments in which the GPU computed; MIG does not tell."""
        rates = self.ask("nvmlDeviceGetUtilizationRates", gpu.handle)
        return None if rates is None else rates.gpu / 100

    def free_memory(self, uuid: str) -> tuple[int, int] | None:
        """Return free and total bytes of a GPU or a MIG instance; None where unknown."""
        handle = self.ask("nvmlDeviceGetHandleByUUID", uuid)
        if handle is None:
            return None
        used, total = self.memory(Gpu(-1, "", uuid, uuid, handle=handle))
        return (total - used, total) if total else None

    def _gpu(self, index: int) -> Gpu:
        handle = self._library.nvmlDeviceGetHandleByIndex(index)
        uuid = _text(self._library.nvmlDeviceGetUUID(handle))
        name = _text(self._library.nvmlDeviceGetName(handle))
        return Gpu(index, name, uuid, gpu_uuid=uuid, handle=handle)

    def _mig_is_on(self, gpu: Gpu) -> bool:
        modes = self.ask("nvmlDeviceGetMigMode", gpu.handle)  # current, pending
        return bool(modes and modes[0])

    def _mig_instances(self, gpu: Gpu) -> list[Gpu]:
        instances: list[Gpu] = []
        for number in range(self.ask("nvmlDeviceGetMaxMigDeviceCount", gpu.handle) or 0):
            handle = self.ask("nvmlDeviceGetMigDeviceHandleByIndex", gpu.handle, number)
            uuid = None if handle is None else self.ask("nvmlDeviceGetUUID", handle)
            if uuid is None:
                continue  # an empty place: the count is the most there can be
            name = _text(self.ask("nvmlDeviceGetName", handle) or f"{gpu.name} MIG")
            place = [self.ask(f"nvmlDeviceGet{of}InstanceId", handle) for of in ("Gpu", "Compute")]
            old_name = None if None in place else f"MIG-{gpu.uuid}/{place[0]}/{place[1]}"
            instances.append(Gpu(gpu.index, name, _text(uuid), gpu.uuid, old_name, handle))
        return instances


def _text(value: str | bytes) -> str:
    """Decode what old bindings return as bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _works(pid: int) -> bool:
    """Whether a process computes for somebody: the server of MPS only waits for those that do."""
    return "nvidia-cuda-mps-server" not in (process_name(pid) or "")


def _has_cuda() -> bool:
    """Whether this process has loaded the CUDA driver, as one that launches from Python may."""
    try:
        return "libcuda.so" in _MAPS.read_text()
    except OSError:  # no Linux
        return True


def _in_wsl() -> bool:
    """Whether NVML speaks of Windows' processes, without naming any."""
    return "microsoft" in os.uname().release.lower()


def process_name(pid: int) -> str | None:
    """Return "alice's python, pid 42"; None for a pid that this machine or container lacks."""
    import psutil  # only named where a GPU is in use

    try:
        process = psutil.Process(pid)
        return f"{process.username()}'s {process.name()}, pid {pid}"
    except psutil.Error:
        return None
