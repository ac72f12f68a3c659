"""The functions that Python gave to the launch, as a worker finds them: in inherited memory."""

import linecache
import mmap
import os
import pickle
import sys
from collections.abc import Callable
from typing import Any

from journal_launcher.base.dataclass import dataclass

__all__ = ["GivenCode", "unpacked"]


@dataclass(frozen=True)
class GivenCode:
    """objective: None where it has a name. sha256: of its code. save_best: None if not given."""

    objective: Callable[..., Any] | None
    save_best: Callable[..., Any] | None
    sha256: str | None


def unpacked(descriptor: int) -> GivenCode:
    """What the parent packed; modules are found where it found them, tracebacks show its cells.

    Raises:
        Exception: whatever the import of a module that the functions need raises.
    """
    with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as content:
        before = pickle.load(content)
        sys.path[:] = [*before["path"], *(p for p in sys.path if p not in before["path"])]
        for file, text in before["sources"].items():
            linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
        objective, save_best = pickle.load(content)
    os.close(descriptor)
    return GivenCode(objective, save_best, before["sha256"])
