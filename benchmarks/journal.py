"""Measure the journal against stock Optuna and a bare fsync on the same disk; print a table.

    python benchmarks/journal.py [--folder DIR] [--lines N]

Latencies are of one append of 300 bytes. The kinds take turns in short rounds, so that a disk or a
machine that is busy for a while treats them all alike.
"""

import argparse
import itertools
import json
import os
import random
import resource
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend, JournalFileSymlinkLock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from journal_launcher import DurableJournalFileBackend
from journal_launcher.study.journal.lock import JournalLock
from journal_launcher.study.journal.storage import open_storage

WORKER = "0a1b2c3d-0000-0000-0000-000000000000-140000000000000"
RECORD = {"op_code": 2, "worker_id": WORKER, "study_id": 0, "user_attr": {"key": "x" * 200}}
BACKENDS: dict[str, Any] = {"stock": JournalFileBackend, "ours": DurableJournalFileBackend}
LOCKS: dict[str, Any] = {"stock": JournalFileSymlinkLock, "ours": JournalLock}
KINDS = ("bare fsync", "stock", "ours")
WHEN = "2026-01-01T00:00:00.000000+00:00"
OWNER = {"launch": WORKER[:32], "worker": 0, "host": "a", "boot": WORKER[:36], "pid": 1}
SPACE = [
    distribution_to_json(distribution)
    for distribution in (
        IntDistribution(1, 3),
        CategoricalDistribution([32, 64, 128]),
        CategoricalDistribution([32, 64, 128, 256]),
        FloatDistribution(0.002, 0.03, log=True),
        FloatDistribution(0.0001, 0.1, log=True),
        FloatDistribution(0.0, 0.5),
    )
]
SECONDS_PER_ROUND, ROUNDS = 0.5, 6
REPLAYS = 3


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


def trial_records(trial: int, numbers: random.Random) -> Iterator[dict[str, Any]]:
    """What a worker of a table's study writes of one trial whose folds a pruner watches."""

    def of(operation: int, **fields: object) -> dict[str, Any]:
        return {"op_code": operation, "worker_id": WORKER, "trial_id": trial, **fields}

    def scores() -> list[float]:
        return [numbers.random() for _ in range(5)]

    create = {"op_code": 4, "worker_id": WORKER, "study_id": 0, "datetime_start": WHEN}
    yield {**create, "user_attrs": {"jl_owner": OWNER, "jl_worker": 0, "jl_device": "CPU"}}
    for index, distribution in enumerate(SPACE):
        value = numbers.random()
        name = f"parameter_{index}"
        yield of(5, param_name=name, param_value_internal=value, distribution=distribution)
    for step, score in enumerate(scores()):
        yield of(7, step=step, intermediate_value=score)
    for key in ("jl_fold_scores", "jl_train_scores"):
        yield of(8, user_attr={key: scores()})
    for key in ("jl_steps", "jl_overfit_ratio", "jl_duration_s"):
        yield of(8, user_attr={key: numbers.random()})
    yield of(6, state=1, values=[numbers.random()], datetime_complete=WHEN)


def table_study(journal: Path, lines: int) -> None:
    """A journal of so many lines as studies of tables write them: 18 for each trial."""
    numbers = random.Random(0)
    study = {"op_code": 0, "worker_id": WORKER, "study_name": "study", "directions": [1]}
    trials = itertools.chain.from_iterable(trial_records(n, numbers) for n in itertools.count())
    with journal.open("w") as file:
        for record in itertools.islice(itertools.chain([study], trials), lines):
            file.write(json.dumps(record, separators=(",", ":")) + "\n")


def count_loads(journal: Path) -> int:
    """What any reader must do at least."""
    with journal.open("rb") as file:
        return sum(1 for line in file if json.loads(line))


def count_read(backend: BaseJournalBackend) -> int:
    return sum(1 for _ in backend.read_logs(0))


def count_opened(storage: JournalStorage) -> int:
    return storage._replay_result.log_number_read


READERS: dict[tuple[str, str], Callable[[Path], int]] = {
    ("json.loads of every line", "stock"): count_loads,
    ("read", "stock"): lambda path: count_read(JournalFileBackend(str(path))),
    ("read", "ours"): lambda path: count_read(DurableJournalFileBackend(path)),
    ("open", "stock"): lambda path: count_opened(JournalStorage(JournalFileBackend(str(path)))),
    ("open", "ours"): lambda path: count_opened(open_storage(path)),
}


def replay(read: Callable[[Path], int], journal: Path) -> tuple[float, float]:
    """Lines per second, and growth of the process in MB, of one reading."""

    def work(writing: int) -> None:
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.perf_counter()
        lines = read(journal)
        seconds = time.perf_counter() - started
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024
        os.write(writing, json.dumps([lines / seconds, grown]).encode())

    with forked(work) as (_, reading):
        speed, grown = answer(reading)
        return speed, grown


def replay_rows(journal: Path, lines: int) -> Iterator[str]:
    taken: dict[tuple[str, str], list[tuple[float, float]]] = {kind: [] for kind in READERS}
    for _ in range(REPLAYS):
        for kind, read in READERS.items():
            taken[kind].append(replay(read, journal))
    yield f"\n| {lines:,} lines, medians of {REPLAYS} | stock Optuna | journal_launcher |"
    yield "|---|---:|---:|"
    for what in dict.fromkeys(what for what, _ in READERS):
        cells = []
        for kind in ("stock", "ours"):
            found = taken.get((what, kind))
            if found:
                speed, grown = (statistics.median(column) for column in zip(*found, strict=True))
            cells.append(f"{speed:,.0f} lines/s, {grown:+.0f} MB" if found else "")
        yield f"| {what} | {' | '.join(cells)} |"


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
        journal = folder / "study.log"
        table_study(journal, arguments.lines)
        for row in replay_rows(journal, arguments.lines):
            print(row, flush=True)
        print(f"\nload {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
