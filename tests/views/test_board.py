"""The board: counts, ages and the time left, by a clock of our own."""

from pathlib import Path

import pytest

from journal_launcher.base.events import (
    LaunchStarted,
    PhaseChanged,
    TrialEnded,
    TrialProgress,
    TrialStarted,
    WorkerEnded,
    WorkerReady,
    WorkerStarted,
)
from journal_launcher.views.board import Board
from journal_launcher.views.figures import clock_time, duration
from journal_launcher.views.words import best

JOURNAL = Path("/data/optuna_studies/s.log")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def board(clock: Clock) -> Board:
    return running(Board(clock), workers=2, n_trials=10, n_finished=4)


def running(board: Board, workers: int, n_trials: int, n_finished: int) -> Board:
    directions = ("maximize",)
    board.fold(LaunchStarted("s", JOURNAL, True, n_trials, n_finished, 1, directions, "r2", 0.25))
    for worker in range(workers):
        board.fold(WorkerStarted(worker, f"GPU {worker}", JOURNAL))
        board.fold(WorkerReady(worker))
    board.fold(PhaseChanged("running"))
    return board


def ended(worker: int, number: int, n_finished: int, state: str = "COMPLETE") -> TrialEnded:
    values = (0.5,) if state == "COMPLETE" else None
    return TrialEnded(worker, number, state, values, None, 1.0, n_finished, 1, 0.5, 7)


def test_a_resumed_study_starts_with_its_counts(board: Board) -> None:
    assert (board.n_finished, board.n_failed, board.n_trials) == (4, 1, 10)
    assert best(board) == "best r2 0.25"


def test_a_trial_ages_and_forgets_the_progress_of_the_one_before(
    board: Board, clock: Clock
) -> None:
    board.fold(TrialStarted(0, 5))
    board.fold(TrialProgress(0, 5, "fold", 3, 5, 0.4))
    clock.now += 65
    row = board.workers[0]
    assert (row.trial, row.progress, row.value) == (5, "fold 3/5", 0.4)
    assert duration(board.age(row)) == "1:05"
    board.fold(ended(0, 5, n_finished=5))
    assert (board.workers[0].state, board.workers[0].progress) == ("waiting", "")
    board.fold(TrialStarted(0, 6))
    row = board.workers[0]
    assert (row.trial, row.progress, row.value, board.age(row)) == (6, "", None, 0.0)


def test_progress_of_unknown_length(board: Board) -> None:
    board.fold(TrialStarted(1, 5))
    board.fold(TrialProgress(1, 5, "step", 70, None, None))
    assert board.workers[1].progress == "step 70"


def test_a_refit_shows_its_trial_though_it_never_starts(board: Board, clock: Clock) -> None:
    clock.now += 10
    board.fold(TrialProgress(0, 5, "step", 2, 3, None))
    row = board.workers[0]
    assert (row.state, row.trial, row.progress, board.age(row)) == ("busy", 5, "step 2/3", 0.0)


def test_rounds_are_of_the_fold_under_way(board: Board) -> None:
    board.fold(TrialStarted(0, 5))
    board.fold(TrialProgress(0, 5, "fold", 0, 5, None, 30, 500))
    row = board.workers[0]
    assert (row.progress, row.short_progress) == ("fold 1/5, round 30/500", "fold 1/5, 6%")
    assert row.share == pytest.approx(0.06 / 5)
    board.fold(TrialProgress(0, 5, "fold", 5, 5, 0.4))
    row = board.workers[0]
    assert (row.progress, row.short_progress, row.share) == ("fold 5/5", "fold 5/5", 1.0)


def test_there_is_no_eta_before_the_first_finished_trial(board: Board, clock: Clock) -> None:
    board.fold(TrialStarted(0, 5))
    clock.now += 10
    assert board.eta() is None


def test_but_for_what_the_progress_of_the_first_trials_promises(board: Board, clock: Clock) -> None:
    board.fold(TrialStarted(0, 5))
    clock.now += 2
    board.fold(TrialProgress(0, 5, "fold", 0, 5, None, 50, 500))
    assert board.expected(board.workers[0]) is None and board.eta() is None  # too early to say
    clock.now += 2
    assert board.expected(board.workers[0]) == pytest.approx(200)
    assert board.eta() == pytest.approx((6 * 200 - 4) / 2)  # 6 trials left on 2 workers
    board.fold(TrialStarted(1, 6))
    board.fold(TrialProgress(1, 6, "step", 70, None, None))  # of unknown length
    assert board.eta() == pytest.approx((6 * 200 - 4 - 4) / 2)


def test_eta_shares_what_is_left_among_the_workers(board: Board, clock: Clock) -> None:
    board.fold(TrialStarted(0, 5))
    board.fold(TrialStarted(1, 6))
    clock.now += 10
    board.fold(ended(0, 5, n_finished=5))
    board.fold(ended(1, 6, n_finished=6))
    board.fold(TrialStarted(0, 7))
    board.fold(TrialStarted(1, 8))
    assert board.eta() == pytest.approx(20)  # 4 trials of 10 s on 2 workers
    clock.now += 4
    assert board.eta() == pytest.approx(16)
    clock.now += 100  # both trials take far longer than the mean: only the other two are left
    assert board.eta() == pytest.approx(10)


def test_what_a_trial_repeats_from_a_checkpoint_promises_nothing(
    board: Board, clock: Clock
) -> None:
    board.fold(TrialStarted(0, 5, repeats=3))
    clock.now += 4
    board.fold(TrialProgress(0, 5, "epoch", 9, 10, None))
    assert board.expected(board.workers[0]) is None and board.eta() is None
    board.fold(ended(0, 5, n_finished=5))
    assert board.eta() is None
    board.fold(TrialStarted(0, 6))
    clock.now += 40
    board.fold(ended(0, 6, n_finished=6))
    assert board.eta() == pytest.approx(4 * 40 / 2)


def test_eta_of_the_last_trial_does_not_count_on_idle_workers(board: Board, clock: Clock) -> None:
    for number, n_finished in ((5, 5), (6, 6), (7, 7), (8, 8), (9, 9)):
        board.fold(TrialStarted(0, number))
        clock.now += 10
        board.fold(ended(0, number, n_finished))
    board.fold(TrialStarted(0, 10))
    clock.now += 3
    assert board.eta() == pytest.approx(7)


def test_there_is_no_eta_once_the_last_trials_take_longer_than_expected(
    board: Board, clock: Clock
) -> None:
    for number, n_finished in ((5, 5), (6, 6), (7, 7), (8, 8), (9, 9)):
        board.fold(TrialStarted(0, number))
        clock.now += 10
        board.fold(ended(0, number, n_finished))
    board.fold(TrialStarted(0, 10))
    clock.now += 9.5
    assert board.eta() == pytest.approx(0.5)
    clock.now += 0.5
    assert board.eta() is None


def test_workers_are_told_apart_by_number_only_where_devices_do_not(clock: Clock) -> None:
    board = Board(clock)
    for worker, device in enumerate(["GPU 0 H100", "GPU 1 H100", "CPU"]):
        board.fold(WorkerStarted(worker, device, JOURNAL))
    assert [board.label(worker) for worker in range(3)] == ["GPU 0 H100", "GPU 1 H100", "CPU"]
    assert board.label(2, numbered=True) == "worker 2 (CPU)"
    board.fold(WorkerStarted(3, "CPU", JOURNAL))
    labels = ["GPU 0 H100", "GPU 1 H100", "worker 2 (CPU)", "worker 3 (CPU)", "worker 4"]
    assert [board.label(worker) for worker in range(5)] == labels


def test_failed_trials_cost_time_but_do_not_count(board: Board, clock: Clock) -> None:
    board.fold(TrialStarted(0, 5))
    clock.now += 10
    board.fold(ended(0, 5, n_finished=4, state="FAIL"))
    assert board.eta() is None
    board.fold(TrialStarted(0, 6))
    clock.now += 10
    board.fold(ended(0, 6, n_finished=5))
    assert board.eta() == pytest.approx(5 * 20 / 2)


def test_no_eta_outside_of_the_running_phase(board: Board, clock: Clock) -> None:
    board.fold(TrialStarted(0, 5))
    clock.now += 10
    board.fold(ended(0, 5, n_finished=5))
    assert board.eta() is not None
    board.fold(PhaseChanged("stopping"))
    assert board.eta() is None


def test_the_trial_of_a_dead_worker_ends_after_it(board: Board) -> None:
    board.fold(TrialStarted(0, 5))
    board.fold(WorkerEnded(0, "killed by signal 11"))
    board.fold(ended(0, 5, n_finished=4, state="FAIL"))
    assert [row.device for row in board.present()] == ["GPU 1"]
    board.fold(WorkerStarted(0, "GPU 0", JOURNAL))
    assert [row.state for row in board.present()] == ["starting", "waiting"]


def test_events_of_unknown_workers_are_no_error(board: Board) -> None:
    board.fold(TrialStarted(9, 5))
    board.fold(ended(9, 5, n_finished=5))
    assert board.n_finished == 5


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (0.44, "0.4 s"),
        (9.97, "9.9 s"),
        (10, "0:10"),
        (65, "1:05"),
        (7391, "2:03:11"),
        (360000, "100:00:00"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (7.9, "0:07"), (65, "1:05"), (7391, "2:03:11"), (360000, "100:00:00")],
)
def test_a_clock_shows_whole_seconds(seconds: float, text: str) -> None:
    assert clock_time(seconds) == text
