"""Nothing that a benchmark imports from the package has gone: they are run by hand, and seldom."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
IMPORT = """
import importlib, pathlib, sys
for path in sorted(pathlib.Path("benchmarks").glob("*.py")):
    importlib.import_module(path.stem)
"""


def test_every_benchmark_can_be_imported() -> None:
    path = os.pathsep.join(map(str, (ROOT / "benchmarks", ROOT)))
    ended = subprocess.run(
        [sys.executable, "-P", "-c", IMPORT],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
