"""`init`: what it writes runs as it is, and nothing that lies there is touched."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from journal_launcher.__main__ import main

ROOT = Path(__file__).parents[2]
FILES = ("study.toml", "example.py")


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-P", "-m", "journal_launcher", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def test_what_it_writes_runs_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("init").returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
    ended = run("run", "--config", "study.toml", "--gpus", "none", "--workers", "2", "--json")
    assert ended.returncode == 0, ended.stderr
    result = json.loads(ended.stdout)
    assert result["n_finished"] == 20
    saved = json.loads((Path(result["model_path"]) / "params.json").read_text())
    assert saved == result["best_trial"]["params"]
    assert "pruned" in ended.stderr  # the example shows pruning at work


@pytest.mark.parametrize("there", FILES)
def test_nothing_is_overwritten(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    there: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / there).symlink_to("nowhere")
    with pytest.raises(SystemExit) as caught:
        main(["init"])
    assert caught.value.code == 2
    printed = capsys.readouterr().err
    assert f"error: {tmp_path / there} exists" in printed and printed.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == [there]


def test_a_removed_current_directory_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(SystemExit) as caught:
        main(["init"])
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("error: the current directory was removed; cd ")


def test_a_slurm_job_is_written_that_a_shell_can_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wrote = run("init", "--slurm")
    assert wrote.returncode == 0 and wrote.stderr == "try: sbatch study.sbatch\n"
    assert [path.name for path in tmp_path.iterdir()] == ["study.sbatch"]
    assert subprocess.run(["bash", "-n", "study.sbatch"]).returncode == 0
    text = (tmp_path / "study.sbatch").read_text()
    assert text.startswith("#!/bin/bash\n") and "run --engine slurm" in text
    refused = run("init", "--slurm")
    assert refused.returncode == 2 and "study.sbatch exists" in refused.stderr


def test_outside_a_slurm_job_the_engine_is_refused_with_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert run("init").returncode == 0
    refused = run("run", "--config", "study.toml", "--engine", "slurm")
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1
    assert "journal-launcher init --slurm && sbatch study.sbatch" in refused.stderr
    assert not (tmp_path / "optuna_studies").exists()
