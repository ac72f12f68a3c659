"""Plain lines: what gets a line, how often, and that thousands of trials do not."""

import io
import threading
from pathlib import Path

import pytest
from rich.console import Console

from journal_launcher.base.events import (
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
from journal_launcher.views.listeners import fan_out
from journal_launcher.views.plain import PlainView
from journal_launcher.views.summary import summarizing
from journal_launcher.views.words import Detail

LONG = Path("/data/a folder with a long name that goes on and on and on and on/optuna_studies")
JOURNAL = LONG / "s.log"


class Run:
    """A view on a clock that the test moves, and what it has printed."""

    def __init__(self, detail: Detail = Detail.TRIALS, n_trials: int = 5000) -> None:
        self.now = 0.0
        self._file = io.StringIO()
        console = Console(file=self._file, width=80)
        self.view = PlainView(console, detail, lambda: self.now)
        self.listen = fan_out(self.view, summarizing(console))
        self.view(LaunchStarted("s", JOURNAL, False, n_trials, 0, 0, ("minimize",), None, None))
        self.view(WorkerStarted(0, "CPU", LONG / "0.log"))
        self.view(WorkerReady(0))
        self.view(PhaseChanged("running"))

    def trial(self, number: int, seconds: float = 0.0, state: str = "COMPLETE") -> None:
        self.view(TrialStarted(0, number))
        self.now += seconds
        values = (1 / (number + 1),) if state == "COMPLETE" else None
        reason = "CUDA out of memory" if state == "FAIL" else None
        self.view(TrialEnded(0, number, state, values, reason, seconds, number + 1, 0, 0.5, number))

    @property
    def lines(self) -> list[str]:
        return self._file.getvalue().splitlines()


def test_the_first_line_ends_in_the_whole_path_of_the_journal() -> None:
    run = Run(n_trials=20)
    assert run.lines == [f"   0:00  s: new study, 20 trials, journal {JOURNAL}"]


def test_a_resumed_study_says_where_it_stands() -> None:
    run = Run()
    run.view(LaunchStarted("s", JOURNAL, True, 20, 7, 2, ("maximize",), "r2", 0.5, 4))
    told = "s: resumed, 7 of 20 finished, 2 failed, best r2 0.5 (trial 4), journal "
    assert run.lines[-1].endswith(f"{told}{JOURNAL}")


def test_every_trial_of_a_usual_study_has_a_line() -> None:
    run = Run(n_trials=20)
    for number in range(20):
        run.trial(number, seconds=0.44)
    assert len(run.lines) == 21
    assert run.lines[1] == "   0:00  trial 0: 1 after 0.4 s on CPU, new best"


def test_thousands_of_quick_trials_share_a_few_lines() -> None:
    run = Run()
    for number in range(5000):
        run.trial(number, seconds=0.01)
        run.view.tick()
    trials = [line for line in run.lines if "trial" in line and "finished" not in line]
    assert 20 < len(trials) < 40  # 50 s: 20 at once, then one every 5 s
    first = next(line for line in run.lines if "finished" in line)
    assert "(481 not shown one by one)" in first
    assert len(run.lines) < 50


def test_verbose_shows_every_trial_and_start() -> None:
    run = Run(Detail.ALL)
    for number in range(50):
        run.trial(number)
    assert sum("starts on CPU" in line for line in run.lines) == 51  # 50 trials and a worker
    assert sum("after" in line for line in run.lines) == 50


def test_status_lines_come_every_5_s_and_after_a_minute_every_30_s() -> None:
    run = Run(n_trials=20)
    run.trial(0, seconds=4)
    run.view(TrialStarted(0, 1))
    run.view(TrialProgress(0, 1, "epoch", 41, 200, 0.4))
    times = []
    while run.now < 200:
        before = len(run.lines)
        run.now += 1
        run.view.tick()
        times += [run.now] if len(run.lines) > before else []
    assert times == [*range(5, 61, 5), 90, 120, 150, 180]
    assert run.lines[2] == (
        "   0:05  1 of 20 finished, best 0.5 (trial 0), ETA 1:15; "
        "running trial 1 (epoch 41/200, 1.0 s)"
    )


def test_what_comes_after_the_trials_is_named_before_its_trial() -> None:
    run = Run(n_trials=1)
    run.trial(0, seconds=1)
    run.view(PhaseChanged("refitting"))
    run.view(TrialProgress(0, 0, "step", 1, 3, None))
    run.now += 30
    run.view.tick()
    assert run.lines[-1].endswith("; refitting the best trial: trial 0 (step 1/3, 0:30)")


def test_a_trial_says_its_rounds_and_how_long_it_will_take() -> None:
    run = Run(n_trials=20)
    run.view(TrialStarted(0, 0))
    run.now += 6
    run.view(TrialProgress(0, 0, "fold", 0, 5, None, 50, 500))
    run.view.tick()
    assert run.lines[-1] == (
        "   0:06  0 of 20 finished, ETA 1:39:54; "
        "running trial 0 (fold 1/5, round 50/500, 6.0 s of about 5:00)"
    )


def test_a_launch_that_says_nothing_is_still_seen_to_live() -> None:
    file = io.StringIO()
    now = 0.0
    view = PlainView(Console(file=file), clock=lambda: now)
    now = 6.0
    view.tick()
    assert file.getvalue().strip() == "0:06  preparing"


@pytest.mark.parametrize(
    ("detail", "expected"),
    [(Detail.TRIALS, ["look", "warning: hot"]), (Detail.ALL, ["fine", "look", "warning: hot"])],
)
def test_levels_of_notes(detail: Detail, expected: list[str]) -> None:
    run = Run(detail)
    before = len(run.lines)
    for note in (Note("fine", "info"), Note("look"), Note("hot", "warning")):
        run.view(note)
    assert [line.split("  ")[-1] for line in run.lines[before:]] == expected


def test_a_failure_and_a_lost_worker_say_why() -> None:
    run = Run()
    run.trial(0, seconds=12, state="FAIL")
    assert run.lines[-1].endswith("trial 0 failed after 0:12 on CPU: CUDA out of memory")
    run.view(WorkerEnded(0, "killed by signal 11, log 0.log"))
    assert run.lines[-1].endswith("worker 0 (CPU): killed by signal 11, log 0.log")
    run.view(WorkerEnded(0))
    assert run.lines[-1].endswith("0.log")


def test_an_interrupted_trial_is_not_called_a_failure() -> None:
    run = Run()
    run.view(TrialEnded(0, 3, "FAIL", None, "interrupted", 5.0, 2, 0, 0.5, 1))
    assert run.lines[-1].endswith("trial 3 was interrupted after 5.0 s on CPU; it is queued again")


def test_a_trial_that_repeats_one_names_it_and_so_does_the_one_that_it_repeats() -> None:
    run = Run()
    ended = (0, 3, "FAIL", None, "worker killed by SIGKILL", 5.0, 2, 0, 0.5, 1)
    run.view(TrialEnded(*ended, queued_as=7))
    expected = (
        "trial 3 failed after 5.0 s on CPU: worker killed by SIGKILL; queued again as trial 7"
    )
    assert run.lines[-1].endswith(expected)
    run.view(TrialEnded(0, 4, "FAIL", None, "interrupted", 5.0, 2, 0, 0.5, 1, queued_as=8))
    assert run.lines[-1].endswith(
        "trial 4 was interrupted after 5.0 s on CPU; it is queued again as trial 8"
    )
    run.view(TrialStarted(0, 7, repeats=3))
    assert run.lines[-1].endswith("trial 7 (trial 3 again) starts on CPU")
    run.view(TrialEnded(0, 7, "COMPLETE", (0.25,), None, 5.0, 2, 0, 0.5, 1, {}, {"jl_repeats": 3}))
    assert run.lines[-1].endswith("trial 7 (trial 3 again): 0.25 after 5.0 s on CPU")


def test_a_budget_below_what_is_finished_is_left_out() -> None:
    run = Run(n_trials=3)
    run.view(LaunchStarted("s", JOURNAL, True, 3, 20, 0, ("maximize",), "r2", 0.5))
    assert run.lines[-1].endswith(f"s: resumed, 20 finished, best r2 0.5, journal {JOURNAL}")
    run.now += 6
    run.view.tick()
    assert run.lines[-1].endswith("20 finished, best r2 0.5")


def test_nothing_follows_the_summary_and_leaving_stops_the_ticker() -> None:
    run = Run()
    with run.view:
        run.listen(
            LaunchEnded(
                "s", "done", 0, 1, JOURNAL, n_finished=1, directions=("minimize",), seconds=3.0
            )
        )
    run.now += 100
    run.view.tick()
    assert run.lines[-1] == f"  dashboard  journal-launcher dashboard s --studies-dir '{LONG}'"
    assert not [thread for thread in threading.enumerate() if thread.name == "view"]
