"""The GPU that this process is pinned to, of whose memory other workers want a part too."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from journal_launcher.devices.claims import lock_file
from journal_launcher.devices.nvml import NvmlUnavailableError, open_nvml

__all__ = ["measuring", "own_memory"]


def own_memory() -> tuple[int, int] | None:
    """Return its free and its total bytes, as NVML says; None where that does not tell.

    Nothing of CUDA is touched: a library may still be about to open it in its own way.
    """
    try:
        with open_nvml() as nvml:
            return nvml.free_memory(_uuid())
    except NvmlUnavailableError:
        return None


@contextmanager
def measuring() -> Iterator[None]:
    """Look at its free memory, and take of it, while no other worker of it does the same.

    Two that measured at the same moment would both count on what is there for one. Where there is
    no place for the lock they do.
    """
    descriptor = lock_file(f"{_uuid()}.memory", os.O_RDWR | os.O_CREAT)
    try:
        if descriptor is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _uuid() -> str:
    """As the parent pinned this process; "" on a CPU."""
    return os.environ.get("CUDA_VISIBLE_DEVICES", "")
