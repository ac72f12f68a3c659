"""One trial in a worker: what its objective may return, and how its parameters are drawn."""

import gc
import io
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from optuna.trial import TrialState
from worker.studies import draw, in_journal

from journal_launcher.study.journal.storage import open_storage
from journal_launcher.worker.sampling import make_pruner, make_sampler
from journal_launcher.worker.trials import Outcome, WorkerStudy, evaluate, finish_trial


def place_in(objective: Callable[..., Any], line: int) -> str:
    """As a reason names a line of a function in this file, the `def` being line 0."""
    return f"test_trials.py, line {objective.__code__.co_firstlineno + line}"


def outcome_of(objective: Callable[[Any], Any], n_objectives: int = 1) -> Outcome:
    trial = optuna.create_study(directions=["minimize"] * n_objectives).ask()
    return evaluate(objective, trial, n_objectives)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value", [0.5, 1, True, np.float32(0.5), np.array(2.0), torch.tensor(1.5), [0.25], (1,)]
)
def test_numbers_of_every_kind_are_values(value: Any) -> None:
    outcome = outcome_of(lambda trial: value)
    assert outcome.state == TrialState.COMPLETE and outcome.reason is None
    assert outcome.values is not None and type(outcome.values[0]) is float


@pytest.mark.parametrize(
    "value",
    [
        *(float("nan"), float("-inf"), np.nan, None, "0.5", b"1", 1j, {}, np.zeros(2)),
        *(torch.zeros(2), 10**400),
    ],
)
def test_what_is_no_finite_number_fails(value: Any) -> None:
    outcome = outcome_of(lambda trial: value)
    assert (outcome.state, outcome.values, outcome.raised) == (TrialState.FAIL, None, False)
    assert str(outcome.reason).startswith("expected a finite number, the objective returned ")


@pytest.mark.parametrize("value", [1.0, (1.0,), (1.0, 2.0, 3.0), "ab"])
def test_the_number_of_values_must_be_right(value: Any) -> None:
    reason = str(outcome_of(lambda trial: value, 2).reason)
    assert reason.startswith("expected 2 value(s), the objective returned ")


def test_two_values_for_two_objectives() -> None:
    assert outcome_of(lambda trial: [1, 2.5], 2).values == (1.0, 2.5)
    assert outcome_of(lambda trial: (1, float("inf")), 2).state == TrialState.FAIL


class _Hostile(Exception):
    """A value, or an exception, whose every method raises."""

    def __float__(self) -> float:
        raise KeyError("float")

    def __str__(self) -> str:
        raise KeyError("str")

    __repr__ = __str__


def test_a_value_that_cannot_be_looked_at_costs_its_trial_alone() -> None:
    outcome = outcome_of(lambda trial: _Hostile())
    place = place_in(_Hostile.__str__, 1)
    assert (outcome.state, outcome.reason) == (TrialState.FAIL, f"KeyError: 'str' ({place})")


def test_an_exception_that_cannot_be_printed_costs_its_trial_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def objective(trial: optuna.Trial) -> float:
        sys.stderr.close()
        raise _Hostile

    monkeypatch.setattr(sys, "stderr", io.StringIO())
    outcome = outcome_of(objective)
    reason = f"_Hostile: {place_in(objective, 2)}"
    assert (outcome.state, outcome.reason) == (TrialState.FAIL, reason)


class OutOfMemoryError(RuntimeError):
    """Named like torch's."""


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("wrong: here"), "ValueError: wrong: here (AT)"),
        (ValueError(), "ValueError: AT"),
        (SystemExit(3), "SystemExit: 3 (AT)"),
        (OutOfMemoryError("80 GiB"), "CUDA out of memory: 80 GiB (AT)"),
        (ValueError("x" * 9000), "ValueError: " + "x" * 1900 + " (AT)"),
    ],
)
def test_an_exception_is_a_failed_trial_with_its_reason(
    error: BaseException, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def objective(trial: Any) -> float:
        raise error

    outcome = outcome_of(objective)
    reason = reason.replace("AT", place_in(objective, 1))
    assert (outcome.state, outcome.reason, outcome.raised) == (TrialState.FAIL, reason, True)
    assert "in objective" in capsys.readouterr().err  # whole, in the worker's log


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("CUDA error: an illegal memory access was encountered\nSearch for ...", True),
        ("CUDA error: device-side assert triggered", True),
        ("cuda.cpp:1: CUDA error 719: unspecified launch failure", True),
        ("cudaErrorLaunchFailure: unspecified launch failure", True),
        ("CUDA error: out of memory", False),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", False),
        ("CUDA out of memory. Tried to allocate 80.00 GiB.", False),
        ("the shapes differ", False),
    ],
)
def test_cuda_errors_that_the_process_does_not_survive(text: str, broken: bool) -> None:
    def fail(trial: Any) -> float:
        raise RuntimeError(text)

    def wrapped(trial: Any) -> float:
        try:
            return fail(trial)
        except RuntimeError:
            raise optuna.TrialPruned from None

    assert [outcome_of(fail).broken, outcome_of(wrapped).broken] == [broken, broken]


@pytest.mark.parametrize(
    ("answer", "broken"),
    [(None, False), ("CUDA out of memory. Tried 1 byte", False), ("CUDA error: launch", True)],
)
@pytest.mark.parametrize(
    "text", ["CUDA error: invalid configuration argument", "Triton Error [CUDA]: an illegal thing"]
)
def test_where_torch_has_the_gpu_the_device_says_whether_it_is_lost(
    monkeypatch: pytest.MonkeyPatch, text: str, answer: str | None, broken: bool
) -> None:
    def synchronize() -> None:
        if answer is not None:
            raise RuntimeError(answer)

    ones = torch.ones
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    monkeypatch.setattr(torch, "ones", lambda size, device: ones(size))

    def fail(trial: Any) -> float:
        raise RuntimeError(text)

    assert outcome_of(fail).broken is broken


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: out of memory",
        "CatBoost: CUDA error 2: out of memory",
        "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8 bytes.",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
    ],
)
def test_a_full_gpu_is_named_whoever_says_so(text: str) -> None:
    def fail(trial: Any) -> float:
        raise RuntimeError(text)

    reason = f"CUDA out of memory: {text} ({place_in(fail, 1)})"
    assert outcome_of(fail).reason == reason


def test_a_failed_trial_frees_what_its_frames_held() -> None:
    class Tensor:
        pass

    held: list[weakref.ref[Tensor]] = []

    def objective(trial: Any) -> float:
        tensor = Tensor()
        held.append(weakref.ref(tensor))
        raise OutOfMemoryError("full")

    outcome = outcome_of(objective)
    gc.collect()
    assert outcome.raised and held[0]() is None


def test_a_pruned_trial_keeps_its_last_value(tmp_path: Path) -> None:
    study = in_journal(tmp_path)
    trial = study.ask()

    def objective(trial: optuna.Trial) -> float:
        trial.report(0.75, 1)
        raise optuna.TrialPruned

    job: Any = objective
    finish_trial(study._storage, study, trial, evaluate(job, trial, 1), {"jl_duration_s": 1.0})
    found = study.trials[0]
    assert (found.state, found.value) == (TrialState.PRUNED, 0.75)
    assert found.user_attrs == {"jl_duration_s": 1.0}


def test_a_search_space_that_contradicts_the_study_is_told_apart(tmp_path: Path) -> None:
    study = in_journal(tmp_path)
    study.tell(study.ask({"x": optuna.distributions.FloatDistribution(0, 1)}), 1.0)

    def wider(trial: optuna.Trial) -> float:
        return trial.suggest_float("x", 0, 2)

    def another(trial: optuna.Trial) -> float:
        return trial.suggest_int("x", 0, 2)

    def wrong(trial: optuna.Trial) -> float:
        raise ValueError("mine")

    jobs: list[Any] = [wider, another, wrong]
    outcomes = [evaluate(job, study.ask(), 1) for job in jobs]
    assert [outcome.incompatible for outcome in outcomes] == [False, True, False]


def test_stop_is_a_request_to_the_parent(tmp_path: Path) -> None:
    study = in_journal(tmp_path)
    study.ask().study.stop()
    assert study.ends_launch


# --- drawing parameters


def run_study(folder: Path, sampler: str, n_trials: int) -> list[dict[str, Any]]:
    """One sampler per trial, as in a worker; the parameters of all."""
    folder.mkdir()
    study = in_journal(folder)
    drawn = []
    for number in range(n_trials):
        study.sampler = make_sampler(sampler, 7, number)
        trial = study.ask()
        drawn.append(dict(draw(trial)))
        study.tell(trial, float(trial.params["x"]))
    return drawn


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("sampler", ["random", "tpe", "gp", "qmc"])
def test_a_trial_can_be_repeated_alone(tmp_path: Path, sampler: str) -> None:
    drawn = run_study(tmp_path / "first", sampler, 12)
    assert run_study(tmp_path / "again", sampler, 12) == drawn
    assert len({str(params) for params in drawn}) == 12


def test_first_trials_of_two_workers_differ(tmp_path: Path) -> None:
    samplers = [make_sampler("tpe", 0, number) for number in range(2)]
    drawn = []
    for number, sampler in enumerate(samplers):
        (tmp_path / str(number)).mkdir()
        study = in_journal(tmp_path / str(number))
        study.sampler = sampler
        drawn.append(draw(study.ask()))
    assert drawn[0] != drawn[1]


def test_tpe_takes_the_trials_that_others_run_into_account(tmp_path: Path) -> None:
    run_study(tmp_path / "a", "tpe", 12)
    study = WorkerStudy("study", open_storage(tmp_path / "a" / "study.log"))
    drawn = []
    for _ in range(2):  # the same seed; while the second one is drawn the first one runs
        study.sampler = make_sampler("tpe", 7, 12)
        drawn.append(draw(study.ask()))
    assert drawn[0] != drawn[1]


@pytest.mark.parametrize("name", ["none", "median", "hyperband"])
def test_pruners_come_without_warnings(name: str) -> None:
    assert isinstance(make_pruner(name), optuna.pruners.BasePruner)


def test_unknown_names_are_errors() -> None:
    with pytest.raises(ValueError, match="unknown sampler"):
        make_sampler("grid", 0, 0)
    with pytest.raises(ValueError, match="unknown pruner"):
        make_pruner("grid")


def test_memory_is_freed_only_where_torch_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    freed: list[int] = []
    cuda = SimpleNamespace(empty_cache=lambda: freed.append(1))
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))

    def objective(trial: Any) -> float:
        raise OutOfMemoryError("full") if len(freed) == 0 else ValueError("other")

    outcome_of(objective)
    outcome_of(objective)
    assert freed == [1]


def test_a_trial_that_somebody_else_ended_stays_as_they_ended_it(tmp_path: Path) -> None:
    storage = open_storage(tmp_path / "a.log", create=True)
    study = optuna.create_study(study_name="a", storage=storage)
    trial = study.ask()
    other = optuna.load_study(study_name="a", storage=open_storage(tmp_path / "a.log"))
    other.tell(trial.number, state=TrialState.FAIL)
    outcome = finish_trial(
        study._storage,
        study,
        trial,
        Outcome(TrialState.COMPLETE, (1.0,)),
        {"jl_duration_s": 1.0},
    )
    assert (outcome.state, outcome.reason) == (TrialState.FAIL, "ended by another writer")
    assert study.trials[0].state == TrialState.FAIL
