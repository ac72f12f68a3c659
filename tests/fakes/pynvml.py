"""A stand-in for the NVML binding; put this directory first on PYTHONPATH and set FAKE_NVML.

FAKE_NVML is JSON and is read again at every call, so a test can change the machine on the way:

    {"gpus": [{"uuid": "GPU-…", "name": "…", "used": bytes, "total": bytes,
               "compute": [[pid, bytes or null], …], "graphics": [[pid, bytes], …],
               "mode": 0 to 3,       the compute mode
               "busy": 0 to 100,     utilisation; absent: it does not say
               "screen": true,       a screen is connected
               "near": {"uuid": topology level, …}, "nvlink": ["uuid", …],
               "mig": [null or {"uuid": "MIG-…", "gi": 1, "ci": 0, …as a GPU…}, …]}, …],
     "driver": "550.54.14",
     "cuda": 12040,              the newest CUDA that the driver runs; absent: it does not say
     "missing": ["functions that this binding lacks", …],
     "failing": {"function": "message of the NVMLError that it raises", …},
     "lost": [indices of GPUs without a handle],
     "bytes": true,              text comes back as bytes, as in old bindings
     "reserved": bytes,          version 1 of the memory call counts them as used
     "memory_version": 1}        the binding knows only that version
"""

import json
import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

GIB = 2**30


class NVMLError(Exception):
    """The root of the real binding's errors."""


def _state() -> dict[str, Any]:
    state: dict[str, Any] = json.loads(os.environ.get("FAKE_NVML", '{"gpus": []}'))
    return state


def _gpu(handle: tuple[int, ...]) -> dict[str, Any]:
    """Look a handle up: (index,) or (index, number of the MIG instance)."""
    gpu: dict[str, Any] = _state()["gpus"][handle[0]]
    return gpu if len(handle) == 1 else gpu["mig"][handle[1]]


def _text(value: str) -> str | bytes:
    return value.encode() if _state().get("bytes") else value


def _handle(index: int) -> tuple[int]:
    if index in _state().get("lost", []):
        raise NVMLError("GPU is lost")
    return (index,)


def _handle_of(uuid: str) -> tuple[int, ...]:
    for index, gpu in enumerate(_state()["gpus"]):
        if gpu["uuid"] == uuid:
            return _handle(index)
        for number, instance in enumerate(gpu.get("mig", [])):
            if instance is not None and instance["uuid"] == uuid:
                return (index, number)
    raise NVMLError("Not Found")


def _mig_handle(device: tuple[int], index: int) -> tuple[int, int]:
    if _gpu(device)["mig"][index] is None:
        raise NVMLError("Not Found")
    return (device[0], index)


def _mig_mode(handle: tuple[int, ...]) -> list[int]:
    if "mig" not in _gpu(handle):
        raise NVMLError("Not Supported")
    return [1, 1]


def _memory(handle: tuple[int, ...], version: int | None = None) -> SimpleNamespace:
    gpu, state = _gpu(handle), _state()
    if version is not None and state.get("memory_version") == 1:
        raise TypeError("takes 1 positional argument but 2 were given")
    reserved = 0 if version else state.get("reserved", 0)
    return SimpleNamespace(used=gpu.get("used", 0) + reserved, total=gpu.get("total", 80 * GIB))


def _processes(kind: str) -> Callable[[tuple[int, ...]], list[SimpleNamespace]]:
    return lambda handle: [
        SimpleNamespace(pid=pid, usedGpuMemory=memory) for pid, memory in _gpu(handle).get(kind, [])
    ]


def _p2p_status(handle: tuple[int], other: tuple[int], index: int) -> int:
    return 0 if index == 2 and _gpu(other)["uuid"] in _gpu(handle).get("nvlink", []) else 1


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "nvmlInit": lambda: None,
    "nvmlShutdown": lambda: None,
    "nvmlSystemGetDriverVersion": lambda: _text(_state().get("driver", "550.54.14")),
    "nvmlSystemGetCudaDriverVersion_v2": lambda: _state()["cuda"],
    "nvmlDeviceGetComputeMode": lambda handle: _gpu(handle).get("mode", 0),
    "nvmlDeviceGetDisplayActive": lambda handle: int(_gpu(handle).get("screen", False)),
    "nvmlDeviceGetP2PStatus": _p2p_status,
    "nvmlDeviceGetTopologyCommonAncestor": lambda handle, other: _gpu(handle)["near"][
        _gpu(other)["uuid"]
    ],
    "nvmlDeviceGetCount": lambda: len(_state()["gpus"]),
    "nvmlDeviceGetHandleByIndex": _handle,
    "nvmlDeviceGetHandleByUUID": _handle_of,
    "nvmlDeviceGetUUID": lambda handle: _text(_gpu(handle)["uuid"]),
    "nvmlDeviceGetName": lambda handle: _text(_gpu(handle).get("name", "NVIDIA H100 80GB HBM3")),
    "nvmlDeviceGetMemoryInfo": _memory,
    "nvmlDeviceGetUtilizationRates": lambda handle: SimpleNamespace(gpu=_gpu(handle)["busy"]),
    "nvmlDeviceGetComputeRunningProcesses": _processes("compute"),
    "nvmlDeviceGetGraphicsRunningProcesses": _processes("graphics"),
    "nvmlDeviceGetMigMode": _mig_mode,
    "nvmlDeviceGetMaxMigDeviceCount": lambda handle: len(_gpu(handle)["mig"]),
    "nvmlDeviceGetMigDeviceHandleByIndex": _mig_handle,
    "nvmlDeviceGetGpuInstanceId": lambda handle: _gpu(handle)["gi"],
    "nvmlDeviceGetComputeInstanceId": lambda handle: _gpu(handle)["ci"],
}


def __getattr__(name: str) -> Any:
    state = _state()
    if name in state.get("missing", []):
        raise AttributeError(name)
    if name == "nvmlMemory_v2" and state.get("memory_version") != 1:
        return 0x02000028
    if name in state.get("failing", {}):
        return _failing(state["failing"][name])
    if name in _FUNCTIONS:
        return _FUNCTIONS[name]
    raise AttributeError(name)


def _failing(message: str) -> Callable[..., Any]:
    def fail(*_: object) -> None:
        raise NVMLError(message)

    return fail
