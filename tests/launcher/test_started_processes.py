"""An objective starts processes that import its file, whatever that file is called."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from launcher.harness import ROOT

CODE = """
import multiprocessing
from helper_of_objective import VALUE

def times(x):
    return VALUE * x

def objective(trial):
    for method in ("spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            assert pool.map_async(times, [1, 2]).get(20) == [3, 6], "in time"
    return 6.0
"""


@pytest.mark.parametrize(
    "name",
    ["tune.v2.py", "profile.py", "optuna.py", "my train.py", "2nd-try.py", "train.py"],
)
def test_a_process_that_an_objective_starts_finds_its_functions(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "elsewhere"
    (folder / "train").mkdir(parents=True)
    (folder / "train" / "__init__.py").touch()  # a package comes before the file train.py
    (folder / "helper_of_objective.py").write_text("VALUE = 3\n")
    (folder / name).write_text(CODE)
    done = subprocess.run(
        [
            *(sys.executable, "-P", "-m", "journal_launcher", "run", "--debug", "--gpus", "none"),
            *("--objective", f"{folder / name}:objective"),
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0 and "value: 6.0" in done.stdout, done.stderr[-2000:]
