"""Decide which GPUs a launch may use, and how a worker is pinned to one of them.

GPUs are named by UUID from here to the worker: CUDA, NVML and a user's mask number them
differently. The user's CUDA_VISIBLE_DEVICES is a mask to respect; its numbers and those of
`--gpus` are nvidia-smi's, which is CUDA's order with CUDA_DEVICE_ORDER=PCI_BUS_ID.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.errors import UsageError
from journal_launcher.devices.claims import claimant_of
from journal_launcher.devices.nvml import Gpu, Nvml, NvmlUnavailableError, Usage, open_nvml

__all__ = ["CPU", "Choice", "Device", "choose_devices", "gpu_label", "model_of", "pin_environment"]

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",  # torch, scikit-learn, CatBoost's OpenMP parts
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "LOKY_MAX_CPU_COUNT",  # joblib inside scikit-learn
)
_POLL_SECONDS = 0.25
_DEVICES = Path("/dev")


@dataclass(frozen=True)
class Device:
    """What one worker runs on: a GPU (or a MIG instance of one) named by UUID, or a CPU share.

    Several GPUs of one worker are a device too: their UUIDs and indices with commas between them.
    """

    kind: str  # "gpu" or "cpu"
    uuid: str | None  # "GPU-…", "MIG-…" or "GPU-…,GPU-…"; None for a CPU share
    index: int | str | None  # nvidia-smi's; None for a CPU share
    name: str  # "NVIDIA H100 80GB HBM3", "CPU"
    host: str | None = None  # where it is; None on this machine

    @property
    def label(self) -> str:
        """Return a short name for people: "GPU 0 NVIDIA H100", "CPU", "n2 · CPU"."""
        place = "" if self.host is None else f"{self.host} · "
        if self.kind == "cpu" or self.index is None:
            return f"{place}{self.name}"
        short = re.sub(r"[ -][0-9]+GB( HBM[0-9a-z]*)?", "", self.name)
        return f"{place}GPU {self.index} {short}"


CPU = Device("cpu", None, None, "CPU")


def gpu_label(gpus: Sequence[Gpu]) -> str:
    """Return how people name a GPU, or several of one worker: "GPU 0 NVIDIA H100"."""
    return _device(gpus).label


def model_of(label: str) -> str:
    """Return what device a label names, without its number: "NVIDIA H100", "CPU"."""
    return re.sub(r"^GPU [0-9,]+ ", "", label)


@dataclass(frozen=True)
class Choice:
    """The devices to start workers on, in order; none means: run on the CPU."""

    devices: tuple[Device, ...]
    notes: tuple[str, ...]  # one line each, for the user


def choose_devices(
    request: str,
    environment: Mapping[str, str],
    *,
    together: int = 1,
    nvml: Callable[[], AbstractContextManager[Nvml]] = open_nvml,
    claim: Callable[[str], str | None] = claimant_of,
    wait_seconds: float = 5.0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Choice:
    """Turn `--gpus REQUEST` and the user's environment into devices.

    `auto` takes the visible GPUs that nobody else is using; if all are in use it waits up to
    `wait_seconds` for the first to become free (a launch that has just been killed may still be
    giving its memory back). `all` and a list take GPUs in use too. `none` takes no GPU.

    together: how many GPUs each worker shall see; they are grouped by how near NVML says they are,
    or as a list names them. `auto` and `all` leave those over that fill no group.
    nvml: opens it; for a launch, so that it stays open.
    claim: called with the UUID of each GPU that is taken; it returns which other launch has it
    ("pid 4711"), see `Claims.take`. The default only looks.

    Raise UsageError for a malformed request, for a GPU that is not there or not visible, when
    `auto` finds every GPU in use, and where the machine has GPUs and the driver does not answer.
    """
    names = _parse_request(request)
    if request == "none":
        return Choice((), ())
    try:
        with nvml() as opened:
            gpus, notes = opened.gpus()
            mask = environment.get("CUDA_VISIBLE_DEVICES")
            visible, mask_notes = _visible_gpus(mask, gpus)
            notes += mask_notes
            if names:
                chosen = _named_gpus(names, gpus, visible, mask, notes)
            elif not visible:
                return _without_gpu(request, _why_none(gpus, mask, notes))
            else:
                chosen = visible
            users = _Gpus(opened, claim)
            if request == "auto":
                chosen, notes_on_use = users.take_free(visible, wait_seconds, clock, sleep)
            else:
                notes_on_use = users.take_all(chosen)
            groups, notes_on_rest = _grouped(opened, chosen, together, in_order=bool(names))
            return Choice(tuple(map(_device, groups)), (*notes, *notes_on_rest, *notes_on_use))
    except NvmlUnavailableError as error:
        if request == "auto" and any(_DEVICES.glob("nvidia[0-9]*")):
            raise UsageError(
                f"--gpus auto: this machine has NVIDIA GPUs, but their driver does not answer "
                f"({error}): {_remedy(str(error))}; use `--gpus none` to run on the CPU"
            ) from None
        return _without_gpu(request, f"no usable NVIDIA GPU ({error})")


def pin_environment(device: Device, threads: int, base: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of one worker: `base`, its device alone visible, CPU threads.

    It must be in place before the worker's first import: CUDA, OpenMP and the BLAS libraries
    read these variables once.
    """
    return {
        # OpenMP threads that wait for each other sleep instead of spinning. On a machine that does
        # something else too, spinning made small trees and networks 40 times slower.
        "OMP_WAIT_POLICY": "PASSIVE",
        **base,
        "CUDA_VISIBLE_DEVICES": device.uuid or "",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "PYTHONUNBUFFERED": "1",
        **dict.fromkeys(_THREAD_VARIABLES, str(threads)),
    }


def _parse_request(request: str) -> list[str]:
    """Return the names in a list of GPUs, [] for auto, all and none."""
    if request in ("auto", "all", "none"):
        return []
    names = [name.strip() for name in request.split(",")]
    for name in names:
        if not re.fullmatch(r"[0-9]{1,4}|(GPU|MIG)-[0-9A-Za-z/-]+", name):
            raise UsageError(
                f"--gpus: expected auto, all, none, or a list such as 0,2 or GPU-8932f937,MIG-…; "
                f"found {name!r} in {request!r}; `nvidia-smi -L` lists the GPUs"
            )
    return names


def _why_none(gpus: Sequence[Gpu], mask: str | None, notes: Sequence[str]) -> str:
    reason = "no NVIDIA GPU found"
    if gpus:
        reason = f"CUDA_VISIBLE_DEVICES={mask!r} leaves none of {_listing(gpus)}"
    return "; ".join([reason, *notes])


def _without_gpu(request: str, reason: str) -> Choice:
    if request != "auto":
        raise UsageError(f"--gpus {request}: {reason}; use `--gpus none` to run on the CPU")
    return Choice((), (f"running on the CPU: {reason}",))


def _match(name: str, gpus: Sequence[Gpu]) -> list[Gpu]:
    """Return what an index, a GPU UUID or a unique beginning of one, or a MIG name stands for.

    A GPU with MIG on stands for all its instances. [] means no match, or more than one.
    """
    if name.isdecimal():
        return [gpu for gpu in gpus if gpu.index == int(name)]
    if name.startswith("MIG-"):
        return [gpu for gpu in gpus if name in (gpu.uuid, gpu.old_mig_name)]
    if not name.startswith("GPU-"):
        return []
    matches = [gpu for gpu in gpus if gpu.gpu_uuid.startswith(name)]
    return matches if len({gpu.gpu_uuid for gpu in matches}) == 1 else []


def _visible_gpus(mask: str | None, gpus: Sequence[Gpu]) -> tuple[list[Gpu], list[str]]:
    """Read CUDA_VISIBLE_DEVICES as the CUDA driver does; return the GPUs in its order, and notes.

    It is a list of numbers, of GPU UUIDs or of MIG names, as its first entry is. It ends at its
    first invalid entry; a GPU named twice makes it empty; only an entry's leading digits count.
    """
    if mask is None:
        return list(gpus), []
    visible: list[Gpu] = []
    first_kind = None
    for entry in map(str.strip, mask.split(",")):
        number = re.match(r"\+?([0-9]{1,4})", entry)
        name, kind = (number[1], "number") if number else (entry, entry[:4])
        first_kind = first_kind or kind
        matches = _match(name, gpus) if kind == first_kind else []
        if any(gpu in visible for gpu in matches):
            return [], [f"CUDA reads a GPU named twice ({entry!r}) as no GPU at all"]
        if not matches:
            on_purpose = entry in ("", "-1")
            note = f"CUDA_VISIBLE_DEVICES={mask!r} ends at {entry!r}, which is no GPU here"
            return visible, [] if on_purpose else [note]
        visible += matches
    return visible, []


def _named_gpus(
    names: Sequence[str],
    gpus: Sequence[Gpu],
    visible: Sequence[Gpu],
    mask: str | None,
    notes: Sequence[str],
) -> list[Gpu]:
    """Look up each name of an explicit list; every one must exist, be visible, and be new."""
    there_are = "; ".join([f"there are: {_listing(gpus) or 'none'}", *notes])
    chosen: list[Gpu] = []
    for name in names:
        if not _match(name, gpus):
            raise UsageError(f"--gpus: {name!r} names no GPU, or several; {there_are}")
        matches = [gpu for gpu in _match(name, gpus) if gpu in visible]
        if not matches:
            raise UsageError(
                f"--gpus: {name!r} is outside CUDA_VISIBLE_DEVICES={mask}; {there_are}"
            )
        if any(gpu in chosen for gpu in matches):
            raise UsageError(
                f"--gpus: {name!r} is in {','.join(names)!r} twice; name each GPU once "
                f"(--workers-per-gpu puts several workers on one)"
            )
        chosen += matches
    return chosen


@dataclass(frozen=True)
class _Gpus:
    """GPUs that others use or not, of which a launch takes some."""

    nvml: Nvml
    claim: Callable[[str], str | None]

    def take_free(
        self,
        visible: Sequence[Gpu],
        wait_seconds: float,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> tuple[list[Gpu], list[str]]:
        """Take those that nobody uses; notes say what of the others. Wait while all are in use."""
        start = clock()
        while True:
            free: list[Gpu] = []
            notes: list[str] = []
            busy: list[str] = []
            for gpu in visible:
                usage = self.nvml.usage(gpu)
                if in_use := self._take_or_say_who(gpu, usage):
                    busy.append(in_use)
                else:
                    free.append(gpu)
                    if usage.of_desktop:
                        notes.append(f"{_usage_line(gpu, usage)}: used all the same")
            waited = clock() - start
            if free or waited >= wait_seconds:
                break
            sleep(_POLL_SECONDS)
        if not free:
            raise UsageError(
                f"--gpus auto: every GPU is in use after waiting {waited:.0f} s: "
                f"{'; '.join(busy)}; use `--gpus all` to share them anyway"
            )
        notes += [f"{line}: skipped, `--gpus all` uses it anyway" for line in busy]
        if waited >= _POLL_SECONDS:
            notes.insert(0, f"every GPU was in use; waited {waited:.1f} s for one to become free")
        return free, notes

    def _take_or_say_who(self, gpu: Gpu, usage: Usage) -> str:
        """Take a GPU that nobody uses, and return ""; else who uses it, in words."""
        if self.nvml.compute_mode(gpu) == "prohibited":
            return f"{_device([gpu]).label}: its compute mode lets nobody compute"
        said = [_usage_line(gpu, usage)] if usage.busy else []
        holder = (claimant_of if usage.busy else self.claim)(gpu.uuid)
        return "; ".join([*said, *_held_by(gpu, holder)])

    def take_all(self, chosen: Sequence[Gpu]) -> list[str]:
        """Take GPUs, and say who else uses them."""
        busy: list[str] = []
        for gpu in chosen:
            usage = self.nvml.usage(gpu)
            busy += [_usage_line(gpu, usage)] if usage.busy else []
            busy += _held_by(gpu, self.claim(gpu.uuid))
        return [f"{'; '.join(busy)}: used anyway, as --gpus says"] if busy else []


def _usage_line(gpu: Gpu, usage: Usage) -> str:
    return f"{_device([gpu]).label}: {usage}"


def _held_by(gpu: Gpu, holder: str | None) -> list[str]:
    return [f"{_device([gpu]).label}: another launch ({holder}) has it"] if holder else []


def _remedy(problem: str) -> str:
    """What mends a driver that does not answer."""
    if "mismatch" in problem:
        return "it was updated under the running system: reboot"
    if "Not Found" in problem:
        return "in a container, start it with `--gpus all` and NVIDIA_DRIVER_CAPABILITIES=all"
    return "see `nvidia-smi`"


def _listing(gpus: Sequence[Gpu]) -> str:
    return ", ".join(f"{gpu.index} {gpu.name} ({gpu.uuid})" for gpu in gpus)


def _grouped(
    nvml: Nvml, gpus: Sequence[Gpu], size: int, *, in_order: bool
) -> tuple[list[list[Gpu]], list[str]]:
    """Groups of `size`, each the nearest of those left to the first of those left, and notes.

    in_order: they were listed; then none may be left over, as none ever may where no group is full.
    """
    groups = []
    left = list(gpus)
    while len(left) >= size:
        first = left[0]
        rest = left[1:] if in_order else sorted(left[1:], key=lambda gpu: nvml.distance(first, gpu))
        groups.append([first, *rest[: size - 1]])
        left = [gpu for gpu in left if gpu not in groups[-1]]
    if left and (in_order or not groups):
        raise UsageError(
            f"--gpus-per-worker {size}: expected a multiple of {size} GPUs, found {len(gpus)} "
            f"({_listing(gpus)}); change --gpus or --gpus-per-worker"
        )
    idle = f"{len(left)} of {len(gpus)} GPUs stay idle: --gpus-per-worker {size}"
    return groups, [idle] if left else []


def _device(gpus: Sequence[Gpu]) -> Device:
    uuid = ",".join(gpu.uuid for gpu in gpus)
    index = gpus[0].index if len(gpus) == 1 else ",".join(str(gpu.index) for gpu in gpus)
    return Device("gpu", uuid, index, gpus[0].name)
