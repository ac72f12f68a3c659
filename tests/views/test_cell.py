"""A notebook's cell: one line that is rewritten, lines that stay; nothing where nobody asked."""

import io
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from launcher.harness import Workshop

from journal_launcher.base.errors import ExitCode
from journal_launcher.base.events import (
    LaunchEnded,
    LaunchStarted,
    Note,
    PhaseChanged,
    TrialEnded,
    TrialStarted,
    WorkerReady,
    WorkerStarted,
)
from journal_launcher.views.cell import CellView

JOURNAL = Path("/data/optuna_studies/s.log")


class Run:
    """A view on a clock that the test moves, and what a cell shows of its text."""

    def __init__(self) -> None:
        self.now = 0.0
        self.file = io.StringIO()
        self.view = CellView(self.file, lambda: self.now)

    def begin(self) -> None:
        self.view(LaunchStarted("s", JOURNAL, False, 20, 0, 0, ("minimize",), None, None))
        self.view(WorkerStarted(0, "CPU", JOURNAL.parent / "0.log"))
        self.view(WorkerReady(0))
        self.view(PhaseChanged("running"))

    def trial(self, number: int, seconds: float, state: str = "COMPLETE") -> None:
        self.view(TrialStarted(0, number))
        self.now += seconds
        value = None if state == "FAIL" else (0.5,)
        reason = "CUDA out of memory" if state == "FAIL" else None
        done = number + (state != "FAIL")
        failed = int(state == "FAIL")
        self.view(TrialEnded(0, number, state, value, reason, seconds, done, failed, 0.5, 0))

    @property
    def shown(self) -> list[str]:
        """What a carriage return leaves of each line."""
        lines = []
        for line in self.file.getvalue().split("\n"):
            kept = ""
            for part in line.split("\r"):
                kept = part + kept[len(part) :]
            lines.append(kept.rstrip())
        return lines


def test_one_line_is_rewritten() -> None:
    run = Run()
    run.view.tick()
    assert run.shown == ["preparing"]
    run.begin()
    run.view.tick()
    run.trial(0, 10)
    run.view.tick()
    begun = f"s: new study, 20 trials, journal {JOURNAL}"
    assert run.shown == [begun, "1 of 20 finished, best 0.5 (trial 0), ETA 3:10"]
    run.view(PhaseChanged("publishing"))
    run.view.tick()
    assert run.shown[1:] == ["1 of 20 finished, best 0.5 (trial 0); saving the best model"]
    written = run.file.getvalue()
    run.view.tick()
    assert run.file.getvalue() == written  # nothing has changed


def test_warnings_failures_and_the_end_stay() -> None:
    run = Run()
    run.begin()
    run.view.tick()
    run.view(Note("an \x1b[31modd text", "warning"))
    run.trial(0, 1, "FAIL")
    run.trial(1, 1)
    run.view.tick()
    run.view(
        LaunchEnded(
            study="s",
            exit_reason="complete",
            exit_code=ExitCode.DONE,
            n_trials=20,
            journal=JOURNAL,
            n_finished=20,
            seconds=65.0,
        )
    )
    run.view.tick()
    assert run.shown[1:] == [
        "warning: an \\x1b[31modd text",
        "trial 0 failed after 1.0 s on CPU: CUDA out of memory",
        "s done: 20 of 20 trials finished in 1:05",
        "",
    ]


def test_it_moves_by_itself() -> None:
    run = Run()
    with run.view:
        deadline = time.monotonic() + 20
        while run.shown != ["preparing"]:
            assert time.monotonic() < deadline


def of_kernel(monkeypatch: pytest.MonkeyPatch, kernel: Any) -> None:
    shell = None if kernel is None else SimpleNamespace(kernel=kernel)
    module = SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", module)  # type: ignore[arg-type]


def objective(trial: Any) -> float:
    return float(trial.suggest_float("x", 0, 1))


def test_a_notebook_shows_it_and_nothing_else_does(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from journal_launcher.api import launch

    given: dict[str, Any] = {
        "objective": objective,
        "study_name": "study",
        "studies_dir": workshop.paths.folder,
        "gpus": "none",
    }
    of_kernel(monkeypatch, object())
    launch(**given, n_trials=1)
    out, err = capfd.readouterr()
    assert "study: new study, 1 trials" in out and "study done: 1 of 1" in out and err == ""
    launch(**given, n_trials=1, on_event=lambda event: None)
    launch(**given, n_trials=1, progress=False)
    of_kernel(monkeypatch, None)  # IPython in a terminal
    launch(**given, n_trials=1)
    assert capfd.readouterr() == ("", "")
    launch(**given, n_trials=1, progress=True)
    out, err = capfd.readouterr()
    assert out == "" and "study done: 1 trials finished" in err.replace("1 of 1", "1")
