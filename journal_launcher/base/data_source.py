"""What a table's data are called, and what is wrong with a name, without opening anything."""

import glob
import os
import re
from pathlib import Path
from urllib.parse import unquote

from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.errors import UsageError
from journal_launcher.base.paths import absolute
from journal_launcher.base.unknown_names import did_you_mean, did_you_mean_file

__all__ = [
    "BUNDLED",
    "DataFiles",
    "check_location",
    "compression_of",
    "data_source",
    "kind_of_file",
    "locate_data",
]

BUNDLED = ("breast_cancer", "diabetes", "digits", "iris", "wine")
"""Data sets that come with scikit-learn and have one target."""
_KINDS = {
    "text": (".csv", ".tsv", ".txt"),
    "parquet": (".parquet",),
    "npz": (".npz",),
    "excel": (".xlsx", ".xls", ".ods"),
    "frame": (".safetensors",),  # what Python gave: no file of a user's own
}
_PARTS = ("text", "parquet")  # kinds that come in many files
_PACKED = (".gz", ".zst")
_SHEET = re.compile(r"(?P<file>.+\.(xlsx|xls|ods))#(?P<sheet>[^/]+)", re.I | re.S)
_PARTITION = re.compile(r"(?P<name>[^=]+)=(?P<value>.*)", re.S)
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
_UNKNOWN_ENDING = (
    "expected a file name ending in .csv, .tsv or .txt (these also with .gz or .zst), .parquet, "
    ".npz, .xlsx, .xls or .ods"
)


@dataclass(frozen=True)
class DataFiles:
    """The files of a table: one, or parts in the order of their names, all of one kind.

    kind: text, parquet, npz, excel or frame. sheet: of an Excel file, where one is asked for.
    root: of parts, the folder that was given, or in which a pattern begins.
    """

    files: tuple[Path, ...]
    kind: str
    sheet: str | None = None
    root: Path | None = None

    @property
    def in_parts(self) -> bool:
        """Whether a folder or a pattern was given, even if it holds one file."""
        return self.root is not None

    @property
    def folders(self) -> set[Path]:
        """Those that change where a part comes or goes."""
        if self.root is None:
            return set()
        below = {parent for file in self.files for parent in file.parents}
        return {folder for folder in below if folder.is_relative_to(self.root)}

    def name_of(self, part: Path) -> str:
        """What a message calls a part."""
        return str(part.relative_to(self.root)) if self.root else part.name

    def partition(self, part: Path) -> dict[str, str]:
        """What the folders below the root say of a part's rows: of year=2024/a.csv, the year."""
        folders = part.relative_to(self.root).parts[:-1] if self.root else ()
        named = [found for folder in folders if (found := _PARTITION.fullmatch(folder))]
        values = {unquote(found["name"]): unquote(found["value"]) for found in named}
        return {name: "" if value == _NO_VALUE else value for name, value in values.items()}


def data_source(data: str) -> str:
    """What a study records of its data: sklearn:NAME, or a file with its absolute path."""
    return data if data.startswith("sklearn:") else str(absolute(data))


def check_location(source: str) -> None:
    """Look for a data set or its files, by their names alone.

    Raises:
        UsageError: says what is expected.
    """
    if source.startswith("sklearn:"):
        if source.removeprefix("sklearn:") not in BUNDLED:
            names = ", ".join(f"sklearn:{name}" for name in BUNDLED)
            raise UsageError(f"{source}: no such data set; expected {names}")
        return
    try:
        locate_data(source)
    except UsageError as problem:
        raise UsageError(f"{absolute(source)}: {problem}") from None


def locate_data(source: str) -> DataFiles:
    """Find the files of FILE, FILE.xlsx#Sheet, FOLDER/ or a pattern such as 'parts/*.csv'.

    Raises:
        UsageError: there are none, or none that can be read; names them from their folder on.
    """
    path = absolute(source)
    if os.path.isdir(path):
        return _parts(_inside(path), path)
    if os.path.exists(path):  # where the name itself is impossible, Path.exists raises
        return DataFiles((path,), _kind_of_one(path))
    sheet = _SHEET.fullmatch(str(path))
    if sheet and os.path.exists(sheet["file"]):
        file = Path(sheet["file"])
        return DataFiles((file,), _kind_of_one(file), sheet["sheet"])
    if glob.has_magic(str(path)):
        root = next(parent for parent in path.parents if not glob.has_magic(str(parent)))
        return _parts([Path(found) for found in glob.glob(str(path), recursive=True)], root)
    if source.startswith("sklearn:"):
        raise UsageError("expected a file with rows, found the name of a bundled table")
    bundled = [f"sklearn:{name}" for name in BUNDLED]
    hint = did_you_mean_file(path) or did_you_mean(source, bundled)
    raise UsageError(f"no such file; --data names a file or sklearn:NAME{hint}")


def compression_of(path: Path) -> str | None:
    """gz or zst if the name says so."""
    ending = path.suffix.lower()
    return ending[1:] if ending in _PACKED else None


def kind_of_file(path: Path) -> str | None:
    """What the name says: a key of `_KINDS`; None for what is no table."""
    ending = path.suffix.lower()
    if ending in _PACKED:
        ending = path.with_suffix("").suffix.lower()
        return "text" if ending in _KINDS["text"] else None
    return next((kind for kind, endings in _KINDS.items() if ending in endings), None)


def _kind_of_one(path: Path) -> str:
    kind = kind_of_file(path)
    if kind is None:
        raise UsageError(_UNKNOWN_ENDING)
    if not path.is_file():  # a pipe would be waited for, a device may never end
        raise UsageError("expected a file, found a folder, pipe or device")
    return kind


def _inside(folder: Path) -> list[Path]:
    """What lies in a folder; where it has no table, also in folders such as year=2024."""
    found = [folder / name for name in os.listdir(folder) if name[0] not in "._"]
    if any(kind_of_file(path) for path in found):
        return found
    inside = [
        _inside(path) if _PARTITION.fullmatch(path.name) and path.is_dir() else [path]
        for path in found
    ]
    return [path for paths in inside for path in paths]


def _parts(found: list[Path], root: Path) -> DataFiles:
    """The parts of a table among the files of a folder or pattern."""
    found = sorted(found)
    tables = [path for path in found if kind_of_file(path) is not None]
    if not tables:
        raise UsageError("expected a file, or .csv or .parquet parts of one table, found none")
    kind = str(kind_of_file(tables[0]))
    other = [path for path in tables if kind_of_file(path) != kind]
    if other or kind not in _PARTS:
        names = " and ".join(repr(path.name) for path in (tables[0], *other[:1]))
        raise UsageError(
            f"expected .csv or .parquet parts of one table, found {names}; name one file, or a "
            "pattern in quotes such as 'parts/*.csv'"
        )
    odd = next((path for path in tables if not path.is_file()), None)
    if odd is not None:
        raise UsageError(f"expected a file, found a folder, pipe or device: {odd.name}")
    folders = [path.name for path in found if path.is_dir()]
    if folders:
        raise UsageError(
            f"expected files alone, found the folder {folders[0]!r}; name the files by a pattern "
            "in quotes such as 'parts/**/*.csv'"
        )
    return DataFiles(tuple(tables), kind, root=root)
