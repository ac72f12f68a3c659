"""Check, inside a worker, that it sees the one GPU it was pinned to, and that torch can open it.

The first check talks to the CUDA driver through ctypes and creates no CUDA context, so it costs
no GPU memory and works for workers that never import torch.
"""

import ctypes
import importlib
import re
import uuid as uuids
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from journal_launcher.base.errors import UsageError

__all__ = ["DeviceError", "DeviceReport", "require_gpu", "require_torch_cuda", "verify_device"]

_CUDA_LIBRARY = "libcuda.so.1"
_DRIVER_FILE = Path("/proc/driver/nvidia/version")


class DeviceError(UsageError):
    """This worker's device cannot be used; others may."""


@dataclass(frozen=True)
class DeviceReport:
    """What a worker found: `unverified` means that this driver cannot tell."""

    uuid: str | None  # the GPU that CUDA sees, in the form that the worker was pinned with
    status: Literal["verified", "unverified", "cpu"]


def verify_device(uuid: str | None, library: str = _CUDA_LIBRARY) -> DeviceReport:
    """Compare the GPU that CUDA shows to this process with the one it was pinned to.

    `uuid` is what the parent put into CUDA_VISIBLE_DEVICES, None for a CPU worker. `library` is
    the CUDA driver. Raise DeviceError when CUDA shows no GPU, several, or another one.
    """
    if uuid is None:
        return DeviceReport(None, "cpu")
    try:
        cuda = ctypes.CDLL(library)
    except OSError:  # some containers and emulations have a GPU, but no driver library here
        return DeviceReport(None, "unverified")
    _call(cuda, uuid, "cuInit", 0)
    count = ctypes.c_int()
    _call(cuda, uuid, "cuDeviceGetCount", ctypes.byref(count))
    if count.value != 1:
        raise DeviceError(
            f"a worker pinned to {uuid} expected to see 1 GPU, found {count.value}; "
            f"look for code that changes CUDA_VISIBLE_DEVICES"
        )
    seen = _seen_uuid(cuda, uuid)
    if seen is None:
        return DeviceReport(None, "unverified")
    prefix = uuid[:4]  # CUDA returns the 16 bytes behind "GPU-" or "MIG-"
    if prefix + seen != uuid:
        raise DeviceError(
            f"a worker pinned to {uuid} sees {prefix}{seen} instead; "
            f"look for code that changes CUDA_VISIBLE_DEVICES"
        )
    return DeviceReport(uuid, "verified")


def require_gpu(model_type: str) -> None:
    """Raise DeviceError if a model type that uses a GPU cannot open the one it is pinned to."""
    if model_type == "neural_net":
        require_torch_cuda()
    elif model_type == "catboost":
        require_catboost_gpu()


def require_catboost_gpu() -> None:
    """Raise DeviceError if CatBoost sees no GPU."""
    from catboost.utils import get_gpu_device_count

    if get_gpu_device_count() == 0:
        raise DeviceError(
            f"CatBoost cannot open the GPU: its build supports none here, the NVIDIA driver is "
            f"{_driver_version()}; update the driver, or use `--gpus none` to run on the CPU"
        )


def require_torch_cuda() -> None:
    """Raise DeviceError if torch cannot use the GPU that this worker is pinned to.

    `torch.cuda.is_available()` is silently False when torch was built without CUDA, or for a newer
    CUDA than the driver's: training would run on the CPU, many times slower.
    """
    import torch

    if torch.cuda.is_available():
        return
    driver = _driver_version()
    if torch.version.cuda is None:
        problem = f"torch {torch.__version__} is built without CUDA"
        remedy = "install a CUDA build of torch"
    else:
        problem = f"torch {torch.__version__} is built for CUDA {torch.version.cuda}"
        remedy = "update the driver, or install a torch build for an older CUDA"
    raise DeviceError(
        f"torch cannot open the GPU: {problem}, the NVIDIA driver is {driver}; {remedy} "
        f"(https://pytorch.org/get-started/locally), or use `--gpus none` to run on the CPU"
    )


def _call(cuda: ctypes.CDLL, uuid: str, function: str, *arguments: object) -> None:
    """Call the CUDA driver; raise DeviceError with its reason if it refuses."""
    code = getattr(cuda, function)(*arguments)
    if code == 0:
        return
    reason = ctypes.c_char_p()
    if hasattr(cuda, "cuGetErrorName"):
        cuda.cuGetErrorName(code, ctypes.byref(reason))
    text = reason.value.decode() if reason.value else "CUDA error"
    raise DeviceError(
        f"a worker cannot open {uuid}: {function} failed with {text} ({code}), "
        f"NVIDIA driver {_driver_version()}; check the GPU with `nvidia-smi`"
    )


def _seen_uuid(cuda: ctypes.CDLL, pinned: str) -> str | None:
    """Return the UUID of the one visible device, None where this driver cannot tell.

    Drivers before 11.4 have only the first version of the call, which does not know MIG; they
    also name MIG instances "MIG-GPU-…/gi/ci", which no UUID can be compared with.
    """
    function = "cuDeviceGetUuid_v2"
    if not hasattr(cuda, function):
        function = "cuDeviceGetUuid"
        if pinned.startswith("MIG-"):
            return None
    if "/" in pinned or not hasattr(cuda, function):
        return None
    device = ctypes.c_int()
    _call(cuda, pinned, "cuDeviceGet", ctypes.byref(device), 0)
    raw = (ctypes.c_ubyte * 16)()
    _call(cuda, pinned, function, ctypes.byref(raw), device)
    return str(uuids.UUID(bytes=bytes(raw)))


def _driver_version() -> str:
    """Return the NVIDIA driver's version from NVML or the kernel, "unknown" if neither tells."""
    try:
        nvml = importlib.import_module("pynvml")
        nvml.nvmlInit()
        version = nvml.nvmlSystemGetDriverVersion()
        nvml.nvmlShutdown()
        return version.decode() if isinstance(version, bytes) else str(version)
    except Exception:  # missing module, missing driver, mismatch: the kernel may still know
        try:
            found = re.search(r"\b[0-9]{3,}\.[0-9.]*[0-9]", _DRIVER_FILE.read_text())
        except OSError:
            found = None
        return found[0] if found else "unknown"
