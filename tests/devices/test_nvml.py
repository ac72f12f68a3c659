"""What is read from NVML, in all the ways in which bindings and drivers differ."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from journal_launcher.devices import nvml as nvml_module
from journal_launcher.devices.nvml import Gpu, NvmlUnavailableError, Usage, open_nvml

GIB = 2**30
A = "GPU-aaaa0000-0000-4000-8000-000000000000"
B = "GPU-bbbb0000-0000-4000-8000-000000000001"
MIG_1 = "MIG-11111111-0000-5000-8000-000000000000"
MIG_2 = "MIG-22222222-0000-5000-8000-000000000000"
NOBODY = 2**22 + 1  # above the kernel's largest pid: cannot be resolved
H100 = "NVIDIA H100 80GB HBM3"
WITH_MIG = [
    {"uuid": A},
    {
        "uuid": B,
        "mig": [
            {"uuid": MIG_1, "gi": 7, "ci": 0, "name": f"{H100} MIG 1g.10gb"},
            None,
            {"uuid": MIG_2, "gi": 9, "ci": 1, "name": f"{H100} MIG 1g.10gb"},
        ],
    },
]
OPTIONAL = [
    "nvmlDeviceGetMemoryInfo",
    "nvmlDeviceGetComputeRunningProcesses",
    "nvmlDeviceGetGraphicsRunningProcesses",
    "nvmlDeviceGetMigMode",
    "nvmlDeviceGetMaxMigDeviceCount",
    "nvmlDeviceGetMigDeviceHandleByIndex",
    "nvmlDeviceGetGpuInstanceId",
    "nvmlDeviceGetComputeInstanceId",
    "nvmlMemory_v2",
    "NVMLError",
]

SetMachine = Callable[..., None]  # the fixture `machine`


@pytest.fixture
def with_cuda(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """This process computes on a GPU itself."""
    (tmp_path / "maps").write_text("7f00-7f10 r-xp 0 08:01 42 /usr/lib/libcuda.so.535.183\n")
    monkeypatch.setattr(nvml_module, "_MAPS", tmp_path / "maps")


def gpus() -> tuple[list[Gpu], list[str]]:
    with open_nvml() as nvml:
        return nvml.gpus()


def usage_of_first() -> Usage:
    with open_nvml() as nvml:
        return nvml.usage(nvml.gpus()[0][0])


def test_gpus_have_nvidia_smis_index(machine: SetMachine) -> None:
    machine([{"uuid": A}, {"uuid": B, "name": "Tesla T4"}])
    assert gpus() == ([Gpu(0, H100, A, A), Gpu(1, "Tesla T4", B, B)], [])


def test_mig_instances_take_the_place_of_their_gpu(machine: SetMachine) -> None:
    machine(WITH_MIG)
    name = f"{H100} MIG 1g.10gb"
    assert gpus()[0] == [
        Gpu(0, H100, A, A),
        Gpu(1, name, MIG_1, B, f"MIG-{B}/7/0"),
        Gpu(1, name, MIG_2, B, f"MIG-{B}/9/1"),
    ]


def test_a_gpu_with_mig_on_and_no_instances_is_left_out(machine: SetMachine) -> None:
    machine([{"uuid": A}, {"uuid": B, "mig": [None, None]}])
    found, problems = gpus()
    assert found == [Gpu(0, H100, A, A)]
    assert problems == [f"GPU 1 {H100} is left out: MIG is on, without instances"]


def test_without_instance_ids_a_mig_instance_has_no_old_name(machine: SetMachine) -> None:
    machine(WITH_MIG, missing=["nvmlDeviceGetGpuInstanceId"])
    assert [gpu.old_mig_name for gpu in gpus()[0]] == [None, None, None]


def test_a_lost_gpu_is_left_out_and_the_others_keep_their_index(machine: SetMachine) -> None:
    machine([{"uuid": A}, {"uuid": B}], lost=[0])
    assert gpus() == ([Gpu(1, H100, B, B)], ["GPU 0 is left out: NVML: GPU is lost"])


def test_old_bindings_return_bytes(machine: SetMachine) -> None:
    machine(WITH_MIG, bytes=True)
    with open_nvml() as nvml:
        assert nvml.gpus()[0][1].old_mig_name == f"MIG-{B}/7/0"
        assert [gpu.uuid for gpu in nvml.gpus()[0]] == [A, MIG_1, MIG_2]


@pytest.mark.parametrize(
    "facts",
    [{"missing": OPTIONAL}, {"failing": dict.fromkeys(OPTIONAL, "Insufficient Permissions")}],
    ids=["missing", "failing"],
)
def test_six_calls_are_enough(machine: SetMachine, facts: dict[str, Any]) -> None:
    if "failing" in facts:
        del facts["failing"]["NVMLError"]
    machine([{"uuid": A, "used": 20 * GIB}], **facts)
    with open_nvml() as nvml:
        assert nvml.gpus() == ([Gpu(0, H100, A, A)], [])
        assert nvml.usage(nvml.gpus()[0][0]) == Usage(0, 0, "")


@pytest.mark.parametrize("missing", OPTIONAL)
def test_one_missing_call_does_not_hide_a_busy_gpu(machine: SetMachine, missing: str) -> None:
    busy = {"uuid": A, "used": 20 * GIB, "compute": [[NOBODY, 20 * GIB]]}
    machine([busy], missing=[missing])
    assert usage_of_first().busy


@pytest.mark.parametrize(
    ("facts", "others", "busy"),
    [
        ({}, 0, False),
        ({"used": GIB}, GIB, False),
        # No process is listed: others' are invisible in a container.
        ({"used": GIB + 1}, GIB + 1, True),
        ({"used": GIB // 2, "total": 8 * GIB}, GIB // 2, False),
        ({"used": GIB, "total": 8 * GIB}, GIB, True),  # over 10 %
        # Pids that mean nothing here, with and without their memory.
        ({"used": 20 * GIB, "compute": [[NOBODY, 20 * GIB]]}, 20 * GIB, True),
        ({"used": 20 * GIB, "compute": [[NOBODY, None]]}, 20 * GIB, True),
        # Somebody else, and ourselves.
        ({"used": 20 * GIB, "compute": [[os.getppid(), 20 * GIB]]}, 20 * GIB, True),
        ({"used": 20 * GIB, "compute": [[os.getpid(), 20 * GIB]]}, 0, False),
        ({"used": 22 * GIB, "compute": [[os.getpid(), 20 * GIB]]}, 2 * GIB, True),
        # A desktop.
        ({"used": GIB // 2, "graphics": [[os.getppid(), GIB // 2]]}, GIB // 2, False),
        ({"used": 40 * GIB, "graphics": [[os.getppid(), 2 * GIB]]}, 40 * GIB, False),
        ({"used": 41 * GIB, "graphics": [[os.getppid(), 2 * GIB]]}, 41 * GIB, True),
        ({"used": 3 * GIB, "total": 8 * GIB, "screen": True}, 3 * GIB, False),
        ({"used": 5 * GIB, "total": 8 * GIB, "screen": True}, 5 * GIB, True),
        # Somebody computes, with however little memory, beside a desktop or not.
        ({"used": GIB // 4, "compute": [[os.getppid(), GIB // 4]]}, GIB // 4, True),
        ({"screen": True, "compute": [[os.getppid(), None]]}, 0, True),
        # One process in both lists counts once.
        ({"compute": [[1, GIB]], "graphics": [[1, GIB]]}, GIB, False),
        ({"compute": [[1, GIB]], "graphics": [[2, GIB]]}, 2 * GIB, True),
    ],
)
def test_usage_is_what_others_hold(
    machine: SetMachine,
    with_cuda: None,
    facts: dict[str, Any],
    others: int,
    busy: bool,
) -> None:
    machine([{"uuid": A, **facts}])
    usage = usage_of_first()
    assert (usage.others, usage.busy) == (others, busy)


def test_a_process_without_cuda_is_not_on_the_gpu_whatever_pid_is_listed(
    machine: SetMachine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In a container the list has the host's pids, of which one may be the same number."""
    (tmp_path / "maps").write_text("7f00-7f10 r-xp 0 08:01 42 /usr/lib/libnvidia-ml.so.1\n")
    monkeypatch.setattr(nvml_module, "_MAPS", tmp_path / "maps")
    machine([{"uuid": A, "used": 20 * GIB, "compute": [[os.getpid(), 20 * GIB]]}])
    usage = usage_of_first()
    assert (usage.others, usage.busy) == (20 * GIB, True)


def test_the_memory_of_a_gpu_is_asked_by_its_uuid(machine: SetMachine) -> None:
    machine([{"uuid": A, "used": 3 * GIB}, {**WITH_MIG[1], "used": 9 * GIB}])
    with open_nvml() as nvml:
        assert nvml.free_memory(A) == (77 * GIB, 80 * GIB)
        assert nvml.free_memory(MIG_2) == (80 * GIB, 80 * GIB)
        assert nvml.free_memory("GPU-other") is None
        machine([{"uuid": A}], failing={"nvmlDeviceGetMemoryInfo": "Not Supported"})
        assert nvml.free_memory(A) is None


def test_memory_that_the_driver_reserves_is_nobodys(machine: SetMachine) -> None:
    machine([{"uuid": A}], reserved=2 * GIB)
    assert usage_of_first().others == 0
    machine([{"uuid": A}], reserved=2 * GIB, memory_version=1)  # an old binding cannot tell
    assert usage_of_first().others == 2 * GIB


def test_the_processes_that_can_be_named_are_named(machine: SetMachine) -> None:
    ours = [[os.getppid(), 3 * GIB], [NOBODY, 2 * GIB]]
    machine([{"uuid": A, "used": 5 * GIB, "compute": ours}])
    text = str(usage_of_first())
    assert text.startswith("others hold 5.0 of 80.0 GiB (")
    assert text.endswith(f", pid {os.getppid()})")
    assert str(NOBODY) not in text


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"failing": {"nvmlInit": "Driver/library version mismatch"}}, "NVML: Driver/library"),
        ({"failing": {"nvmlDeviceGetCount": "Unknown Error"}}, "NVML: Unknown Error"),
        ({"missing": ["nvmlInit"]}, "nvmlInit"),
    ],
)
def test_nvml_that_does_not_work_says_why(
    machine: SetMachine, facts: dict[str, Any], reason: str
) -> None:
    machine([{"uuid": A}], **facts)
    with pytest.raises(NvmlUnavailableError, match=reason):
        gpus()


def test_a_missing_module_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)  # makes the import fail
    with pytest.raises(NvmlUnavailableError, match="install nvidia-ml-py"):
        gpus()


def test_nvml_is_shut_down_also_after_an_error(
    machine: SetMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine([{"uuid": A}])
    import pynvml

    calls: list[str] = []
    monkeypatch.setattr(pynvml, "nvmlShutdown", lambda: calls.append("down"), raising=False)
    with pytest.raises(ZeroDivisionError), open_nvml():
        _ = 1 / 0
    assert calls == ["down"]
