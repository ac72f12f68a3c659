"""A disk that is full: whoever meets its end, the launch is resumable and nothing is lost."""

import re
import resource

import pytest
from launcher.harness import Workshop

from journal_launcher.base import events
from journal_launcher.base.errors import ResumableStop

FILLING = """
def objective(trial):
    trial.set_user_attr("large", "x" * 2000)
    return float(trial.number)
"""


def test_a_full_disk_is_resumable_and_nothing_is_lost(workshop: Workshop) -> None:
    """The limit on file sizes stands for a full disk: the journal cannot grow beyond it."""
    workshop.write(FILLING)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    told: dict[int, float] = {}

    def remember(event: events.Event) -> None:
        if isinstance(event, events.TrialEnded) and event.values:
            told[event.number] = event.values[0]

    resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, before[1]))
    try:
        ended = workshop.launch(remember, workers=2, n_trials=20)
        code, said = ended.exit_code, ended.message or ""  # a worker met the end of the disk
    except ResumableStop as stop:  # the parent did
        code, said = stop.exit_code, str(stop)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert code == 75 and "make room and type the same command again" in said
    assert len(told) >= 3
    assert {n: workshop.trials()[n].value for n in told} == told
    assert workshop.launch(workers=2, n_trials=20).exit_code == 0
    states = workshop.states()
    assert states.count("COMPLETE") == 20 and "RUNNING" not in states
    assert {n: workshop.trials()[n].value for n in told} == told


# 16 kB stand for a full disk: no file can grow beyond it.
FULL = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, 16_384))"
TALKATIVE = """
def objective(trial):
    if trial.number == 1 and not (HERE / "quiet").exists():
        print("x" * 30_000)
    return 0.0
"""
LARGE_MODEL = """
def objective(trial):
    return 0.0

def save_best(study, directory):
    (directory / "weights").write_bytes(b"w" * 30_000)
"""


@pytest.mark.parametrize("code", [TALKATIVE, LARGE_MODEL])
def test_a_disk_too_full_for_a_workers_own_files_is_resumable(
    workshop: Workshop, code: str
) -> None:
    workshop.write(code)
    ended = workshop.run("--n-trials", "3", first=FULL)
    assert ended.code == 75, ended.err
    assert "make room and type the same command again" in ended.err
    assert "Traceback" not in ended.err
    workshop.tell("quiet")
    again = workshop.run("--n-trials", "3")
    assert again.code == 0, again.err
    assert workshop.states().count("COMPLETE") == 3 and "RUNNING" not in workshop.states()


def test_after_a_full_disk_a_study_begun_anew_is_not_to_be_overwritten(workshop: Workshop) -> None:
    workshop.write(FILLING)
    assert workshop.run("--n-trials", "1").code == 0
    ended = workshop.run("--n-trials", "20", "--overwrite", first=FULL)
    assert ended.code == 75
    # The parent's line, or a worker's and the summary's: whoever met the end of the disk.
    assert re.search(r"the same command( again,)? without --overwrite", ended.err)
    assert workshop.run("--n-trials", "20").code == 0
    assert workshop.states().count("COMPLETE") == 20
