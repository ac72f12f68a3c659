"""Every command of examples/README.md as it stands there, on two CPU workers, with few trials."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "examples/README.md").read_text()
COMMANDS = re.findall(r"`journal-launcher (run [^`]+)`", README)
SAVED = {
    "plain_function.py": [],
    "torch_loop.py": ["weights.pt"],
    "lightning_fit.py": ["best.ckpt"],
    "hugging_face.py": ["config.json", "model.safetensors", "training_args.bin"],
    "scikit_learn.py": ["pipeline.skops"],
    "shell_script.toml": ["model.txt"],
    "two_objectives.py": ["pareto_front.json"],
}


def test_every_example_is_in_the_readme_and_tested() -> None:
    there = {path.name for path in (ROOT / "examples").iterdir() if path.is_file()}
    assert there - {"README.md"} == {*SAVED, "shell_script.sh"}
    for name in there - {"README.md", "shell_script.sh"}:
        assert sum(f"examples/{name}" in command for command in COMMANDS) == 1, name


@pytest.mark.parametrize("name", SAVED)
def test_an_example_runs_as_written(name: str, tmp_path: Path) -> None:
    (command,) = (command for command in COMMANDS if f"examples/{name}" in command)
    options = f"--gpus none --workers 2 --n-trials 3 --studies-dir {shlex.quote(str(tmp_path))}"
    ended = subprocess.run(
        [
            sys.executable,
            "-P",
            "-m",
            "journal_launcher",
            *shlex.split(f"{command} {options} --json"),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert ended.returncode == 0, ended.stderr
    result = json.loads(ended.stdout)
    assert result["n_finished"] == 3 and result["n_failed"] == 0
    model = Path(result["model_path"])
    assert sorted(path.name for path in model.glob("*")) == SAVED[name]
    assert not any((ROOT / "examples").glob("optuna_studies"))
