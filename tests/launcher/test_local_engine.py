"""One worker process: what it is told, and on which descriptors."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from launcher.harness import ROOT, wait_until

from journal_launcher.base.errors import JournalLauncherError
from journal_launcher.devices.choose import CPU
from journal_launcher.launcher.engines import local as process_module
from journal_launcher.launcher.engines.local import WorkerProcess, WorkerSpec
from journal_launcher.launcher.pool import Crew

# A worker that begins to read when it is told, and notes how long the lines are.
SLOW = """
import sys, time
from pathlib import Path
while not Path("go").exists():
    time.sleep(0.005)
with open(int(sys.argv[1])) as messages:
    for line in messages:
        with open("lengths", "a") as lengths:
            lengths.write(f"{len(line)}\\n")
"""
# Runs in a process whose descriptors above 2 are all free.
LOW = """
import os, sys
from pathlib import Path
from journal_launcher.launcher.pool import Crew
from journal_launcher.devices.choose import CPU
from journal_launcher.launcher.engines.local import WorkerProcess, WorkerSpec
from journal_launcher.launcher.engines import local
local.WORKER_PROGRAM = Path("worker.py")
spec = WorkerSpec(0, CPU, 1, dict(os.environ))
worker = WorkerProcess(spec, "launch", Path("0.log"))
worker.send("spec", text="heard")
os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
assert worker.reap(10) == 0, Path("0.log").read_text()
"""


@pytest.fixture
def crew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Crew]:
    """One worker that runs `worker.py`, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(process_module, "WORKER_PROGRAM", tmp_path / "worker.py")
    spec = WorkerSpec(0, CPU, 1, dict(os.environ))
    made = Crew([spec], lambda spec: WorkerProcess(spec, "launch", tmp_path / "0.log"))
    yield made
    assert made.close() == []


def test_a_message_larger_than_the_pipe_arrives_whole_and_keeps_nobody_waiting(
    crew: Crew, tmp_path: Path
) -> None:
    (tmp_path / "worker.py").write_text(SLOW)
    worker = crew.start(crew.slots[0])
    for size in (2_000_000, 10):
        worker.send("open", classes="c" * size)
    assert worker.unsent, "it waits here and not in the call"
    (tmp_path / "go").touch()
    wait_until(lambda: crew.wait(0.05) or not worker.unsent)
    lengths = tmp_path / "lengths"
    wait_until(lambda: lengths.exists() and len(lengths.read_text().split()) == 2)
    first, second = map(int, lengths.read_text().split())
    assert first - second == 2_000_000 - 10


def test_a_worker_that_cannot_be_started_is_one_line_and_leaves_no_descriptor(
    tmp_path: Path,
) -> None:
    def descriptors() -> set[str]:
        return set(os.listdir("/proc/self/fd"))

    spec = WorkerSpec(7, CPU, 1, dict(os.environ))
    before, (soft, hard) = descriptors(), resource.getrlimit(resource.RLIMIT_NOFILE)
    said: list[str] = []
    worker = None
    while worker is None:  # one step after the other meets the limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (11 + len(said), hard))
        try:
            worker = WorkerProcess(spec, "launch", tmp_path / "7.log")
        except JournalLauncherError as error:
            said.append(str(error))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(said) > 5
    assert all("worker 7 cannot be started: Too many open files" in line for line in said)
    assert worker.reap(10) is not None
    assert descriptors() == before


def test_the_guards_shell_and_the_pipes_do_not_meet(tmp_path: Path) -> None:
    """The shell keeps its own pipe as descriptor 3."""
    (tmp_path / "worker.py").write_text(
        "import json, sys\n"
        "line = open(int(sys.argv[1])).readline()\n"
        "assert json.loads(line)['text'] == 'heard'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", LOW],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
