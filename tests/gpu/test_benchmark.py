"""benchmarks/gpu.py, in its small size: on a GPU it is run by itself."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from gpu.place import Place
from launcher.harness import ROOT

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("part", ["trainer", "workers", "packing", "profile"])
def test_each_part_of_the_benchmark_runs(place: Place, part: str, tmp_path: Path) -> None:
    """Those of a launch are one function: `workers` stands for `job`."""
    if not place.cpu:
        pytest.skip("on a GPU, type: python benchmarks/gpu.py")
    command = [sys.executable, "-P", str(ROOT / "benchmarks" / "gpu.py"), part, "--cpu"]
    done = subprocess.run(
        [*command, "--json", str(tmp_path / "gpu.json")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    content = json.loads((tmp_path / "gpu.json").read_text())
    assert content["machine"]["dry_run"] is True
    rows = content["parts"][part]
    assert rows and all(row["value"] > 0 for row in rows), rows
    for row in rows:
        assert f"| {part} | {row['what']} | " in done.stdout


def test_a_part_that_takes_too_long_is_a_line() -> None:
    code = "import gpu; gpu.LIMIT = 0.5; print(gpu.measured('trainer', True))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT / "benchmarks",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "took longer than 0.5 s: ended" in done.stdout


def test_without_a_gpu_it_says_that_it_needs_one(place: Place) -> None:
    if not place.cpu:
        pytest.skip("there is one")
    command = [sys.executable, "-P", str(ROOT / "benchmarks" / "gpu.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "expected a GPU that torch can open, found none" in done.stderr
