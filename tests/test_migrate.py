"""docs/migrate.md is true: the scripts before run on stock Optuna, those after go on with them."""

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs/migrate.md").read_text()
SECTIONS = dict(re.findall(r"^## ([^\n]+)\n(.+?)(?=^## |\Z)", TEXT, flags=re.MULTILINE | re.DOTALL))
SQLITE, QUEUE, TWICE, _ = SECTIONS
DEVICES = """
import os

def train(lr, layers, device):
    with open("devices", "a") as file:
        file.write(f"{os.getpid()} {device}\\n")
    return -((lr - 0.01) ** 2) - layers
"""

PYTHON = shlex.quote(sys.executable)


def blocks(section: str, kind: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.+?)^```$", SECTIONS[section], re.MULTILINE | re.DOTALL)
    return [content for language, content in found if language == kind]


def side(diff: str, sign: str) -> str:
    lines = [line for line in diff.splitlines() if not line or line[0] in (" ", sign)]
    return "".join(f"{line[1:]}\n" for line in lines)


def shell(folder: Path, line: str) -> str:
    """Run one line as the document has it, without a GPU and with small numbers."""
    line = re.sub(r"^journal-launcher", lambda _: f"{PYTHON} -P -m journal_launcher", line)
    line = re.sub(r"\bpython\b(?= tune)", lambda _: PYTHON, line)
    line += " --gpus none --workers 2 --json" if " run " in line else ""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    ended = subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(DEVICES)
    return tmp_path


def write(folder: Path, section: str, sign: str) -> None:
    (folder / "tune.py").write_text(side(blocks(section, "diff")[0], sign))


def trials_of(folder: Path, name: str) -> list[optuna.trial.FrozenTrial]:
    journal = str(folder / "optuna_studies" / f"{name}.log")
    storage = JournalStorage(JournalFileBackend(journal))
    return optuna.load_study(study_name=name, storage=storage).trials


def test_a_stock_script_with_sqlite_goes_on_with_its_trials(folder: Path) -> None:
    write(folder, SQLITE, "-")
    shell(folder, "python tune.py")
    write(folder, SQLITE, "+")
    first, second = blocks(SQLITE, "")[0].splitlines()
    assert "50 COMPLETE" in shell(folder, first)
    result = json.loads(shell(folder, second))
    assert result["n_finished"] == 100
    assert len({trial.user_attrs.get("jl_worker") for trial in trials_of(folder, "digits")}) == 3
    assert json.loads(shell(folder, second))["n_finished"] == 100  # again: nothing is added


def test_a_queue_of_gpus_is_no_longer_needed(folder: Path) -> None:
    write(folder, QUEUE, "-")
    shell(folder, "python tune.py")
    assert "cuda:1" in (folder / "devices").read_text()
    (folder / "devices").unlink()
    write(folder, QUEUE, "+")
    (line,) = blocks(QUEUE, "")[0].splitlines()
    assert json.loads(shell(folder, line))["n_finished"] == 50
    ran = [line.split() for line in (folder / "devices").read_text().splitlines()]
    assert {device for _, device in ran} == {"cuda"} and len({pid for pid, _ in ran}) == 2


def test_one_start_replaces_two(folder: Path) -> None:
    write(folder, TWICE, "-")
    before, after = (side(blocks(TWICE, "diff")[1], sign) for sign in "-+")
    shell(folder, before)
    write(folder, TWICE, "+")
    shell(folder, blocks(TWICE, "")[0])
    assert len(trials_of(folder, "digits")) == 50
    script = folder / "tune.py"
    script.write_text(script.read_text().replace("n_trials=50", "n_trials=60"))
    assert set(ast.literal_eval(shell(folder, after))) == {"lr", "layers"}
    assert len(trials_of(folder, "digits")) == 60
