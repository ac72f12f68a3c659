"""Which trials are confirmed, and which one wins by it."""

from pathlib import Path
from typing import Any

import optuna
import pytest

from journal_launcher.base.artifacts.scores import Confirmation
from journal_launcher.study.confirmation import (
    candidates,
    confirmation_of,
    keep_confirmation,
    unconfirmed,
    winner,
)
from journal_launcher.study.journal.storage import open_storage
from journal_launcher.study.study import StudyHandle

IDENTITY = {"kind": "table", "directions": ["maximize"], "split": {"kind": "kfold"}}
OURS: dict[str, Any] = {"jl_epochs": 1, "jl_fold_scores": [], "jl_train_scores": []}


def record(folder: Path, values: list[float], **identity: Any) -> StudyHandle:
    """A study whose trials 0, 1, … have these values and were made by this program."""
    storage = open_storage(folder / "study.log", create=True)
    study = StudyHandle.create(storage, "study", {**IDENTITY, **identity})
    add(study, values, **OURS)
    return study


def add(study: StudyHandle, values: list[float], **attributes: Any) -> None:
    for value in values:
        study._study.add_trial(optuna.create_trial(value=value, user_attrs=attributes))


def test_the_best_few_are_candidates_and_foreign_trials_are_not(tmp_path: Path) -> None:
    study = record(tmp_path, [0.1, 0.4, 0.3, 0.4])
    add(study, [0.9])
    study._study.add_trial(optuna.create_trial(state=optuna.trial.TrialState.FAIL, user_attrs=OURS))
    assert [trial.number for trial in candidates(study, 3)] == [1, 3, 2]
    assert unconfirmed(study, 3) == [1, 3, 2] and unconfirmed(study, 0) == []
    keep_confirmation(study, 3, Confirmation(0.2, [0.2]))
    assert unconfirmed(study, 3) == [1, 2]


def test_a_minimised_score_ranks_the_other_way(tmp_path: Path) -> None:
    study = record(tmp_path, [3.0, 1.0, 2.0], directions=["minimize"])
    assert [trial.number for trial in candidates(study, 2)] == [1, 2]
    for number, score in ((1, 2.5), (2, 2.25)):
        keep_confirmation(study, number, Confirmation(score, [score]))
    won = winner(study, 2)
    assert won is not None and won.number == 2


def test_the_winner_has_the_best_confirmed_score_and_the_best_value_among_equals(
    tmp_path: Path,
) -> None:
    study = record(tmp_path, [0.1, 0.6, 0.5, 0.4])

    def won(top: int) -> int:
        found = winner(study, top)
        assert found is not None
        return found.number

    assert won(3) == 1, "nothing is confirmed yet"
    keep_confirmation(study, 3, Confirmation(0.3, [0.3]))
    assert won(3) == 3, "only a confirmed trial can win against a confirmed one"
    for number in (2, 1):
        keep_confirmation(study, number, Confirmation(0.35, [0.35]))
    assert won(3) == 1
    assert confirmation_of(study, 1) == Confirmation(0.35, [0.35])
    keep_confirmation(study, 0, Confirmation(0.9, [0.9]))
    assert won(3) == 1, "confirmed once, but not among the best any more"
    assert won(0) == 1


@pytest.mark.parametrize(
    "identity", [{"split": {"kind": "time"}}, {"split": None}, {"directions": ["minimize"] * 2}]
)
def test_without_fresh_folds_the_best_trial_wins(tmp_path: Path, identity: dict[str, Any]) -> None:
    if len(identity.get("directions", [])) > 1:
        study = record(tmp_path, [], **identity)
        study._study.add_trial(optuna.create_trial(values=[1.0, 2.0], user_attrs=OURS))
        assert winner(study, 3) is None
    else:
        study = record(tmp_path, [0.1, 0.2], **identity)
        best = winner(study, 3)
        assert best is not None and best.number == 1
    assert candidates(study, 3) == []
