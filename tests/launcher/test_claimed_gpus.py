"""Two launches at once divide the GPUs that are free; NVML, a fake here, sees neither of them."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from launcher.harness import FAKES, PATIENT, ROOT, Workshop, finish, wait_until

A = "GPU-aaaaaaaa-0000-4000-8000-000000000000"
B = "GPU-bbbbbbbb-0000-4000-8000-000000000001"
NAME = "GPU 0 NVIDIA H100"


@pytest.fixture
def environment(workshop: Workshop) -> dict[str, Any]:
    library = workshop.folder / "libcuda.so.1"
    library.write_text("no library: a real driver would miss these GPUs")
    workshop.write(PATIENT)
    return {"LD_LIBRARY_PATH": str(workshop.folder), "FAKE_NVML": json.dumps({"gpus": [gpu(A)]})}


def gpu(uuid: str) -> dict[str, str]:
    return {"uuid": uuid, "name": "NVIDIA H100 80GB HBM3"}


def logs(shop: Workshop, study: str) -> list[Path]:
    return list((shop.paths.folder / study / "workers").glob("*.log"))


def test_the_second_launch_takes_what_the_first_has_not_and_the_third_nothing(
    workshop: Workshop, environment: dict[str, Any]
) -> None:
    first = workshop.start("--gpus", "auto", "--n-trials", "2", environment=environment)
    workshop.noted("running")
    environment["FAKE_NVML"] = json.dumps({"gpus": [gpu(A), gpu(B)]})
    second = workshop.start(
        *("--gpus", "auto", "--n-trials", "2", "--study-name", "second"), environment=environment
    )
    wait_until(lambda: logs(workshop, "second"))
    third = workshop.run(
        *("--gpus", "auto", "--n-trials", "1", "--study-name", "third"), environment=environment
    )
    assert third.code == 2, third
    assert f"{NAME}: another launch (pid {first.pid}) has it" in third.err
    assert f"GPU 1 NVIDIA H100: another launch (pid {second.pid}) has it" in third.err
    shared = workshop.run(
        *("--gpus", "0", "--n-trials", "1", "--study-name", "shared"), environment=environment
    )
    assert shared.code == 0, shared.err
    assert f"{NAME}: another launch (pid {first.pid}) has it: used anyway" in shared.err
    workshop.tell("go")
    assert [finish(first).code, finish(second).code] == [0, 0]
    again = workshop.run(
        *("--gpus", "auto", "--n-trials", "1", "--study-name", "again"), environment=environment
    )
    assert again.code == 0 and "another launch" not in again.err


def test_what_a_launchs_gpus_were_at_is_in_its_events_and_its_json(
    workshop: Workshop, environment: dict[str, Any]
) -> None:
    """NVML, which may fail at any moment, is asked by the parent alone."""
    workshop.tell("go")
    used = {**gpu(A), "used": 7 * 2**30, "total": 80 * 2**30, "busy": 50}
    environment["FAKE_NVML"] = json.dumps({"gpus": [used, gpu(B)]})
    command = ("--gpus", "0", "--n-trials", "2", "--json")
    ended = workshop.run(*command, environment=environment)
    assert ended.code == 0, ended.err
    (found,) = ended.json["gpus"]
    assert (found["device"], found["uuid"], found["used"]) == (NAME, A, 7 * 2**30)
    assert found["utilization"] == 0.5
    broken = {"gpus": [used], "failing": {"nvmlDeviceGetMemoryInfo": "GPU is lost"}}
    environment["FAKE_NVML"] = json.dumps(broken)
    ended = workshop.run(*command, "--study-name", "second", environment=environment)
    assert ended.code == 0 and ended.json["gpus"] is None
    environment["FAKE_NVML"] = json.dumps({"gpus": [used], "failing": {"nvmlInit": "mismatch"}})
    no_gpu = (*command[2:], "--gpus", "none", "--study-name", "third")
    ended = workshop.run(*no_gpu, environment=environment)
    assert ended.code == 0 and ended.json["gpus"] is None


def test_a_worker_of_two_gpus_sees_both_and_its_trials_say_so(
    workshop: Workshop, environment: dict[str, Any]
) -> None:
    workshop.write(
        """
def objective(trial):
    note("seen", os.environ["CUDA_VISIBLE_DEVICES"])
    return trial.suggest_float("x", 0, 1)
"""
    )
    environment["FAKE_NVML"] = json.dumps({"gpus": [gpu(A), gpu(B)]})
    options = ("--gpus", "auto", "--gpus-per-worker", "2", "--n-trials", "2")
    ended = workshop.run(*options, environment=environment)
    assert ended.code == 0, ended.err
    assert (workshop.folder / "seen").read_text() == f"{A},{B}"
    (trial, _) = workshop.trials()
    assert trial.user_attrs["jl_device_uuid"] == f"{A},{B}"
    assert trial.user_attrs["jl_device"] == "GPU 0,1 NVIDIA H100"
    (workshop.folder / "seen").unlink()
    command = [sys.executable, "-P", "-m", "journal_launcher", "replay", "study", "0"]
    paths = os.pathsep.join([str(FAKES), str(ROOT)])
    replayed = subprocess.run(
        [*command, "--studies-dir", str(workshop.paths.folder)],
        env={**os.environ, "PYTHONPATH": paths, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert replayed.returncode == 0, replayed.stderr
    assert (workshop.folder / "seen").read_text() == f"{A},{B}"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_launch_that_waits_for_a_gpu_can_be_stopped(
    workshop: Workshop, environment: dict[str, Any], number: signal.Signals, code: int
) -> None:
    busy = {**gpu(A), "compute": [[os.getpid(), 2**30]]}
    environment["FAKE_NVML"] = json.dumps({"gpus": [busy]})
    launch = workshop.start("--gpus", "auto", environment=environment)
    status = Path(f"/proc/{launch.pid}/status")
    wait_until(lambda: has_handler(status))
    launch.send_signal(number)
    ended = finish(launch)
    assert ended.code == code, ended
    assert "stopped by" in ended.err and not workshop.paths.folder.exists()


def has_handler(status: Path) -> bool:
    """Whether a launch catches SIGTERM by now: Python itself has a handler for SIGINT alone."""
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("SigCgt"))
    return bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def test_a_killed_launch_gives_its_gpus_back(
    workshop: Workshop, environment: dict[str, Any]
) -> None:
    first = workshop.start("--gpus", "auto", "--n-trials", "2", environment=environment)
    workshop.noted("running")
    first.kill()
    finish(first)
    workshop.tell("go")
    ended = workshop.run("--gpus", "auto", "--n-trials", "2", environment=environment)
    assert ended.code == 0, ended.err
