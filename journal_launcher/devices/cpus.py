"""Count the CPU cores that this process may really use, and share them out."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

__all__ = ["available_cores", "core_limits", "threads_per_worker"]


def available_cores(root: Path = Path("/")) -> int:
    """Return the cores left by CPU affinity and by every cgroup quota above us; at least 1.

    A container limited to 2 of 64 cores still sees 64: threads for all of them would spend most
    of each period throttled. Quotas are rounded down. `root` is where /proc and /sys are.
    """
    affinity, quota = core_limits(root)
    return max(1, int(min(affinity, quota)))


def core_limits(root: Path = Path("/")) -> tuple[int, float]:
    """Return the cores that CPU affinity leaves, and the smallest cgroup quota above us, or inf."""
    return _affinity(), min(_cgroup_quotas(root), default=float("inf"))


def threads_per_worker(cores: int, workers: int) -> int:
    """Return the CPU threads of each of `workers` equal workers; at least 1."""
    return max(1, cores // workers)


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cgroup_quotas(root: Path) -> Iterator[float]:
    """Yield the CPU quota, in cores, of our cgroups and their ancestors that have one."""
    for directory in _cgroup_directories(root):
        unified = _words(directory / "cpu.max")  # version 2: "150000 100000" or "max 100000"
        split = _words(directory / "cpu.cfs_quota_us") + _words(directory / "cpu.cfs_period_us")
        for words in (unified, split):  # version 1: -1 is no limit
            if len(words) == 2 and words[0] not in ("max", "-1"):
                yield int(words[0]) / int(words[1])


def _cgroup_directories(root: Path) -> Iterator[Path]:
    """Yield our cgroup's directories from its own up to the root of its hierarchy.

    Inside a container the path in /proc/self/cgroup may be the host's, and only the root of the
    hierarchy is mounted; the directories that do not exist then have no files to read.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # no Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mounts = (controllers, "cpu") if controllers else ("", "unified")  # "": version 2
        own = PurePosixPath(path.lstrip("/"))
        for mount in dict.fromkeys(mounts):
            for part in (own, *own.parents):
                yield root / "sys/fs/cgroup" / mount / part


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:  # this level has no such controller
        return []
