"""The cores, the memory and the limits that the system sets to this process."""

import os
import resource
from collections.abc import Iterator

from journal_launcher.devices.cpus import available_cores, core_limits
from journal_launcher.views.doctor.finding import Finding, gib

__all__ = ["check_limits"]

_FILES = 256  # descriptors: the parent's own, and some for each worker; data loaders want more
_ADDRESSES = 64 * 2**30  # CUDA reserves as much address space as all GPUs and the host have memory


def check_limits() -> Iterator[Finding]:
    """Yield what is to be said of cores, memory, descriptors, processes and address space."""
    import psutil  # here, so that all else is said without it

    yield _check_cores()
    free = psutil.virtual_memory().available
    enough = free > 2 * 2**30
    yield Finding(
        "ok" if enough else "note",
        "memory",
        f"{gib(free)} free",
        "" if enough else "every worker needs about 1 GiB: make room, or use fewer workers",
    )
    yield _check_files()
    yield _check_processes()
    yield _check_addresses()


def _check_cores() -> Finding:
    there = os.cpu_count() or 1
    (affinity, quota) = core_limits()
    why = [f"affinity leaves {affinity}"] if affinity < there else []
    why += [f"a cgroup quota leaves {quota:g}"] if quota < affinity else []
    usable = f"{available_cores()} of {there} may be used"
    return Finding("ok", "cores", f"{usable} ({', '.join(why)})" if why else usable)


def _soft(kind: int) -> float:
    """The soft limit, inf where there is none."""
    soft = resource.getrlimit(kind)[0]
    return float("inf") if soft == resource.RLIM_INFINITY else soft


def _said(limit: float) -> str:
    return "no limit" if limit == float("inf") else f"up to {limit:g}"


def _check_files() -> Finding:
    limit = _soft(resource.RLIMIT_NOFILE)
    text = f"{_said(limit)} (ulimit -n)"
    if limit < _FILES:
        return Finding("note", "files", text, f"for many workers type `ulimit -n {4 * _FILES}`")
    return Finding("ok", "files", text)


def _check_processes() -> Finding:
    """Linux counts threads, of all processes of this user, and not for root."""
    limit = _soft(resource.RLIMIT_NPROC)
    text = f"{_said(limit)} (ulimit -u)"
    if limit == float("inf") or os.geteuid() == 0:
        return Finding("ok", "processes", text)
    running = sum(_threads())
    text = f"{text}, {running} run"
    left = limit - running
    if left < 16:
        return Finding("problem", "processes", text, "end some, or raise `ulimit -u`")
    if left < 32 * (os.cpu_count() or 1):
        return Finding("note", "processes", text, "workers start threads: raise `ulimit -u`")
    return Finding("ok", "processes", text)


def _threads() -> Iterator[int]:
    import psutil

    for process in psutil.process_iter(["uids", "num_threads"]):
        uids = process.info["uids"]
        if uids is not None and uids.real == os.getuid():
            yield process.info["num_threads"] or 1


def _check_addresses() -> Finding:
    limit = _soft(resource.RLIMIT_AS)
    if limit == float("inf"):
        return Finding("ok", "addresses", "no limit (ulimit -v)")
    text = f"up to {gib(limit)} (ulimit -v)"
    if limit < _ADDRESSES:
        remedy = "CUDA reserves far more than it uses: type `ulimit -v unlimited` to use a GPU"
        return Finding("note", "addresses", text, remedy)
    return Finding("ok", "addresses", text)
