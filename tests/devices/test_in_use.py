"""What happens to GPUs that others use; the machine is described by a fake NVML."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from journal_launcher.base.errors import UsageError
from journal_launcher.devices import choose as choose_module
from journal_launcher.devices.choose import Choice, Device, choose_devices

GIB = 2**30
A = "GPU-aaaa0000-0000-4000-8000-000000000000"
B = "GPU-aabb0000-0000-4000-8000-000000000001"
C = "GPU-cccc0000-0000-4000-8000-000000000002"

SetMachine = Callable[..., None]  # the fixture `machine`


def gpu(uuid: str, **facts: Any) -> dict[str, Any]:
    return {"uuid": uuid, **facts}


class Clock:
    """Time that passes only by sleeping; `then` is called after `after` seconds."""

    def __init__(self, after: float = 0.0, then: Callable[[], None] | None = None) -> None:
        self.now, self._after, self._then = 100.0, 100.0 + after, then

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self._then and self.now >= self._after:
            self._then()


def choose(request: str, mask: str | None = None, clock: Clock | None = None) -> Choice:
    clock = clock or Clock()
    environment = {} if mask is None else {"CUDA_VISIBLE_DEVICES": mask}
    return choose_devices(request, environment, clock=clock, sleep=clock.sleep)


def uuids(choice: Choice) -> list[str | None]:
    return [device.uuid for device in choice.devices]


def test_auto_skips_a_busy_gpu_and_says_so(machine: SetMachine) -> None:
    machine([gpu(A), gpu(B, used=20 * GIB), gpu(C, used=GIB // 2)])
    choice = choose("auto")
    assert uuids(choice) == [A, C]
    assert choice.notes == (
        "GPU 1 NVIDIA H100: others hold 20.0 of 80.0 GiB: skipped, `--gpus all` uses it anyway",
    )


def test_all_busy_is_a_usage_error_after_waiting(machine: SetMachine) -> None:
    used = {"used": 20 * GIB, "compute": [[os.getppid(), 20 * GIB]]}
    machine([gpu(A, **used), gpu(B, used=8 * GIB)])
    clock = Clock()
    with pytest.raises(UsageError) as caught:
        choose("auto", clock=clock)
    assert 105.0 <= clock.now < 105.5
    message = str(caught.value)
    assert "every GPU is in use after waiting 5 s" in message
    assert "GPU 0 NVIDIA H100: others hold 20.0 of 80.0 GiB (" in message
    assert f", pid {os.getppid()})" in message
    assert "GPU 1 NVIDIA H100: others hold 8.0 of 80.0 GiB;" in message
    assert "use `--gpus all`" in message


def test_the_first_gpu_to_become_free_ends_the_wait(machine: SetMachine) -> None:
    machine([gpu(A, used=20 * GIB), gpu(B, used=20 * GIB)])
    freed = Clock(2.0, lambda: machine([gpu(A, used=20 * GIB), gpu(B)]))
    choice = choose("auto", clock=freed)
    assert uuids(choice) == [B]
    assert choice.notes[0] == "every GPU was in use; waited 2.0 s for one to become free"
    assert len(choice.notes) == 2


def test_a_desktop_leaves_its_gpu_free_and_that_is_said(machine: SetMachine) -> None:
    machine([gpu(A, used=3 * GIB, total=8 * GIB, graphics=[[os.getppid(), GIB]]), gpu(B)])
    choice = choose("auto")
    assert uuids(choice) == [A, B]
    (note,) = choice.notes
    assert note.startswith("GPU 0 NVIDIA H100: others hold 3.0 of 8.0 GiB (")
    assert note.endswith("): used all the same")


def test_under_wsl_memory_that_nobody_is_named_for_is_the_desktops(
    machine: SetMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine([gpu(A, used=3 * GIB, total=8 * GIB)])
    with pytest.raises(UsageError):
        choose("auto")
    kernel = os.uname()
    names = (*kernel[:2], "5.15.167.4-microsoft-standard-WSL2", *kernel[3:])
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(names))
    assert uuids(choose("auto")) == [A]


def test_a_gpu_that_nobody_may_compute_on_is_skipped(machine: SetMachine) -> None:
    machine([gpu(A, mode=2), gpu(B)])
    choice = choose("auto")
    assert uuids(choice) == [B]
    assert choice.notes[0].startswith("GPU 0 NVIDIA H100: its compute mode lets nobody compute")


@pytest.mark.parametrize("mode", [1, 3])  # of a thread, of a process
def test_a_gpu_for_one_process_is_free_until_somebody_has_it(
    machine: SetMachine, mode: int
) -> None:
    machine([gpu(A, mode=mode), gpu(B, mode=mode, compute=[[os.getppid(), GIB // 8]])])
    choice = choose("auto")
    assert uuids(choice) == [A]
    assert choice.notes[0].startswith("GPU 1 NVIDIA H100: ") and "skipped" in choice.notes[0]


@pytest.mark.parametrize(
    ("problem", "cure"),
    [
        ("Driver/library version mismatch", "reboot"),
        ("Shared Library Not Found", "NVIDIA_DRIVER_CAPABILITIES"),
        ("Unknown Error", "see `nvidia-smi`"),
    ],
)
def test_a_broken_driver_is_no_reason_to_run_on_the_cpu(
    machine: SetMachine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    problem: str,
    cure: str,
) -> None:
    machine([gpu(A)], failing={"nvmlInit": problem})
    monkeypatch.setattr(choose_module, "_DEVICES", tmp_path)
    assert choose("auto").devices == ()  # no GPU in this machine
    (tmp_path / "nvidia0").touch()
    with pytest.raises(UsageError, match=f"{problem}.*{cure}.*--gpus none"):
        choose("auto")
    assert choose("none").devices == ()


def test_no_wait_while_one_gpu_is_free(machine: SetMachine) -> None:
    machine([gpu(A, used=20 * GIB), gpu(B)])
    clock = Clock()
    choose("auto", clock=clock)
    assert clock.now == 100.0


def test_a_busy_gpu_outside_the_mask_is_not_our_business(machine: SetMachine) -> None:
    machine([gpu(A, used=20 * GIB), gpu(B)])
    assert choose("auto", "1").notes == ()


@pytest.mark.parametrize(("request_", "expected"), [("all", [A, B]), ("0,1", [A, B]), ("1", [B])])
def test_all_and_lists_use_busy_gpus_with_one_note(
    machine: SetMachine, request_: str, expected: list[str]
) -> None:
    machine([gpu(A, used=9 * GIB), gpu(B, used=20 * GIB)])
    choice = choose(request_)
    assert uuids(choice) == expected
    assert len(choice.notes) == 1
    assert choice.notes[0].endswith("20.0 of 80.0 GiB: used anyway, as --gpus says")


def test_mig_instances_are_busy_one_by_one(machine: SetMachine) -> None:
    busy, idle = (
        gpu(uuid, name="NVIDIA H100 80GB HBM3 MIG 1g.10gb", gi=7, ci=0, used=used, total=10 * GIB)
        for uuid, used in [("MIG-1", 9 * GIB), ("MIG-2", 0)]
    )
    machine([gpu(B, used=9 * GIB, mig=[busy, idle])])
    choice = choose("auto")
    assert choice.devices == (Device("gpu", "MIG-2", 0, "NVIDIA H100 80GB HBM3 MIG 1g.10gb"),)
    assert choice.devices[0].label == "GPU 0 NVIDIA H100 MIG 1g.10gb"
    assert choice.notes[0].startswith("GPU 0 NVIDIA H100 MIG 1g.10gb: others hold 9.0 of 10.0 GiB")
