"""One worker process: what it is told, and on which descriptors."""

import contextlib
import os
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from launcher.harness import ROOT, wait_until

from journal_launcher.base.errors import JournalLauncherError, UsageError
from journal_launcher.base.messages import Bye, Refit
from journal_launcher.devices.choose import CPU
from journal_launcher.launcher.engine import WorkerSpec
from journal_launcher.launcher.engines import local as process_module
from journal_launcher.launcher.engines.local import LocalProcess
from journal_launcher.launcher.pool import WorkerPool

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
# A worker with a child, neither of which ends by itself or by a signal that can be ignored.
STUBBORN = """
import signal, subprocess, time
from pathlib import Path
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
subprocess.Popen(["sleep", "1000"])
Path("started").touch()
time.sleep(1000)
"""
# Blocks SIGTERM, so that it stays to be seen, and has a child that does so too.
FORKS = """
import os, signal, time
from pathlib import Path
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
child = os.fork()
if child:
    Path("part").write_text(str(child))
    os.rename("part", "child")
time.sleep(1000)
"""
# Runs in a process whose descriptors above 2 are all free.
LOW = """
import os, sys
from pathlib import Path
from journal_launcher.launcher.pool import WorkerPool
from journal_launcher.base.messages import Bye, Refit
from journal_launcher.devices.choose import CPU
from journal_launcher.launcher.engine import WorkerSpec
from journal_launcher.launcher.engines.local import LocalProcess
from journal_launcher.launcher.engines import local
local.WORKER_PROGRAM = Path("worker.py")
spec = WorkerSpec(0, CPU, 1, dict(os.environ))
worker = LocalProcess(spec, "launch", Path("0.log"))
worker.send(Refit(None, "heard"))
os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
assert worker.reap(10) == 0, Path("0.log").read_text()
"""


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkerPool]:
    """One worker that runs `worker.py`, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(process_module, "WORKER_PROGRAM", tmp_path / "worker.py")
    spec = WorkerSpec(0, CPU, 1, dict(os.environ))
    made = WorkerPool([spec], lambda spec: LocalProcess(spec, "launch", tmp_path / "0.log"))
    yield made
    assert made.close() == []


def test_a_message_larger_than_the_pipe_arrives_whole_and_keeps_nobody_waiting(
    pool: WorkerPool, tmp_path: Path
) -> None:
    (tmp_path / "worker.py").write_text(SLOW)
    worker = pool.start(pool.slots[0])
    for size in (2_000_000, 10):
        worker.send(Refit(None, "c" * size))
    assert worker.unsent, "it waits here and not in the call"
    (tmp_path / "go").touch()
    wait_until(lambda: pool.wait(0.05) or not worker.unsent)
    lengths = tmp_path / "lengths"
    wait_until(lambda: lengths.exists() and len(lengths.read_text().split()) == 2)
    first, second = map(int, lengths.read_text().split())
    assert first - second == 2_000_000 - 10


def test_a_long_message_costs_no_copy_of_its_rest_with_each_write(
    pool: WorkerPool, tmp_path: Path
) -> None:
    (tmp_path / "worker.py").write_text(SLOW)
    worker = pool.start(pool.slots[0])
    (tmp_path / "go").touch()
    before = time.process_time()
    worker.send(Refit(None, "c" * 40_000_000))
    wait_until(lambda: pool.wait(0.05) or not worker.unsent)
    assert time.process_time() - before < 1.0, "it was copied six hundred times"


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
            worker = LocalProcess(spec, "launch", tmp_path / "7.log")
        except JournalLauncherError as error:
            said.append(str(error))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(said) > 5
    assert all("worker 7 cannot be started: Too many open files" in line for line in said)
    assert worker.reap(10) is not None
    assert descriptors() == before


def members(worker: LocalProcess) -> dict[str, psutil.Process]:
    """The living processes of its group: the worker, its child and the guard."""
    found = {}
    for pid in psutil.pids():
        with contextlib.suppress(ProcessLookupError, psutil.Error):
            process = psutil.Process(pid)
            if os.getpgid(pid) == worker.pid and process.status() != psutil.STATUS_ZOMBIE:
                found["worker" if pid == worker.pid else process.name()] = process
    return found


def ignored(process: psutil.Process) -> int:
    """Its mask of ignored signals."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("SigIgn")), 16)


@pytest.fixture
def stubborn(pool: WorkerPool, tmp_path: Path) -> Iterator[LocalProcess]:
    (tmp_path / "worker.py").write_text(STUBBORN)
    worker = pool.start(pool.slots[0])
    wait_until((tmp_path / "started").exists)
    assert sorted(members(worker)) == ["sh", "sleep", "worker"]
    yield worker
    with contextlib.suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)


def test_kill_ends_the_whole_group_where_the_guard_is_gone(stubborn: LocalProcess) -> None:
    members(stubborn)["sh"].kill()
    wait_until(lambda: sorted(members(stubborn)) == ["sleep", "worker"])
    stubborn.kill()
    wait_until(lambda: members(stubborn) == {})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_the_whole_group_leaves_the_guard_to_end_it(
    stubborn: LocalProcess, number: signal.Signals
) -> None:
    """As a batch system sends it: those who ignore it must still end with the parent."""
    guard = members(stubborn)["sh"]
    wait_until(lambda: bool(ignored(guard) & 1 << signal.SIGHUP - 1))  # set with the others
    os.killpg(stubborn.pid, number)
    assert sorted(members(stubborn)) == ["sh", "sleep", "worker"]
    os.close(stubborn._lifeline)
    stubborn._lifeline = os.open(os.devnull, os.O_RDONLY)  # the parent's end is closed once more
    wait_until(lambda: members(stubborn) == {})


def test_reaping_waits_no_longer_than_it_was_told_and_closes_everything(
    pool: WorkerPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that a driver holds outlives SIGKILL; here nobody sends it in time."""
    (tmp_path / "worker.py").write_text("import time\ntime.sleep(1000)\n")
    before = set(os.listdir("/proc/self/fd"))
    worker = pool.start(pool.slots[0])
    late = threading.Timer(10, worker.kill)
    late.start()
    with monkeypatch.context() as patch:
        patch.setattr(worker, "kill", lambda: None)
        assert pool.reap(pool.slots[0], 0.05) is None
    late.cancel()
    assert set(os.listdir("/proc/self/fd")) == before
    worker.kill()
    assert worker._process.wait(20) == -signal.SIGKILL


def test_a_message_to_a_worker_that_is_gone_is_no_error(pool: WorkerPool, tmp_path: Path) -> None:
    (tmp_path / "worker.py").write_text("import time\ntime.sleep(1000)\n")
    worker = pool.start(pool.slots[0])
    readers = select.poll()
    readers.register(worker.out_descriptor, 0)
    worker.kill()
    assert readers.poll(20_000), "nobody reads any more, the guard neither"
    worker.send(Bye())
    assert worker.unsent == b""


def test_only_the_worker_is_asked_to_stop(pool: WorkerPool, tmp_path: Path) -> None:
    """What it started is its own to end: a script of a trial, say, with its grace."""
    (tmp_path / "worker.py").write_text(FORKS)
    worker = pool.start(pool.slots[0])
    wait_until((tmp_path / "child").exists)
    worker.ask_to_stop()
    child = int((tmp_path / "child").read_text())
    assert [is_asked(pid) for pid in (worker.pid, child)] == [True, False]


def is_asked(pid: int) -> bool:
    """Does a SIGTERM wait for a process that blocks it?"""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    (waiting,) = (line.split()[1] for line in status if line.startswith("ShdPnd"))
    return bool(int(waiting, 16) >> (signal.SIGTERM - 1) & 1)


def test_a_log_that_is_a_link_is_refused(pool: WorkerPool, tmp_path: Path) -> None:
    (tmp_path / "0.log").symlink_to(tmp_path / "theirs")
    with pytest.raises(UsageError, match="expected a plain file, found a symbolic link"):
        pool.start(pool.slots[0])
    assert not (tmp_path / "theirs").exists()


def test_a_folder_that_is_removed_while_a_worker_starts_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mkdir = Path.mkdir
    folder = tmp_path / "workers"
    removals = iter(range(3))

    def mkdir_then_lose(self: Path, *args: Any, **options: Any) -> None:
        mkdir(self, *args, **options)
        if self == folder and next(removals, None) is not None:
            folder.rmdir()

    monkeypatch.setattr(Path, "mkdir", mkdir_then_lose)
    (tmp_path / "worker.py").write_text("print('here', flush=True)\n")
    monkeypatch.setattr(process_module, "WORKER_PROGRAM", tmp_path / "worker.py")
    worker = LocalProcess(WorkerSpec(0, CPU, 1, dict(os.environ)), "launch", folder / "0.log")
    assert next(removals, None) is None
    wait_until(lambda: worker.log.read_text() == "here\n")
    worker.kill()
    worker.reap(20)


def test_the_guards_shell_and_the_pipes_do_not_meet(tmp_path: Path) -> None:
    """The shell keeps its own pipe as descriptor 3."""
    (tmp_path / "worker.py").write_text(
        "import json, sys\n"
        "line = open(int(sys.argv[1])).readline()\n"
        "assert json.loads(line)['staging'] == 'heard'\n"
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
