"""GPUs that cannot be used, from the start or from some moment on: the others go on.

NVML and the CUDA driver are fakes. A GPU is broken while a file of its name lies in the folder.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from launcher.harness import Ended, Workshop

A = "GPU-aaaaaaaa-0000-4000-8000-000000000000"
B = "GPU-bbbbbbbb-0000-4000-8000-000000000001"

DRIVER = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static const char *name(void) { return getenv("CUDA_VISIBLE_DEVICES"); }
int cuInit(unsigned flags) { return access(name(), F_OK) == 0 ? 100 : 0; }
int cuGetErrorName(int code, const char **text) { *text = "CUDA_ERROR_NO_DEVICE"; return 0; }
int cuDeviceGetCount(int *count) { *count = 1; return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return 0; }
int cuDeviceGetUuid_v2(unsigned char *bytes, int device) {
    int nth = 0;
    for (const char *at = name() + 4; *at && nth < 16; at++)
        if (*at != '-') { sscanf(at, "%2hhx", bytes + nth++); at++; }
    return 0;
}
"""
OBJECTIVE = """
def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    mine = os.environ["CUDA_VISIBLE_DEVICES"]
    if trial.number == 1 and (HERE / "lose").exists():
        note(mine)
        os._exit(1)
    while trial.number > 1 and (HERE / "lose").exists() and not restarted_in_vain():
        time.sleep(0.01)
    return x

def restarted_in_vain():
    return any("DeviceError" in log.read_text() for log in HERE.rglob("workers/*.log"))
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("gcc is needed to build a fake CUDA driver")
    folder = tmp_path_factory.mktemp("driver")
    (folder / "cuda.c").write_text(DRIVER)
    command = [compiler, "-shared", "-fPIC", "-o", folder / "libcuda.so.1", folder / "cuda.c"]
    subprocess.run(command, check=True)
    return folder


def run(shop: Workshop, driver: Path, *options: str, gpus: tuple[str, ...] = (A, B)) -> Ended:
    shop.write(OBJECTIVE)
    machine = {"gpus": [{"uuid": uuid, "name": "NVIDIA H100 80GB HBM3"} for uuid in gpus]}
    environment = {"FAKE_NVML": json.dumps(machine), "LD_LIBRARY_PATH": str(driver)}
    return shop.run("--gpus", "all", *options, environment=environment)


def used(shop: Workshop) -> set[str]:
    complete = (t for t in shop.trials() if t.state.name == "COMPLETE")
    return {trial.user_attrs["jl_device_uuid"] for trial in complete}


@pytest.mark.parametrize(("broken", "left", "index"), [(A, B, 0), (B, A, 1)])
def test_a_gpu_that_cannot_be_used_is_named_and_the_other_one_works(
    workshop: Workshop, driver: Path, broken: str, left: str, index: int
) -> None:
    workshop.tell(broken)
    ended = run(workshop, driver, "--n-trials", "3")
    assert ended.code == 0, ended.err
    assert used(workshop) == {left}
    assert ended.err.count(f"warning: GPU {index} NVIDIA H100: ") == 1
    assert "CUDA_ERROR_NO_DEVICE" in ended.err and "Traceback" not in ended.err


def test_without_any_usable_gpu_nothing_is_written(workshop: Workshop, driver: Path) -> None:
    for uuid in (A, B):
        workshop.tell(uuid)
    ended = run(workshop, driver)
    assert ended.code == 2
    assert "GPU 0 NVIDIA H100: a worker cannot open" in ended.err.splitlines()[-1]
    assert not workshop.paths.folder.exists()


def test_a_gpu_that_is_lost_on_the_way_costs_its_trial_only(
    workshop: Workshop, driver: Path
) -> None:
    workshop.tell("lose")
    ended = run(workshop, driver, "--n-trials", "12")
    assert ended.code == 0, ended.err
    lost = next(uuid for uuid in (A, B) if (workshop.folder / uuid).exists())
    assert f"warning: GPU {(A, B).index(lost)} NVIDIA H100: " in ended.err
    states = workshop.states()
    assert (states.count("COMPLETE"), states.count("FAIL")) == (12, 1)


def test_the_only_gpu_lost_on_the_way_is_a_failure_that_names_it(
    workshop: Workshop, driver: Path
) -> None:
    workshop.tell("lose")
    ended = run(workshop, driver, "--n-trials", "4", gpus=(A,))
    assert ended.code == 1, "something was started: this is no usage error any more"
    assert "no worker is left: GPU 0 NVIDIA H100: a worker cannot open" in ended.err
    os.unlink(workshop.folder / A)
    assert run(workshop, driver, "--n-trials", "4", gpus=(A,)).code == 0
