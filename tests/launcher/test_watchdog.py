"""A worker that does nothing is named once; one that computes or reports is not."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from journal_launcher.base.events import Note
from journal_launcher.devices.choose import CPU
from journal_launcher.launcher import watchdog
from journal_launcher.launcher.engines.local import cpu_seconds_of
from journal_launcher.launcher.slot import Work
from journal_launcher.launcher.watchdog import SilenceWatch


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(watchdog, "time", found)
    return found


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.kill()
        process.wait()


def worker(process: subprocess.Popen[bytes], heard_at: float = 0.0) -> Any:
    return SimpleNamespace(
        index=0,
        work=Work(1000.0, trial=7),
        heard_at=heard_at,
        spec=SimpleNamespace(device=CPU),
        process=SimpleNamespace(cpu_seconds=lambda: cpu_seconds_of(process.pid), log=Path("0.log")),
    )


def watch(slot: Any) -> tuple[SilenceWatch, list[Note]]:
    notes: list[Note] = []
    return SilenceWatch(SimpleNamespace(slots=[slot]), notes.append), notes  # type: ignore[arg-type]


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "600"])


def test_a_worker_that_does_nothing_is_named_once(clock: Clock, processes: list) -> None:
    processes.append(sleeper())
    looker, notes = watch(worker(processes[0]))
    for clock.now in (1000, 1060, 1119):
        looker.look()
    assert notes == []
    for clock.now in (1150, 1190, 1300):
        looker.look()
    assert [note.level for note in notes] == ["warning"]
    assert "worker 0 (CPU), trial 7: no report and no CPU used for 150 s" in notes[0].text


def test_a_refit_that_does_nothing_is_named_once(clock: Clock, processes: list) -> None:
    processes.append(sleeper())
    slot = worker(processes[0])
    slot.work = Work(1000.0, chore="the refit")
    looker, notes = watch(slot)
    for clock.now in (1000, 1060, 1150, 1300):
        looker.look()
    assert [note.level for note in notes] == ["warning"]
    assert "worker 0 (CPU), the refit: no report and no CPU used for 150 s" in notes[0].text
    assert "it has no time limit" in notes[0].text and "--trial-timeout" not in notes[0].text


def test_an_idle_worker_is_not_named(clock: Clock, processes: list) -> None:
    processes.append(sleeper())
    slot = worker(processes[0])
    slot.work = Work(1000.0)
    looker, notes = watch(slot)
    for clock.now in (1000, 1150, 1300):
        looker.look()
    assert notes == []


def test_a_worker_that_reports_is_not_named(clock: Clock, processes: list) -> None:
    processes.append(sleeper())
    slot = worker(processes[0])
    looker, notes = watch(slot)
    for clock.now in range(1000, 1600, 40):
        slot.heard_at = clock.now
        looker.look()
    assert notes == []


def test_a_worker_whose_child_computes_is_not_named(clock: Clock, processes: list) -> None:
    burn = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])"
    processes.append(subprocess.Popen([sys.executable, "-c", burn], start_new_session=True))
    looker, notes = watch(worker(processes[0]))
    try:
        for clock.now in (1000, 1060, 1130, 1200):
            used = cpu_seconds_of(processes[0].pid)
            deadline = time.monotonic() + 60
            while cpu_seconds_of(processes[0].pid) < used + 2 * watchdog.IDLE_CPU:
                assert time.monotonic() < deadline
            looker.look()
        assert notes == []
    finally:
        os.killpg(processes[0].pid, signal.SIGKILL)
