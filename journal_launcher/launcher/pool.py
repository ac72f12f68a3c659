"""All workers of a launch: starting their processes, waiting for them, and ending them."""

import selectors
import time
from collections.abc import Callable, Iterator, Sequence

from journal_launcher.base.messages import Bye, FromWorker
from journal_launcher.launcher.engine import WorkerProcess, WorkerSpec
from journal_launcher.launcher.slot import STOP_GRACE, Phase, Slot

__all__ = ["StartWorker", "WorkerPool"]

StartWorker = Callable[[WorkerSpec], WorkerProcess]


class WorkerPool:
    """All slots. `wait` is the only place where the parent sleeps."""

    def __init__(self, specs: Sequence[WorkerSpec], start: StartWorker) -> None:
        self.slots = [Slot(spec) for spec in specs]
        self._start = start
        self._selector = selectors.DefaultSelector()
        self._ready: set[int | None] = set()  # descriptors, as of the last wait
        self._listened: set[int] = set()  # descriptors of messages that the selector has
        self._unwatched: set[int | None] = set()  # None, where processes have no pidfd

    def watch(self, descriptor: int) -> None:
        """Let `wait` return when `descriptor` becomes readable (signals)."""
        self._selector.register(descriptor, selectors.EVENT_READ)

    def add(self, spec: WorkerSpec) -> Slot:
        """A place for one more worker, behind the others."""
        self.slots.append(Slot(spec))
        return self.slots[-1]

    def start(self, slot: Slot) -> WorkerProcess:
        process = self._start(slot.spec)
        slot.process_started(process)
        self._selector.register(process.messages_descriptor, selectors.EVENT_READ)
        self._listened.add(process.messages_descriptor)
        if process.exit_descriptor is None:
            self._unwatched.add(None)
        else:
            self._selector.register(process.exit_descriptor, selectors.EVENT_READ)
        return process

    def wait(self, seconds: float) -> None:
        """Sleep until a worker speaks or dies, a signal comes, or the time is over.

        The others are not looked at afterwards: of hundreds of workers few have anything to say.
        """
        until = time.monotonic() + seconds
        full = []
        for slot in self.slots:
            process = slot.process
            if process is not None:
                until = min(until, slot.ending.kill_at)
                if process.unsent:
                    full.append(process)
            elif slot.awaits_restart:
                until = min(until, slot.restart_at)
        seconds = until - time.monotonic()
        if self._unwatched:
            seconds = min(seconds, 0.1)  # no pidfd here: look at the processes instead
        for process in full:
            self._selector.register(process.out_descriptor, selectors.EVENT_WRITE)
        ready = self._selector.select(max(0.0, seconds))
        self._ready = {key.fd for key, _ in ready}
        for process in full:
            self._selector.unregister(process.out_descriptor)
            process.send_rest()

    def messages(self) -> Iterator[tuple[Slot, FromWorker]]:
        for slot in self.slots:
            if slot.process is not None and slot.process.messages_descriptor in self._ready:
                said = slot.process.receive()
                if slot.process.hung_up:  # readable for ever, and it may live on for a while
                    self._stop_listening(slot.process)
                for message in said:
                    slot.heard_at = time.monotonic()
                    yield slot, message

    def _stop_listening(self, process: WorkerProcess) -> None:
        if process.messages_descriptor in self._listened:
            self._listened.remove(process.messages_descriptor)
            self._selector.unregister(process.messages_descriptor)

    def exited(self) -> list[Slot]:
        """Slots whose process has ended and waits to be reaped, or is lost."""
        told = self._ready | self._unwatched
        return [
            slot
            for slot in self.slots
            if (process := slot.process) is not None
            and (
                slot.ending.lost
                or ((process.hung_up or process.exit_descriptor in told) and process.has_exited())
            )
        ]

    def reap(self, slot: Slot, seconds: float = 0.5) -> int | None:
        """Collect a dead process; its slot is DOWN, or CLOSED if it was told to leave.

        None: it does not end within `seconds` and is left behind, and its slot is CLOSED.
        """
        process = slot.process
        assert process is not None
        self._stop_listening(process)
        if process.exit_descriptor is not None:
            self._selector.unregister(process.exit_descriptor)
        status = process.reap(seconds)
        slot.process_ended(lost=status is None)
        return status

    def end(self, slot: Slot) -> None:
        """Nobody needs this place any more."""
        slot.kill()
        if slot.process is not None:
            self.reap(slot, STOP_GRACE)
        self.slots.remove(slot)

    def reset_deaths(self) -> None:
        """Forget all deaths so far; who was closed for them is started again."""
        for slot in self.slots:
            slot.reset_deaths()

    def due(self) -> list[Slot]:
        """Dead slots whose restart is due."""
        now = time.monotonic()
        return [s for s in self.slots if 0 < s.restart_at <= now and s.awaits_restart]

    def dismiss(self) -> None:
        """Say bye to every worker; those that wait for a restart are not started again."""
        self.close_waiting()
        for slot in self.slots:
            if slot.process is not None and slot.phase is not Phase.LEAVING:
                if slot.phase is Phase.STARTING:  # it may import for minutes before it reads this
                    slot.terminate()
                self.dismiss_one(slot)

    def dismiss_one(self, slot: Slot) -> None:
        """Say bye to a worker that is there."""
        assert slot.process is not None
        slot.process.send(Bye())
        slot.shut_down()

    def close_waiting(self) -> None:
        """Give up on restarts."""
        for slot in self.slots:
            if slot.phase is Phase.DOWN:
                slot.close()

    def terminate_all(self) -> None:
        """SIGTERM now, SIGKILL for the groups after the grace."""
        for slot in self.slots:
            slot.terminate()

    def kill_overdue(self) -> None:
        """Kill whoever ignores SIGTERM."""
        now = time.monotonic()
        for slot in self.slots:
            if slot.ending.kill_at <= now:
                slot.kill_if_overdue()

    def kill_all(self) -> None:
        for slot in self.slots:
            slot.kill()

    def give_up(self) -> None:
        """Wait for nobody any more."""
        for slot in self.slots:
            slot.ending.lost = slot.process is not None

    def close(self) -> list[int]:
        """Leave nothing behind, whatever happened before; the pids of those who do not end."""
        self.kill_all()
        deadline = time.monotonic() + STOP_GRACE
        left = []
        for slot in self.slots:
            if slot.process is not None:
                pid = slot.process.pid
                if self.reap(slot, max(0.0, deadline - time.monotonic())) is None:
                    left.append(pid)
        self._selector.close()
        return left

    def busy_shares(self) -> tuple[float, ...] | None:
        """How much of the time for trials each worker spent with one; None if none ran.

        That time goes from the first grant to the end of the last trial.
        """
        until = max(slot.times.until for slot in self.slots)
        whole = until - min(slot.times.first_grant for slot in self.slots)
        if whole <= 0:
            return None
        return tuple(round(slot.times.seconds / whole, 4) for slot in self.slots)
