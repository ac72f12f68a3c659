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
