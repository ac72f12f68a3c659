"""What the live and the plain view say in the same words."""

import time
from collections.abc import Callable
from enum import IntEnum

from rich.text import Text

from journal_launcher.base.artifacts.trial_attributes import TrialAttributes
from journal_launcher.base.events import (
    INTERRUPTED,
    Event,
    LaunchStarted,
    Note,
    PhaseChanged,
    TrialEnded,
    TrialStarted,
    WorkerEnded,
    WorkerStarted,
)
from journal_launcher.views.board import Board
from journal_launcher.views.figures import clock_time, counted, duration, number

__all__ = ["PHASES", "Detail", "Narrator", "best", "goal", "standing"]

PHASES = {
    "preparing": "preparing",
    "running": "running",
    "stopping": "stopping",
    "confirming": "scoring the best trials on fresh folds, which choose the one to save",
    "refitting": "refitting the best trial",
    "publishing": "saving the best model",
}
_BURST = 20
_SECONDS_A_LINE = 5.0


class Detail(IntEnum):
    """How many events get a line of their own."""

    FEW = 0  # a live region shows the rest
    TRIALS = 1  # and ended trials and the phases after them
    ALL = 2  # and every start and the "info" notes


def best(at: Board | LaunchStarted) -> str:
    """The best value so far: "best r2 0.4912 (trial 7)", or "" without one."""
    if at.best_value is None:
        return ""
    name = f"best {at.metric}" if at.metric else "best"
    trial = "" if at.best_number is None else f" (trial {at.best_number})"
    return f"{name} {number(at.best_value)}{trial}"


def goal(at: Board) -> str:
    """What a value is: "r2: larger is better", or "" before that is known."""
    if len(at.directions) > 1:
        return f"values: {', '.join(at.directions)}"
    words = {"maximize": "larger is better", "minimize": "smaller is better"}
    return f"{at.metric or 'value'}: {words[at.directions[0]]}" if at.directions else ""


def standing(board: Board, finished: str = "finished") -> str:
    """Where the trials stand: "3 of 20 finished, 1 failed, best r2 0.49 (trial 7), ETA 1:05"."""
    parts = [f"{counted(board.n_finished, board.n_trials)} {finished}"]
    parts += [f"{board.n_failed} failed"] if board.n_failed else []
    parts += [best(board)] if best(board) else []
    eta = board.eta()
    parts += [] if eta is None else [f"ETA {clock_time(eta)}"]
    return ", ".join(parts)


class Narrator:
    """Decides which events deserve a line, and words it.

    Ended trials share an allowance of 20 lines and one more every 5 s, so that thousands of quick
    trials do not bury the notes; `hidden` counts those that got none. `Detail.ALL` has no limit.
    """

    def __init__(self, detail: Detail, clock: Callable[[], float] = time.monotonic) -> None:
        self._detail = detail
        self._clock = clock
        self._allowance = float(_BURST)
        self._counted = clock()
        self._said: tuple[str, int] | None = None  # why a trial failed, and its number
        self.hidden = 0

    def line(self, event: Event, board: Board) -> Text | None:
        """The line for `event`, or None. `board` has folded the event already."""
        match event:
            case LaunchStarted():
                return Text(_opening(event), style="bold")
            case Note(level="warning"):
                return Text(f"warning: {event.text}", style="yellow")
            case Note() if event.level != "info" or self._detail == Detail.ALL:
                return Text(event.text)
            case PhaseChanged() if self._tells(event.phase):
                return Text(PHASES.get(event.phase, event.phase))
            case WorkerStarted() if self._detail == Detail.ALL:
                return Text(f"worker {event.worker} starts on {event.device}, log {event.log}")
            case WorkerEnded(problem=str()):
                who = board.label(event.worker, numbered=True)
                return Text(f"{who}: {event.problem}", style="yellow")
            case TrialStarted() if self._detail == Detail.ALL or event.repeats is not None:
                name = _named(event.number, event.repeats)
                return Text(f"{name} starts on {board.label(event.worker)}")
            case TrialEnded() if event.state == "FAIL" or self._detail >= Detail.TRIALS:
                return self._ended(event, board)
        return None

    def _ended(self, event: TrialEnded, board: Board) -> Text | None:
        """A reason that was said of the last trial that failed is not said again."""
        reason = event.reason or "no reason"
        if self._said is not None and self._said[0] == reason:
            return self._within_allowance(_ended(event, board, f"as trial {self._said[1]}"))
        line = self._within_allowance(_ended(event, board, reason))
        if line is not None and event.state == "FAIL":
            self._said = reason, event.number
        return line

    def _tells(self, phase: str) -> bool:
        late = phase in ("stopping", "confirming", "refitting", "publishing")
        return self._detail == Detail.ALL or (late and self._detail == Detail.TRIALS)

    def _within_allowance(self, line: Text) -> Text | None:
        if self._detail == Detail.ALL:
            return line
        now = self._clock()
        earned = (now - self._counted) / _SECONDS_A_LINE
        self._allowance = min(float(_BURST), self._allowance + earned)
        self._counted = now
        if self._allowance < 1:
            self.hidden += 1
            return None
        self._allowance -= 1
        return line


def _opening(event: LaunchStarted) -> str:
    """The path last: it may be long, and a terminal breaks it anywhere."""
    if not event.resumed:
        return f"{event.study}: new study, {event.n_trials} trials, journal {event.journal}"
    parts = [f"resumed, {counted(event.n_finished, event.n_trials)} finished"]
    parts += [f"{event.n_failed} failed"] if event.n_failed else []
    parts += [best(event)] if best(event) else []
    return f"{event.study}: {', '.join(parts)}, journal {event.journal}"


def _named(number: int, repeats: int | None) -> str:
    return f"trial {number}" if repeats is None else f"trial {number} (trial {repeats} again)"


def _ended(event: TrialEnded, board: Board, reason: str) -> Text:
    where = f"{duration(event.seconds)} on {board.label(event.worker)}"
    name = _named(event.number, TrialAttributes.from_json(event.attributes).repeats)
    again = "" if event.queued_as is None else f" as trial {event.queued_as}"
    if event.state == "FAIL" and (event.reason or "").startswith(INTERRUPTED):
        return Text(f"{name} was interrupted after {where}; it is queued again{again}")
    if event.state == "FAIL":
        again = again and f"; queued again{again}"
        return Text(f"{name} failed after {where}: {reason}{again}", style="yellow")
    if event.state == "PRUNED" or not event.values:
        return Text(f"{name}: pruned after {where}")
    new = ", new best" if event.number == event.best_number else ""
    return Text(f"{name}: {', '.join(map(number, event.values))} after {where}{new}")
