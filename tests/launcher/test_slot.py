"""A slot goes from phase to phase only as the table allows, and its methods know the way."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from launcher.fake_stage import FakeProcess

from journal_launcher.base.errors import JournalLauncherError
from journal_launcher.base.messages import Grant
from journal_launcher.devices.choose import CPU
from journal_launcher.launcher.engine import WorkerSpec
from journal_launcher.launcher.slot import MAX_DEATHS, Phase, Slot

DOWN, STARTING, IDLE, BUSY, LEAVING, CLOSED = Phase
ALLOWED = {
    *itertools.product([DOWN], [STARTING, CLOSED]),
    *itertools.product([STARTING], [IDLE, LEAVING, DOWN, CLOSED]),
    *itertools.product([IDLE], [BUSY, LEAVING, DOWN, CLOSED]),
    *itertools.product([BUSY], [IDLE, LEAVING, DOWN, CLOSED]),
    *itertools.product([LEAVING], [CLOSED]),
    *itertools.product([CLOSED], [STARTING, DOWN]),
}
Act = Callable[[Slot], Any]


def slot_that_is(phase: Phase) -> Slot:
    slot = Slot(WorkerSpec(3, CPU, 1, {}))
    if phase not in (DOWN, CLOSED):
        slot.process = FakeProcess()
    slot._phase = phase
    return slot


@pytest.mark.parametrize("before", Phase, ids=lambda phase: phase.name)
@pytest.mark.parametrize("after", Phase, ids=lambda phase: phase.name)
def test_a_phase_follows_only_those_that_the_table_allows(before: Phase, after: Phase) -> None:
    slot = slot_that_is(before)
    if (before, after) in ALLOWED:
        slot._become(after)
        assert slot.phase is after
    else:
        with pytest.raises(JournalLauncherError) as caught:
            slot._become(after)
        assert str(caught.value).startswith(f"worker 3: {before.name} cannot become {after.name};")
        assert slot.phase is before


def test_nobody_else_can_change_it() -> None:
    with pytest.raises(AttributeError):
        Slot(WorkerSpec(3, CPU, 1, {})).phase = IDLE  # type: ignore[misc]


START: Act = lambda slot: slot.process_started(FakeProcess())  # noqa: E731
END: Act = lambda slot: slot.process_ended(lost=False)  # noqa: E731
LOSE: Act = lambda slot: slot.process_ended(lost=True)  # noqa: E731
ASSIGN: Act = lambda slot: slot.assign(Grant(None))  # noqa: E731
CONFIRM: Act = lambda slot: slot.begin_confirmation(7)  # noqa: E731
TASK: Act = lambda slot: slot.begin_chore("the refit")  # noqa: E731
LIVING = (STARTING, IDLE, BUSY, LEAVING)


@pytest.mark.parametrize(
    ("act", "ways"),
    [
        (START, {DOWN: STARTING, CLOSED: STARTING}),
        (END, {STARTING: DOWN, IDLE: DOWN, BUSY: DOWN, LEAVING: CLOSED}),
        (LOSE, dict.fromkeys(LIVING, CLOSED)),
        (ASSIGN, {IDLE: BUSY}),
        (CONFIRM, {IDLE: BUSY}),
        (TASK, {IDLE: BUSY}),
        (Slot.free, {STARTING: IDLE, BUSY: IDLE, LEAVING: LEAVING}),
        (Slot.shut_down, dict.fromkeys(LIVING, LEAVING)),
        (Slot.close, dict.fromkeys(Phase, CLOSED)),
        (Slot.terminate, {phase: phase for phase in Phase}),
        (Slot.kill, {phase: phase for phase in Phase}),
        (Slot.reset_deaths, {phase: phase for phase in Phase} | {CLOSED: DOWN}),
    ],
)
def test_what_happens_leads_where_it_should(act: Act, ways: dict[Phase, Phase]) -> None:
    for before in LIVING if act in (END, LOSE) else Phase:
        slot = slot_that_is(before)
        if before in ways:
            act(slot)
            assert slot.phase is ways[before]
        else:
            with pytest.raises(JournalLauncherError, match="cannot become"):
                act(slot)


def test_deaths_restart_it_until_they_are_too_many() -> None:
    slot = slot_that_is(DOWN)
    waits = []
    for _ in range(MAX_DEATHS - 1):
        slot.count_death()
        assert slot.phase is DOWN and slot.awaits_restart
        waits.append(slot.restart_at)
    assert waits == sorted(waits)
    slot.count_death()
    assert slot.phase is CLOSED and not slot.awaits_restart
    slot.reset_deaths()
    assert slot.awaits_restart and slot.deaths == 0


def test_deaths_that_are_forgotten_make_no_device_usable() -> None:
    slot = slot_that_is(CLOSED)
    slot.unusable = "no driver"
    slot.reset_deaths()
    assert slot.phase is CLOSED


def test_a_new_process_begins_without_what_was_said_of_the_one_before() -> None:
    slot = slot_that_is(IDLE)
    slot.assign(Grant(None))
    slot.begin_trial(0)
    slot.terminate("trial timeout after 3 s")
    slot.kill()
    slot.process_ended(lost=False)
    slot.schedule_restart(0.0)
    slot.process_started(FakeProcess())
    assert slot.ending.trials_fault is None and not slot.ending.killed
    assert slot.ending.kill_at == float("inf")
    assert slot.work.name is None and slot.work.grant is None
    slot.process_ended(lost=False)
    assert not slot.awaits_restart, "the last restart was for the last death"


def test_who_leaves_by_itself_has_no_longer_than_it_had_before() -> None:
    slot = slot_that_is(IDLE)
    slot.terminate()
    slot.ending.kill_at = before = slot.ending.kill_at - 5
    slot.shut_down()
    assert slot.ending.kill_at == before
    slot = slot_that_is(IDLE)
    slot.shut_down()
    assert slot.ending.kill_at < float("inf")


def test_whose_trial_is_to_blame_is_said_by_who_stops_it_first() -> None:
    slot = slot_that_is(BUSY)
    slot.terminate("trial timeout after 3 s")
    slot.terminate()
    assert slot.ending.trials_fault == "trial timeout after 3 s"
    assert slot.process.told == ["SIGTERM"]  # type: ignore[union-attr]
