"""A launch's GPUs while it runs, on a fake NVML; what that says or hides never ends anything."""

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from journal_launcher.base.events import GpuLoad
from journal_launcher.devices import meter as meter_module
from journal_launcher.devices.choose import CPU, Device, choose_devices
from journal_launcher.devices.meter import GpuMeter
from journal_launcher.devices.nvml import KeptNvml

GIB = 2**30
A = "GPU-aaaa0000-0000-4000-8000-000000000000"
B = "GPU-bbbb0000-0000-4000-8000-000000000001"
SetMachine = Callable[..., None]  # the fixture `machine`


def gpu(uuid: str, **facts: Any) -> dict[str, Any]:
    return {"uuid": uuid, **facts}


def device(uuid: str) -> Device:
    return Device("gpu", uuid, 0, "NVIDIA H100")


def readings(meter: GpuMeter, wanted: Callable[[tuple[GpuLoad, ...]], bool]) -> None:
    """Wait for a reading as wanted."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if (found := meter.take()) is not None and wanted(found):
            return
    raise AssertionError("no such reading")


def test_memory_and_utilisation_of_the_launchs_own_gpus_are_read(machine: SetMachine) -> None:
    machine([gpu(A, used=3 * GIB, busy=80), gpu(B, used=9 * GIB), gpu("GPU-other", used=GIB)])
    with KeptNvml() as kept:
        with kept.open():
            pass
        with GpuMeter(kept, [device(f"{A},{B}"), device(A), CPU], period=0.01) as meter:
            readings(meter, lambda found: len(found) == 2)
            machine([gpu(A, used=5 * GIB, busy=40), gpu(B, used=1 * GIB)])
            readings(meter, lambda found: found[0].used == 5 * GIB)
        assert not meter._thread.is_alive()
    one, other = meter.over_launch()
    assert (one.device, one.used, one.total) == ("GPU 0 NVIDIA H100", 5 * GIB, 80 * GIB)
    assert one.utilization is not None and 0.4 < one.utilization < 0.8
    assert (other.uuid, other.used, other.utilization) == (B, 9 * GIB, None)


def test_a_gpu_that_says_nothing_is_left_out_until_it_speaks_again(machine: SetMachine) -> None:
    machine([gpu(A)], failing={"nvmlDeviceGetCount": "Unknown Error"})
    with KeptNvml() as kept:
        with kept.open():
            pass
        with GpuMeter(kept, [device(A)], period=0.01) as meter:
            machine([gpu(A)], failing={"nvmlDeviceGetMemoryInfo": "GPU is lost"})
            readings(meter, lambda found: found == ())
            machine([gpu(A, used=GIB)])
            readings(meter, lambda found: len(found) == 1)


def test_on_a_cpu_nothing_is_read_and_nvml_is_not_opened(machine: SetMachine) -> None:
    machine([gpu(A)])
    with KeptNvml() as kept, GpuMeter(kept, [], period=0.01) as meter:
        assert meter.period is None and not meter._thread.is_alive()
        assert kept.nvml is None
    assert meter.over_launch() == () and meter.take() is None


def test_a_driver_that_hangs_holds_up_nobody(
    machine: SetMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing NVML would hang as well, so it stays open."""
    machine([gpu(A)])
    monkeypatch.setattr(meter_module, "_PATIENCE", 0.05)
    go_on, closed = threading.Event(), []
    with KeptNvml() as kept:
        with kept.open() as nvml:
            monkeypatch.setattr(nvml, "memory", lambda gpu: go_on.wait(30) and (0, 0))
            monkeypatch.setattr(
                sys.modules["pynvml"], "nvmlShutdown", lambda: closed.append(1), raising=False
            )
        with GpuMeter(kept, [device(A)], period=0.01) as meter:
            pass
        assert meter._thread.is_alive()
    assert closed == []
    go_on.set()
    meter._thread.join(20)


def test_a_launch_initialises_nvml_once_and_closes_it_at_its_end(
    machine: SetMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time wakes the driver anew where nobody else holds it open."""
    machine([gpu(A)])
    import pynvml

    calls: list[str] = []
    for name in ("nvmlInit", "nvmlShutdown"):
        monkeypatch.setattr(pynvml, name, lambda name=name: calls.append(name), raising=False)
    with KeptNvml() as kept:
        for _ in range(2):
            assert choose_devices("auto", {}, nvml=kept.open).devices[0].uuid == A
        with GpuMeter(kept, [device(A)], period=0.01) as meter:
            readings(meter, lambda found: len(found) == 1)
        assert calls == ["nvmlInit"]
    assert calls == ["nvmlInit", "nvmlShutdown"]
    with KeptNvml() as kept:
        assert choose_devices("none", {}, nvml=kept.open).devices == ()
    assert calls == ["nvmlInit", "nvmlShutdown"]
