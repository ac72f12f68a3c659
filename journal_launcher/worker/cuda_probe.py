"""Ask the CUDA driver which GPUs it shows. A script of the standard library for its own process.

A process that has initialised CUDA can fork no child that uses it, and an objective may want to;
so the worker lets this script look. It creates no CUDA context and costs no GPU memory.

Arguments: what the GPUs were pinned by, and the driver library. Prints one JSON object: `uuids` of
the visible GPUs (null where the driver cannot tell); `failed` (function, code, name) where the
driver refuses; {} without a driver library.
"""

import ctypes
import json
import sys
import uuid as uuids
from typing import Any


class _Refused(Exception):
    """(function, code, name or null)"""


def main(pinned: str, library: str) -> dict[str, Any]:
    """What the driver says; see above."""
    try:
        cuda = ctypes.CDLL(library)
    except OSError:  # some containers and emulations have a GPU, but no driver library here
        return {}
    try:
        _call(cuda, "cuInit", 0)
        count = ctypes.c_int()
        _call(cuda, "cuDeviceGetCount", ctypes.byref(count))
        return {"uuids": [_uuid(cuda, pinned, ordinal) for ordinal in range(count.value)]}
    except _Refused as refused:
        return {"failed": refused.args}


def _call(cuda: ctypes.CDLL, function: str, *arguments: object) -> None:
    code = getattr(cuda, function)(*arguments)
    if code != 0:
        name = ctypes.c_char_p()
        if hasattr(cuda, "cuGetErrorName"):
            cuda.cuGetErrorName(code, ctypes.byref(name))
        raise _Refused(function, code, name.value.decode() if name.value else None)


def _uuid(cuda: ctypes.CDLL, pinned: str, ordinal: int) -> str | None:
    """UUID of a visible device, without "GPU-" or "MIG-".

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
    _call(cuda, "cuDeviceGet", ctypes.byref(device), ordinal)
    raw = (ctypes.c_ubyte * 16)()
    _call(cuda, function, ctypes.byref(raw), device)
    return str(uuids.UUID(bytes=bytes(raw)))


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
