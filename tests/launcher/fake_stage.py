"""A supervisor among fakes: a clock that the test moves, workers that are scripts."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from journal_launcher.base import events, messages
from journal_launcher.base.paths import StudyPaths
from journal_launcher.devices.choose import CPU
from journal_launcher.launcher.engine import WorkerSpec
from journal_launcher.launcher.ledger import TrialLedger
from journal_launcher.launcher.pool import WorkerPool
from journal_launcher.launcher.slot import Phase
from journal_launcher.launcher.supervisor import Supervisor
from journal_launcher.settings.launch_settings import LaunchSettings


class FakeProcess:
    """Records what it is told; the test says what it answers and when it dies."""

    pid = 2**31 - 2  # nobody's
    unsent = b""
    lost = hung_up = False
    shares_folder = left_folders = True
    messages_descriptor = exit_descriptor = out_descriptor = 0  # always readable

    def __init__(self) -> None:
        self.said: list[messages.FromWorker] = []
        self.told: list[str] = []
        self.granted: list[int | None] = []  # queued trials, or None for a new one
        self.status: int | None = None
        self.stuck = False  # in the kernel: not even SIGKILL ends it
        self.log = Path("0.log")
        self.tail = ""

    def send(self, message: messages.FromParent, lines: bytes = b"") -> None:
        self.told.append(message.type)
        if isinstance(message, messages.Grant):
            self.granted.append(message.trial)

    def send_rest(self) -> None:
        pass

    def give(self, trial: int, folder: Path) -> None:
        self.told.append(f"folder of {trial}")

    def say(self, type: str, **content: Any) -> None:
        self.said.append(getattr(messages, type.capitalize())(**content))

    def receive(self) -> list[messages.FromWorker]:
        said, self.said = self.said, []
        return said

    def has_exited(self) -> bool:
        return self.status is not None

    def reap(self, seconds: float) -> int | None:
        if self.status is None:
            self.kill()
        return self.status

    def ask_to_stop(self) -> None:
        self.told.append("SIGTERM")

    def kill(self) -> None:
        self.told.append("SIGKILL")
        if not self.stuck:
            self.status = -9

    def dump_stacks(self) -> None:
        self.told.append("SIGUSR2")

    def cpu_seconds(self) -> float:
        return 0.0

    def log_tail(self, lines: int = 20) -> str:
        return self.tail


class FakePool(WorkerPool):
    """A pool without descriptors: waiting moves the clock."""

    def __init__(self, workers: int, clock: "Clock") -> None:
        specs = [WorkerSpec(index, CPU, 1, {}) for index in range(workers)]
        self.started: list[Any] = []
        super().__init__(specs, self._begin)
        self._selector = SimpleNamespace(  # type: ignore[assignment]
            register=lambda *_: None,
            unregister=lambda *_: None,
            select=self._select,
            close=lambda: None,
        )
        self._clock = clock

    def _select(self, seconds: float) -> list[tuple[Any, int]]:
        """Return at once if a worker spoke or died, as a selector does."""
        living: list[Any] = [slot.process for slot in self.slots if slot.process]
        news = any(process.said or process.has_exited() for process in living)
        self._clock.sleep(0.0 if news else seconds)
        return [(SimpleNamespace(fd=0), 1)]

    def _begin(self, spec: WorkerSpec) -> FakeProcess:
        process = FakeProcess()
        self.started.append(process)
        return process


class FakeLedger:
    """Twenty trials are wanted; those of `queued` go first; nothing is written."""

    baselines = None

    def __init__(self, wanted: int = 20) -> None:
        self.wanted = wanted
        self.failed: list[tuple[int, str, bool]] = []
        self.queued: list[int] = []
        self.study = SimpleNamespace(check=lambda: None, waiting=lambda: iter(self.queued))

    def remaining(self, grants: int) -> int:
        return self.wanted - grants

    next_queued = TrialLedger.next_queued  # it reads the study alone

    def queue_first(self, defaults: object) -> None:
        pass

    def announce_end(self, *_: object) -> None:
        self.wanted -= 1

    def fail_trial_of(
        self, worker: int, problem: str, seconds: float, *, interrupted: bool
    ) -> None:
        self.failed.append((worker, problem, interrupted))

    def count_failure(self, *_: object, **__: object) -> None:
        pass

    def reason_to_stop(self, *_: object) -> None:
        return None


class Clock:
    """Monotonic time that only waiting moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits: list[float] = []
        self.plans: list[tuple[float, Callable[[], None]]] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Wait, or less if something that was planned happens earlier."""
        self.waits.append(seconds)
        until = self.now + seconds
        due = sorted((plan for plan in self.plans if plan[0] <= until), key=lambda plan: plan[0])
        if due:
            self.plans.remove(due[0])
            self.now = max(self.now, due[0][0])
            due[0][1]()
        else:
            self.now = until

    def at(self, seconds: float, act: Callable[[], None]) -> None:
        self.plans.append((1000.0 + seconds, act))


class Stage:
    """A supervisor among fakes. `seen` are its events."""

    def __init__(
        self, clock: Clock, workers: int = 1, wanted: int = 20, opened: bool = True, **options: Any
    ) -> None:
        self.clock, self.pool, self.ledger = clock, FakePool(workers, clock), FakeLedger(wanted)
        self.signals: list[int] = []
        self.seen: list[events.Event] = []
        settings = LaunchSettings(objective="a.py:f", n_trials=20, **options)
        inbox: Any = SimpleNamespace(take=self._take)
        paths = StudyPaths(Path("studies"), "s")
        self.supervisor = Supervisor(settings, self.pool, self.seen.append, inbox, None, paths)
        for slot in self.pool.slots:
            self.supervisor.start(slot)
        if opened:
            self.open()

    def open(self) -> None:
        ledger: Any = self.ledger
        self.supervisor.open(ledger, {}, 0)

    def _take(self) -> list[int]:
        taken, self.signals = self.signals, []
        return taken

    def process(self, index: int = 0) -> Any:
        return self.pool.slots[index].process

    def ready(self, index: int = 0) -> None:
        self.process(index).say("ready", defaults=None)
        self.process(index).say("request")

    def turn(self) -> None:
        self.supervisor._give_work()
        self.supervisor.step()

    def turns(self, seconds: float) -> int:
        """Let time pass; how often the parent woke."""
        end, before = self.clock.now + seconds, len(self.clock.waits)
        while self.clock.now < end:
            self.turn()
        return len(self.clock.waits) - before

    def run_trial(self, number: int = 0) -> None:
        """Until a worker is busy with a trial."""
        self.ready()
        while self.pool.slots[0].phase is not Phase.BUSY:
            self.turn()
        self.process().say("started", number=number)
        self.turn()
