"""The live view of a terminal: a region that is redrawn in place, notes scrolling above it."""

import time
from collections.abc import Callable, Iterator
from typing import Self

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from journal_launcher.base.events import GpuLoad, LaunchEnded
from journal_launcher.views.board import Board, WorkerRow
from journal_launcher.views.figures import clock_time, counted, duration, number, sparkline
from journal_launcher.views.telling import TellingView
from journal_launcher.views.words import PHASES, Detail, best, goal

__all__ = ["LiveView", "Screen"]

_REDRAW_PERIOD = 0.5  # seconds; more often only costs
_TRIAL, _PROGRESS, _VALUE, _AGE = 10, 14, 10, 8  # fixed: columns that move are hard to read
_LONG_PROGRESS = 24
_WIDE = 100
_CELL = 24
_SPARK = 24
_GPU_LINES = 3
_GIB = 2**30


class LiveView(TellingView):
    """A view for a terminal. Its region vanishes at the end: the summary takes its place."""

    def __init__(
        self,
        console: Console,
        detail: Detail = Detail.FEW,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(_REDRAW_PERIOD, detail, clock)
        self._console = console
        self._live = Live(
            Screen(self._board),
            console=console,
            auto_refresh=False,  # rich's thread and a printed note get into each other's way
            transient=True,
            redirect_stdout=False,  # stdout carries results
            vertical_overflow="crop",
        )

    def __enter__(self) -> Self:
        self._live.start()
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        try:
            super().__exit__()
        finally:
            self._live.stop()

    def _print(self, line: Text) -> None:
        self._console.print(line, soft_wrap=True, highlight=False)

    def _end(self, event: LaunchEnded) -> None:
        self._live.stop()

    def tick(self) -> None:
        """Redraw the region."""
        with self._lock:
            if self._live.is_started:
                self._live.refresh()


class Screen:
    """Draws a board into the terminal's width and height, totals first."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        totals = [
            *self._head(width, ascii_only=options.ascii_only),
            *self._totals(width, options.ascii_only),
            *self._gpus(width),
        ]
        yield from totals
        yield from self._workers(width, max(1, console.height - len(totals) - 1))

    def _head(self, width: int, ascii_only: bool) -> Iterator[Text]:
        board = self._board
        if not board.study:
            return
        name = _cut(board.study, width // 2)
        counts = counted(board.n_finished, board.n_trials)
        room = max(0, width - len(name) - len(counts) - 4)
        filled = round(room * min(1.0, board.n_finished / max(1, board.n_trials)))
        done, rest = "#-" if ascii_only else "━─"
        yield _line(
            (f"{name}  ", "bold"),
            (done * filled, "cyan"),
            (rest * (room - filled), "bright_black"),
            f"  {counts}",
        )

    def _totals(self, width: int, ascii_only: bool) -> Iterator[Text]:
        """Best, counts, times and what the values are, on as many lines as they need."""
        board = self._board
        parts = [(best(board), "bold")] if best(board) else []
        parts += [(f"{board.n_failed} failed", "yellow")] if board.n_failed else []
        parts += [(f"{board.n_pruned} pruned", "")] if board.n_pruned else []
        parts += [(f"elapsed {clock_time(board.elapsed())}", "")]
        eta = board.eta()
        parts += [(f"ETA {clock_time(eta)}", "")] if eta is not None else []
        running = board.phase == "running"
        parts += [("running trials" if running else PHASES.get(board.phase, board.phase), "")]
        course = "" if ascii_only else sparkline(board.bests, _SPARK)
        parts += [(f"{goal(board)}  {course}".strip(), "")] if goal(board) else []
        yield from _wrapped(parts, width)

    def _gpus(self, width: int) -> Iterator[Text]:
        """Memory and utilisation of each GPU; of more than fit three lines, of all together."""
        gpus = self._board.gpus
        lines = list(_wrapped([(_gpu(gpu), "bright_black") for gpu in gpus], width)) if gpus else []
        if len(lines) <= _GPU_LINES:
            yield from lines
            return
        known = [gpu.utilization for gpu in gpus if gpu.utilization is not None]
        used, total = sum(gpu.used for gpu in gpus), sum(gpu.total for gpu in gpus)
        mean = sum(known) / len(known) if known else None
        yield _line((_load(f"{len(gpus)} GPUs", used, total, mean), "bright_black"))

    def _workers(self, width: int, height: int) -> Iterator[Text]:
        """A line for each worker; where they are too many, several to a line."""
        rows = self._board.present()
        if len(rows) <= height:
            name = max((len(self._board.label(row.index)) for row in rows), default=0)
            yield from (self._row(row, name, width) for row in rows)
            return
        columns = max(1, (width + 1) // (_CELL + 1))
        shown = columns * height
        if len(rows) > shown:
            shown = columns * (height - 1)
        for first in range(0, shown, columns):
            line = " ".join(self._cell(row) for row in rows[first : min(first + columns, shown)])
            yield _line(line)
        if len(rows) > shown:
            yield _line((f"… and {len(rows) - shown} more workers", "bright_black"))

    def _row(self, row: WorkerRow, name: int, width: int) -> Text:
        with_value = width >= 60
        with_progress = width >= 40
        room = _LONG_PROGRESS if width >= _WIDE else _PROGRESS
        progress = row.progress if width >= _WIDE else row.short_progress
        taken = _TRIAL + _AGE + 4
        taken += (room + 2 if with_progress else 0) + (_VALUE + 2 if with_value else 0)
        state = row.state if row.trial is None else f"trial {row.trial}"
        value = "" if row.value is None or row.trial is None else number(row.value)
        name = max(1, min(name, width - taken))
        return _line(
            f"{_cut(self._board.label(row.index), name):<{name}}  ",
            (f"{state:<{_TRIAL}}  ", "" if row.trial is not None else "bright_black"),
            f"{_cut(progress, room):<{room}}  " if with_progress else "",
            f"{value:>{_VALUE}}  " if with_value else "",
            (f"{duration(self._board.age(row)):>{_AGE}}", "bright_black"),
        )

    def _cell(self, row: WorkerRow) -> str:
        state = row.state[:5] if row.trial is None else f"#{row.trial}"
        share = "" if row.share is None else f"{row.share:.0%}"
        alone = self._board.label(row.index) == row.device
        name = " ".join(row.device.split()[:2]) if alone else f"w{row.index}"
        age = duration(self._board.age(row))
        return f"{_cut(name, 6):<6} {_cut(state, 5):<5}{share:>4} {age:>7}"


def _gpu(gpu: GpuLoad) -> str:
    load = _load(" ".join(gpu.device.split()[:2]), gpu.used, gpu.total, gpu.utilization)
    if gpu.workers is None:
        return load
    speed = "" if gpu.workers == 1 or gpu.speedup is None else f" {gpu.speedup:.1f}x"
    return f"{load} {gpu.workers} worker{'s' * (gpu.workers > 1)}{speed}"


def _load(name: str, used: int, total: int, share: float | None) -> str:
    """ "GPU 0 12.3/79.6 GiB 87%"."""
    return f"{name} {used / _GIB:.1f}/{total / _GIB:.1f} GiB" + (
        "" if share is None else f" {share:.0%}"
    )


def _wrapped(parts: list[tuple[str, str]], width: int) -> Iterator[Text]:
    """Texts with their styles, on as many lines as they need."""
    line = Text()
    for text, style in parts:
        if line and len(line) + 3 + len(text) > width:
            yield _line(line)
            line = Text()
        line.append("   " if line else "").append(text, style)
    yield _line(line)


def _line(*parts: str | Text | tuple[str, str]) -> Text:
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"
