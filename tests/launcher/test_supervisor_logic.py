"""The supervisor's decisions, with a clock that the test moves and workers that are scripts."""

import itertools
import signal
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest
from launcher.fake_stage import Clock, Stage

from journal_launcher.base import events, messages
from journal_launcher.base.events import Note
from journal_launcher.launcher.course import Course, _why_none
from journal_launcher.launcher.engine import left_behind
from journal_launcher.launcher.slot import (
    BACKOFF_FIRST,
    LOSS_FIRST,
    MAX_DEATHS,
    MAX_LOSSES,
    STOP_GRACE,
    Phase,
    Slot,
)
from journal_launcher.launcher.supervisor import LOOK


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "monotonic", made)
    jumps = itertools.cycle([0.0, 86_400.0, -86_400.0])
    monkeypatch.setattr(time, "time", lambda: 1e9 + next(jumps))  # nobody may trust it
    return made


def test_first_grants_wait_for_all_but_no_longer_than_five_seconds(clock: Clock) -> None:
    stage = Stage(clock, workers=2)
    stage.ready(0)
    stage.turns(4.5)
    assert "grant" not in stage.process(0).told
    stage.turns(1.0)
    assert stage.process(0).told.count("grant") == 1
    stage.ready(1)
    stage.turn()
    stage.turn()
    assert stage.process(1).told.count("grant") == 1


def test_first_grants_go_out_when_the_last_worker_is_ready(clock: Clock) -> None:
    stage = Stage(clock, workers=2)
    stage.ready(0)
    stage.turn()
    stage.ready(1)
    before = clock.now
    stage.turn()
    stage.supervisor._give_work()
    assert [stage.process(index).told.count("grant") for index in (0, 1)] == [1, 1]
    assert clock.now - before <= LOOK


def test_open_grants_count_against_the_budget(clock: Clock) -> None:
    stage = Stage(clock, workers=3, wanted=2)
    for index in range(3):
        stage.ready(index)
    stage.turns(3)
    assert sorted(stage.process(i).told.count("grant") for i in range(3)) == [0, 1, 1]


def test_a_queued_trial_is_granted_once_until_its_worker_has_started_it(clock: Clock) -> None:
    stage = Stage(clock, workers=3)
    stage.ledger.queued = [4, 6]
    for index in range(3):
        stage.ready(index)
    stage.turns(3)
    assert [stage.process(index).granted for index in range(3)] == [[4], [6], [None]]


def test_a_grant_that_was_not_used_returns(clock: Clock) -> None:
    stage = Stage(clock, wanted=1)
    stage.ready()
    stage.turns(3)
    stage.process().say("request")  # somebody else took the queued trial
    stage.turns(3)
    assert stage.process().told.count("grant") == 2


@pytest.mark.parametrize("starting", ["all are ready", "one is still starting"])
def test_a_waiting_parent_wakes_once_per_look(clock: Clock, starting: str) -> None:
    stage = Stage(clock, workers=2, trial_timeout=500)
    stage.ready(0)
    if starting == "all are ready":
        stage.ready(1)
    stage.turns(10)
    assert stage.turns(100) <= 100 / LOOK + 1


def test_a_worker_that_is_stopped_does_not_keep_the_parent_awake(clock: Clock) -> None:
    stage = Stage(clock, trial_timeout=3)
    stage.run_trial()
    assert stage.turns(3.5) <= 4
    assert stage.process().told[-2:] == ["SIGUSR2", "SIGTERM"]
    process = stage.process()
    assert stage.turns(STOP_GRACE) <= STOP_GRACE / LOOK + 3
    assert process.told[-1] == "SIGKILL"
    assert stage.ledger.failed == [(0, "trial timeout after 3 s", False)]


def test_slow_trials_neither_close_a_worker_nor_delay_its_restart(clock: Clock) -> None:
    stage = Stage(clock, trial_timeout=3)
    for number in range(MAX_DEATHS + 1):
        stage.run_trial(number)
        process = stage.process()
        while "SIGTERM" not in process.told:
            stage.turn()
        process.status = 0
        before = clock.now
        while stage.process() in (process, None):
            stage.turn()
        assert clock.now - before < 0.01
    assert len(stage.ledger.failed) == MAX_DEATHS + 1
    assert stage.pool.slots[0].deaths == 0 and stage.supervisor.stop is None


def test_a_refit_without_trials_does_not_keep_the_parent_awake(clock: Clock) -> None:
    stage = Stage(clock, wanted=0)
    stage.ready()
    stage.turn()
    stage.supervisor.run_trials()
    before = len(clock.waits)
    clock.at(clock.now - 1000 + 60, lambda: stage.process().say("staged", content={}))
    assert stage.supervisor.await_answer(stage.pool.slots[0]) is not None
    assert len(clock.waits) - before <= 60 / LOOK + 1


def test_a_restart_that_will_not_come_does_not_keep_the_parent_awake(clock: Clock) -> None:
    stage = Stage(clock, workers=2)
    stage.run_trial()
    stage.supervisor.no_trials_after = clock.now + 0.5
    stage.process(1).status = 1
    stage.turn()
    assert stage.turns(30) <= 30 / LOOK + 2
    assert len(stage.pool.started) == 2
    assert stage.supervisor.stop is not None and stage.supervisor.stop.reason == "timeout"


def test_restarts_back_off_and_a_finished_trial_resets_them(clock: Clock) -> None:
    stage = Stage(clock, workers=1)
    for expected in (1.0, 2.0):
        died, starts = clock.now, len(stage.pool.started)
        stage.process().status = 1
        while len(stage.pool.started) == starts:
            stage.turn()
        assert clock.now - died == pytest.approx(expected, abs=0.01)
    stage.run_trial()
    ended = {"reason": None, "raised": False, "incompatible": False, "stop": False, "work": None}
    stage.process().say("ended", number=0, state="COMPLETE", seconds=1.0, **ended)
    stage.turn()
    stage.process().status = -11
    stage.turn()
    assert stage.pool.slots[0].phase is Phase.DOWN
    assert stage.pool.slots[0].restart_at - clock.now == pytest.approx(1.0, abs=0.01)


def test_deaths_while_preparing_neither_end_the_launch_nor_count_later(clock: Clock) -> None:
    stage = Stage(clock, workers=2, opened=False)
    for index in (0, 1):
        for _ in range(MAX_DEATHS):
            stage.process(index).status = 1
            stage.supervisor.step()
            while stage.pool.slots[index].phase is Phase.DOWN:
                stage.supervisor.step()
    assert [slot.phase for slot in stage.pool.slots] == [Phase.CLOSED] * 2
    assert stage.supervisor.stop is None
    stage.open()
    stage.supervisor.step()
    assert [slot.phase for slot in stage.pool.slots] == [Phase.STARTING] * 2
    stage.process(1).status = 1
    stage.supervisor.step()
    assert stage.pool.slots[1].restart_at - clock.now == pytest.approx(BACKOFF_FIRST, abs=0.01)


def test_nobody_is_restarted_once_the_others_were_dismissed(clock: Clock) -> None:
    stage = Stage(clock, workers=2, wanted=0)
    for index in range(2):
        stage.ready(index)
    stage.turn()
    stage.process(1).status = 1
    stage.turn()
    slow = stage.process(0)
    clock.at(clock.now - 1000 + 5, lambda: setattr(slow, "status", 0))
    stage.supervisor.dismiss()  # the restart would have been due after 1 s
    assert len(stage.pool.started) == 2
    assert slow.told.count("bye") == 1


def test_a_worker_that_ignores_bye_is_killed(clock: Clock) -> None:
    stage = Stage(clock, wanted=0)
    stage.ready()
    stage.turn()
    process, before = stage.process(), clock.now
    stage.supervisor.dismiss()
    assert process.told[-1] == "SIGKILL"
    assert clock.now - before == pytest.approx(STOP_GRACE, abs=0.01)


def test_a_timeout_that_passes_during_the_refit_changes_nothing(clock: Clock) -> None:
    stage = Stage(clock, wanted=0)
    stage.supervisor.no_trials_after = clock.now + 5
    stage.ready()
    stage.turn()
    stage.supervisor.run_trials()
    clock.at(clock.now - 1000 + 30, lambda: stage.process().say("staged", content={}))
    assert stage.supervisor.await_answer(stage.pool.slots[0]) is not None
    assert stage.supervisor.stop is None


def test_the_trial_timeout_is_for_trials_only(clock: Clock) -> None:
    stage = Stage(clock, wanted=0, trial_timeout=3)
    stage.ready()
    stage.turn()
    stage.supervisor.run_trials()
    slot = stage.pool.slots[0]
    slot.begin_chore("the refit")
    clock.at(clock.now - 1000 + 60, lambda: stage.process().say("staged", content={}))
    assert stage.supervisor.await_answer(slot) is not None
    assert "SIGTERM" not in stage.process().told and slot.work.chore is None


def test_a_second_ctrl_c_kills_whatever_ended_the_launch(clock: Clock) -> None:
    stage = Stage(clock)
    stage.run_trial()
    process = stage.process()
    process.say("failed", message="broken", exit_code=1, traceback=None)
    stage.turn()
    assert "SIGKILL" not in process.told
    stage.signals.append(signal.SIGINT)
    stage.turn()
    assert process.told.count("SIGTERM") == 1 and process.told[-1] == "SIGKILL"


def notes(stage: Stage) -> list[str]:
    return [event.text for event in stage.seen if isinstance(event, Note)]


@pytest.mark.parametrize(("internal", "level"), [(False, "warning"), (True, "info")])
def test_a_traceback_that_is_all_ours_is_for_who_asks_for_more(
    clock: Clock, internal: bool, level: str
) -> None:
    stage = Stage(clock)
    stage.run_trial()
    process = stage.process()
    process.say("failed", message="broken", exit_code=1, traceback="its frames", internal=internal)
    stage.turn()
    shown = [e.level for e in stage.seen if isinstance(e, Note) and e.text == "its frames"]
    assert shown == [level] and stage.supervisor.stop is not None
    assert str(process.log) in str(stage.supervisor.stop.message)


def test_a_worker_that_not_even_sigkill_ends_is_left_behind(clock: Clock) -> None:
    stage = Stage(clock)
    stage.run_trial()
    stage.process().stuck = True
    stage.signals.append(signal.SIGTERM)
    before = clock.now
    stage.supervisor.run_trials()
    stage.supervisor.dismiss()
    assert clock.now - before == pytest.approx(2 * STOP_GRACE + LOOK, abs=0.1)
    stopping = "stopping: running trials have 10 s to end"
    assert notes(stage) == [stopping, left_behind(2**31 - 2)]
    assert stage.ledger.failed == [(0, "worker killed, but it does not end", True)]
    assert stage.pool.close() == []


def test_the_others_go_on_without_a_worker_that_does_not_end(clock: Clock) -> None:
    stage = Stage(clock, workers=2, trial_timeout=3)
    stage.run_trial()
    stage.ready(1)
    stage.process().stuck = True
    stage.turns(3 + 2 * STOP_GRACE + 1)
    assert stage.pool.slots[0].phase is Phase.CLOSED and len(notes(stage)) == 1
    assert stage.ledger.failed == [(0, "trial timeout after 3 s", False)]
    assert stage.supervisor.stop is None and stage.process(1).told.count("grant") == 1


def test_a_launch_whose_last_worker_does_not_end_is_over(clock: Clock) -> None:
    stage = Stage(clock, trial_timeout=3)
    stage.run_trial()
    stage.process().stuck = True
    stage.turns(3 + 2 * STOP_GRACE + 1)
    assert stage.supervisor.stop is not None
    assert str(stage.supervisor.stop.message).startswith("no worker is left")


def test_a_third_ctrl_c_waits_for_nobody(clock: Clock) -> None:
    stage = Stage(clock)
    stage.run_trial()
    stage.process().stuck = True
    before = clock.now
    for _ in range(3):
        stage.signals.append(signal.SIGINT)
        stage.turn()
    stage.supervisor.run_trials()
    assert clock.now - before <= 3 * LOOK, "not even the grace"
    stopping = "stopping: running trials have 10 s to end; Ctrl-C again kills them now"
    assert notes(stage) == [stopping, left_behind(2**31 - 2)]


def test_closing_names_who_does_not_end(clock: Clock) -> None:
    stage = Stage(clock, workers=2)
    stage.process(1).stuck = True
    assert stage.pool.close() == [2**31 - 2]


def test_a_worker_is_told_once_however_often_the_parent_is(clock: Clock) -> None:
    stage = Stage(clock)
    stage.run_trial()
    for _ in range(3):
        stage.signals.append(signal.SIGTERM)
        stage.turn()
    assert stage.process().told.count("SIGTERM") == 1
    assert stage.supervisor.stop is not None and stage.supervisor.stop.exit_code == 75


def test_the_last_words_of_a_worker_are_heard_before_its_trial_fails(clock: Clock) -> None:
    stage = Stage(clock)
    stage.run_trial()
    process = stage.process()
    ended = {"reason": None, "raised": False, "incompatible": False, "stop": True, "work": None}
    process.say("ended", number=0, state="COMPLETE", seconds=1.0, **ended)
    process.status = 0
    stage.turn()
    assert stage.supervisor.stop is not None and stage.supervisor.stop.reason == "stopped"
    assert stage.pool.slots[0].work.trial is None


def test_words_that_come_after_the_parent_has_listened_are_heard_too(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(clock)
    stage.run_trial()
    process = stage.process()

    def end() -> None:  # between listening and looking who has exited
        ended = {"reason": None, "raised": False, "incompatible": False, "stop": True, "work": None}
        process.say("ended", number=0, state="COMPLETE", seconds=1.0, **ended)
        process.status = 0

    monkeypatch.setattr(stage.pool, "kill_overdue", end)
    stage.turn()
    assert stage.process() is None, "buried in the same turn"
    assert stage.supervisor.stop is not None and stage.supervisor.stop.reason == "stopped"


def test_what_a_worker_notes_is_a_line_for_the_user(clock: Clock) -> None:
    stage = Stage(clock)
    stage.ready()
    stage.process().say("note", text="the rows stream")
    stage.turns(1.0)
    notes = [event.text for event in stage.seen if isinstance(event, events.Note)]
    assert notes == ["CPU: the rows stream"]


def lose(stage: Stage) -> None:
    stage.pool.slots[0].placed = True  # it had its place
    stage.process().lost = True
    stage.process().status = 0  # as srun ends when its node is gone
    stage.turn()


def test_a_lost_worker_is_no_strike_and_costs_its_trial_no_retry(clock: Clock) -> None:
    stage = Stage(clock)
    stage.run_trial()
    lose(stage)
    slot = stage.pool.slots[0]
    assert stage.ledger.failed == [(0, "worker was lost", True)]
    assert (slot.deaths, slot.losses) == (0, 1) and slot.awaits_restart
    assert slot.restart_at == pytest.approx(clock.now + LOSS_FIRST, abs=0.1)


def test_losses_are_followed_by_growing_pauses_and_at_last_count_as_deaths(clock: Clock) -> None:
    stage = Stage(clock)
    slot = stage.pool.slots[0]
    pauses = []
    for _ in range(MAX_LOSSES):
        lose(stage)
        pauses.append(slot.restart_at - clock.now)
        clock.now = slot.restart_at
        stage.turn()
        assert slot.alive
    assert pauses[:3] == pytest.approx([2, 4, 8]) and max(pauses) == pytest.approx(60)
    lose(stage)
    assert slot.deaths == 1


def test_a_lost_worker_is_said_with_the_time_of_its_next_start(clock: Clock) -> None:
    stage = Stage(clock)
    for pause in (2, 4):
        lose(stage)
        said = [event.problem for event in stage.seen if isinstance(event, events.WorkerEnded)]
        assert said[-1] == f"worker was lost, tried again in {pause} s, log 0.log"
        clock.now = stage.pool.slots[0].restart_at
        stage.turn()


def test_the_end_of_the_last_worker_is_the_reason_of_the_launchs(clock: Clock) -> None:
    stage = Stage(clock)
    slot = stage.pool.slots[0]
    slot.losses = MAX_LOSSES
    for _ in range(MAX_DEATHS):
        clock.now = max(clock.now, slot.restart_at)
        stage.turn()
        slot.placed = True
        stage.process().lost, stage.process().status = True, 255
        stage.process().tail = "starts\nssh: connect to host b port 22: No route to host\n"
        stage.turn()
    assert stage.supervisor.stop is not None
    assert stage.supervisor.stop.message == (
        "no worker is left: all died, the last one on CPU: worker exited with 255; its log ends "
        "with 'ssh: connect to host b port 22: No route to host'"
    )


def test_what_a_worker_lacks_is_said_with_its_host(clock: Clock) -> None:
    """Before it has a place its agent says the host itself."""
    failed = {"message": "no module named a", "exit_code": 2, "traceback": None, "internal": False}
    stage = Stage(clock)
    stage.process().say("failed", **failed)
    stage.turn()
    assert stage.supervisor.stop is not None
    assert stage.supervisor.stop.message == "no module named a"
    stage = Stage(clock)
    here = {"step": None, "sees": True, "kind": "cpu", "device_uuid": None, "index": None}
    stage.process().say("placed", host="n2", device="CPU", **here)
    stage.process().say("failed", **failed)
    stage.turn()
    assert stage.supervisor.stop is not None
    assert stage.supervisor.stop.message == "n2: no module named a"


def test_a_gpu_that_cannot_be_used_is_named_with_its_node(clock: Clock) -> None:
    """Before the worker has a place, only the agent knows where it is."""
    stage = Stage(clock)
    stage.process().say("unusable", message="no driver", host="n2")
    stage.turn()
    assert stage.pool.slots[0].unusable == "n2 · CPU: no driver"


def test_why_nobody_can_prepare_is_said_once_a_reason() -> None:
    def why(*reasons: str) -> str:
        return _why_none([cast(Slot, SimpleNamespace(unusable=reason)) for reason in reasons])

    assert why("n1 · GPU: no driver", "n1 · GPU: no driver") == "n1 · GPU: no driver"
    assert why("a: 1", "b: 1", "a: 1", "c: 1", "d: 1", "e: 1") == "a: 1; b: 1; c: 1; and 2 more"


def test_a_node_that_is_lost_while_it_prepares_is_followed_by_the_next_place() -> None:
    """However often: the last place alone decides that nobody can prepare."""
    course: Any = Course.__new__(Course)
    lost, last = (SimpleNamespace(alive=False, losses=0, unusable=None, index=i) for i in (0, 1))
    asked = []

    def prepare(slot: Any, seed: int, begun: None) -> messages.Prepared | None:
        asked.append(slot.index)
        if slot is lost:
            lost.losses += 1
            return None
        return messages.Prepared(messages.Preparation({}, {}, {}))

    course.supervisor = SimpleNamespace(prepare=prepare, stop=None)
    course._named_as_here = lambda found: found
    assert course._prepared_by([lost, last], 0, None) is not None
    assert asked == [0, 0, 0, 1]


def test_a_client_that_ends_before_its_worker_has_a_place_is_not_started_again(
    clock: Clock,
) -> None:
    stage = Stage(clock, workers=2)
    stage.process().lost, stage.process().status = True, 1
    stage.turn()
    assert stage.pool.slots[0].phase is Phase.CLOSED
    notes = [event.text for event in stage.seen if isinstance(event, Note)]
    assert notes == ["CPU: no worker started there: exit status 1; going on without it"]


def test_a_finished_trial_makes_losses_forgotten(clock: Clock) -> None:
    stage = Stage(clock)
    slot = stage.pool.slots[0]
    slot.losses = 5
    stage.run_trial()
    ended = {"reason": None, "raised": False, "incompatible": False, "stop": False, "work": None}
    stage.process().say("ended", number=0, state="COMPLETE", seconds=1.0, **ended)
    stage.turn()
    assert slot.losses == 0
