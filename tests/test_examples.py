"""Every command of examples/README.md as it stands there, on two CPU workers, with few trials."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "examples/README.md").read_text()
COMMANDS = re.findall(r"`journal-launcher (run [^`]+)`", README)
TRACKED = {  # what it imports; tests/test_trackers.py
    "tensorboard_callback.py": "tensorboard",
    "mlflow_callback.py": "mlflow",
    "wandb_callback.py": "wandb",
}
SAVED = {
    "plain_function.py": [],
    "torch_loop.py": ["checkpoint.pt", "weights.pt"],
    "lightning_fit.py": ["best.ckpt"],
    "hugging_face.py": ["config.json", "model.safetensors", "training_args.bin"],
    "scikit_learn.py": ["pipeline.skops"],
    "shell_script.toml": ["model.txt"],
    "two_objectives.py": ["pareto_front.json"],
}


def test_every_example_is_in_the_readme_and_tested() -> None:
    there = {path.name for path in (ROOT / "examples").iterdir() if path.is_file()}
    assert there - {"README.md"} == {*SAVED, *TRACKED, "shell_script.sh", "notebook.ipynb"}
    assert "[notebook.ipynb](notebook.ipynb)" in README
    elsewhere = {"README.md", "shell_script.sh", "plain_function.py", "notebook.ipynb"}
    for name in there - elsewhere:
        assert sum(f"examples/{name}" in command for command in COMMANDS) == 1, name


def result_of(command: str, n_trials: int, studies: Path, **variables: str) -> dict[str, Any]:
    """What a command of the README prints with `--json`, on two CPU workers, with few trials."""
    options = f"--gpus none --workers 2 --n-trials {n_trials} --json"
    words = shlex.split(f"{command} {options} --studies-dir {shlex.quote(str(studies))}")
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "journal_launcher", *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path, **variables},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


@pytest.mark.parametrize("name", SAVED)
def test_an_example_runs_as_written(name: str, tmp_path: Path) -> None:
    (command,) = (c for c in COMMANDS if f"examples/{name}" in c and "--callback" not in c)
    result = result_of(command, 3, tmp_path, HF_HUB_OFFLINE="1")
    assert result["n_finished"] == 3 and result["n_failed"] == 0
    model = Path(result["model_path"])
    assert sorted(path.name for path in model.glob("*")) == SAVED[name]
    assert not any((ROOT / "examples").glob("optuna_studies"))


def test_the_cells_of_the_notebook_run_in_their_order(tmp_path: Path) -> None:
    """As a kernel runs them, but for the kernel: in `__main__`, which is no file."""
    cells = json.loads((ROOT / "examples/notebook.ipynb").read_text())["cells"]
    assert all(not cell.get("outputs") for cell in cells)
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    ended = subprocess.run(
        [sys.executable, "-c", code.replace("n_trials=10", 'n_trials=3, gpus="none", workers=2')],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    studies = tmp_path / "optuna_studies"
    best = json.loads((studies / "from_a_notebook/best_model/parameters.json").read_text())
    assert best.keys() == {"learning_rate", "max_leaf_nodes"}
    assert (studies / "from_a_notebook.html").exists()
