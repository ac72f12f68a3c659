"""What a table's data are called, and what is wrong with a name, without opening anything."""

import os

from journal_launcher.base.errors import UsageError
from journal_launcher.base.paths import absolute

__all__ = ["BUNDLED", "UNKNOWN_ENDING", "check_data", "data_source"]

BUNDLED = ("breast_cancer", "diabetes", "digits", "iris", "wine")
"""Data sets that come with scikit-learn and have one target."""
UNKNOWN_ENDING = "expected a file name ending in .csv, .csv.gz, .npz or .parquet"
_ENDINGS = (".csv", ".csv.gz", ".npz", ".parquet")


def data_source(data: str) -> str:
    """What a study records of its data: sklearn:NAME, or a file with its absolute path."""
    return data if data.startswith("sklearn:") else str(absolute(data))


def check_data(source: str) -> None:
    """Look for a data set or a file, by its name alone.

    Raises:
        UsageError: says what is expected.
    """
    if source.startswith("sklearn:"):
        if source.removeprefix("sklearn:") not in BUNDLED:
            names = ", ".join(f"sklearn:{name}" for name in BUNDLED)
            raise UsageError(f"{source}: no such data set; expected {names}")
        return
    path = absolute(source)
    if not os.path.exists(path):  # where the name itself is impossible, Path.exists raises
        raise UsageError(f"{path}: no such file; --data names a file or sklearn:NAME")
    if not path.name.lower().endswith(_ENDINGS):
        raise UsageError(f"{path}: {UNKNOWN_ENDING}")
    if not path.is_file():  # a pipe would be waited for, a device may never end
        raise UsageError(f"{path}: expected a file, found a folder, pipe or device")
