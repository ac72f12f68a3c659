"""The state behind every view: folds the events of a launch into what is shown. No I/O."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.events import (
    Event,
    GpuLoad,
    GpusMeasured,
    LaunchStarted,
    PhaseChanged,
    TrialEnded,
    TrialProgress,
    TrialStarted,
    WorkerEnded,
    WorkerReady,
    WorkerStarted,
)

__all__ = ["Board", "WorkerRow"]

_FIRST = 3.0
"""Seconds of a trial after which its progress says how long it will take."""


@dataclass(frozen=True)
class WorkerRow:
    """One worker as shown. Times are seconds of the board's clock."""

    index: int
    device: str
    log: Path
    since: float  # when `state` began
    free: float  # when it last had no trial: a trial's cost includes asking for it
    state: str = "starting"  # starting, waiting, busy or gone
    trial: int | None = None
    repeats: bool = False  # the trial another one, maybe from what that had reached
    unit: str = ""
    step: int | None = None
    total: int | None = None
    value: float | None = None
    round: int | None = None
    rounds: int | None = None

    @property
    def progress(self) -> str:
        """How far its trial is: "fold 3/5, round 20/500", "step 70", or "" if unknown."""
        within = f", round {self.round}/{self.rounds}" if self.rounds else ""
        return self._step + within

    @property
    def short_progress(self) -> str:
        """The same in 14 characters, if the step's numbers have one digit: "fold 3/5, 4%"."""
        within = f", {self.round / self.rounds:.0%}" if self.rounds and self.round else ""
        return self._step + within

    @property
    def _step(self) -> str:
        """The step under way if its rounds are known, else the last one that is done."""
        if self.step is None:
            return ""
        step = self.step + bool(self.rounds)
        return f"{self.unit} {step}" + (f"/{self.total}" if self.total else "")

    @property
    def share(self) -> float | None:
        """Of its trial that is done; None if unknown."""
        if self.step is None or not self.total:
            return None
        within = self.round / self.rounds if self.rounds and self.round else 0.0
        return (self.step + within) / self.total


class Board:
    """Where a launch stands."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun = clock()
        self._finished_before = 0
        self._spent = 0.0  # seconds of workers, summed over the trials that ended in this launch
        self.study = ""
        self.phase = "preparing"
        self.n_trials = 0
        self.n_finished = 0
        self.n_failed = 0
        self.n_pruned = 0
        self.directions: tuple[str, ...] = ()
        self.metric: str | None = None
        self.best_value: float | None = None
        self.best_number: int | None = None
        self.bests: list[float] = []  # the best value after each trial of this launch
        self.workers: dict[int, WorkerRow] = {}
        self.gpus: tuple[GpuLoad, ...] = ()

    def fold(self, event: Event) -> None:
        """Take in one event; those that change nothing here (notes, the end) are ignored."""
        now = self._clock()
        match event:
            case LaunchStarted():
                self._start(event)
            case PhaseChanged():
                self.phase = event.phase
            case WorkerStarted():
                row = WorkerRow(event.worker, event.device, event.log, since=now, free=now)
                self.workers[event.worker] = row
            case WorkerReady():
                self._change(event.worker, state="waiting", since=now, free=now)
            case WorkerEnded():
                self._change(event.worker, state="gone", since=now, trial=None, step=None)
            case TrialStarted():
                self._begin_trial(event.worker, event.number, now)
                self._change(event.worker, repeats=event.repeats is not None)
            case TrialProgress():
                self._progress(event, now)
            case TrialEnded():
                self._end(event, now)
            case GpusMeasured():
                self.gpus = event.gpus

    def _start(self, event: LaunchStarted) -> None:
        self.study = event.study
        self.metric = event.metric
        self.n_trials = event.n_trials
        self.n_finished = self._finished_before = event.n_finished
        self.n_failed = event.n_failed
        self.n_pruned = event.n_pruned
        self.directions = event.directions
        self._best(event.best_value, event.best_number)

    def _best(self, value: float | None, number: int | None) -> None:
        self.best_value = value
        self.best_number = number
        if value is not None and math.isfinite(value):
            self.bests.append(value)

    def _end(self, event: TrialEnded, now: float) -> None:
        self.n_finished = event.n_finished
        self.n_failed = event.n_failed
        self.n_pruned += event.state == "PRUNED"
        self._best(event.best_value, event.best_number)
        row = self.workers.get(event.worker)
        if row is None:
            return
        if row.repeats:  # what a whole one takes is not known from it
            self._finished_before += event.state != "FAIL"
        else:
            self._spent += now - row.free
        if row.state == "busy":  # the trial of a dead worker ends after its worker
            self._change(event.worker, state="waiting", since=now, free=now, trial=None, step=None)

    def _begin_trial(self, worker: int, number: int, now: float) -> None:
        self._change(
            worker,
            state="busy",
            since=now,
            trial=number,
            repeats=False,
            step=None,
            value=None,
            rounds=None,
        )

    def _progress(self, event: TrialProgress, now: float) -> None:
        row = self.workers.get(event.worker)
        if row is not None and row.trial != event.number:  # a refit reports without being started
            self._begin_trial(event.worker, event.number, now)
        self._change(
            event.worker,
            unit=event.unit,
            step=event.step,
            total=event.total,
            value=event.value,
            round=event.round,
            rounds=event.rounds,
        )

    def _change(self, worker: int, **changes: Any) -> None:
        if worker in self.workers:
            self.workers[worker] = replace(self.workers[worker], **changes)

    def label(self, worker: int, *, numbered: bool = False) -> str:
        """A worker's device; with its number if others are on a device of the same name."""
        row = self.workers.get(worker)
        if row is None:
            return f"worker {worker}"
        alone = sum(other.device == row.device for other in self.workers.values()) == 1
        return row.device if alone and not numbered else f"worker {worker} ({row.device})"

    def present(self) -> list[WorkerRow]:
        """The workers to show: all that did not leave."""
        return [row for row in self.workers.values() if row.state != "gone"]

    def age(self, row: WorkerRow) -> float:
        """Seconds since the worker's state (its trial, if it is busy) began."""
        return self._clock() - row.since

    def elapsed(self) -> float:
        """Seconds since the board was made."""
        return self._clock() - self._begun

    def expected(self, row: WorkerRow) -> float | None:
        """Seconds that the worker's trial takes in all, by the share of it that is done.

        None in its first seconds, and where nobody knows, as of one that may have gone on from a
        checkpoint. A trial may end early, or go on.
        """
        age = self._clock() - row.free
        known = row.state == "busy" and not row.repeats and row.share and age >= _FIRST
        return age / row.share if known and row.share else None

    def eta(self) -> float | None:
        """Seconds until the last trial ends, by the mean cost of this launch's finished trials.

        The cost counts failed trials too, but none that repeats another: it may have gone on from
        what that one had reached. Before any has finished it is what the progress of the
        first ones promises. None where they tell none, when nothing is left, and when what is left
        has taken longer than its share: then nobody knows.
        """
        left = self.n_trials - self.n_finished
        at_work = sum(row.state in ("waiting", "busy") for row in self.workers.values())
        cost = self._cost()
        now = self._clock()
        if self.phase != "running" or cost is None or left <= 0 or not at_work:
            return None
        under_way = sum(
            min(now - row.free, cost) for row in self.workers.values() if row.state == "busy"
        )
        ahead = cost * left - under_way
        return ahead / min(left, at_work) if ahead > 0 else None

    def _cost(self) -> float | None:
        """Seconds of a worker for each finished trial."""
        done = self.n_finished - self._finished_before
        if done > 0:
            return self._spent / done
        promised = [cost for row in self.workers.values() if (cost := self.expected(row))]
        return sum(promised) / len(promised) if promised else None
