"""What a launch's GPUs are at: their memory and utilisation, read while it runs.

In a thread, because NVML is the driver: where that hangs, the launch must go on. Nothing that it
says or fails to say ends one.
"""

import contextlib
import threading
from collections.abc import Iterable

from journal_launcher.base.events import GpuLoad
from journal_launcher.devices.choose import Device, gpu_label
from journal_launcher.devices.nvml import Gpu, KeptNvml, Nvml

__all__ = ["GpuMeter"]

_PERIOD = 1.0
_PATIENCE = 2.0
"""Seconds between two readings, and of waiting at the end for one that is under way."""


class GpuMeter:
    """Reads the GPUs of `devices` every second while it is open; on a CPU it does nothing."""

    def __init__(self, kept: KeptNvml, devices: Iterable[Device], period: float = _PERIOD) -> None:
        pinned = (device.uuid for device in devices if device.uuid)
        self._uuids = {uuid for several in pinned for uuid in several.split(",")}
        self._kept = kept
        self._period = period
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gpus", daemon=True)
        self._new: tuple[GpuLoad, ...] | None = None
        self._most: dict[str, GpuLoad] = {}
        self._shares: dict[str, list[float]] = {}  # number of readings, their sum

    def __enter__(self) -> "GpuMeter":
        if self._uuids and self._kept.nvml is not None:
            with contextlib.suppress(RuntimeError):  # no threads left
                self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        if self._thread.ident is not None:
            self._thread.join(_PATIENCE)
            if self._thread.is_alive():  # in a driver that hangs, as closing NVML would
                self._kept.abandon()

    @property
    def period(self) -> float | None:
        """Seconds between two readings; None where there are none."""
        return self._period if self._thread.is_alive() else None

    def take(self) -> tuple[GpuLoad, ...] | None:
        """Return the last reading, once; None if there is no new one."""
        new, self._new = self._new, None
        return new

    def over_launch(self) -> tuple[GpuLoad, ...]:
        """Return each GPU with the most memory that was in use, and its mean utilisation."""
        found = []
        for uuid, most in list(self._most.items()):
            count, total = self._shares.get(uuid, [0, 0.0])
            mean = round(total / count, 3) if count else None
            found.append(GpuLoad(most.device, uuid, most.used, most.total, mean))
        return tuple(found)

    def _run(self) -> None:
        nvml = self._kept.nvml
        assert nvml is not None
        gpus: list[Gpu] = []
        while not self._left.is_set():
            with contextlib.suppress(Exception):
                gpus = gpus or [gpu for gpu in nvml.gpus()[0] if gpu.uuid in self._uuids]
                self._keep(tuple(load for gpu in gpus if (load := _load(nvml, gpu))))
            self._left.wait(self._period)

    def _keep(self, loads: tuple[GpuLoad, ...]) -> None:
        for load in loads:
            most = self._most.get(load.uuid)
            if most is None or load.used > most.used:
                self._most[load.uuid] = load
            if load.utilization is not None:
                count, total = self._shares.get(load.uuid, [0, 0.0])
                self._shares[load.uuid] = [count + 1, total + load.utilization]
        self._new = loads


def _load(nvml: Nvml, gpu: Gpu) -> GpuLoad | None:
    """None for a GPU that says nothing, one that is lost say."""
    used, total = nvml.memory(gpu)
    if not total:
        return None
    return GpuLoad(gpu_label([gpu]), gpu.uuid, used, total, nvml.utilization(gpu))
