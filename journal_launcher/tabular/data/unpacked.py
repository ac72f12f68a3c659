"""How large a packed file becomes in memory: one that fits nowhere is refused before it is tried.

A few megabytes can unpack to terabytes, and then the machine kills whatever it likes.
"""

import gzip
import io
import math
import resource
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
import psutil

from journal_launcher.base.errors import UsageError

__all__ = ["UnpackedText", "check_archive", "check_parquet"]

_CGROUP = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4}  # bytes of a Parquet value in memory; others: 8


def room() -> int:
    """Bytes that a table may take here: free memory, within a container's limit and `ulimit -v`."""
    found: list[int] = [psutil.virtual_memory().available]
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY:
        found.append(limit)
    for file in map(Path, _CGROUP):
        if file.exists() and (text := file.read_text().strip()).isdigit():
            found.append(int(text))
    return min(found)


class UnpackedText(io.RawIOBase):
    """The text of a .csv.gz. Counted as it comes: what the file itself says is modulo 4 GiB.

    Raises:
        UsageError: there is more of it than fits.
    """

    def __init__(self, path: Path) -> None:
        self._file = gzip.GzipFile(path)
        self._size, self._room = 0, room()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = int(self._file.readinto(buffer))
        self._size += count
        if self._size > self._room:
            raise _too_large("the text", self._size, self._room)
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def check_archive(path: Path) -> None:
    """Raise UsageError if the arrays of an .npz do not fit; a damaged one is for its reader."""
    with zipfile.ZipFile(path) as archive:
        sizes = {}
        for member in archive.infolist():
            with archive.open(member) as file:
                sizes[member.filename] = max(member.file_size, _array_size(file))
    _check(sizes, "member")


def check_parquet(metadata: Any) -> None:
    """Raise UsageError if the columns of a Parquet file do not fit."""
    sizes: dict[str, int] = {}
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for column in map(group.column, range(group.num_columns)):
            width = _WIDTHS.get(column.physical_type, 8)
            size = max(column.total_uncompressed_size, column.num_values * width)
            sizes[column.path_in_schema] = sizes.get(column.path_in_schema, 0) + size
    _check(sizes, "column")


def _array_size(file: IO[bytes]) -> int:
    """What the header of an .npy announces, which is taken from memory at once; 0 if it is none."""
    try:
        shape, _, dtype = _HEADERS[np.lib.format.read_magic(file)](file)
    except (ValueError, KeyError):
        return 0
    return math.prod(shape) * dtype.itemsize


def _check(sizes: dict[str, int], kind: str) -> None:
    limit, total = room(), sum(sizes.values())
    if total > limit:
        largest = max(sizes, key=lambda name: sizes[name])
        what = f"the file, most of it in {kind} {largest!r},"
        raise _too_large(what, total, limit)


def _too_large(what: str, size: int, limit: int) -> UsageError:
    return UsageError(
        f"expected at most the {limit / 2**30:.4g} GiB of memory that are free here, found "
        f"{size / 2**30:.4g} GiB or more when {what} is unpacked; use fewer rows, or a machine "
        "with more memory"
    )
