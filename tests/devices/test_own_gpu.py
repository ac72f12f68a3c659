"""The memory of a worker's own GPU, which others of its GPU measure and take too."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from journal_launcher.devices.own_gpu import measuring, own_memory

GIB = 2**30
GPU = "GPU-aaaa0000-0000-4000-8000-000000000000"

WORKER = """
import sys
from journal_launcher.devices.own_gpu import measuring
print("asks", flush=True)
with measuring():
    print("measures", flush=True)
"""


def test_its_memory_is_what_nvml_says(
    machine: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", GPU)
    machine([{"uuid": GPU, "used": 20 * GIB}])
    assert own_memory() == (60 * GIB, 80 * GIB)
    machine([], failing={"nvmlInit": "Driver/library version mismatch"})
    assert own_memory() is None
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    machine([{"uuid": GPU}])
    assert own_memory() is None


def test_one_worker_of_a_gpu_measures_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one goes on when the first one has what it measured, or is gone."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", GPU)
    with measuring():
        worker = subprocess.Popen(
            [sys.executable, "-c", WORKER], stdout=subprocess.PIPE, text=True, env=os.environ
        )
        assert worker.stdout is not None
        assert worker.stdout.readline() == "asks\n"
        (lock,) = Path(os.environ["XDG_RUNTIME_DIR"]).glob("journal_launcher-gpus/*.memory")
        with lock.open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert worker.poll() is None
    assert worker.communicate(timeout=60)[0] == "measures\n" and worker.returncode == 0


def test_without_a_place_for_the_lock_it_measures_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "file"))
    with measuring():
        pass
