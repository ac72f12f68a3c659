"""Counting what is new gives what counting everything gives, in whatever order trials end."""

from pathlib import Path
from random import Random

import optuna
import pytest
from optuna.trial import TrialState

from journal_launcher.study.journal.storage import open_storage
from journal_launcher.study.study import StudyHandle
from journal_launcher.study.tally import FINISHED, best_of, by_cause, has_failed

IDENTITY = {"directions": ["maximize"], "kind": "objective", "seed": 0}


@pytest.mark.parametrize("seed", range(5))
def test_counts_and_best_are_those_of_all_trials(tmp_path: Path, seed: int) -> None:
    storage = open_storage(tmp_path / "s.log", create=True)
    record = StudyHandle.create(storage, "s", IDENTITY)
    study = optuna.load_study(study_name="s", storage=storage)
    chance, running = Random(seed), []
    for step in range(60):
        if chance.random() < 0.5 or not running:
            running.append(study.ask())
        else:
            trial = running.pop(chance.randrange(len(running)))
            state = chance.choice((TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED))
            if state == TrialState.PRUNED:
                trial.report(99.0, 0)  # Optuna makes it the value
            value = float(chance.randrange(5)) if state == TrialState.COMPLETE else None
            study.tell(trial, value, state=state)
        if step % 3 == 0:
            continue
        trials = study.get_trials()
        assert list(record.trials()) == trials  # only those that had not ended are read again
        finished = sum(trial.state in FINISHED for trial in trials)
        assert record.count() == (finished, sum(map(has_failed, trials)))
        complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
        expected, found = best_of(complete, ["maximize"]), record.best()
        assert (found and found.number) == (expected and expected.number)


def test_an_adopted_table_counts_as_best_what_can_be_refitted(tmp_path: Path) -> None:
    storage = open_storage(tmp_path / "s.log", create=True)
    storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], "s")
    study = optuna.load_study(study_name="s", storage=storage)
    study.tell(study.ask(), 1.0)
    record = StudyHandle(storage, "s")
    assert record.best() is not None
    record.check_identity({"directions": ["maximize"], "kind": "table"})
    assert record.best() is None and record.count() == (1, 0)


def test_the_best_is_found_without_reading_what_the_study_is_with_every_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = open_storage(tmp_path / "s.log", create=True)
    record = StudyHandle.create(storage, "s", {**IDENTITY, "kind": "table"})
    study = optuna.load_study(study_name="s", storage=storage)
    read: list[int] = []
    attributes = storage.get_study_user_attrs
    monkeypatch.setattr(
        storage, "get_study_user_attrs", lambda one: read.append(one) or attributes(one)
    )
    for _ in range(10):
        study.tell(study.ask(), 1.0)
        assert record.best() is None  # a foreign writer's trial cannot be refitted
    assert len(read) <= 1


@pytest.mark.parametrize(
    ("reasons", "causes"),
    [
        (["ValueError: loss 3.5 at 7", "ValueError: loss 1e-9 at 12"], {"ValueError": 2}),
        (["trial timeout after 0.6 s"] * 2, {"trial timeout after 0.6 s": 2}),
        (["trial timeout after 0.6 s", "trial timeout after 30 s"], {"trial timeout after … s": 2}),
        (["returned nan", "returned -inf", "returned 1e400"], {"returned …": 3}),
        (["returned [0.5, 1.25, 3", "returned [-7.0, nan, ", "returned [1"], {"returned […": 3}),
        (
            ["killed by SIGKILL", "killed by SIGSEGV"],
            {"killed by SIGKILL": 1, "killed by SIGSEGV": 1},
        ),
        (["no conv2d", "no conv3d"], {"no conv2d": 1, "no conv3d": 1}),
        (["a.py, line 3 needs x", "a.py, line 12 needs x"], {"a.py, line … needs x": 2}),
        (["at 0x7f01", "at 0x7fab", None, None, None], {"unknown": 3, "at …": 2}),
        (["9" * 2000 + "x"], {"9" * 2000 + "x": 1}),
        ([], {}),
    ],
)
def test_reasons_that_differ_in_numbers_alone_have_one_cause(
    reasons: list[str | None], causes: dict[str, int]
) -> None:
    found = {cause: len(places) for cause, places in by_cause(reasons).items()}
    assert list(found.items()) == list(causes.items())
