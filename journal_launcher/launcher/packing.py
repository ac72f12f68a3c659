"""`--workers-per-gpu auto`: how many workers a GPU gets, by what those that it has show.

Each begins with one. Another joins while the memory that it would need leaves a tenth of the GPU's
free, and stays if it made the GPU faster. What was found once stands until the launch ends, but
that a worker leaves when the memory gets short.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import field, replace
from enum import Enum, auto

from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.events import GpuLoad, Listener, Note
from journal_launcher.base.messages import Ended
from journal_launcher.devices.choose import Device, pin_environment
from journal_launcher.devices.cpus import threads_per_worker
from journal_launcher.launcher.engine import WorkerProcess, WorkerSpec
from journal_launcher.launcher.slot import Phase, Slot

__all__ = ["GAIN", "ROOM", "TRIALS", "Measured", "Move", "Packer", "decide"]

ROOM = 0.9  # of a GPU's memory that may be in use
GAIN = 1.05  # times as fast as before that one more worker must make it
TRIALS = 3  # of each worker that its GPU's speed is taken from, the first one apart
_GIB = 2**30
_FULL = "CUDA out of memory"  # how the reason of such a trial's failure begins


class Move(Enum):
    """What follows for the number of a GPU's workers."""

    WAIT = auto()
    GROW = auto()
    STAY = auto()  # for good
    SHRINK = auto()  # by one, and for good


@dataclass(frozen=True)
class Measured:
    """A GPU with so many workers.

    idle: bytes that were in use before the first of them. used: the most since there are so many;
    None before the first reading. total: 0 where NVML does not say. speed: of all of them, None
    before enough trials have ended; before: with one fewer. most: as many as there are cores for.
    """

    workers: int
    idle: int
    used: int | None
    total: int
    speed: float | None
    before: float | None
    most: int


def decide(at: Measured) -> tuple[Move, str]:
    """What to do now, and why, in words that go on after a colon."""
    count = at.workers
    if count > 1 and at.total and (at.used or 0) > ROOM * at.total:
        return Move.SHRINK, f"with {count} less than 10 % of its memory was free"
    if at.speed is None or at.used is None:
        return Move.WAIT, ""
    if at.before is not None and at.speed < GAIN * at.before:
        times = f"{at.speed / at.before:.2f} times as fast"
        return Move.SHRINK, f"{count} were {times} as {count - 1}"
    if count >= at.most:
        return Move.STAY, "no core is left for another"
    if not at.total:
        return Move.STAY, "NVML does not say how much of its memory is in use"
    if at.idle + (at.used - at.idle) * (count + 1) / count > ROOM * at.total:
        return Move.STAY, "another would leave less than 10 % of its memory"
    return Move.GROW, "one more is tried"


@dataclass
class _Gpu:
    """What was measured of one GPU; `used` and `speeds` by the number of its workers."""

    device: Device
    workers: int = 1
    idle: int | None = None
    total: int = 0
    used: dict[int, int] = field(default_factory=dict)
    speeds: dict[int, float] = field(default_factory=dict)
    samples: list[float] = field(default_factory=list)  # work of a worker in a second, by trial
    warm: set[int] = field(default_factory=set)  # workers that have ended a trial
    since: float = float("inf")  # when all had
    leaving: bool = False  # one that is still there
    settled: bool = False

    def measured(self, most: int) -> Measured:
        used, speeds = self.used.get(self.workers), self.speeds
        speed, before = speeds.get(self.workers), speeds.get(self.workers - 1)
        return Measured(self.workers, self.idle or 0, used, self.total, speed, before, most)

    def become(self, workers: int) -> None:
        """It has another number of workers: what they do is measured anew."""
        self.workers, self.samples, self.since = workers, [], float("inf")

    def take(self, load: GpuLoad) -> None:
        self.total = load.total
        self.idle = load.used if self.idle is None else min(self.idle, load.used)
        if not self.leaving:
            self.used[self.workers] = max(self.used.get(self.workers, 0), load.used)

    @property
    def speedup(self) -> float | None:
        speed = self.speeds.get(self.workers)
        return None if speed is None else speed / self.speeds[1]

    def __str__(self) -> str:
        """ "GPU 0 NVIDIA H100: 3 workers, 61 of 80 GiB, 1.8 times one worker's speed"."""
        said = f"{self.device.label}: {self.workers} worker{'s' * (self.workers > 1)}"
        if self.total:
            used = self.used.get(self.workers, 0)
            said += f", {used / _GIB:.3g} of {self.total / _GIB:.3g} GiB"
        if self.workers > 1 and self.speedup is not None:
            said += f", {self.speedup:.1f} times one worker's speed"
        return said


class Packer:
    """Finds out how many workers each GPU gets, beginning with `specs`, one for each."""

    def __init__(self, specs: Sequence[WorkerSpec], cores: int, emit: Listener) -> None:
        self._gpus = {spec.device.uuid: _Gpu(spec.device) for spec in specs}
        self._specs = {spec.device.uuid: spec for spec in specs}
        self._cores = cores
        self._emit = emit
        self._ends: dict[int, tuple[WorkerProcess | None, float]] = {}

    def take(self, loads: Iterable[GpuLoad]) -> tuple[GpuLoad, ...]:
        """Note a reading of all GPUs; the same with what is known of their workers."""
        found = {load.uuid: load for load in loads}
        for uuid, gpu in self._gpus.items():
            if uuid in found:
                gpu.take(found[uuid])
            elif gpu.idle is None:
                gpu.used.setdefault(gpu.workers, 0)
        return self.with_workers(found.values())

    def with_workers(self, loads: Iterable[GpuLoad]) -> tuple[GpuLoad, ...]:
        """The same loads with each GPU's number of workers and what they are worth."""
        return tuple(self._with_workers(load) for load in loads)

    def _with_workers(self, load: GpuLoad) -> GpuLoad:
        gpu = self._gpus[load.uuid]
        speedup = gpu.speedup
        rounded = None if speedup is None else round(speedup, 2)
        return replace(load, workers=gpu.workers, speedup=rounded)

    def trial_ended(self, slot: Slot, ended: Ended) -> None:
        """Note what a worker did from the end of its last trial to that of this one.

        Of trials whose work nobody counts, only complete ones are alike.
        """
        gpu, now = self._gpus[slot.spec.device.uuid], time.monotonic()
        process, began = self._ends.get(slot.index, (None, now))
        self._ends[slot.index] = slot.process, now
        if (ended.reason or "").startswith(_FULL):
            gpu.used[gpu.workers] = gpu.total
        gpu.warm.add(slot.index)
        whole = ended.work is None and ended.state == "COMPLETE"
        done = 1.0 if whole else ended.work if ended.state != "FAIL" else None
        if done and process is slot.process and gpu.since <= began < now:
            gpu.samples.append(done / (now - began))

    def look(self, slots: Sequence[Slot], remaining: Callable[[], int]) -> list[WorkerSpec]:
        """The workers that join now; of those that have to leave it says so in their slots.

        remaining: how many trials nobody was granted yet; where they are fewer than the workers
        would be, none joins.
        """
        joining: list[WorkerSpec] = []
        for uuid, gpu in self._gpus.items():
            mine = [slot for slot in slots if slot.spec.device.uuid == uuid]
            self._update(gpu, mine)
            if not any(map(_stays, mine)):
                continue
            move, why = decide(gpu.measured(max(1, self._cores // len(self._gpus))))
            if gpu.leaving or (gpu.settled and move is not Move.SHRINK):
                continue
            if move is Move.GROW and remaining() > sum(map(_stays, slots)):
                self._emit(Note(f"{gpu}; {why}"))
                joining.append(self._one_more(gpu, len(slots) + len(joining)))
            elif move is Move.SHRINK:
                last = [slot for slot in mine if _stays(slot)][-1]
                last.retiring = gpu.leaving = gpu.settled = True
                gpu.become(gpu.workers - 1)
                self._emit(Note(f"{gpu}; it stays so: {why}"))
            elif move is Move.STAY:
                gpu.settled = True
                self._emit(Note(f"{gpu}; it stays so: {why}"))
        return joining

    def _update(self, gpu: _Gpu, mine: Sequence[Slot]) -> None:
        """See who has left, begin to measure when all are warm, and end with enough trials."""
        gpu.leaving = any(slot.retiring and slot.alive for slot in mine)
        staying = {slot.index for slot in mine if _stays(slot)}
        if staying and len(staying) != gpu.workers:  # one could not be used
            gpu.settled = True
            gpu.become(len(staying))
        if gpu.since == float("inf") and staying <= gpu.warm and not gpu.leaving:
            gpu.since = time.monotonic()
        if len(gpu.samples) >= TRIALS * gpu.workers and gpu.workers not in gpu.speeds:
            gpu.speeds[gpu.workers] = gpu.workers * sorted(gpu.samples)[len(gpu.samples) // 2]

    def _one_more(self, gpu: _Gpu, index: int) -> WorkerSpec:
        """With the share of the cores that each would have, were all GPUs given as many."""
        gpu.become(gpu.workers + 1)
        first = self._specs[gpu.device.uuid]
        threads = threads_per_worker(self._cores, len(self._gpus) * gpu.workers)
        environment = pin_environment(gpu.device, threads, first.environment)
        return WorkerSpec(index, gpu.device, threads, environment)


def _stays(slot: Slot) -> bool:
    return not slot.retiring and slot.phase is not Phase.CLOSED
