"""Objectives that fork: what they start is no worker."""

import pytest
from launcher.harness import Workshop

FORKS = """
def leave(how):
    if how == "exits":
        sys.exit(3)
    if how == "raises":
        raise ValueError("in the child")

def parted(how):
    pid = os.fork()
    if pid == 0:
        leave(how)
        return None
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

if WHERE == "import":
    STATUS = parted(HOW)

def objective(trial):
    status = parted(HOW) if WHERE == "objective" else STATUS
    trial.set_user_attr("status", status)
    return 0.0
"""


@pytest.mark.parametrize(
    ("where", "how", "status"),
    [
        ("objective", "exits", 3),
        ("objective", "raises", 1),
        ("import", "exits", 3),
        ("import", "raises", 1),
    ],
)
def test_a_forked_child_that_leaves_the_objective_ends(
    workshop: Workshop, where: str, how: str, status: int
) -> None:
    workshop.write(FORKS, WHERE=where, HOW=how)
    ended = workshop.run("--n-trials", "3")
    assert ended.code == 0, ended.err
    assert workshop.states() == ["COMPLETE"] * 3
    assert {trial.user_attrs["status"] for trial in workshop.trials()} == {status}
    said = "ValueError: in the child" in workshop.paths.worker_log(0).read_text()
    assert said == (how == "raises")


def test_a_forked_child_that_returns_writes_no_second_end_of_the_trial(workshop: Workshop) -> None:
    workshop.write(
        """
def objective(trial):
    pid = os.fork()
    if pid == 0:
        return 1.0
    os.waitpid(pid, 0)
    return 0.0
"""
    )
    ended = workshop.run("--n-trials", "2")
    assert ended.code == 0, ended.err
    assert [trial.value for trial in workshop.trials()] == [0.0, 0.0]


def test_sigterm_ends_a_forked_child_as_it_would_without_a_launch(workshop: Workshop) -> None:
    workshop.write(
        """
def objective(trial):
    pid = os.fork()
    if pid == 0:
        note("here")
        told("never")
    told("here")
    os.kill(pid, signal.SIGTERM)
    return float(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    )
    assert workshop.launch(n_trials=1).exit_code == 0
    assert [trial.value for trial in workshop.trials()] == [-15.0]
