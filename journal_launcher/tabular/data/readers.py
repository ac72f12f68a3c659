"""Files and bundled data sets become frames: structure is checked here, values are not judged.

Errors say what is wrong and on which line of the file; `dataset` adds the name of the file.
"""

import csv
import hashlib
import io
import itertools
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from journal_launcher.base.data_source import UNKNOWN_ENDING
from journal_launcher.base.errors import UsageError
from journal_launcher.tabular.data.unpacked import UnpackedText, check_archive, check_parquet

__all__ = ["MISSING", "content_sha256", "fingerprint", "read_bundled", "read_file"]

MISSING = frozenset(
    ("", "NA", "N/A", "n/a", "<NA>", "#N/A", "NaN", "nan", "-NaN", "-nan", "NULL", "null")
)
"""What a cell holds where the value is missing. Not "None", which may well name a class."""
_MOST_COLUMNS = 10_000


def fingerprint(source: str) -> str:
    """Tell one content of `source` from another, without parsing and without heavy imports.

    Returns:
        The sha256 of a file's bytes (of a .csv.gz: of the text in it), or the name and version of
        a bundled data set.

    Raises:
        UsageError: no such file or data set, or it cannot be read.
    """
    if source.startswith("sklearn:"):
        return f"{source} {version('scikit-learn')}"
    path = Path(source)
    with _complaints(), _opened(path) as file:
        # A gzip file is read like any other; only its type says otherwise.
        return hashlib.file_digest(cast(Any, file), "sha256").hexdigest()


def content_sha256(frame: Any) -> str:
    """Hash names and values of a frame: the same whatever file or package it came from."""
    return hashlib.sha256(frame.to_csv(index=False).encode()).hexdigest()


def read_bundled(name: str) -> tuple[Any, str]:
    """(frame, name of its target column) of one of `inputs.BUNDLED`."""
    import pandas as pd

    bunch = getattr(import_module("sklearn.datasets"), f"load_{name}")()
    frame = pd.DataFrame(bunch.data, columns=[str(column) for column in bunch.feature_names])
    labels = np.asarray(bunch.get("target_names", []))
    frame["target"] = labels[bunch.target] if labels.dtype.kind == "U" else bunch.target
    return frame, "target"


def read_file(path: Path, texts: Collection[str] = ()) -> Any:
    """The frame of a CSV, NPZ or Parquet file; the CSV columns `texts` stay text as written.

    Raises:
        UsageError: the file is missing, unreadable or malformed; says on which line.
    """
    name = path.name.lower()
    with _complaints():
        if name.endswith((".csv", ".csv.gz")):
            frame = _read_csv(path, texts)
        elif name.endswith(".npz"):
            frame = _read_npz(path)
        elif name.endswith(".parquet"):
            frame = _read_parquet(path)
        else:
            raise ValueError(UNKNOWN_ENDING)
    if not len(frame):
        raise UsageError("expected rows, found none")
    return frame


def _check_names(names: list[str]) -> None:
    """Raise ValueError unless there are 1 to 10,000 names, all different."""
    if not 0 < len(names) <= _MOST_COLUMNS:
        raise ValueError(f"expected 1 to {_MOST_COLUMNS:,} columns, found {len(names):,}")
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise ValueError(f"expected different column names, found {name!r} {times} times")


def _read_csv(path: Path, texts: Collection[str]) -> Any:
    import pandas as pd

    with _opened(path) as file:
        names = _header(file)
    with _opened(path) as file:
        _check_field_counts(file, len(names))
    with _opened(path) as file:
        frame = pd.read_csv(
            file,
            header=0,
            names=list(range(len(names))),
            dtype={place: str for place, name in enumerate(names) if name in texts},
            na_values=sorted(MISSING),
            keep_default_na=False,
            skipinitialspace=True,
            encoding="utf-8-sig",
            low_memory=False,
        )
    frame.columns = names
    return frame


def _header(file: IO[bytes]) -> list[str]:
    """Column names of a CSV file, without spaces around them."""
    _, first = next(_csv_rows(_lines(file)), (0, []))
    names = [name.strip() for name in first]
    if not names:
        raise ValueError("expected a header with column names, found an empty file")
    for sign in ";\t|":
        if len(names) == 1 and sign in names[0]:
            raise ValueError(
                f"expected commas between the columns, found {sign!r}; to convert it: "
                f"pandas.read_csv(FILE, sep={sign!r}).to_csv(NEW, index=False)"
            )
    _check_names(names)
    if "" in names[1:]:  # the first may: it is the index that pandas writes
        raise ValueError(f"column {names.index('', 1) + 1} has no name: write one into the header")
    return names


def _check_field_counts(file: IO[bytes], expected: int) -> None:
    """Refuse short and long rows: pandas fills the ones up and shifts the others, silently."""
    for row, (line, fields) in enumerate(_field_counts(_lines(file))):
        if fields != expected:
            raise ValueError(
                f"row {row} (line {line}): expected {expected} fields as in the header, found "
                f"{fields}"
            )


def _field_counts(lines: Iterator[str]) -> Iterator[tuple[int, int]]:
    """(line, number of fields) of every row that is not blank."""
    for number, line in enumerate(lines, start=1):
        if '"' in line or "\r" in line[:-2]:
            # From here on only a parser knows where fields and rows end.
            rest = _csv_rows(itertools.chain([line], lines), before=number - 1)
            yield from ((end, len(row)) for end, row in rest)
        elif line.strip():
            yield number, line.count(",") + 1


def _csv_rows(lines: Iterable[str], before: int = 0) -> Iterator[tuple[int, list[str]]]:
    """(last line, fields) of every row that is not blank; `before`: lines read already."""
    reader = csv.reader(lines, strict=True, skipinitialspace=True)
    try:
        for row in reader:
            if len(row) > 1 or "".join(row).strip():
                yield before + reader.line_num, row
    except csv.Error as error:
        found = str(error)
        if "new-line character" in found:
            found = "expected lines that end in \\n, found \\r; convert with tr '\\r' '\\n'"
        raise ValueError(f"line {before + reader.line_num}: {found}") from None


def _lines(file: IO[bytes]) -> Iterator[str]:
    """The lines as text; ValueError where they are none."""
    for number, line in enumerate(file, start=1):
        if b"\0" in line:
            raise ValueError(
                f"line {number}: expected text, found a NUL byte; unpack a packed file, and "
                "convert UTF-16 with iconv -f utf-16 -t utf-8"
            )
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"line {number}: expected UTF-8, found byte 0x{line[error.start]:02x}; convert the "
                "file with iconv, for example from latin1: iconv -f latin1 -t utf-8"
            ) from None


def _read_npz(path: Path) -> Any:
    import pandas as pd

    if not zipfile.is_zipfile(path) and path.exists():
        raise ValueError("expected what numpy.savez(file, X=…, y=…) writes, found no archive")
    arrays = _arrays(path)
    if "X" not in arrays:
        raise ValueError(f"expected arrays X and y, found {', '.join(arrays) or 'none'}")
    x, y = arrays["X"], arrays.get("y")
    if x.ndim != 2 or x.dtype.kind not in "fiub":
        raise ValueError(f"expected numbers X of shape (rows, columns), found {x.dtype}{x.shape}")
    frame = pd.DataFrame(x, columns=[f"x{place}" for place in range(x.shape[1])])
    _check_names(list(frame.columns))
    if y is not None:
        if y.shape != (len(x),):
            raise ValueError(f"expected y of shape ({len(x)},) for the rows of X, found {y.shape}")
        frame["y"] = y
    return frame


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an archive by name; other things in it are passed over."""
    try:
        check_archive(path)
        with np.load(path, allow_pickle=False) as file:
            return {name: found for name, found in file.items() if isinstance(found, np.ndarray)}
    except (OSError, UsageError):
        raise
    except Exception as error:  # a damaged archive fails in more ways than anyone has listed
        raise ValueError(f"expected what numpy.savez writes, found: {error}") from None


def _read_parquet(path: Path) -> Any:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise ValueError("Parquet needs pyarrow: pip install 'journal-launcher[parquet]'") from None
    try:
        check_parquet(parquet.read_metadata(path))
        table = parquet.read_table(path)
        _check_names(table.column_names)
        return table.to_pandas(ignore_metadata=True)
    except ArrowException as error:
        raise ValueError(str(error).splitlines()[0]) from None


def _opened(path: Path) -> IO[bytes]:
    if path.name.lower().endswith(".gz"):
        return io.BufferedReader(UnpackedText(path), 1 << 16)
    return path.open("rb")


@contextmanager
def _complaints() -> Iterator[None]:
    """Turn what a file can do wrong into one line for the user."""
    try:
        yield
    except OSError as error:
        raise UsageError((error.strerror or str(error).partition("\n")[0]).lower()) from None
    except (ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise UsageError(str(error).strip().splitlines()[0]) from None
