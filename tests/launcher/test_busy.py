"""How much of the time for trials each worker spent with one."""

import json
import time
from typing import Any

import pytest
from launcher.fake_stage import Clock, Stage
from launcher.harness import Workshop

EQUAL = """
def objective(trial):
    time.sleep(0.4)
    return trial.suggest_float("x", 0, 1)
"""
ENDED = {"reason": None, "raised": False, "incompatible": False, "stop": False, "work": None}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "monotonic", made)
    return made


def two_at_work(clock: Clock) -> Stage:
    """Both are granted a trial now, and the first one has started its own."""
    stage = Stage(clock, workers=2)
    clock.now += 100  # the imports are nobody's fault
    for index in (0, 1):
        stage.ready(index)
    stage.supervisor.step()
    stage.supervisor._give_work()
    say(stage, 0, "started", number=0)
    return stage


def say(stage: Stage, index: int, type: str, **content: Any) -> None:
    stage.process(index).say(type, **content)
    stage.supervisor.step()


def end(stage: Stage, index: int, number: int, state: str = "COMPLETE") -> None:
    say(stage, index, "ended", number=number, state=state, seconds=1.0, **ENDED)
    say(stage, index, "request")


def test_it_counts_from_the_first_grant_to_the_end_of_the_last_trial(clock: Clock) -> None:
    stage = two_at_work(clock)
    clock.now += 2
    say(stage, 1, "started", number=1)
    clock.now += 3
    end(stage, 0, 0)
    clock.now += 5
    end(stage, 1, 1)
    clock.now += 1000  # the refit
    assert stage.pool.busy_shares() == (0.5, 0.8)


def test_a_failed_trial_and_one_that_died_were_work_too(clock: Clock) -> None:
    stage = two_at_work(clock)
    say(stage, 1, "started", number=1)
    clock.now += 4
    end(stage, 0, 0, state="FAIL")
    clock.now += 4
    stage.process(1).status = -11
    stage.supervisor.step()
    assert stage.pool.busy_shares() == (0.5, 1.0)


def test_scoring_a_trial_again_is_none(clock: Clock) -> None:
    stage = two_at_work(clock)
    clock.now += 4
    end(stage, 0, 0)
    stage.pool.slots[0].begin_confirmation(0)
    clock.now += 4
    say(stage, 0, "request")
    assert stage.pool.busy_shares() == (1.0, 0.0)


def test_there_is_nothing_to_say_without_a_trial(clock: Clock) -> None:
    stage = Stage(clock, workers=2)
    stage.ready(0)
    stage.turns(30)
    assert stage.pool.slots[0].work.grant is not None
    assert stage.pool.busy_shares() is None


def test_it_is_in_the_json_the_summary_the_sidecar_and_the_record(workshop: Workshop) -> None:
    workshop.write(EQUAL)
    ended = workshop.run("--workers", "2", "--n-trials", "4", "--json")
    busy = ended.json["busy"]
    assert len(busy) == 2 and all(0.3 < share <= 1 for share in busy), ended.err
    assert f"busy        {busy[0]:.0%}".replace("%", " %") in ended.err
    record = json.loads(workshop.paths.launch_record.read_text())
    assert workshop.sidecar()["busy"] == record["busy"] == busy
    again = workshop.run("--workers", "2", "--n-trials", "4", "--json")
    assert again.json["busy"] is None and "busy" not in again.err
    assert workshop.sidecar()["busy"] == busy, "of the launch that published the model"
