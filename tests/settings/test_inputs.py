"""What is seen of bad data and scripts before anything is started."""

import os
from pathlib import Path
from typing import Any

import pytest

from journal_launcher.base.data_source import BUNDLED
from journal_launcher.base.errors import UsageError
from journal_launcher.settings.inputs import Reference, check_inputs, find_reference
from journal_launcher.settings.launch_settings import LaunchSettings


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("table.CSV", "table.csv.gz", "table.json", "train.py"):
        (tmp_path / name).touch()
    (tmp_path / "code.py").mkdir()
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "endless.csv").symlink_to("/dev/zero")
    return tmp_path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": "nowhere.csv"}, "/nowhere.csv: no such file; --data names a file or sklearn:"),
        ({"data": "table.json"}, "/table.json: expected a file name ending in .csv, .tsv or .txt"),
        (
            {"data": "code.py"},
            "/code.py: expected a file, or .csv or .parquet parts",
        ),
        ({"data": "."}, "found a folder, pipe or device: "),
        ({"data": "~nobody_of_this_name/t.csv"}, "for ~nobody_of_this_name, found none; write the"),
        ({"data": "x" * 300 + ".csv"}, ".csv: no such file; --data names"),
        (
            {"data": "folder.csv"},
            "/folder.csv: expected a file, or .csv or .parquet parts of one t",
        ),
        ({"data": "*.csv"}, "found a folder, pipe or device: endless.csv"),
        (
            {"data": "none-*.csv"},
            "/none-*.csv: expected a file, or .csv or .parquet parts of one t",
        ),
        ({"data": "pipe.csv"}, "/pipe.csv: expected a file"),
        ({"data": "endless.csv"}, "/endless.csv: expected a file"),
        ({"objective": "x" * 300 + ".py:f"}, "--objective: no such file: "),
        ({"data": "sklearn:titanic"}, "sklearn:titanic: no such data set; expected sklearn:breast"),
        ({"objective": "train.py"}, "expected pkg.module:attr, path/file.py:attr, found"),
        ({"objective": ":f"}, "expected pkg.module:attr"),
        ({"objective": ".train:f"}, "expected pkg.module:attr"),
        ({"objective": "gone.py:f"}, "--objective: no such file: "),
        ({"objective": "code.py:f"}, "--objective: no such file: "),
    ],
)
def test_each_mistake_is_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_inputs(LaunchSettings(**options))
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        *({"data": f"sklearn:{name}"} for name in BUNDLED),
        {"data": "table.CSV"},
        {"data": "table.csv.gz"},
        {"objective": "train.py:f"},
        {"objective": "pkg.module:f"},
    ],
    ids=str,
)
def test_what_is_there_is_fine(options: dict[str, Any]) -> None:
    check_inputs(LaunchSettings(**options))


def test_a_path_is_a_file_and_everything_else_a_module(folder: Path) -> None:
    (folder / "script").touch()
    assert find_reference("--objective", "pkg.train:f") == Reference(
        "pkg.train", "f", is_file=False
    )
    assert find_reference("--objective", "train.py:f") == Reference("train.py", "f", is_file=True)
    with pytest.raises(UsageError, match=r"expected a Python file, found \./script"):
        find_reference("--objective", "./script:f")
