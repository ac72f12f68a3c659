"""Which GPUs a launch uses, on machines that a fake NVML describes (tests/fakes/pynvml.py)."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from journal_launcher.base.errors import UsageError
from journal_launcher.devices.choose import CPU, Choice, Device, choose_devices, pin_environment

FAKES = Path(__file__).parent.parent / "fakes"
A = "GPU-aaaa0000-0000-4000-8000-000000000000"
B = "GPU-aabb0000-0000-4000-8000-000000000001"
C = "GPU-cccc0000-0000-4000-8000-000000000002"
MIG_1 = "MIG-11111111-0000-5000-8000-000000000000"
MIG_2 = "MIG-22222222-0000-5000-8000-000000000000"

SetMachine = Callable[..., None]  # the fixture `machine`


def gpu(uuid: str, **facts: Any) -> dict[str, Any]:
    return {"uuid": uuid, **facts}


def mig(uuid: str, instance: int, **facts: Any) -> dict[str, Any]:
    return gpu(uuid, gi=instance, ci=0, name="NVIDIA H100 80GB HBM3 MIG 1g.10gb", **facts)


THREE = [gpu(A), gpu(B), gpu(C)]
WITH_MIG = [gpu(A), gpu(B, mig=[mig(MIG_1, 7), None, mig(MIG_2, 9)])]


def choose(request: str, mask: str | None = None) -> Choice:
    return choose_devices(request, {} if mask is None else {"CUDA_VISIBLE_DEVICES": mask})


def uuids(choice: Choice) -> list[str | None]:
    return [device.uuid for device in choice.devices]


def test_auto_takes_every_gpu_and_names_it(machine: SetMachine) -> None:
    machine([gpu(A), gpu(B, name="NVIDIA A100-SXM4-40GB"), gpu(C, name="NVIDIA GeForce RTX 4090")])
    choice = choose("auto")
    assert choice.devices[0] == Device("gpu", A, 0, "NVIDIA H100 80GB HBM3")
    assert [device.label for device in choice.devices] == [
        "GPU 0 NVIDIA H100",
        "GPU 1 NVIDIA A100-SXM4",
        "GPU 2 NVIDIA GeForce RTX 4090",
    ]
    assert choice.notes == ()


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ("all", [A, B, C]),
        ("2", [C]),
        ("2,0", [C, A]),
        (" 1 , 2 ", [B, C]),
        (B, [B]),
        (f"{C},0", [C, A]),
        ("GPU-aab", [B]),
        ("none", []),
    ],
)
def test_a_request_selects(machine: SetMachine, request_: str, expected: list[str]) -> None:
    machine(THREE)
    assert uuids(choose(request_)) == expected


@pytest.mark.parametrize(
    "request_",
    ["", " ", "foo", "-1", "0,", ",0", "0-2", "0;1", "1.5", "AUTO", "auto,0", "GPU-", "gpu-aaaa"],
)
def test_a_malformed_request_is_a_usage_error(machine: SetMachine, request_: str) -> None:
    machine(THREE)
    with pytest.raises(UsageError, match=r"--gpus: expected auto, all, none, or a list"):
        choose(request_)


@pytest.mark.parametrize(
    ("request_", "mask", "message"),
    [
        ("3", None, "'3' names no GPU"),
        ("GPU-dddd", None, "'GPU-dddd' names no GPU"),
        ("GPU-aa", None, "'GPU-aa' names no GPU, or several"),
        (MIG_1, None, "names no GPU"),
        ("1", "0,2", "'1' is outside CUDA_VISIBLE_DEVICES=0,2"),
        (B, A, f"'{B}' is outside CUDA_VISIBLE_DEVICES={A}"),
        ("0", "", "'0' is outside CUDA_VISIBLE_DEVICES="),
    ],
)
def test_an_absent_gpu_is_a_usage_error_that_lists_what_there_is(
    machine: SetMachine, request_: str, mask: str | None, message: str
) -> None:
    machine(THREE)
    with pytest.raises(UsageError) as caught:
        choose(request_, mask)
    assert message in str(caught.value)
    assert f"0 NVIDIA H100 80GB HBM3 ({A})" in str(caught.value)
    assert f"2 NVIDIA H100 80GB HBM3 ({C})" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("request_", ["0,0", f"0,{A}", f"{A},GPU-aaaa"])
def test_a_gpu_named_twice_is_a_usage_error(machine: SetMachine, request_: str) -> None:
    machine(THREE)
    with pytest.raises(UsageError, match="twice"):
        choose(request_)


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        ("0,2", [A, C]),
        ("2,0", [C, A]),
        (" 2 , 1 ", [C, B]),
        ("0,2,-1,1", [A, C]),
        ("1,9,0", [B]),
        ("0,,1", [A]),
        ("1gpu2,2ampere", [B, C]),
        (f"{C},{A}", [C, A]),
        ("GPU-c,GPU-aab", [C, B]),
        ("GPU-cc,GPU-aa,GPU-aab", [C]),  # GPU-aa is ambiguous
        (f"{C},0", [C]),  # a list of UUIDs ends at a number
        (f"0,{C}", [A]),  # and the other way round
    ],
)
def test_the_mask_is_read_as_cuda_does(machine: SetMachine, mask: str, expected: list[str]) -> None:
    machine(THREE)
    assert uuids(choose("all", mask)) == expected


@pytest.mark.parametrize("mask", ["", " ", "-1", "-1,0", "9", "NoDevFiles", "GPU-aa", "0,0", "GPU"])
def test_a_mask_without_gpus_means_cpu_for_auto_and_an_error_for_all(
    machine: SetMachine, mask: str
) -> None:
    machine(THREE)
    choice = choose("auto", mask)
    assert choice.devices == ()
    assert len(choice.notes) == 1
    assert f"running on the CPU: CUDA_VISIBLE_DEVICES={mask!r} leaves none of 0" in choice.notes[0]
    with pytest.raises(UsageError, match="--gpus all: CUDA_VISIBLE_DEVICES"):
        choose("all", mask)


def test_a_mask_with_one_gpu_on_the_machine_still_needs_a_name(machine: SetMachine) -> None:
    machine([gpu(A)])
    assert uuids(choose("auto", "")) == []
    assert uuids(choose("auto", "G")) == []


def test_an_invalid_or_repeated_mask_entry_is_noted(machine: SetMachine) -> None:
    machine(THREE)
    assert choose("auto", "0,9,1").notes == (
        "CUDA_VISIBLE_DEVICES='0,9,1' ends at '9', which is no GPU here",
    )
    assert choose("auto", "0,-1").notes == ()
    assert "named twice ('GPU-aaaa')" in choose("auto", f"{A},GPU-aaaa").notes[0]


def test_a_gpu_that_cannot_be_used_is_noted(machine: SetMachine) -> None:
    machine([gpu(A), gpu(B), gpu(C, mig=[None])], lost=[0])
    with pytest.raises(UsageError, match=r"'0' names no GPU.*GPU 0 is left out: NVML: GPU is lost"):
        choose("0")
    choice = choose("auto")
    assert uuids(choice) == [B]
    assert [note.split(":")[0] for note in choice.notes] == [
        "GPU 0 is left out",
        "GPU 2 NVIDIA H100 80GB HBM3 is left out",
    ]


@pytest.mark.parametrize(
    ("request_", "mask", "expected"),
    [
        ("auto", None, [A, MIG_1, MIG_2]),
        ("1", None, [MIG_1, MIG_2]),
        (B, None, [MIG_1, MIG_2]),
        (MIG_2, None, [MIG_2]),
        (f"MIG-{B}/7/0", None, [MIG_1]),
        (f"0,{MIG_1}", None, [A, MIG_1]),
        ("1", MIG_2, [MIG_2]),
        ("auto", "1", [MIG_1, MIG_2]),
        ("auto", B, [MIG_1, MIG_2]),
        ("auto", MIG_2, [MIG_2]),
        ("auto", f"{MIG_2},{MIG_1}", [MIG_2, MIG_1]),
        ("auto", f"MIG-{B}/9/0", [MIG_2]),
    ],
)
def test_mig_instances_take_the_place_of_their_gpu(
    machine: SetMachine, request_: str, mask: str | None, expected: list[str]
) -> None:
    machine(WITH_MIG)
    assert uuids(choose(request_, mask)) == expected


@pytest.mark.parametrize("request_", [f"1,{MIG_1}", f"{MIG_1},1", f"{MIG_1},MIG-{B}/7/0"])
def test_a_mig_instance_named_twice_is_a_usage_error(machine: SetMachine, request_: str) -> None:
    machine(WITH_MIG)
    with pytest.raises(UsageError, match="twice"):
        choose(request_)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({}, "no NVIDIA GPU found"),
        ({"failing": {"nvmlInit": "Driver/library version mismatch"}}, "Driver/library version"),
        ({"failing": {"nvmlDeviceGetCount": "Unknown Error"}}, "Unknown Error"),
        ({"missing": ["nvmlInit"]}, "nvmlInit"),
    ],
)
def test_without_a_gpu_auto_runs_on_the_cpu_and_everything_else_is_an_error(
    machine: SetMachine, facts: dict[str, Any], reason: str
) -> None:
    machine([], **facts)
    choice = choose("auto")
    assert choice.devices == ()
    assert len(choice.notes) == 1
    assert choice.notes[0].startswith("running on the CPU: ") and reason in choice.notes[0]
    assert choose("none") == Choice((), ())
    for request_ in ("all", "0", A):
        with pytest.raises(UsageError, match="--gpus"):
            choose(request_)


def test_without_the_nvml_module_auto_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)  # makes the import fail
    assert "install nvidia-ml-py" in choose("auto").notes[0]
    with pytest.raises(UsageError, match="install nvidia-ml-py"):
        choose("all")


def test_pinning_shows_one_gpu_and_leaves_the_rest_alone() -> None:
    base = {"PATH": "/bin", "CUDA_VISIBLE_DEVICES": "0,1", "OMP_NUM_THREADS": "64"}
    environment = pin_environment(Device("gpu", A, 0, "NVIDIA H100"), 3, base)
    assert environment["CUDA_VISIBLE_DEVICES"] == A
    assert environment["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert environment["PYTHONUNBUFFERED"] == "1"
    assert environment["OMP_WAIT_POLICY"] == "PASSIVE"
    assert environment["OMP_NUM_THREADS"] == environment["LOKY_MAX_CPU_COUNT"] == "3"
    assert environment["PATH"] == "/bin"
    assert base["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert pin_environment(CPU, 1, base)["CUDA_VISIBLE_DEVICES"] == ""


def test_how_threads_wait_is_the_users_choice() -> None:
    assert pin_environment(CPU, 1, {"OMP_WAIT_POLICY": "ACTIVE"})["OMP_WAIT_POLICY"] == "ACTIVE"
    assert CPU.label == "CPU"


def test_pinned_threads_reach_torch() -> None:
    code = "import torch; print(torch.get_num_threads())"
    environment = pin_environment(CPU, 1, os.environ)
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "1"


def test_discovery_imports_nothing_heavy() -> None:
    code = (
        "import sys; from journal_launcher.devices.choose import choose_devices; "
        "print(len(choose_devices('auto', {}).devices), "
        "sorted({'torch', 'catboost', 'sklearn', 'pandas'} & set(sys.modules)))"
    )
    paths = os.pathsep.join([str(FAKES), *filter(None, sys.path)])
    environment = {
        **os.environ,
        "PYTHONPATH": paths,
        "FAKE_NVML": json.dumps({"gpus": THREE}),
    }
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "3 []"
