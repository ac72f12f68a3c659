"""Check, inside a worker, that it sees the GPU it was pinned to, and that torch can open it.

The first check needs no torch and leaves no trace of CUDA in the worker.
"""

import contextlib
import importlib
import json
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from journal_launcher.base.errors import DeviceError
from journal_launcher.settings.model_types import MODEL_TYPES

__all__ = ["DeviceStatus", "require_gpu", "verify_device"]

_CUDA_LIBRARY = "libcuda.so.1"
_PROBE = Path(__file__).with_name("cuda_probe.py")
_DRIVER = Path("/proc/driver/nvidia/version")
_PATIENCE = 60.0  # seconds; without persistence mode a machine of eight GPUs needs some


DeviceStatus = Literal["verified", "unverified", "cpu"]
"""What a worker found of the GPU that it is pinned to; `unverified`: this driver cannot tell."""


def verify_device(
    uuid: str | None,
    library: str = _CUDA_LIBRARY,
    seconds: float = _PATIENCE,
    environment: Mapping[str, str] | None = None,
) -> DeviceStatus:
    """Compare the GPUs that CUDA shows to this process with those it was pinned to.

    `uuid` is what the parent put into CUDA_VISIBLE_DEVICES, None for a CPU worker. `library` is
    the CUDA driver, `environment` a worker's where this process is none. Raise DeviceError when
    CUDA shows more GPUs, fewer, or others, or does not answer within `seconds`.
    """
    if uuid is None:
        return "cpu"
    found = _probe(uuid, library, seconds, environment)
    if "failed" in found:
        function, code, name = found["failed"]
        raise DeviceError(
            f"a worker cannot open {uuid}: {function} failed with {name or 'CUDA error'} ({code}), "
            f"NVIDIA driver {_driver_version()}; check the GPU with `nvidia-smi`"
        )
    if "uuids" not in found:
        return "unverified"
    pinned = uuid.split(",")
    if len(found["uuids"]) != len(pinned):
        raise DeviceError(
            f"a worker pinned to {uuid} expected to see {len(pinned)} GPU{'s' * (len(pinned) > 1)},"
            f" found {len(found['uuids'])}; look for code that changes CUDA_VISIBLE_DEVICES"
        )
    if None in found["uuids"]:
        return "unverified"
    # CUDA returns the 16 bytes behind "GPU-" or "MIG-".
    seen = ",".join(kind[:4] + bare for kind, bare in zip(pinned, found["uuids"], strict=True))
    if seen != uuid:
        raise DeviceError(
            f"a worker pinned to {uuid} sees {seen} instead; "
            f"look for code that changes CUDA_VISIBLE_DEVICES"
        )
    return "verified"


def _probe(
    uuid: str, library: str, seconds: float, environment: Mapping[str, str] | None
) -> dict[str, Any]:
    """What cuda_probe.py says in this environment."""
    import subprocess  # no worker without a GPU needs it

    probe = subprocess.Popen(
        [sys.executable, "-I", "-S", str(_PROBE), uuid, library],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=environment,
    )
    try:
        answer, _ = probe.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        probe.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            probe.communicate(timeout=1.0)  # inside a driver that hangs it may not end
        problem = f"the CUDA driver did not answer within {seconds:g} s"
    else:
        if probe.returncode == 0:
            return dict(json.loads(answer))
        problem = f"the CUDA driver crashed (status {probe.returncode})"
    raise DeviceError(
        f"a worker cannot open {uuid}: {problem}, NVIDIA driver {_kernel_driver_version()}; "
        "check the GPU with `nvidia-smi`"
    )


def require_gpu(model_type: str) -> None:
    """Raise DeviceError if a model type that uses a GPU cannot open the one it is pinned to."""
    if check := MODEL_TYPES[model_type].gpu_check:
        module, _, function = check.partition(":")
        getattr(importlib.import_module(module), function)()


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
    CUDA than the driver's: training would run on the CPU, many times slower. It is True for a GPU
    that this build has no code for, that is full, or that another process has for itself.
    """
    import torch

    failed = None
    if torch.cuda.is_available():
        try:
            torch.ones(1, device="cuda").item()
            return
        except RuntimeError as error:
            failed = str(error).partition("\n")[0].rstrip(".")
    driver = _driver_version()
    if failed is not None:
        problem = f"{failed}; torch {torch.__version__} is built for CUDA {torch.version.cuda}"
        remedy = "free the GPU, or install a torch build that supports it"
    elif torch.version.cuda is None:
        problem = f"torch {torch.__version__} is built without CUDA"
        remedy = "install a CUDA build of torch"
    else:
        problem = f"torch {torch.__version__} is built for CUDA {torch.version.cuda}"
        remedy = f"update the driver, or install a torch build for an older CUDA: {_pip_install()}"
    raise DeviceError(
        f"torch cannot open the GPU: {problem}, the NVIDIA driver is {driver}; {remedy} "
        f"(https://pytorch.org/get-started/locally), or use `--gpus none` to run on the CPU"
    )


def _pip_install() -> str:
    """How the torch for older drivers comes to where this one is from."""
    from journal_launcher.bootstrap import OLDER_TORCH, VENV, typed  # costs a start what it needs

    pip = typed() if sys.prefix == str(VENV) else f"{shlex.quote(sys.executable)} -m"
    return f"{pip} pip install {OLDER_TORCH}"


def _driver_version() -> str:
    """Return the NVIDIA driver's version from NVML or the kernel, "unknown" if neither tells."""
    try:
        nvml = importlib.import_module("pynvml")
        nvml.nvmlInit()
        version = nvml.nvmlSystemGetDriverVersion()
        nvml.nvmlShutdown()
        return version.decode() if isinstance(version, bytes) else str(version)
    except Exception:  # missing module, missing driver, mismatch: the kernel may still know
        return _kernel_driver_version()


def _kernel_driver_version() -> str:
    """The same without a call into the driver, which may hang."""
    try:
        found = re.search(r"\b[0-9]{3,}\.[0-9.]*[0-9]", _DRIVER.read_text())
    except OSError:
        found = None
    return found[0] if found else "unknown"
