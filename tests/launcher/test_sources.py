"""Which files of the user's code every node must have as the launch has them."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from journal_launcher.base.errors import UsageError
from journal_launcher.launcher.engines.sources import check_sources, digests, seen_from
from journal_launcher.settings.launch_settings import LaunchSettings

PROJECT = {
    "train.py": "import json, numpy, helpers, pkg.deep.inner\nfrom lib import one, unused_name\n",
    "helpers.py": "import cycle",
    "cycle.py": "import helpers, train",
    "unused.py": "",
    "pkg/__init__.py": "",
    "pkg/deep/__init__.py": "",
    "pkg/deep/inner.py": "from . import beside\nfrom ..upper import thing\n",
    "pkg/deep/beside.py": "def later():\n    import late\n",
    "pkg/upper.py": "",
    "pkg/not_imported.py": "",
    "late.py": "this is no Python\n",
    "lib/one.py": "",
    "lib/two.py": "",
    ".venv/lib/python3.11/site-packages/installed.py": "",
}
USED = {
    *("train.py", "helpers.py", "cycle.py", "pkg/__init__.py", "pkg/deep/__init__.py"),
    *("pkg/deep/inner.py", "pkg/deep/beside.py", "pkg/upper.py", "late.py", "lib/one.py"),
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = written(tmp_path / "my project")
    monkeypatch.chdir(folder)
    return folder


def written(folder: Path) -> Path:
    for name, text in PROJECT.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def files(**options: Any) -> set[str]:
    found = digests(LaunchSettings(**options))
    assert all(len(one["sha256"]) == 64 for one in found.values())
    return {one["file"] for one in found.values()}


@pytest.mark.parametrize(
    "options",
    [
        {"objective": "train.py:f"},
        {"objective": "train:f"},
        {"command": "python train.py {x}", "space": {"x": [1, 2]}},
        {"objective": "lib/two.py:f", "sampler": "train.py:sampler"},
    ],
)
def test_all_that_is_imported_from_the_project_counts(
    project: Path, options: dict[str, Any]
) -> None:
    assert files(**options) - {"lib/two.py"} == USED


def test_what_is_installed_does_not_count_wherever_it_is(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = project / ".venv/lib/python3.11/site-packages"
    monkeypatch.setattr(sys, "path", [*sys.path, str(installed), str(project / "lib")])
    (project / "train.py").write_text("import installed, optuna, journal_launcher.api, two")
    assert files(objective="train.py:f") == {"train.py", "lib/two.py"}


def test_a_folder_of_PYTHONPATH_counts(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "mine.py").touch()
    (project / "train.py").write_text("import mine")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "shared")])
    assert files(objective="train.py:f") == {"train.py"}, "as an editable installation elsewhere"
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "shared"))
    assert files(objective="train.py:f") == {"train.py", str(tmp_path / "shared" / "mine.py")}


@pytest.fixture
def node(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Asks another checkout whether it has the objective's code; its current directory is there."""
    typed = LaunchSettings(objective=f"{project}/train.py:f", engine="slurm", remote_dir="/any")
    expected = digests(typed)
    there = written(tmp_path / "other place")
    monkeypatch.chdir(there)
    return lambda: check_sources(seen_from(str(project), typed), expected, "n2")


def test_another_checkout_may_have_the_same(node: Any) -> None:
    node()


@pytest.mark.parametrize("name", sorted(USED))
def test_a_file_that_differs_is_named_with_what_mends_it(node: Any, name: str) -> None:
    Path(name).write_text("other = 1\n")
    folder = Path(name).absolute().parent
    with pytest.raises(UsageError) as said:
        node()
    found = f"expected {name} as the launch has it, found another one in {folder}; type where the"
    assert found in str(said.value)
    assert f": rsync -aR {name} 'n2:{Path.cwd()}/' (or " in str(said.value)


def test_files_that_are_missing_are_named_together(node: Any) -> None:
    for name in USED:
        os.unlink(name)
    with pytest.raises(UsageError) as said:
        node()
    assert f" and 7 more as the launch has it, found none in {Path.cwd()}; " in str(said.value)
    assert all(name in str(said.value) for name in USED)


def test_a_package_that_is_no_more_than_a_folder_holds_others(project: Path) -> None:
    (project / "outer" / "middle").mkdir(parents=True)
    (project / "outer" / "middle" / "end.py").touch()
    (project / "train.py").write_text("import outer.middle.end")
    assert files(objective="train.py:f") == {"train.py", "outer/middle/end.py"}
