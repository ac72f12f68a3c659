"""Ctrl-C and SIGTERM at any moment of a command's start, while most of the time modules load."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from launch_sh_bench import make_checkout
from launcher.harness import ROOT, Ended, Workshop, finish

FORGOTTEN: list[float] = []


def stopped(folder: Path, script: Path, number: int, seconds: float, *arguments: str) -> Ended:
    """A command in a session of its own, whose whole group gets a signal after `seconds`."""
    process = subprocess.Popen(
        [script, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    time.sleep(seconds)
    if process.poll() is None:
        os.killpg(process.pid, number)
    for _ in range(4):
        try:
            process.wait(timeout=10)
            break
        except subprocess.TimeoutExpired:  # bash forgot it, see `at_once`: people press again
            FORGOTTEN.append(seconds)
            os.killpg(process.pid, number)
    return finish(process)


def at_once(stopped_after: Callable[[float], Ended], step: float) -> list[Ended]:
    """Signals that bash forgets, since they come between the end of its child and its own waking,
    are few: one in a hundred of those that come in these milliseconds."""
    FORGOTTEN.clear()
    with ThreadPoolExecutor(3) as pool:
        ended = list(pool.map(stopped_after, (step * count for count in range(32))))
    assert len(set(FORGOTTEN)) <= 2, FORGOTTEN
    return ended


@pytest.mark.parametrize(("command", "step"), [("status", 0.005), ("run", 0.02)])
@pytest.mark.parametrize(
    ("number", "codes"),
    [(signal.SIGINT, {130, -signal.SIGINT}), (signal.SIGTERM, {75, -signal.SIGTERM})],
    ids=["Ctrl-C", "SIGTERM"],
)
def test_a_signal_at_any_moment_of_the_start_is_no_traceback_and_leaves_nobody(
    workshop: Workshop,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    step: float,
    number: int,
    codes: set[int],
) -> None:
    monkeypatch.setenv("JOURNAL_LAUNCHER_PYTHON", sys.executable)
    workshop.write("def objective(trial): time.sleep(60)")
    launch = ("run", "--objective", workshop.reference, "--gpus", "none", "--study-name")

    def one(seconds: float) -> Ended:
        arguments = (*launch, f"at{seconds:.3f}") if command == "run" else ("status",)
        return stopped(workshop.folder, ROOT / "launch.sh", number, seconds, *arguments)

    ended = at_once(one, step)
    for found in ended:
        assert "Traceback" not in found.err and "KeyboardInterrupt" not in found.err, found.err
        assert found.code in codes or (command == "status" and "no study in" in found.err), found
    assert sum(found.code in codes for found in ended) > 8


def test_ctrl_c_at_any_moment_of_the_set_up_is_no_traceback_and_leaves_nobody(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")

    def one(seconds: float) -> Ended:
        return stopped(workshop.folder, checkouts.pop() / "launch.sh", signal.SIGINT, seconds)

    # Beforehand: nobody may hold a script open for writing, not even a fork, when it is started.
    checkouts = [make_checkout(workshop.folder / f"checkout {count}") for count in range(32)]
    for found in at_once(one, 0.008):
        assert "Traceback" not in found.err and "KeyboardInterrupt" not in found.err, found.err
        assert found.code in (130, -signal.SIGINT), found
