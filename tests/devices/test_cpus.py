"""Cores left by affinity and cgroup quotas, read from a made-up /proc and /sys."""

import os
from pathlib import Path

import pytest

from journal_launcher.devices import cpus
from journal_launcher.devices.cpus import available_cores, threads_per_worker


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpus.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    return root


V2 = "0::/user.slice/job.scope"
V1 = "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n2:cpuset:/docker/abc"


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 8),
        ({"proc/self/cgroup": V2}, 8),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/user.slice/job.scope/cpu.max": "max 100000"}, 8),
        (
            {"proc/self/cgroup": V2, "sys/fs/cgroup/user.slice/job.scope/cpu.max": "300000 100000"},
            3,
        ),
        (
            {"proc/self/cgroup": V2, "sys/fs/cgroup/user.slice/job.scope/cpu.max": "250000 100000"},
            2,
        ),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/user.slice/job.scope/cpu.max": "50000 100000"}, 1),
        (
            {"proc/self/cgroup": V2, "sys/fs/cgroup/user.slice/job.scope/cpu.max": "900000 100000"},
            8,
        ),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/user.slice/cpu.max": "400000 100000"}, 4),
        (
            {
                "proc/self/cgroup": V2,
                "sys/fs/cgroup/user.slice/job.scope/cpu.max": "500000 100000",
                "sys/fs/cgroup/user.slice/cpu.max": "200000 100000",
            },
            2,
        ),
        # A container: its own cgroup is mounted as the root of the hierarchy.
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "200000 100000"}, 2),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/cpu.max": "200000 100000"}, 2),
        # Version 2 beside version 1.
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/unified/cpu.max": "200000 100000"}, 2),
        (
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "350000",
                "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000",
            },
            3,
        ),
        (
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "100000",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "50000",
            },
            2,
        ),
        (
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us": "100000",
            },
            8,
        ),
        # Another controller's directory says nothing about cores.
        (
            {
                "proc/self/cgroup": "4:cpuset:/a",
                "sys/fs/cgroup/cpuset/a/cpu.cfs_quota_us": "100000",
                "sys/fs/cgroup/cpuset/a/cpu.cfs_period_us": "100000",
            },
            8,
        ),
    ],
)
def test_the_tightest_limit_wins(tmp_path: Path, files: dict[str, str], cores: int) -> None:
    assert available_cores(write(tmp_path, files)) == cores


def test_affinity_can_be_the_tightest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpus.os, "sched_getaffinity", lambda _: {5}, raising=False)
    files = {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "400000 100000"}
    assert available_cores(write(tmp_path, files)) == 1


def test_a_system_without_affinity_counts_all_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(cpus.os, "sched_getaffinity")
    assert available_cores(tmp_path) == os.cpu_count()


def test_this_machine_has_cores() -> None:
    assert 1 <= available_cores() <= 8


@pytest.mark.parametrize(
    ("cores", "workers", "threads"), [(8, 2, 4), (8, 3, 2), (8, 8, 1), (2, 8, 1), (1, 1, 1)]
)
def test_workers_share_the_cores(cores: int, workers: int, threads: int) -> None:
    assert threads_per_worker(cores, workers) == threads
