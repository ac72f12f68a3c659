"""What a worker's process must do, asked of every process that stands for one, the fake as well."""

import inspect
import os
import select
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from launcher.fake_stage import FakeProcess
from launcher.harness import wait_until

from journal_launcher.base.messages import Bye, Carry, Note, Placed, Records, Spec
from journal_launcher.base.paths import StudyPaths
from journal_launcher.devices.choose import CPU
from journal_launcher.launcher import engine
from journal_launcher.launcher.engine import WorkerProcess, WorkerSpec
from journal_launcher.launcher.engines import local
from journal_launcher.launcher.engines.carried import CarriedProcess
from journal_launcher.launcher.engines.local import LocalEngine, LocalProcess
from journal_launcher.settings.launch_settings import LaunchSettings

# A worker that says "note" for each line that it reads, and keeps a child that outlives it.
ECHO = """
import os, subprocess, sys
subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL)
print("here", flush=True)
with open(int(sys.argv[1])) as heard, open(int(sys.argv[2]), "w") as said:
    for line in heard:
        line = line.replace('"records"', '"note"').replace('"lines"', '"text"')
        said.write(line.replace('"spec"', '"request"'))
        said.flush()
"""
# The agent itself, whose worker is the one above. What it is given behind its name is not read.
AGENT = """
import sys
from pathlib import Path
from journal_launcher.launcher import agent
from journal_launcher.launcher.engines import local, scratch
local.WORKER_PROGRAM = Path({worker!r})
scratch.tempfile.tempdir = {folder!r}
agent.check_sources = lambda *_: None
agent._CPU_EVERY = 0.05
raise SystemExit(agent.main())
"""
MEMBERS = [name for name in vars(WorkerProcess) if not name.startswith("_")]


@dataclass
class Played:
    """A process, and what makes it speak; it has spoken when the call returns."""

    process: WorkerProcess
    speak: Callable[[], None]


@pytest.fixture(params=["local", "carried", "fake"])
def played(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    if request.param == "fake":
        fake = FakeProcess()
        yield Played(fake, lambda: fake.say("note", text="hello"))
        return
    (tmp_path / "echo.py").write_text(ECHO)
    monkeypatch.setattr(local, "WORKER_PROGRAM", tmp_path / "echo.py")
    spec = WorkerSpec(0, CPU, 1, dict(os.environ))
    log = tmp_path / "logs" / "0.log"
    process: WorkerProcess = LocalEngine().start(spec, "launch", log)
    if request.param == "carried":
        process.reap(10)
        process = carried(spec, log, tmp_path)

    def speak() -> None:
        process.send(Records(0, "hello", 0, False, None, None))
        assert select.select([process.messages_descriptor], [], [], 60)[0]

    yield Played(process, speak)
    if not process.has_exited():
        process.reap(10)


def carried(spec: WorkerSpec, log: Path, folder: Path) -> WorkerProcess:
    """The same worker behind an agent, which has said where it is and that it runs."""
    paths = StudyPaths(folder, "study")
    paths.directory.mkdir()
    paths.lease.write_text('{"launch": "launch"}')
    program = folder / "agent.py"
    program.write_text(AGENT.format(worker=str(folder / "echo.py"), folder=str(folder / "tmp")))
    (folder / "tmp").mkdir()
    settings = LaunchSettings(objective="pkg:f").to_json()
    client = [sys.executable, "-P", str(program)]
    process = CarriedProcess(spec, "launch", log, client, Carry("launch", {}, 0))
    process.send(Spec(settings, str(folder), "study", "CPU", None, 1, prepare=False))
    heard: list[Any] = []
    wait_until(lambda: heard.extend(process.receive()) or len(heard) == 2)
    assert isinstance(heard[0], Placed)
    return process


@pytest.mark.parametrize("kind", [LocalProcess, CarriedProcess, FakeProcess])
def test_every_member_is_there_and_is_called_the_same_way(kind: type) -> None:
    for name in MEMBERS:
        contract = inspect.getattr_static(WorkerProcess, name)
        if not isinstance(contract, property):
            found = inspect.getattr_static(kind, name)
            assert inspect.signature(found) == inspect.signature(contract), name


def test_the_engine_is_called_the_same_way() -> None:
    wanted, found = (inspect.signature(kind.start) for kind in (engine.Engine, LocalEngine))
    assert found.parameters == wanted.parameters


def test_every_attribute_has_the_type_that_the_contract_names(played: Played) -> None:
    process = played.process
    assert isinstance(process.pid, int) and isinstance(process.log, Path)
    assert isinstance(process.messages_descriptor, int)
    assert isinstance(process.exit_descriptor, int | None)
    assert isinstance(process.out_descriptor, int)
    assert process.unsent == b"" and isinstance(process.log_tail(), str)
    assert process.cpu_seconds() >= 0


def test_what_it_says_is_received_once_and_in_order(played: Played) -> None:
    heard: list[Any] = []
    played.speak()
    played.speak()
    wait_until(lambda: heard.extend(played.process.receive()) or len(heard) == 2)
    assert heard == [Note("hello")] * 2
    assert played.process.receive() == []


def test_its_end_is_told_until_it_is_collected(played: Played) -> None:
    process = played.process
    assert not process.has_exited()
    process.kill()
    wait_until(process.has_exited)
    assert process.has_exited(), "looking collects nothing"
    assert process.reap(10) == -signal.SIGKILL


def test_what_it_said_before_its_end_is_received_after_it(played: Played) -> None:
    process = played.process
    played.speak()
    process.kill()
    wait_until(process.has_exited)
    assert process.receive() == [Note("hello")]
    process.reap(10)


def test_nothing_is_an_error_after_its_end(played: Played) -> None:
    process = played.process
    process.kill()
    wait_until(process.has_exited)
    process.send(Bye())
    process.send_rest()
    for act in (process.ask_to_stop, process.dump_stacks, process.kill):
        act()
    assert process.unsent == b"" and process.receive() == []
    assert process.has_exited() and process.cpu_seconds() >= 0
    assert process.reap(10) is not None


def test_its_cpu_time_is_seen(played: Played) -> None:
    if not isinstance(played.process, FakeProcess):
        played.speak()
        wait_until(
            lambda: played.process.receive() is not None and played.process.cpu_seconds() > 0
        )


def test_collecting_ends_it(played: Played) -> None:
    assert played.process.reap(10) == -signal.SIGKILL
