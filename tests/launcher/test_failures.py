"""Trials that fail by themselves and objectives that cannot be used: nothing of it is retried."""

from collections import Counter
from pathlib import Path

import pytest
from launcher.harness import Workshop

from journal_launcher.base import events
from journal_launcher.launcher import slot

OUTCOMES = """
class OutOfMemoryError(RuntimeError):
    pass

def objective(trial):
    n = trial.number
    if n == 0:
        return 0.5
    if n == 1:
        raise ValueError("wrong")
    if n == 2:
        sys.exit("away")
    if n == 3:
        raise OutOfMemoryError("tried to allocate 80 GiB")
    values = [float("nan"), float("inf"), None, "0.5", (1.0, 2.0)]
    return values[n - 4] if n - 4 < len(values) else 1.0
"""


def test_what_fails_by_itself_is_not_retried_and_another_takes_its_place(
    workshop: Workshop,
) -> None:
    workshop.write(OUTCOMES)
    result = workshop.launch(n_trials=3, sampler="random")
    assert result.exit_code == 0
    trials = workshop.trials()
    assert Counter(t.state.name for t in trials) == {"FAIL": 8, "COMPLETE": 3}
    number = "expected a finite number, the objective returned"
    assert [trial.user_attrs["jl_fail_reason"] for trial in trials[1:9]] == [
        f"ValueError: wrong {workshop.place('wrong')}",
        f"SystemExit: away {workshop.place('away')}",
        f"CUDA out of memory: tried to allocate 80 GiB {workshop.place('80 GiB')}",
        f"{number} nan",
        f"{number} inf",
        f"{number} None",
        f"{number} '0.5'",
        "expected 1 value(s), the objective returned 2",
    ]
    assert len(workshop.of(events.WorkerStarted)) == 1
    assert not any("retry_history" in trial.system_attrs for trial in trials)


def test_a_cuda_error_that_breaks_the_process_costs_one_trial_and_the_process(
    workshop: Workshop,
) -> None:
    workshop.write(
        """
def objective(trial):
    if trial.number == 1:
        try:
            raise RuntimeError(
                "CUDA error: an illegal memory access was encountered\\nCUDA kernel errors might be"
            )
        except RuntimeError as error:
            raise ValueError("the step failed") from error
    return 0.0

def save_best(study, directory):
    with open(HERE / "saves", "a") as saves:
        saves.write("x")
    if (HERE / "saves").stat().st_size == 1:
        raise RuntimeError("CUDA error: unspecified launch failure")
"""
    )
    assert workshop.launch(n_trials=2).exit_code == 0
    trials = workshop.trials()
    assert workshop.states() == ["COMPLETE", "FAIL", "COMPLETE"]
    reason = f"ValueError: the step failed {workshop.place('the step failed')}"
    assert trials[1].user_attrs["jl_fail_reason"] == reason
    assert "retry_history" not in trials[2].system_attrs, "an exception is not retried"
    first, second, third = (trial.user_attrs["jl_owner"]["pid"] for trial in trials)
    assert first == second != third
    assert (workshop.folder / "saves").read_text() == "xx"
    problems = [str(event.problem) for event in workshop.of(events.WorkerEnded)[:2]]
    assert all("after this CUDA error" in problem for problem in problems)
    starts = [at for at, event in workshop.seen if isinstance(event, events.WorkerStarted)]
    ends = [at for at, event in workshop.seen if isinstance(event, events.WorkerEnded)]
    assert starts[1] - ends[0] >= slot.BACKOFF_FIRST


def test_too_many_failures_end_the_launch(workshop: Workshop) -> None:
    workshop.write("def objective(trial):\n    return float('nan')\n")
    result = workshop.launch(n_trials=20, max_failures=4)
    assert (result.exit_code, result.exit_reason) == (1, "failed")
    assert workshop.states() == ["FAIL"] * 4
    assert "4 trials failed" in str(result.message) and "--max-failures" in str(result.message)
    assert not workshop.paths.sidecar.exists()


def test_three_exceptions_before_any_success_end_the_launch(workshop: Workshop) -> None:
    workshop.write("def objective(trial):\n    raise KeyError('column')\n")
    result = workshop.launch(n_trials=20)
    assert (result.exit_code, workshop.states()) == (1, ["FAIL"] * 3)
    said = str(result.message)
    assert "the first 3 trials raised exceptions: 3 x KeyError" in said
    log = Path(said.partition("; see ")[2])
    assert "KeyError: 'column'" in log.read_text()


def test_a_slip_on_the_trial_is_said_with_its_line_and_the_near_name(workshop: Workshop) -> None:
    workshop.write("def objective(trial):\n    return trial.sugest_float('x', 0, 1)\n")
    ended = workshop.run("--n-trials", "3")
    assert ended.code == 1 and "JournalTrial" not in ended.err
    said = (
        "AttributeError: 'Trial' object has no attribute 'sugest_float'; did you mean "
        f"'suggest_float'? {workshop.place('sugest')}"
    )
    assert ended.err.count(said) == 1 and ended.err.count(": as trial 0") == 2, ended.err


SYNTAX = "def objective(trial):\n    return trial.suggest_float('x', 0, 1\n"


@pytest.mark.parametrize("how", [(), ("--debug",)], ids=str)
@pytest.mark.parametrize("option", ["--objective", "--sampler", "--pruner", "--callback"])
def test_code_that_cannot_be_parsed_is_shown_alone_and_leaves_nothing(
    workshop: Workshop, option: str, how: tuple[str, ...]
) -> None:
    workshop.write("def objective(trial):\n    return 0.0\n")
    (workshop.folder / "slip.py").write_text(SYNTAX)
    before = set(workshop.folder.rglob("*"))
    ended = workshop.run(option, "slip.py:objective", *how)
    assert ended.code == 2
    assert f'File "{workshop.folder}/slip.py", line 2' in ended.err and " ^\n" in ended.err
    assert "journal_launcher/" not in ended.err and "importlib" not in ended.err
    *_, last = ended.err.splitlines()
    assert last == (
        f"error: {option}: slip.py:objective cannot be imported: SyntaxError: '(' was never "
        "closed (slip.py, line 2)"
    )
    assert {p for p in workshop.folder.rglob("*") if "__pycache__" not in p.parts} == before


def test_code_that_raises_at_its_import_is_bad_input_and_its_own_study_stays(
    workshop: Workshop,
) -> None:
    workshop.write("def objective(trial):\n    return 0.0\n")
    assert workshop.launch(n_trials=1).exit_code == 0
    journal = workshop.paths.journal.read_bytes()
    workshop.write("LIMIT = {}['limit']\ndef objective(trial):\n    return 0.0\n")
    ended = workshop.run("--n-trials", "2")
    assert ended.code == 2 and f"KeyError: 'limit' {workshop.place('LIMIT')}" in ended.err
    assert "user_code.py" not in ended.err
    assert workshop.paths.journal.read_bytes() == journal


def test_an_import_error_ends_the_launch_at_once(workshop: Workshop) -> None:
    workshop.write("import a_module_that_is_not_there\n\ndef objective(trial):\n    return 0.0\n")
    ended = workshop.run("--workers", "2")
    assert ended.code == 2
    assert "Traceback" not in ended.err
    at = f"{workshop.folder / 'my train.py'}, line "
    said = f"error: no module 'a_module_that_is_not_there': {at}"
    assert ended.err.splitlines()[-1].startswith(said)
    assert ended.err.endswith("-m pip install a_module_that_is_not_there\n")
    assert not workshop.paths.directory.exists()


def test_a_module_that_a_trial_misses_is_said_to_the_end(workshop: Workshop) -> None:
    workshop.write("def objective(trial):\n    import a_module_that_is_not_there\n")
    result = workshop.launch(n_trials=20)
    assert (result.exit_code, workshop.states()) == (1, ["FAIL"] * 3)
    assert str(result.message).endswith("-m pip install a_module_that_is_not_there")
    reason = str(workshop.trials()[0].user_attrs["jl_fail_reason"])
    assert reason.endswith("-m pip install a_module_that_is_not_there")
    assert str(result.message).count("not_there") == 2, "its name, and what to type"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("nowhere.py:objective", "no such file: "),
        ("my train.py:objectiv", "my train.py has no 'objectiv'; did you mean 'objective'?"),
        ("nowhere.train:objective", "no module named 'nowhere'"),
    ],
)
def test_an_objective_that_is_not_there_leaves_nothing(
    workshop: Workshop, reference: str, message: str
) -> None:
    workshop.write("def objective(trial):\n    return 0.0\n")
    before = set(workshop.folder.rglob("*"))
    ended = workshop.run("--objective", reference)
    assert ended.code == 2
    assert message in ended.err and "Traceback" not in ended.err
    assert {p for p in workshop.folder.rglob("*") if "__pycache__" not in p.parts} == before


FORKS = """
def objective(trial):
    os.fork()
    return 1.0
"""


def test_a_forked_child_that_comes_back_runs_no_trial(workshop: Workshop) -> None:
    workshop.write(FORKS)
    result = workshop.launch(n_trials=4, sampler="random")
    assert result.exit_code == 0
    assert [trial.state.name for trial in workshop.trials()] == ["COMPLETE"] * 4
