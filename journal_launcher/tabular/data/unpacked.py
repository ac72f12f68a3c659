"""How large a packed file becomes in memory: one that fits nowhere is refused before it is tried.

A few megabytes can unpack to terabytes, and then the machine kills whatever it likes.
"""

import math
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from journal_launcher.base import memory

__all__ = ["check_archive", "check_parquet"]

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4}  # bytes of a Parquet value in memory; others: 8


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
    limit, total = memory.room(), sum(sizes.values())
    if total > limit:
        largest = max(sizes, key=lambda name: sizes[name])
        what = f"the file, most of it in {kind} {largest!r},"
        raise memory.too_large(what, total, limit)
