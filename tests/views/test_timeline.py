"""The timeline of a report: workers, gaps, pauses between launches, and trials of other writers."""

from datetime import datetime, timedelta

import optuna
from optuna.trial import FrozenTrial, TrialState

from journal_launcher.study.owner import OWNER_ATTRIBUTE, Owner
from journal_launcher.views.report.timeline import Lane, timeline_of

BEGUN = datetime(2026, 1, 1, 12)
NOW = BEGUN.timestamp()


def ran(
    begin: float, end: float | None, worker: int | None = 0, launch: str = "a"
) -> tuple[FrozenTrial, str]:
    """A trial and its state; seconds since BEGUN, running if it has no end."""
    owner = Owner(launch, worker or 0, "host", "boot", "pid", 1, 1.0)
    state = TrialState.RUNNING if end is None else TrialState.FAIL
    said = {} if worker is None else {OWNER_ATTRIBUTE: owner.to_json(), "jl_device": "GPU 0"}
    trial = optuna.create_trial(state=state, user_attrs=said)
    trial.datetime_start = BEGUN + timedelta(seconds=begin)
    trial.datetime_complete = None if end is None else BEGUN + timedelta(seconds=end)
    return trial, state.name.lower()


def spans(lane: Lane) -> list[tuple[float, float]]:
    return [(stay.begin, stay.end) for stay in lane.stays]


def test_a_worker_is_idle_before_between_and_after_its_trials_while_its_launch_goes_on() -> None:
    found = timeline_of([ran(0, 10), ran(10, 20), ran(2, 5, 1), ran(9, 12, 1)], None)
    first, second = found.lanes
    assert (first.name, second.name) == ("worker 0, GPU 0", "worker 1, GPU 0")
    assert found.launches == ((0, 20),)
    assert list(first.gaps()) == []
    assert list(second.gaps()) == [(0, 2), (5, 9), (12, 20)]
    assert (second.busy, second.time) == (6, 20)


def test_the_time_between_two_launches_is_left_out_and_counts_for_nobody() -> None:
    trials = [ran(0, 10), ran(0, 8, 1), ran(1000, 1010, 0, "b"), ran(1005, 1006, 2, "b")]
    found = timeline_of(trials, None)
    assert found.launches == ((0, 10), (10, 20))
    first, second, third = found.lanes
    assert spans(first) == [(0, 10), (10, 20)] and list(first.gaps()) == []
    assert list(second.gaps()) == [(8, 10)] and second.time == 10
    assert list(third.gaps()) == [(10, 15), (16, 20)] and third.time == 10


def test_a_pause_within_a_launch_stays() -> None:
    found = timeline_of([ran(0, 10), ran(500, 510)], None)
    assert list(found.lanes[0].gaps()) == [(10, 500)]


def test_what_runs_lasts_until_now_and_what_is_left_of_a_dead_launch_as_long_as_that() -> None:
    trials = [ran(0, 10), ran(12, None), ran(3, None, 1)]
    found = timeline_of(trials, NOW + 30)
    assert [spans(lane) for lane in found.lanes] == [[(0, 10), (12, 30)], [(3, 30)]]
    trials = [ran(0, 10), (ran(3, None, 1)[0], "stale")]
    found = timeline_of(trials, None)
    assert [spans(lane) for lane in found.lanes] == [[(0, 10)], [(3, 10)]]


def test_trials_of_another_writer_that_overlap_get_lanes_of_their_own() -> None:
    found = timeline_of([ran(0, 10, None), ran(5, 8, None), ran(10, 12, None)], None)
    assert [spans(lane) for lane in found.lanes] == [[(0, 10), (10, 12)], [(5, 8)]]


def test_a_clock_that_went_back_and_a_trial_that_only_waits_do_no_harm() -> None:
    waiting = optuna.create_trial(state=TrialState.WAITING)
    waiting.datetime_start = None
    found = timeline_of([(waiting, "waiting"), ran(5, 3), ran(6, 8)], None)
    assert spans(found.lanes[0]) == [(0, 0), (1, 3)]
    assert timeline_of([(waiting, "waiting")], None).lanes == ()


def test_worker_ten_comes_after_worker_nine() -> None:
    found = timeline_of([ran(0, 1, worker) for worker in (10, 9, 1)], None)
    assert [lane.name.partition(",")[0] for lane in found.lanes] == [
        *("worker 1", "worker 9", "worker 10")
    ]
