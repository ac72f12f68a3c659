"""How much memory a table may take here, and the refusal of what takes more."""

import resource
from pathlib import Path

from journal_launcher.base.errors import UsageError

__all__ = ["room", "too_large"]

_CGROUP = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def room() -> int:
    """Bytes that a table may take here: free memory, within a container's limit and `ulimit -v`."""
    import psutil

    found: list[int] = [psutil.virtual_memory().available]
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY:
        found.append(limit)
    for file in map(Path, _CGROUP):
        if file.exists() and (text := file.read_text().strip()).isdigit():
            found.append(int(text))
    return min(found)


def too_large(what: str, size: int, limit: int) -> UsageError:
    """The refusal of `what`, which takes at least `size` bytes where there are `limit`."""
    return UsageError(
        f"expected at most the {limit / 2**30:.4g} GiB of memory that are free here, found "
        f"{size / 2**30:.4g} GiB or more when {what} is unpacked; use fewer rows, or a machine "
        "with more memory"
    )
