"""The first sessions of docs/machines.md, typed on a server and a cluster of the tests."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from launcher.harness import FAKES, ROOT, wait_until
from slurm.cluster import running_cluster
from ssh.server import reachable, running_server

pytestmark = pytest.mark.slow
PAGE = (ROOT / "docs" / "machines.md").read_text()
SESSIONS = re.findall(r"^```console\n(.*?)^```", PAGE, flags=re.M | re.S)
GPU = {"uuid": "GPU-00000000-0000-4000-8000-000000000000", "name": "NVIDIA H100"}


def typed(session: str) -> list[tuple[str, str]]:
    """(command, what it prints by the page)."""
    found = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", session, flags=re.M)
    assert found
    return found


def command_of(folder: Path) -> Path:
    """A folder with the command as an installed one."""
    folder.mkdir()
    command = folder / "journal-launcher"
    python = shlex.join([sys.executable, "-P", "-m", "journal_launcher"])
    command.write_text(f'#!/bin/sh\nexec {python} "$@"\n')
    command.chmod(0o755)
    return folder


def play(session: str, folder: Path, environment: dict[str, str]) -> str:
    """Type its commands in the folder; everything that was printed.

    What it shows of a file is the file, unless a command before has written it.
    """
    said = ""
    for command, shown in typed(session):
        shows = re.fullmatch(r"cat (\w+\.py)", command)
        if shows:
            (folder / shows[1]).write_text(shown)
        done = subprocess.run(
            command,
            shell=True,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=150,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}"
        said += done.stdout
        if command.startswith("sbatch"):
            wait_until(lambda: not _queued(environment), 150)
    return said


def _queued(environment: dict[str, str]) -> str:
    asked = ["squeue", "--noheader"]
    return subprocess.run(asked, env=environment, check=True, capture_output=True, text=True).stdout


def check_ends(session: str, said: str) -> None:
    """Every study of the session has ended as the page says."""
    ends = re.findall(r"^\w+ done: .* trials finished", session, flags=re.M)
    assert ends and all(end in said for end in ends), said


def test_the_one_with_ssh(tmp_path: Path) -> None:
    (session,) = (one for one in SESSIONS if "--hosts" in one)
    project = tmp_path / "project"
    project.mkdir()
    with running_server() as server, reachable(server, tmp_path, {"a": {}, "b": {}}) as user:
        path = f"{command_of(tmp_path / 'installed')}:{user['PATH']}"
        environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
        check_ends(session, play(session, project, environment))


def test_the_one_with_slurm(tmp_path: Path) -> None:
    (session,) = (one for one in SESSIONS if "sbatch" in one)
    project = tmp_path / "project"
    project.mkdir()
    (tmp_path / "libcuda.so.1").write_text("no library: a driver would miss these GPUs")
    with running_cluster() as cluster:
        path = f"{command_of(tmp_path / 'installed')}:{os.environ['PATH']}"
        environment = {
            **os.environ,
            **cluster.environment,
            "PATH": path,
            "PYTHONPATH": os.pathsep.join([str(FAKES), str(ROOT)]),
            "FAKE_NVML": json.dumps({"gpus": [GPU]}),
            "LD_LIBRARY_PATH": str(tmp_path),
        }
        said = play(session, project, environment)
        wait_until(cluster.is_empty, 30)
    check_ends(session, said)
    assert "8 of 8 trials finished" in said
