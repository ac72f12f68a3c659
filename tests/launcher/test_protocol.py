"""Parent and worker of different versions: neither waits for what the other never says."""

import os

import pytest
from launcher.harness import Workshop, wait_until

from journal_launcher import __version__
from journal_launcher.base.channel import Channel
from journal_launcher.base.errors import JournalLauncherError
from journal_launcher.base.messages import Failed, FromWorker, Open, Spec
from journal_launcher.devices.choose import CPU
from journal_launcher.launcher.engine import WorkerProcess, WorkerSpec
from journal_launcher.launcher.engines import local
from journal_launcher.launcher.engines.local import LocalEngine
from journal_launcher.settings.launch_settings import LaunchSettings

OBJECTIVE = """
def objective(trial):
    return 0.0
"""
# Instead of "prepared" it says the same in another word, as a later version might.
LATER = """
import json, sys
with open(int(sys.argv[1])) as heard, open(int(sys.argv[2]), "w") as said:
    spec = json.loads(next(heard))
    answer = {"v": 1, "program": "9.8.7", "launch": spec["launch"], "worker": spec["worker"]}
    said.write(json.dumps({**answer, "type": "preprd", "content": {}}) + "\\n")
    said.flush()
    heard.read()
"""


def test_a_launch_ends_when_a_worker_says_what_it_does_not_know(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop.write(OBJECTIVE)
    (workshop.folder / "later.py").write_text(LATER)
    monkeypatch.setattr(local, "WORKER_PROGRAM", workshop.folder / "later.py")
    with pytest.raises(JournalLauncherError) as caught:
        workshop.launch()
    assert str(caught.value) == (
        "worker 0: expected a known message, found the type 'preprd'; this end runs "
        f"journal_launcher {__version__}, the other 9.8.7: type the same command again"
    )
    assert not workshop.paths.journal.exists()


@pytest.fixture
def worker(workshop: Workshop) -> WorkerProcess:
    """A worker that has its spec, and waits to be told more."""
    workshop.write(OBJECTIVE)
    settings = LaunchSettings(objective=workshop.reference).to_json()
    spec = WorkerSpec(0, CPU, 1, dict(os.environ))
    process = LocalEngine().start(spec, "launch", workshop.folder / "0.log")
    folder = str(workshop.paths.folder)
    process.send(Spec(settings, folder, "study", "CPU", None, 1, prepare=False))
    return process


def said_at_last(process: WorkerProcess) -> list[FromWorker]:
    wait_until(process.has_exited, 60)
    said = process.receive()
    assert process.reap(10) == 1
    return said


def test_a_worker_ends_when_it_is_told_what_it_does_not_know(worker: WorkerProcess) -> None:
    line = Channel("launch", 0).encode(Open({}, 0)).replace(b'"open"', b'"opne"')
    os.write(worker.out_descriptor, line.replace(__version__.encode(), b"9.8.7"))
    (failed,) = said_at_last(worker)
    assert isinstance(failed, Failed) and failed.traceback is None
    assert failed.message == (
        "worker 0: expected a known message, found the type 'opne'; this end runs "
        f"journal_launcher {__version__}, the other 9.8.7: type the same command again"
    )


def test_a_worker_ends_when_it_is_told_something_at_the_wrong_time(worker: WorkerProcess) -> None:
    worker.send(Spec({}, "", "study", "CPU", None, 1, prepare=False))
    (failed,) = said_at_last(worker)
    assert isinstance(failed, Failed) and failed.traceback is None
    assert failed.message.startswith("expected another message, found 'spec'")
