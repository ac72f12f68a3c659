"""No process, thread or memory is to be had: one line that says so and what to do."""

import pytest
from launcher.harness import Workshop

from journal_launcher.base import events

NO_PROCESS = """
import errno, subprocess
def refuse(*_, **__):
    raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
subprocess.Popen._execute_child = refuse
"""
NO_MEMORY = """
import subprocess
def refuse(*_, **__):
    raise MemoryError
subprocess.Popen._execute_child = refuse
"""
NO_THREAD = """
import threading
def refuse(*_, **__):
    raise RuntimeError("can't start new thread")
threading._start_new_thread = refuse
"""
QUICK = "def objective(trial): return 0.0"
MEETING = """
def objective(trial):
    from threading import Thread
    globals()["code"] = CODES[trial.number % 3]
    exec(code, {})
    if "threading" in code:
        Thread(target=print).start()
    subprocess.run(["true"])
"""


@pytest.mark.parametrize(
    ("first", "said"), [(NO_PROCESS, "`ulimit -u`"), (NO_MEMORY, "no memory is left here")]
)
def test_a_parent_that_can_start_no_worker_says_why(
    workshop: Workshop, first: str, said: str
) -> None:
    workshop.write(QUICK)
    ended = workshop.run("--n-trials", "1", first=first)
    errors = [line for line in ended.err.splitlines() if said in line]
    assert ended.code == 1 and len(errors) == 1, ended.err
    assert "Traceback" not in ended.err and "type the same command again" in errors[0]


def test_a_parent_without_threads_goes_on(workshop: Workshop) -> None:
    workshop.write(QUICK)
    ended = workshop.run("--n-trials", "1", first=NO_THREAD)
    assert ended.code == 0 and "Traceback" not in ended.err, ended.err


def test_a_trial_that_meets_a_limit_fails_with_what_to_do(workshop: Workshop) -> None:
    workshop.write(MEETING, CODES=[NO_THREAD, NO_PROCESS, NO_MEMORY])
    assert workshop.launch(n_trials=3).exit_code == 1
    reasons = [event.reason for event in workshop.of(events.TrialEnded)]
    kinds = ["RuntimeError: can't start new thread: ", "BlockingIOError: ", "MemoryError: "]
    assert len(reasons) == 3
    for reason, kind in zip(reasons, kinds, strict=True):
        assert reason.startswith(kind) and "or use fewer --workers" in reason and "\n" not in reason
