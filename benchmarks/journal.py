"""Measure the journal against stock Optuna and a bare fsync on the same disk; print a table.

    python benchmarks/journal.py [--folder DIR] [--lines N]

Latencies are of one append of 300 bytes. The kinds take turns in short rounds, so that a disk or a
machine that is busy for a while treats them all alike.
"""

import argparse
import json
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from journal_launcher import DurableJournalFileBackend
from journal_launcher.study.journal import replaying
from journal_launcher.study.lock import JournalLock

WORKER = "0a1b2c3d-0000-0000-0000-000000000000-140000000000000"
RECORD = {"op_code": 2, "worker_id": WORKER, "study_id": 0, "user_attr": {"key": "x" * 200}}
BACKENDS: dict[str, Any] = {"stock": JournalFileBackend, "ours": DurableJournalFileBackend}
LOCKS: dict[str, Any] = {"stock": JournalFileSymlinkLock, "ours": JournalLock}
KINDS = ("bare fsync", "stock", "ours")
SECONDS_PER_ROUND, ROUNDS = 0.5, 6


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[int(share * (len(values) - 1))]


@contextmanager
def forked(work: Callable[[int], Any]) -> Iterator[tuple[int, int]]:
    """Run `work(pipe to the parent)` in a child: its process id and the pipe to read from."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        try:
            work(writing)
        finally:
            os._exit(0)
    os.close(writing)
    try:
        yield process, reading
    finally:
        os.close(reading)
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)


def answer(reading: int) -> Any:
    """What a child wrote before it closed its pipe."""
    with open(reading, closefd=False) as pipe:
        return json.load(pipe)


def appender(kind: str, folder: Path, writer: int) -> Callable[[], object]:
    if kind != "bare fsync":
        backend = BACKENDS[kind](str(folder / f"{kind}.log"))
        return lambda: backend.append_logs([RECORD])
    descriptor = os.open(folder / f"bare{writer}", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    line = json.dumps(RECORD).encode() + b"\n"
    return lambda: (os.write(descriptor, line), os.fsync(descriptor))


def latencies(kind: str, folder: Path, writers: int) -> list[float]:
    """Seconds of every append that `writers` processes made in one round."""
    start = time.monotonic() + 0.2

    def work(writer: int) -> Callable[[int], None]:
        def run(writing: int) -> None:
            append, taken = appender(kind, folder, writer), []
            time.sleep(max(0.0, start - time.monotonic()))
            while time.monotonic() < start + SECONDS_PER_ROUND:
                before = time.perf_counter()
                append()
                taken.append(time.perf_counter() - before)
            os.write(writing, json.dumps(taken).encode())

        return run

    children = [forked(work(writer)) for writer in range(writers)]
    pipes = [child.__enter__() for child in children]
    try:
        return [seconds for _, reading in pipes for seconds in answer(reading)]
    finally:
        for child in children:
            child.__exit__(None, None, None)


def recovery(kind: str, folder: Path) -> float:
    """Seconds from the death of a lock's holder until a waiting process has it."""
    journal = folder / f"{kind}-recovery.log"
    journal.touch()

    def hold(writing: int) -> None:
        LOCKS[kind](str(journal)).acquire()
        os.write(writing, b"1")
        time.sleep(600)

    def wait(writing: int) -> None:
        lock = LOCKS[kind](str(journal))
        lock.acquire()
        os.write(writing, repr(time.monotonic()).encode())
        lock.release()

    with forked(hold) as (holder, held):
        os.read(held, 1)
        with forked(wait) as (_, acquired):
            time.sleep(0.02)
            killed = time.monotonic()
            os.kill(holder, signal.SIGKILL)
            return float(answer(acquired)) - killed


def million_lines(journal: Path, lines: int) -> None:
    """A plain study: each trial is created, gets one parameter and ends."""
    distribution = json.dumps(
        {
            "name": "FloatDistribution",
            "attributes": {"step": None, "low": 0.0, "high": 1.0, "log": False},
        }
    )
    when = "2026-01-01T00:00:00.000000+00:00"
    with journal.open("w") as file:

        def put(operation: int, **fields: object) -> None:
            record = {"op_code": operation, "worker_id": WORKER, **fields}
            file.write(json.dumps(record, separators=(",", ":")) + "\n")

        put(0, study_name="study", directions=[1])
        for trial in range((lines - 1) // 3):
            put(4, study_id=0, datetime_start=when)
            values = {"param_name": "x", "param_value_internal": 0.5}
            put(5, trial_id=trial, **values, distribution=distribution)
            put(6, trial_id=trial, state=1, values=[0.5], datetime_complete=when)


def replay(kind: str, journal: Path, opened: bool) -> tuple[float, float]:
    """Lines per second and growth in MB of reading a journal, or of opening it as a storage."""

    def work(writing: int) -> None:
        backend = BACKENDS[kind](str(journal))
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.perf_counter()
        if opened:
            with replaying(backend) if kind == "ours" else nullcontext():
                lines = JournalStorage(backend)._replay_result.log_number_read
        else:
            lines = sum(1 for _ in backend.read_logs(0))
        seconds = time.perf_counter() - started
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024
        os.write(writing, json.dumps([lines / seconds, grown]).encode())

    with forked(work) as (_, reading):
        speed, grown = answer(reading)
        return speed, grown


def append_rows(folder: Path) -> Iterator[str]:
    yield "| append, ms: p50 / p99 / max | bare fsync | stock Optuna | journal_launcher |"
    yield "|---|---:|---:|---:|"
    for writers in (1, 4, 16):
        taken: dict[str, list[float]] = {kind: [] for kind in KINDS}
        for _ in range(ROUNDS):
            for kind in KINDS:
                taken[kind] += latencies(kind, folder, writers)
        cells = []
        for kind in KINDS:
            values = [1000 * seconds for seconds in taken[kind]]
            p50, p99 = percentile(values, 0.5), percentile(values, 0.99)
            cells.append(f"{p50:.2f} / {p99:.1f} / {max(values):.1f} ({len(values)})")
        yield f"| {writers} writers (appends) | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="on the disk to measure")
    parser.add_argument("--lines", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="journal-bench-") as name:
        folder = Path(name)
        for row in append_rows(folder):
            print(row, flush=True)
        print("\n| | stock Optuna | journal_launcher |\n|---|---:|---:|")
        ours = [1000 * recovery("ours", folder) for _ in range(100)]
        ours_text = f"p99 {percentile(ours, 0.99):.1f} ms, max {max(ours):.1f} ms (100 kills)"
        stock = recovery("stock", folder)
        print(f"| lock recovery after the holder's death | {stock:.1f} s (1 kill) | {ours_text} |")
        journal = folder / "million.log"
        million_lines(journal, arguments.lines)
        for opened, what in ((False, "read"), (True, "open as a storage")):
            cells = []
            for kind in ("stock", "ours"):
                speed, grown = replay(kind, journal, opened)
                cells.append(f"{speed:,.0f} lines/s, {grown:.0f} MB")
            print(f"| {what} {arguments.lines:,} lines | {' | '.join(cells)} |", flush=True)
        print(f"\nload {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
