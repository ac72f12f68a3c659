"""Many workers: the study is exact, and a trial costs the parent what it costs with few.

The parent is real; its workers only speak (benchmarks/simulated_workers.py).
"""

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from launcher.harness import ROOT, Workshop

from journal_launcher.base import channel, messages
from journal_launcher.launcher import journal_service
from journal_launcher.launcher.engines.local import LocalProcess
from journal_launcher.study import tally

WORKERS, TRIALS = 20, 200


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """benchmarks/scale.py, which imports its neighbour by name."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    spec = importlib.util.spec_from_file_location("scale", ROOT / "benchmarks" / "scale.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "scale", module)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("simulated_workers")


class Work:
    """How often the parent did what costs it most."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.received: list[int] = []  # messages, at each look for some
        self.counted = self.quoted = 0
        receive, count, quote = LocalProcess.receive, tally._count, journal_service.quoted

        def receiving(process: LocalProcess) -> list[messages.FromWorker]:
            found = receive(process)
            self.received.append(len(found))
            return found

        def counting(trials: Any) -> tuple[int, int]:
            self.counted += len(trials)
            return count(trials)

        def quoting(text: str) -> bytes:
            self.quoted += len(text)
            return quote(text)

        monkeypatch.setattr(LocalProcess, "receive", receiving)
        monkeypatch.setattr(tally, "_count", counting)
        monkeypatch.setattr(journal_service, "quoted", quoting)


@pytest.mark.parametrize("through_parent", [False, True], ids=["the file", "the parent"])
def test_twenty_workers_are_exact_and_cost_no_more_than_what_they_say(
    workshop: Workshop, bench: ModuleType, monkeypatch: pytest.MonkeyPatch, through_parent: bool
) -> None:
    workshop.write("def objective(trial): raise NotImplementedError")
    work = Work(monkeypatch)
    monkeypatch.setattr("os.fsync", lambda descriptor: None)  # thousands, one after the other
    with bench.installed(through_parent=through_parent):
        assert workshop.launch(n_trials=TRIALS, workers=WORKERS).exit_code == 0
    found = bench.study_of(workshop.paths.journal)
    assert found == {"complete": TRIALS, "other": 0, "workers": WORKERS}
    assert [trial.number for trial in workshop.trials()] == list(range(TRIALS))
    assert work.received.count(0) <= 4 * WORKERS, "who has said nothing is not asked"
    assert work.counted == TRIALS, "each trial once, when it has ended"
    assert work.quoted <= (1.2 if through_parent else 0) * workshop.paths.journal.stat().st_size


@pytest.mark.slow
@pytest.mark.parametrize("way", [False, True], ids=["the file", "the parent"])
@pytest.mark.parametrize("seconds", [0.0, 3.0])
def test_a_hundred_workers_are_exact(bench: ModuleType, way: bool, seconds: float) -> None:
    line = bench.run(100, 2000, way, seconds, False)
    print(line)
    assert line.split("|")[3].strip() == "yes"


# --- what a worker that reaches the journal through its parent is told


class Asking:
    """A worker's process, which keeps what it is sent."""

    def __init__(self) -> None:
        self.offset = 0
        self.text = ""
        self.more = True

    def send(self, message: messages.Records, lines: bytes = b"") -> None:
        encoded = channel.Channel("launch", 0).encode(message, lines)
        found = channel.Channel("launch", 0).decode(encoded, messages.FromParent)
        assert isinstance(found, messages.Records) and len(encoded.splitlines()) == 1
        self.text += found.lines
        self.offset, self.more = found.offset, found.more


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "study.log"


class Written:
    """A journal of which only this test appends."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        path.write_bytes(b"")

    def append_logs(self, records: list[dict[str, Any]]) -> None:
        with open(self.path, "ab") as file:
            file.writelines(record["line"] for record in records)


def append(service: Any, process: Asking, *lines: bytes) -> None:
    records = [{"line": line} for line in lines]
    service.take(process, messages.Append(1, process.offset, records))
    service.answer()


def read(service: Any, process: Asking) -> None:
    service.take(process, messages.Read(1, process.offset))
    service.answer()


LINES = [
    b'{"op_code":4,"text":"say \\"hi\\""}\n',
    b'{"\xc3\xa9":"\xff is no text","lines":""}\n',
    b"a line\x0bwith\x1cother\xc2\x85ends\r\n",
    b"x" * 400 + b"\n",
]


@pytest.mark.parametrize("most", [1 << 20, 300])
def test_everybody_is_told_every_line_once_however_late_they_ask(
    journal: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(journal_service, "_MOST", most)
    written: Any = Written(journal)
    service = journal_service.JournalService(written)
    workers = [Asking() for _ in range(4)]
    for turn in range(40):
        append(service, workers[0], LINES[turn % 4], LINES[(turn + 1) % 4])
        for each, worker in enumerate(workers[:3]):
            if turn % (1 + 5 * each) == 0:
                read(service, worker)
    for worker in workers:
        worker.more = True
        while worker.more:
            read(service, worker)
        text = journal.read_bytes().decode(errors="surrogateescape")
        assert (worker.text, worker.offset) == (text, journal.stat().st_size)


def test_a_line_is_quoted_once_for_all_who_keep_up(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: Any = Written(journal)
    service = journal_service.JournalService(written)
    workers = [Asking() for _ in range(50)]
    for worker in workers:
        read(service, worker)
    quoted: list[str] = []
    original = journal_service.quoted
    monkeypatch.setattr(
        journal_service, "quoted", lambda text: quoted.append(text) or original(text)
    )
    for line in LINES:
        append(service, workers[0], line)
        for worker in workers:
            read(service, worker)
    assert len(quoted) == len(LINES)


def test_a_line_without_its_end_is_told_when_it_has_one(journal: Path) -> None:
    written: Any = Written(journal)
    service = journal_service.JournalService(written)
    worker = Asking()
    append(service, worker, b"first\n", b"sec")
    read(service, worker)
    assert worker.text == "first\n"
    append(service, worker, b"ond\n")
    assert worker.text == "first\nsecond\n"


def test_of_a_journal_that_was_cut_nothing_old_is_told(journal: Path) -> None:
    written: Any = Written(journal)
    service = journal_service.JournalService(written)
    worker = Asking()
    read(service, worker)
    append(service, worker, b"a longer line\n")
    journal.write_bytes(b"short\n")
    other = Asking()
    read(service, other)
    assert json.dumps(other.text) == '"short\\n"'
