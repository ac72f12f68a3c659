"""What `--gpus` and the model type make of a machine's GPUs."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from journal_launcher.base.errors import UsageError
from journal_launcher.launcher.plan import devices_for, plan_workers
from journal_launcher.settings.launch_settings import LaunchSettings

FAKES = Path(__file__).parent.parent / "fakes"
GPUS = [{"uuid": "GPU-aaaa"}, {"uuid": "GPU-bbbb"}]


@pytest.fixture
def two_gpus(machine: Callable[..., None]) -> None:
    machine(GPUS)


def kinds(**options: Any) -> list[str]:
    settings = LaunchSettings(**options)
    specs = plan_workers(settings, devices_for(settings, {}), 4, {})
    return [spec.device.kind for spec in specs]


@pytest.mark.parametrize("model_type", ["hist_gradient_boosting", "linear"])
def test_auto_leaves_the_gpus_alone_for_a_model_type_that_cannot_use_one(
    two_gpus: None, model_type: str
) -> None:
    settings = LaunchSettings(model_type=model_type)
    assert devices_for(settings, {}).notes == (
        f"running on the CPU: {model_type} cannot use a GPU",
    )
    assert kinds(model_type=model_type, workers=3) == ["cpu"] * 3
    assert devices_for(LaunchSettings(model_type=model_type, gpus="none"), {}).notes == ()


def test_everything_else_gets_the_gpus(two_gpus: None) -> None:
    assert kinds(model_type="catboost") == kinds() == ["gpu"] * 2
    assert kinds(objective="train.py:f", gpus="all") == ["gpu"] * 2


def grouped(*names: str, **options: Any) -> list[str | None]:
    settings = LaunchSettings(objective="train.py:f", **options)
    specs = plan_workers(settings, devices_for(settings, {}), 4, {})
    for spec in specs:
        assert spec.environment["CUDA_VISIBLE_DEVICES"] == spec.device.uuid
    return [spec.device.label for spec in specs]


def test_gpus_of_one_worker_are_the_nearest(machine: Callable[..., None]) -> None:
    far = {"GPU-a": 50, "GPU-b": 50, "GPU-c": 50, "GPU-d": 50, "GPU-e": 50}
    machine(
        [
            {"uuid": "GPU-a", "near": far, "nvlink": ["GPU-d"]},
            {"uuid": "GPU-b", "near": far | {"GPU-e": 10, "GPU-c": 40}},
            {"uuid": "GPU-c", "near": far},
            {"uuid": "GPU-d"},
            {"uuid": "GPU-e"},
        ]
    )
    near = ["GPU 0,3 NVIDIA H100", "GPU 1,4 NVIDIA H100"]
    assert grouped(gpus_per_worker=2) == near
    assert devices_for(LaunchSettings(objective="train.py:f", gpus_per_worker=2), {}).notes == (
        "1 of 5 GPUs stay idle: --gpus-per-worker 2",
    )
    listed = ["GPU 4,0 NVIDIA H100", "GPU 1,2 NVIDIA H100"]
    assert grouped(gpus="4,0,1,2", gpus_per_worker=2) == listed
    assert grouped(gpus_per_worker=5) == ["GPU 0,3,1,2,4 NVIDIA H100"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"gpus": "0"}, "expected a multiple of 2 GPUs, found 1"),
        ({"gpus": "all", "gpus_per_worker": 3}, "expected a multiple of 3 GPUs, found 2"),
        ({"gpus": "none"}, "--gpus-per-worker: this launch uses no GPU"),
        ({"workers_per_gpu": 2}, "use either --workers-per-gpu or --gpus-per-worker"),
        ({"gpus_per_worker": 0}, "--gpus-per-worker"),
        ({"objective": None}, "each built-in model trains on one GPU"),
    ],
)
def test_gpus_that_make_no_groups_are_refused(
    two_gpus: None, options: dict[str, Any], said: str
) -> None:
    given = {"objective": "train.py:f", "gpus_per_worker": 2, **options}
    with pytest.raises(UsageError, match=said):
        settings = LaunchSettings(**given)
        plan_workers(settings, devices_for(settings, {}), 4, {})


@pytest.mark.parametrize("gpus", ["all", "0", "GPU-aaaa"])
def test_a_gpu_that_was_named_for_it_is_refused_in_one_line(gpus: str) -> None:
    with pytest.raises(UsageError) as caught:
        LaunchSettings(model_type="linear", gpus=gpus)
    assert f"--gpus {gpus}: linear cannot use a GPU" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_debug_says_the_same_about_devices(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("def objective(trial):\n    return 0.5\n")
    command = [sys.executable, "-P", "-m", "journal_launcher", "run", "--debug"]
    paths = os.pathsep.join([str(FAKES), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": paths, "FAKE_NVML": json.dumps({"gpus": []})}
    done = subprocess.run(
        [*command, "--objective", "train.py:objective"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "running on the CPU: no NVIDIA GPU found" in done.stderr
