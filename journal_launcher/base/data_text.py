"""The bytes of a table's files: unpacked as they are read, and told apart by their sha256."""

import gzip
import hashlib
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, cast

from journal_launcher.base import memory
from journal_launcher.base.data_source import compression_of, locate_data
from journal_launcher.base.errors import UsageError

__all__ = ["complaints", "fingerprint", "open_text"]


def fingerprint(source: str) -> str:
    """Tell one content of `source` from another, without parsing and without heavy imports.

    Returns:
        The sha256 of a file's bytes (of packed text: of the text in it), of the sha256 of each part
        of a folder or pattern with what its folders say, or the name and version of a bundled data
        set.

    Raises:
        UsageError: no such file or data set, or it cannot be read.
    """
    if source.startswith("sklearn:"):
        return f"{source} {version('scikit-learn')}"
    data = locate_data(source)
    found = [_sha256(file) + _of_folders(data.partition(file)) for file in data.files]
    if not data.in_parts:
        return found[0]
    return hashlib.sha256("\n".join(found).encode()).hexdigest()


def _of_folders(partition: dict[str, str]) -> str:
    return f" {partition}" if partition else ""


def _sha256(path: Path) -> str:
    with complaints(), open_text(path) as file:
        # A packed file is read like any other; only its type says otherwise.
        return hashlib.file_digest(cast(Any, file), "sha256").hexdigest()


def open_text(path: Path) -> IO[bytes]:
    """The bytes of a file, of a .gz or .zst what is packed in it.

    Reading raises:
        UsageError: there is more packed in it than fits into memory.
        ValueError: it is damaged.
    """
    if compression_of(path) is None:
        return path.open("rb")
    return io.BufferedReader(_UnpackedText(path), 1 << 16)


class _UnpackedText(io.RawIOBase):
    """Counted as it comes: what a .gz itself says of its size is modulo 4 GiB."""

    def __init__(self, path: Path) -> None:
        self._file, self._damage = _unpacking(path)
        self._size, self._room = 0, memory.room()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            count = int(self._file.readinto(buffer))
        except self._damage as error:
            raise ValueError(str(error)) from None
        self._size += count
        if self._size > self._room:
            raise memory.too_large("the text", self._size, self._room)
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def _unpacking(path: Path) -> tuple[Any, type[Exception]]:
    """(file, what its reading raises where it is damaged)."""
    if compression_of(path) == "gz":
        return gzip.GzipFile(path), zlib.error
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd.ZstdFile(path), zstd.ZstdError


@contextmanager
def complaints() -> Iterator[None]:
    """Turn what a file can do wrong into one line for the user."""
    try:
        yield
    except OSError as error:
        raise UsageError((error.strerror or str(error).partition("\n")[0]).lower()) from None
    except (ValueError, EOFError) as error:
        raise UsageError(str(error).strip().splitlines()[0]) from None
