"""What a trial records, in how many appends, and what samplers see of it."""

import warnings
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from worker.studies import draw, in_journal

from journal_launcher.study.journal.storage import open_storage, suggesting
from journal_launcher.worker.sampling import make_sampler
from journal_launcher.worker.trials import Outcome, WorkerStudy, evaluate, finish_trial


def appends(study: WorkerStudy, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many records each append to the journal has from here on."""
    backend: Any = study._storage._backend  # type: ignore[attr-defined]
    found: list[int] = []
    append = backend.append_logs

    def counted(records: list[Any]) -> None:
        found.append(len(records))
        append(records)

    monkeypatch.setattr(backend, "append_logs", counted)
    return found


def test_the_parameters_of_a_trial_are_one_append_and_so_are_its_attributes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = in_journal(tmp_path)
    trial = study.ask()
    found = appends(study, monkeypatch)
    with suggesting(trial):
        params = draw(trial)
    assert found == [len(params)]
    finish_trial(
        study._storage,
        study,
        trial,
        Outcome(TrialState.COMPLETE, (1.0,)),
        {"jl_a": 1, "jl_b": 2},
    )
    assert found == [len(params), 2, 1]
    (ended,) = open_storage(tmp_path / "study.log", read_only=True).get_all_trials(0)
    assert (ended.params, ended.value, ended.user_attrs) == (params, 1.0, {"jl_a": 1, "jl_b": 2})


def test_outside_a_journal_nothing_is_recorded_together() -> None:
    trial = optuna.trial.FixedTrial({"x": 1.0})
    with suggesting(trial):
        assert trial.suggest_float("x", 0.0, 2.0) == 1.0


def test_parameters_that_contradict_the_study_end_their_trial_alone(tmp_path: Path) -> None:
    """Both of them: the second one would be found when the end of the trial is recorded."""
    study = in_journal(tmp_path)
    was = optuna.distributions.CategoricalDistribution
    study.tell(study.ask({"x": was(("a", "b")), "y": was(("a", "b"))}), 1.0)

    def objective(trial: optuna.Trial) -> float:
        with suggesting(trial):
            trial.suggest_categorical("x", ("a", "c"))
            trial.suggest_categorical("y", ("a", "c"))
        return 1.0

    job: Any = objective
    trial = study.ask()
    outcome = evaluate(job, trial, 1)
    assert outcome.incompatible
    finish_trial(study._storage, study, trial, outcome, {})
    assert study.trials[1].state == TrialState.FAIL


@pytest.mark.parametrize("sampler", ["qmc", "tpe", "gp", "random"])
def test_what_another_worker_draws_meanwhile_is_another_point(tmp_path: Path, sampler: str) -> None:
    """A sampler that counts in the study must have counted before the parameters are recorded."""
    one = in_journal(tmp_path)
    two = WorkerStudy("study", open_storage(tmp_path / "study.log"))
    one.sampler, two.sampler = make_sampler(sampler, 0, 1), make_sampler(sampler, 0, 2)
    one.tell(one.ask({"x": optuna.distributions.FloatDistribution(0, 1)}), 1.0)
    first, second = one.ask(), two.ask()
    with suggesting(first):
        x = first.suggest_float("x", 0, 1)
        with suggesting(second):
            assert second.suggest_float("x", 0, 1) != x


def test_a_sampler_of_the_users_sees_the_attributes_when_a_trial_ends(tmp_path: Path) -> None:
    seen: list[Any] = []

    def constraints(trial: optuna.trial.FrozenTrial) -> list[float]:
        seen.append(dict(trial.user_attrs))
        return [0.0]

    study = in_journal(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study.sampler = optuna.samplers.TPESampler(constraints_func=constraints)
    finish_trial(
        study._storage,
        study,
        study.ask(),
        Outcome(TrialState.COMPLETE, (1.0,)),
        {"jl_overfit_ratio": 1.2},
    )
    assert seen == [{"jl_overfit_ratio": 1.2}]
