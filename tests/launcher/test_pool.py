"""Slots and their processes: nobody is waited for without end."""

import pytest
from launcher.fake_stage import Clock, Stage

from journal_launcher.launcher.slot import STOP_GRACE, Phase


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("time.monotonic", clock)
    return clock


def test_a_worker_that_calls_its_device_unusable_and_hangs_is_killed(clock: Clock) -> None:
    stage = Stage(clock)
    process = stage.process()
    process.say("unusable", message="no driver")
    stage.turns(STOP_GRACE + 1)
    assert process.told[-1] == "SIGKILL"
    assert stage.pool.slots[0].phase is Phase.CLOSED
    assert stage.supervisor.stop is not None and "no driver" in str(stage.supervisor.stop.message)
