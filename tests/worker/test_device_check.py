"""The check of the pinned GPU, against small fake CUDA drivers; and the refusal to use the CPU."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from journal_launcher.base.errors import UsageError
from journal_launcher.worker import device_check
from journal_launcher.worker.device_check import (
    require_gpu,
    require_torch_cuda,
    verify_device,
)

FAKES = Path(__file__).parent.parent / "fakes"
BODY = "8932f937-d72c-4106-c12f-20bd9faed9f6"
GPU, MIG = f"GPU-{BODY}", f"MIG-{BODY}"
OTHER = "GPU-00000000-d72c-4106-c12f-20bd9faed9f6"

# Parameters are macros: UUID_CALL (the exported name), COUNT, INIT (cuInit's result), NAMES.
DRIVER = r"""
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static const unsigned char uuid[16] = {0x89, 0x32, 0xf9, 0x37, 0xd7, 0x2c, 0x41, 0x06,
                                       0xc1, 0x2f, 0x20, 0xbd, 0x9f, 0xae, 0xd9, 0xf6};
int cuInit(unsigned flags) { return flags == 0 ? INIT : 1; }
int cuDeviceGetCount(int *count) { *count = COUNT; return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = 40 + ordinal; return 0; }
int UUID_CALL(char *bytes, int device) {
    memcpy(bytes, uuid, 16);
    bytes[15] += device - 40;  // the next GPU has the next number
    return device < 40 ? 101 : 0;
}
#ifdef NAMES
int cuGetErrorName(int code, const char **name) { *name = "CUDA_ERROR_NO_DEVICE"; return 0; }
#endif
"""

Driver = Callable[..., str]


@pytest.fixture
def driver(tmp_path: Path) -> Driver:
    """Return a function that compiles a fake libcuda and returns its path."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("gcc is needed to build a fake CUDA driver")

    def build(call: str = "cuDeviceGetUuid_v2", count: int = 1, init: int = 0, *more: str) -> str:
        source, library = tmp_path / "cuda.c", tmp_path / "libcuda.so"
        source.write_text(DRIVER)
        macros = [f"-DUUID_CALL={call}", f"-DCOUNT={count}", f"-DINIT={init}", *more]
        command = [compiler, "-shared", "-fPIC", *macros, "-o", str(library), str(source)]
        subprocess.run(command, check=True)
        return str(library)

    return build


@pytest.mark.parametrize("pinned", [GPU, MIG])
def test_the_pinned_gpu_is_verified(driver: Driver, pinned: str) -> None:
    assert verify_device(pinned, driver()) == "verified"


def test_another_gpu_is_refused(driver: Driver) -> None:
    with pytest.raises(UsageError, match=f"pinned to {OTHER} sees {GPU} instead"):
        verify_device(OTHER, driver())


@pytest.mark.parametrize("count", [0, 2])
def test_any_other_number_of_gpus_is_refused(driver: Driver, count: int) -> None:
    with pytest.raises(UsageError, match=f"expected to see 1 GPU, found {count}"):
        verify_device(GPU, driver(count=count))


def test_a_worker_of_several_gpus_sees_exactly_those(driver: Driver) -> None:
    second, third = (f"{GPU[:-1]}{digit}" for digit in "78")
    library = driver(count=2)
    assert verify_device(f"{GPU},{second}", library) == "verified"
    with pytest.raises(UsageError, match=f"sees {GPU},{second} instead"):
        verify_device(f"{second},{GPU}", library)
    with pytest.raises(UsageError, match="expected to see 3 GPUs, found 2"):
        verify_device(f"{GPU},{second},{third}", library)
    old = driver("someOtherCall", 2)
    assert verify_device(f"{GPU},{second}", old) == "unverified"


def test_a_driver_that_cannot_start_is_refused_with_its_reason(driver: Driver) -> None:
    library = driver("cuDeviceGetUuid_v2", 1, 100, "-DNAMES")
    with pytest.raises(UsageError, match=r"cuInit failed with CUDA_ERROR_NO_DEVICE \(100\)"):
        verify_device(GPU, library)


def test_a_driver_without_error_names_gives_the_number(driver: Driver) -> None:
    with pytest.raises(UsageError, match=r"cuInit failed with CUDA error \(999\)"):
        verify_device(GPU, driver(init=999))


@pytest.mark.parametrize(
    ("pinned", "status"),
    [(GPU, "verified"), (MIG, "unverified")],
)
def test_an_older_driver_knows_whole_gpus_only(driver: Driver, pinned: str, status: str) -> None:
    assert verify_device(pinned, driver("cuDeviceGetUuid")) == status


@pytest.mark.parametrize(
    ("call", "pinned"),
    [("someOtherCall", GPU), ("cuDeviceGetUuid_v2", f"MIG-{GPU}/7/0")],
)
def test_what_the_driver_cannot_tell_is_unverified(driver: Driver, call: str, pinned: str) -> None:
    assert verify_device(pinned, driver(call)) == "unverified"


def test_the_worker_itself_never_touches_cuda(driver: Driver) -> None:
    """Else an objective could fork no child that uses the GPU."""
    library = driver()
    verify_device(GPU, library)
    assert library not in Path("/proc/self/maps").read_text()


@pytest.mark.parametrize(
    ("doing", "problem"),
    [("pause()", r"did not answer within 0\.5 s"), ("(abort(), 0)", r"crashed \(status -6\)")],
)
def test_a_driver_that_hangs_or_crashes_is_refused_in_time(
    driver: Driver, doing: str, problem: str
) -> None:
    library = driver("cuDeviceGetUuid_v2", 1, 0, "-UINIT", f"-DINIT={doing}")
    with pytest.raises(UsageError, match=f"cannot open {GPU}: the CUDA driver {problem}"):
        verify_device(GPU, library, seconds=0.5)


def test_without_a_cuda_driver_a_gpu_is_unverified(tmp_path: Path) -> None:
    assert verify_device(GPU, str(tmp_path / "libcuda.so.1")) == "unverified"


def test_a_cpu_worker_has_nothing_to_verify(tmp_path: Path) -> None:
    assert verify_device(None, str(tmp_path / "missing")) == "cpu"


@pytest.fixture
def driver_550(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FAKES)
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    monkeypatch.setenv("FAKE_NVML", json.dumps({"gpus": [], "driver": "550.54.14"}))


@pytest.mark.usefixtures("driver_550")
@pytest.mark.parametrize(
    ("cuda", "words"),
    [
        (None, ["is built without CUDA", "install a CUDA build of torch"]),
        (
            "13.0",
            [
                "is built for CUDA 13.0",
                "update the driver, or install a torch build",
                "pip install torch==2.10.0",
            ],
        ),
    ],
)
def test_a_silent_cpu_run_is_refused(
    monkeypatch: pytest.MonkeyPatch, cuda: str | None, words: list[str]
) -> None:
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError) as caught:
        require_torch_cuda()
    for expected in [*words, torch.__version__, "NVIDIA driver is 550.54.14", "--gpus none"]:
        assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("model_type", ["neural_net", "catboost"])
def test_a_model_type_that_uses_a_gpu_is_refused_without_one(
    monkeypatch: pytest.MonkeyPatch, model_type: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("catboost.utils.get_gpu_device_count", lambda: 0)
    with pytest.raises(UsageError, match=r"cannot open the GPU: .*--gpus none"):
        require_gpu(model_type)
    require_gpu("linear")  # never uses one
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "ones", lambda *shape, device: torch.zeros(*shape))
    monkeypatch.setattr("catboost.utils.get_gpu_device_count", lambda: 1)
    require_gpu(model_type)


def test_a_gpu_that_torch_can_open_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "ones", lambda *shape, device: torch.zeros(*shape))
    require_torch_cuda()


@pytest.mark.usefixtures("driver_550")
@pytest.mark.parametrize(
    "said",
    [
        "CUDA error: no kernel image is available for execution on the device",
        "CUDA error: CUDA-capable device(s) is/are busy or unavailable",
    ],
)
def test_a_gpu_that_is_listed_but_runs_nothing_is_refused(
    monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    def fail(*shape: int, device: str) -> None:
        assert device == "cuda"
        raise RuntimeError(f"{said}\nCUDA kernel errors might be reported at some other call.")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "ones", fail)
    with pytest.raises(UsageError) as caught:
        require_torch_cuda()
    for expected in (said, torch.__version__, "NVIDIA driver is 550.54.14", "--gpus none"):
        assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.129.03  Thu Oct 19 2023\n"
            "GCC version:  gcc version 11.4.0\n",
            "535.129.03",
        ),
        (
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.14  Release Build\n",
            "550.54.14",
        ),
        ("something else\n", "unknown"),
        (None, "unknown"),
    ],
)
def test_the_kernel_tells_the_driver_version_where_nvml_does_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | None, version: str
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    file = tmp_path / "version"
    if text is not None:
        file.write_text(text)
    monkeypatch.setattr(device_check, "_DRIVER", file)
    with pytest.raises(UsageError, match=f"NVIDIA driver is {version};"):
        require_torch_cuda()
