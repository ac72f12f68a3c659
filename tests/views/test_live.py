"""The live region: it fits every terminal, says the same without colours, and cleans up."""

import io
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from journal_launcher.base.events import (
    GpuLoad,
    GpusMeasured,
    LaunchEnded,
    LaunchStarted,
    Note,
    PhaseChanged,
    TrialEnded,
    TrialProgress,
    TrialStarted,
    WorkerEnded,
    WorkerReady,
    WorkerStarted,
)
from journal_launcher.views.board import Board
from journal_launcher.views.live import LiveView, Screen
from journal_launcher.views.view import make_view

STUDIES = Path("/data/optuna_studies")
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


def board(workers: int, study: str = "diabetes_neural_net") -> Board:
    now = 0.0
    board = Board(lambda: now)
    board.fold(LaunchStarted(study, STUDIES / "s.log", True, 20, 5, 2, ("maximize",), "r2", 0.4))
    for worker in range(workers):
        board.fold(WorkerStarted(worker, f"GPU {worker} NVIDIA H100 MIG 1g.10gb", STUDIES))
        board.fold(WorkerReady(worker))
        if worker != 1:
            board.fold(TrialStarted(worker, 1000 + worker))
            board.fold(TrialProgress(worker, 1000 + worker, "epoch", 141, 200, -1234.56789))
    board.fold(PhaseChanged("running"))
    now = 60.0
    board.fold(TrialEnded(0, 1000, "COMPLETE", (0.5,), None, 60.0, 12, 2, 0.5, 1000))
    board.fold(TrialStarted(0, 1100))
    now = 7391.0
    return board


def drawn(board: Board, width: int, height: int = 24) -> list[str]:
    console = Console(
        file=io.StringIO(), record=True, width=width, height=height, force_terminal=True
    )
    console.print(Screen(board))
    return console.export_text().splitlines()


def loads(count: int) -> tuple[GpuLoad, ...]:
    gib = 2**30
    return tuple(
        GpuLoad(f"GPU {n} NVIDIA H100", f"GPU-{n}", (12 + n) * gib, 80 * gib, n / 10 or None)
        for n in range(count)
    )


def test_each_gpus_memory_and_utilisation_are_shown() -> None:
    full = board(2)
    without = drawn(full, 80)
    full.fold(GpusMeasured(loads(2)))
    with_gpus = drawn(full, 80)
    (line,) = [line for line in with_gpus if line not in without]
    assert line.split("   ") == ["GPU 0 12.0/80.0 GiB", "GPU 1 13.0/80.0 GiB 10%"]
    full.fold(GpusMeasured(()))
    assert drawn(full, 80) == without


@pytest.mark.parametrize(
    ("workers", "speedup", "shown"),
    [(1, None, " 1 worker"), (2, None, " 2 workers"), (3, 1.84, " 3 workers 1.8x")],
)
def test_a_gpu_whose_workers_are_found_out_shows_them(
    workers: int, speedup: float | None, shown: str
) -> None:
    full = board(2)
    full.fold(GpusMeasured((replace(loads(1)[0], workers=workers, speedup=speedup),)))
    assert f"GPU 0 12.0/80.0 GiB{shown}" in drawn(full, 80)


@pytest.mark.parametrize(("width", "lines"), [(140, 2), (80, 3), (50, 1)])
def test_many_gpus_take_three_lines_or_one_for_all(width: int, lines: int) -> None:
    full = board(8)
    without = drawn(full, width, height=30)
    full.fold(GpusMeasured(loads(8)))
    found = [line for line in drawn(full, width, height=30) if line not in without]
    assert len(found) == lines and max(map(len, found)) <= width
    assert (found == ["8 GPUs 124.0/640.0 GiB 40%"]) is (lines == 1)


@pytest.mark.parametrize("width", [20, 30, 50, 80, 120])
@pytest.mark.parametrize("workers", [0, 1, 2, 8, 24, 64])
@pytest.mark.parametrize("study", ["s", "n" * 100])
def test_fits_every_width_and_leaves_room_for_notes(width: int, workers: int, study: str) -> None:
    lines = drawn(board(workers, study), width)
    assert max(map(len, lines)) <= width
    assert len(lines) < 24


@pytest.mark.parametrize("width", [50, 80, 120])
def test_a_worker_has_device_trial_progress_and_age(width: int) -> None:
    lines = drawn(board(3), width)
    row = next(line for line in lines if "trial 1002" in line)
    assert row.startswith("GPU 2 NVI")
    assert "epoch 141/200" in row
    assert row.endswith("2:03:11")
    assert ("-1234.6" in row) == (width >= 80)
    assert any("waiting" in line for line in lines)


@pytest.mark.parametrize(
    ("width", "shown"),
    [(50, "fold 1/5, 40%"), (80, "fold 1/5, 40%"), (120, "fold 1/5, round 200/500")],
)
def test_rounds_of_a_fold_fit_every_width(width: int, shown: str) -> None:
    full = board(3)
    full.fold(TrialProgress(2, 1002, "fold", 0, 5, None, 200, 500))
    row = next(line for line in drawn(full, width) if "trial 1002" in line)
    assert f"  {shown} " in row and row.endswith("2:03:11") and len(row) <= width


def test_totals() -> None:
    head, totals, *_ = drawn(board(2), 80)
    assert head.startswith("diabetes_neural_net  ━")
    assert head.endswith("12 of 20")
    assert head.count("━") / (head.count("━") + head.count("─")) == pytest.approx(0.6, abs=0.02)
    assert totals.startswith("best r2 0.5 (trial 1000)   2 failed   elapsed 2:03:11   ETA ")


def test_counts_what_a_value_is_and_how_the_best_went() -> None:
    full = board(2)
    for number, value in enumerate((0.55, 0.6, 0.75), 1200):
        full.fold(TrialStarted(0, number))
        full.fold(TrialEnded(0, number, "COMPLETE", (value,), None, 1.0, 13, 2, value, number))
    full.fold(TrialStarted(0, 1300))
    full.fold(TrialEnded(0, 1300, "PRUNED", None, None, 1.0, 14, 2, 0.75, 1202))
    for width, lines in ((80, 3), (140, 2)):
        screen = drawn(full, width)
        totals = "   ".join(screen[1:lines])
        assert totals.startswith("best r2 0.75 (trial 1202)   2 failed   1 pruned   elapsed")
        assert "   running trials   r2: larger is better  ▁▃▄▅██" in totals, totals
        assert not screen[lines].startswith("   ") and "GPU" in screen[lines]
    full.fold(PhaseChanged("confirming"))
    assert "scoring the best trials on fresh folds" in "\n".join(drawn(full, 80))
    several = Board(lambda: 0.0)
    journal = STUDIES / "s.log"
    both = ("minimize", "maximize")
    several.fold(LaunchStarted("s", journal, True, 9, 5, 0, both, None, None, n_pruned=4))
    shown = "4 pruned   elapsed 0:00   preparing   values: minimize, maximize"
    assert drawn(several, 120)[1] == shown


def test_many_workers_share_lines() -> None:
    text = "\n".join(drawn(board(24), 80))
    assert all(f"#{1000 + worker}" in text for worker in range(2, 24))
    assert "70%" in text


@pytest.mark.parametrize(("workers", "first"), [(2, "worker 0 (CPU)"), (64, "w0 ")])
def test_workers_on_equal_devices_are_told_apart(workers: int, first: str) -> None:
    on_cpu = Board(lambda: 0.0)
    for worker in range(workers):
        on_cpu.fold(WorkerStarted(worker, "CPU", STUDIES))
    lines = drawn(on_cpu, 80)
    assert lines[1].startswith(first)
    assert max(map(len, lines)) <= 80


def test_workers_beyond_the_screen_are_counted() -> None:
    lines = drawn(board(64), 50)
    shown = sum(line.count("GPU") for line in lines)
    assert lines[-1] == f"… and {64 - shown} more workers"


def test_before_the_study_is_open() -> None:
    assert drawn(Board(lambda: 0.0), 80) == ["elapsed 0:00   preparing"]


def terminal(**options: bool) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=80, height=24, **options)
    return console, file


def test_the_terminal_is_restored_after_an_interrupt() -> None:
    console, file = terminal()
    with pytest.raises(KeyboardInterrupt), LiveView(console) as view:
        view(Note("begun"))
        raise KeyboardInterrupt
    written = file.getvalue()
    assert written.count(HIDE_CURSOR) == 1
    assert written.rindex(SHOW_CURSOR) > written.rindex(HIDE_CURSOR)


def test_the_summary_takes_the_place_of_the_region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    console, file = terminal()
    with make_view(True, False, 0, console) as view:
        view(LaunchEnded("s", "done", 0, 1, STUDIES / "s.log", n_finished=1, seconds=3.0))
        assert SHOW_CURSOR in file.getvalue()
    assert screen(file.getvalue()) == [
        "s done: 1 of 1 trials finished in 3.0 s",
        f"  dashboard  journal-launcher dashboard s --studies-dir {STUDIES}",
    ]


def test_no_colours_if_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    console, file = terminal()
    console.print(Screen(board(2)))
    codes = {code for part in file.getvalue().split("\x1b[")[1:] for code in [part.split("m")[0]]}
    assert codes <= {"0", "1", "2"}


@contextmanager
def often_switching() -> Iterator[None]:
    """Let threads take turns so often that what can get in between does."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def screen(written: str) -> list[str]:
    """The lines, without blank ones, that a terminal shows after `written`."""
    lines, row, column = [""], 0, 0
    for token in re.findall(r"\x1b\[[?0-9;]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", written):
        if token == "\r":
            column = 0
        elif token == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif token == "\x1b[2K":
            lines[row] = ""
        elif token.startswith("\x1b["):
            row -= int(token[2:-1]) if token[-1] == "A" else 0
        else:
            line = lines[row].ljust(column)
            lines[row] = line[:column] + token + line[column + len(token) :]
            column += len(token)
    return [line for line in lines if line.strip()]


def test_notes_and_redraws_do_not_tear_each_other() -> None:
    """A redraw between a note's cursor movement and its text leaves pieces of the region."""
    console, file = terminal()
    over = threading.Event()
    view = LiveView(console)

    def redraw() -> None:
        while not over.is_set():
            view.tick()

    with view, often_switching():
        redrawing = threading.Thread(target=redraw)
        redrawing.start()
        for number in range(100):
            for worker in range(3):  # the height changes
                view(WorkerEnded(worker) if number % 2 else WorkerStarted(worker, "CPU", STUDIES))
            view(Note(f"note {number}"))
        over.set()
        redrawing.join()
    assert screen(file.getvalue()) == [f"note {number}" for number in range(100)]
