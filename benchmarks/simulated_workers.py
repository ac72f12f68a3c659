"""Workers that only speak: one process holds the other ends of all their pipes.

To the parent each is a worker like any other: it is told and asked by the protocol, and records in
the journal what a trial of five parameters and three reports with `tpe` records, in as many appends
and looks. What is simulated is what it costs: no Python, Optuna or training of its own.

    with installed(through_parent=True, seconds=1.0): run_launch(...)
"""

import heapq
import json
import os
import random
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from journal_launcher.base.artifacts.identity import Identity
from journal_launcher.base.artifacts.sidecar import Sidecar
from journal_launcher.base.channel import Channel, LineBuffer
from journal_launcher.base.messages import (
    Append,
    Ended,
    Message,
    Preparation,
    Prepared,
    Read,
    Ready,
    Request,
    Scored,
    Staged,
    Started,
)
from journal_launcher.base.paths import StudyPaths
from journal_launcher.launcher import launch as launch_module
from journal_launcher.launcher.engine import WorkerSpec
from journal_launcher.launcher.engines.local import LocalProcess
from journal_launcher.study.journal.backend import DurableJournalFileBackend

CREATE_TRIAL, SET_PARAM, SET_STATE, SET_INTERMEDIATE, SET_USER, SET_SYSTEM = 4, 5, 6, 7, 8, 9
RANGE = json.dumps(
    {"name": "FloatDistribution", "attributes": dict(step=None, low=0.0, high=1.0, log=False)}
)
SIGMA = 0.8  # of the logarithm of a trial's seconds
Told = dict[str, Any]
Life = Generator["float | None", Told | None, None]
"""Yields seconds to sleep, or None to be told something."""


# --- in the parent


class SimulatedProcess(LocalProcess):
    """One of the workers; its pipes are its own, its process is that of all."""

    def __init__(self, spec: WorkerSpec, launch: str, log: Path, driver: "Driver") -> None:
        self._driver = driver
        super().__init__(spec, launch, log)

    def _popen(
        self, to_worker: int, from_worker: int, lifeline: int, output: BinaryIO
    ) -> "subprocess.Popen[bytes]":
        socket.send_fds(self._driver.control, [b"w"], [to_worker, from_worker])
        return self._driver.process


class Driver:
    """The process of all simulated workers."""

    def __init__(self, seconds: float) -> None:
        self.control, theirs = socket.socketpair()
        self.process = subprocess.Popen(
            [sys.executable, "-P", __file__, str(theirs.fileno()), str(seconds)],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])},
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
        )
        theirs.close()


class SimulatedEngine:
    """See `launcher.engine.Engine`."""

    has_agents = False
    places_known = True

    def __init__(self, through_parent: bool, seconds: float) -> None:
        self.through_parent = through_parent
        self._driver = Driver(seconds)

    def start(self, spec: WorkerSpec, launch: str, log: Path) -> SimulatedProcess:
        return SimulatedProcess(spec, launch, log, self._driver)


@contextmanager
def installed(*, through_parent: bool, seconds: float = 0.0) -> Iterator[None]:
    """Let the one launch of this block use simulated workers.

    seconds: the median of what a trial takes, of a log-normal distribution.
    """
    local = launch_module.LocalEngine
    engine = SimulatedEngine(through_parent, seconds)
    launch_module.LocalEngine = lambda given: engine  # type: ignore[assignment, misc]
    try:
        yield
    finally:
        launch_module.LocalEngine = local  # type: ignore[misc]
        engine._driver.control.close()
        engine._driver.process.kill()
        engine._driver.process.wait()


# --- in the process of the workers


class JournalFile:
    """The journal as workers of one machine have it; read once for all of them."""

    def __init__(self, path: str) -> None:
        self._backend = DurableJournalFileBackend(path, create=False)
        self._records = self._trials = 0
        self._numbers: dict[str, int] = {}  # of the last trial that a worker began

    def append(self, who: str, *records: Told) -> Generator[float | None, Told | None, None]:
        self._backend.append_logs(list(records))
        return
        yield

    def look(self) -> Generator[float | None, Told | None, None]:
        for record in self._backend.read_logs(self._records):
            self._records += 1
            if record["op_code"] == CREATE_TRIAL:
                self._numbers[record["worker_id"]] = self._trials
                self._trials += 1
        return
        yield

    def number(self, who: str) -> int:
        return self._numbers[who]


class JournalOfParent:
    """The journal of a worker that reaches it through the parent."""

    def __init__(self, worker: "Worker") -> None:
        self._worker = worker
        self._id = self._offset = self._trials = self._own = 0

    def append(self, who: str, *records: Told) -> Generator[float | None, Told | None, None]:
        self._id += 1
        self._worker.say(Append(self._id, self._offset, list(records)))
        yield from self._answered(who)

    def look(self) -> Generator[float | None, Told | None, None]:
        self._id += 1
        self._worker.say(Read(self._id, self._offset))
        yield from self._answered(self._worker.who)

    def _answered(self, who: str) -> Generator[float | None, Told | None, None]:
        while True:
            answer = yield None
            assert answer is not None and answer["id"] == self._id and answer["error"] is None
            lines = answer["lines"]
            own = lines.rfind(f'{{"op_code":{CREATE_TRIAL},"worker_id":"{who}"')
            if own >= 0:
                self._own = self._trials + lines.count('{"op_code":4,', 0, own)
            self._trials += lines.count('{"op_code":4,')
            self._offset = answer["offset"]
            if not answer["more"]:
                return
            self._id += 1
            self._worker.say(Read(self._id, self._offset))

    def number(self, who: str) -> int:
        return self._own


class Worker:
    """One worker's life, as `worker/main.py` leads it."""

    def __init__(self, incoming: int, outgoing: int, files: dict[str, JournalFile]) -> None:
        self.incoming, self._outgoing = incoming, outgoing
        self._files = files
        self._buffer = LineBuffer()
        self.waiting: list[bytes] = []
        self.over = self.asleep = False
        self.life = self._life()
        next(self.life)

    def read(self) -> None:
        chunk = os.read(self.incoming, 1 << 20)
        self.over = not chunk
        self.waiting += self._buffer.feed(chunk)

    def say(self, message: Message) -> None:
        rest = memoryview(self._channel.encode(message))
        while rest:
            rest = rest[os.write(self._outgoing, rest) :]

    def close(self) -> None:
        os.close(self.incoming)
        os.close(self._outgoing)

    def _life(self) -> Life:
        spec = yield None
        assert spec is not None
        self._channel = Channel(spec["launch"], spec["worker"])
        self.who = f"simulated-{spec['launch'][:8]}-{spec['worker']:04}"
        self._random = random.Random(spec["worker"])
        while (told := (yield None)) is not None and told["type"] == "prepare":
            identity = Identity(
                schema_version=1, kind="objective", directions=["minimize"], seed=told["seed"]
            )
            self.say(Prepared(Preparation(identity)))
        if told is None or told["type"] == "bye":
            return
        journal = self._journal(spec)
        yield from journal.look()
        self.say(Ready(None))
        self.say(Request())
        while (told := (yield None)) is not None and told["type"] != "bye":
            if told["type"] == "refit":
                self.say(Staged(Sidecar.from_json({"kind": "objective"})))
                continue
            if told["type"] == "baseline":
                self.say(Scored(None))
            else:
                yield from self._trial(spec, journal)
            self.say(Request())

    def _journal(self, spec: Told) -> JournalFile | JournalOfParent:
        if spec["through_parent"]:
            return JournalOfParent(self)
        path = str(StudyPaths(Path(spec["folder"]), spec["study"]).journal)
        if path not in self._files:
            self._files[path] = JournalFile(path)
        return self._files[path]

    def _record(self, operation: int, **content: Any) -> Told:
        return {"op_code": operation, "worker_id": self.who, **content}

    def _trial(self, spec: Told, journal: JournalFile | JournalOfParent) -> Life:
        """The records and looks of one trial, in the order in which Optuna has them."""
        owner = {"launch": spec["launch"], "worker": spec["worker"], "host": "simulated"}
        owner |= {"boot": "0" * 36, "namespace": "pid:[0]", "pid": 1, "started": 1.0}
        attributes = {"jl_owner": owner, "jl_worker": spec["worker"], "jl_device": spec["device"]}
        empty = {key: {} for key in ("distributions", "params", "system_attrs")}
        created = {"study_id": 0, "datetime_start": now(), "state": 0, "value": None}
        created |= {"values": None, **empty, "user_attrs": attributes, "intermediate_values": {}}
        yield from journal.append(self.who, self._record(CREATE_TRIAL, **created))
        for _ in range(4):
            yield from journal.look()
        number = journal.number(self.who)
        self.say(Started(number))
        begun = time.monotonic()
        params = {f"x{i}": self._random.random() for i in range(5)}
        drawn = {"tpe:relative_params:0": json.dumps(params)}
        of = {"trial_id": number}
        yield from journal.append(self.who, self._record(SET_SYSTEM, **of, system_attr=drawn))
        for name, value in params.items():
            content = {"param_name": name, "param_value_internal": value, "distribution": RANGE}
            yield from journal.append(self.who, self._record(SET_PARAM, **of, **content))
        value = sum(params.values())
        seconds = float(sys.argv[2]) * self._random.lognormvariate(0, SIGMA)
        for step in range(3):
            yield seconds / 3
            content = {"step": step, "intermediate_value": value}
            yield from journal.append(self.who, self._record(SET_INTERMEDIATE, **of, **content))
            yield from journal.look()
        taken = time.monotonic() - begun
        lasted = {"jl_duration_s": round(taken, 3)}
        yield from journal.append(self.who, self._record(SET_USER, **of, user_attr=lasted))
        yield from journal.look()
        content = {"state": 1, "values": [value], "datetime_complete": now()}
        yield from journal.append(self.who, self._record(SET_STATE, **of, **content))
        self.say(Ended(number, "COMPLETE", None, False, False, taken, False, None))


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


class Workers:
    """All of them, until each has left or the parent is gone."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)
        self._files: dict[str, JournalFile] = {}
        self._asleep: list[tuple[float, int, Worker]] = []
        self._left = 0

    def run(self) -> None:
        while True:
            until = self._asleep[0][0] - time.monotonic() if self._asleep else None
            for key, _ in self._selector.select(until and max(0.0, until)):
                if key.data is None:
                    self._admit()
                else:
                    key.data.read()
                    self._go_on(key.data)
            while self._asleep and self._asleep[0][0] <= time.monotonic():
                worker = heapq.heappop(self._asleep)[2]
                worker.asleep = False
                self._advance(worker, None)
                self._go_on(worker)

    def _admit(self) -> None:
        _, descriptors, _, _ = socket.recv_fds(self._control, 1, 2)
        if not descriptors:  # the parent is gone
            sys.exit()
        worker = Worker(*descriptors, self._files)
        self._selector.register(worker.incoming, selectors.EVENT_READ, worker)
        self._left += 1

    def _go_on(self, worker: Worker) -> None:
        while worker.waiting and not worker.asleep and not worker.over:
            self._advance(worker, json.loads(worker.waiting.pop(0)))
        if worker.over:
            self._selector.unregister(worker.incoming)
            worker.close()
            self._left -= 1
            if not self._left:
                sys.exit()

    def _advance(self, worker: Worker, told: Told | None) -> None:
        try:
            seconds = worker.life.send(told)
        except StopIteration:
            worker.over = True
            return
        if seconds is not None:
            worker.asleep = True
            entry = (time.monotonic() + seconds, worker.incoming, worker)
            heapq.heappush(self._asleep, entry)


def study_of(journal: Path) -> Mapping[str, int]:
    """What a journal says, read by nobody's code but this: trials by state, and who ran them."""
    states: list[int] = []
    workers: set[str] = set()
    for line in journal.read_bytes().splitlines():
        record = json.loads(line)
        if record["op_code"] == CREATE_TRIAL:
            states.append(record["state"])
            workers.add(record["worker_id"])
        elif record["op_code"] == SET_STATE:
            assert states[record["trial_id"]] == 0, "ended twice"
            states[record["trial_id"]] = record["state"]
    complete = states.count(1)
    return {"complete": complete, "other": len(states) - complete, "workers": len(workers)}


if __name__ == "__main__":
    os.fsync = lambda descriptor: None  # of workers' own appends, one after the other here
    Workers(socket.socket(fileno=int(sys.argv[1]))).run()
