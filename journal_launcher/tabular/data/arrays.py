"""Arrays in files: written once by one worker, mapped by all, who so share the same memory.

Each set of arrays is a directory of its own in the cache, named by the hash of what decides them.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from journal_launcher.base.files import move_into_place, read_json, write_json

__all__ = [
    "PackedTexts",
    "are_stored",
    "hashes",
    "map_arrays",
    "mark_used",
    "one_at_a_time",
    "store",
    "stored_facts",
]

_SCHEMA_VERSION = 1
_META = "meta.json"


def are_stored(directory: Path) -> bool:
    return (directory / _META).exists()


def store(directory: Path, arrays: Mapping[str, NDArray[Any]], facts: dict[str, Any]) -> None:
    """Write beside the final place and rename: a reader sees all of it or nothing.

    facts: JSON that belongs to the arrays.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(dir=directory.parent, prefix=".building-"))
    try:
        files = {f"{name}.npy": _save(beside / f"{name}.npy", a) for name, a in arrays.items()}
        content = {"schema_version": _SCHEMA_VERSION, "files": files, **facts}
        write_json(beside / _META, content)
        try:
            move_into_place(beside, directory)
        except OSError:
            # Somebody else was first: these arrays are the same, and they may be in use.
            if not are_stored(directory):
                raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)


@contextlib.contextmanager
def one_at_a_time(cache: Path) -> Iterator[None]:
    """Let nobody else make arrays for this cache meanwhile."""
    cache.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(cache, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def mark_used(directory: Path) -> None:
    """Mark an entry as used: a launch that restarts a worker after weeks still finds it."""
    with contextlib.suppress(FileNotFoundError):  # removed by hand: what is mapped stays readable
        os.utime(directory)


def stored_facts(directory: Path) -> dict[str, Any]:
    """The facts of arrays that were stored."""
    return read_json(directory / _META, _SCHEMA_VERSION)


def hashes(directory: Path) -> dict[str, str]:
    """The SHA-256 of every file that was stored, by name."""
    meta = hashlib.sha256((directory / _META).read_bytes()).hexdigest()
    return {_META: meta, **stored_facts(directory)["files"]}


def map_arrays(directory: Path) -> dict[str, NDArray[Any]]:
    """The arrays by name, not to be written to. Pages that are read take memory once for all.

    Raises:
        FileNotFoundError: they are not there.
    """
    mark_used(directory)
    arrays = {
        path.stem: np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
        for path in directory.glob("*.npy")
    }
    if not arrays:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(directory))
    return arrays


@dataclass(frozen=True)
class PackedTexts:
    """(rows, columns) texts in arrays that may be mapped: those that are asked for take memory.

    content: their UTF-8. ends: (rows, columns) where each one ends in it.
    """

    content: NDArray[np.uint8]
    ends: NDArray[np.int64]

    @classmethod
    def of(cls, texts: NDArray[np.object_]) -> "PackedTexts":
        cells = [text.encode("utf-8", "surrogatepass") for text in texts.ravel()]
        ends = np.cumsum(np.array([len(cell) for cell in cells], dtype=np.int64))
        content = np.frombuffer(b"".join(cells), dtype=np.uint8)
        return cls(content, ends.reshape(texts.shape))

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, rows: NDArray[np.int64] | slice) -> NDArray[np.object_]:
        """(rows, columns) str"""
        ends = self.ends[rows]
        before = np.concatenate([[0], self.ends.ravel()[:-1]]).reshape(self.ends.shape)[rows]
        found = np.empty(ends.shape, dtype=object)
        for place, (start, end) in enumerate(zip(before.ravel(), ends.ravel(), strict=True)):
            found.ravel()[place] = bytes(self.content[start:end]).decode("utf-8", "surrogatepass")
        return found


def _save(path: Path, array: NDArray[Any]) -> str:
    """Returns the SHA-256 of the file."""
    digest = hashlib.sha256()
    with open(path, "wb") as file:

        def write(content: Any) -> None:
            digest.update(content)
            file.write(content)

        # Not the file itself: NumPy would then say how much it wrote, but not why no more.
        np.save(SimpleNamespace(write=write), array, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()
