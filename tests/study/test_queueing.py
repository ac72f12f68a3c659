"""Parameters that a user queues: what is refused, and what the next trials then have."""

import json
from pathlib import Path
from typing import Any

import optuna
import pytest
from launcher.harness import Workshop, finish

from journal_launcher.__main__ import main
from journal_launcher.base.errors import UsageError
from journal_launcher.study.journal.storage import open_storage
from journal_launcher.study.queueing import parse_parameters, queue
from journal_launcher.study.study import StudyHandle

IDENTITY = {"directions": ["minimize"], "kind": "objective", "seed": 0}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["lr=0.01", "n=3"], {"lr": 0.01, "n": 3}),
        (["on=true", 'kind="a b"', "kind2=a b", "eq=a=b"], None),
        (["list=[1, 2]", "empty="], {"list": [1, 2], "empty": ""}),
    ],
)
def test_values_are_tomls_or_text(words: list[str], expected: dict[str, Any] | None) -> None:
    expected = expected or {"on": True, "kind": "a b", "kind2": "a b", "eq": "a=b"}
    assert parse_parameters(words) == expected


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("x=0.5\ny=3", "0.5\ny=3"),
        ("x=0.5 # more", "0.5 # more"),
        ("x=1]\ny=[2", "1]\ny=[2"),
        ("x=1, 2", "1, 2"),
        ("x=" + 5000 * "1", 5000 * "1"),
        ("x=1979-05-27", "1979-05-27"),
    ],
)
def test_what_is_more_or_other_than_one_value_is_text(word: str, value: str) -> None:
    assert parse_parameters([word]) == {"x": value}


@pytest.mark.parametrize("word", ["x=nan", "x=1e400", "x=[1, inf]", "x={a=1}"])
def test_what_no_parameter_can_be_is_named(word: str) -> None:
    with pytest.raises(UsageError, match=r"^x=.*: expected a number, text, true, false or a list"):
        parse_parameters([word])


def test_the_choice_of_the_type_that_was_typed_comes_first(tmp_path: Path) -> None:
    storage = open_storage(tmp_path / "s.log", create=True)
    study = StudyHandle.create(storage, "s", IDENTITY)
    stock = optuna.load_study(study_name="s", storage=storage)
    trial = stock.ask()
    for name, choices in {"o": [1, "1"], "t": ["a", True, 1, 2.5]}.items():
        trial.suggest_categorical(name, choices)
    stock.tell(trial, 1.0)
    for typed, kept in (("o=1", 1), ('o="1"', "1"), ("t=1", 1), ("t=true", True), ("t=2.5", 2.5)):
        number = queue(study, parse_parameters([typed]))
        (found,) = study.trial(number).system_attrs["fixed_params"].values()
        assert (type(found), found) == (type(kept), kept), typed


@pytest.mark.parametrize("words", [["lr"], ["=1"], ["lr=1", "lr=2"]])
def test_what_is_no_parameter_is_named(words: list[str]) -> None:
    with pytest.raises(UsageError, match=r"NAME=VALUE|twice"):
        parse_parameters(words)


@pytest.fixture
def study(tmp_path: Path) -> StudyHandle:
    storage = open_storage(tmp_path / "s.log", create=True)
    study = StudyHandle.create(storage, "s", IDENTITY)
    stock = optuna.load_study(study_name="s", storage=storage)
    trial = stock.ask()
    trial.suggest_float("lr", 1e-3, 1.0, log=True)
    trial.suggest_int("n", 2, 10, step=2)
    trial.suggest_float("rate", 0.0, 0.5, step=0.1)
    trial.suggest_categorical("kind", ["a", 1, None])
    stock.tell(trial, 1.0)
    return study


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"rates": 0.1}, r"no trial had a parameter rates; did you mean 'rate'\?"),
        ({"zzzzz": 0.1}, "known: lr, n, rate, kind"),
        ({"lr": 2.0}, "lr=2.0: expected a number from 0.001 to 1.0"),
        ({"lr": "much"}, "lr=much: expected a number from 0.001"),
        ({"n": True}, "n=True: expected a whole number from 2 to 10"),
        ({"n": 3}, "n=3: expected a whole number from 2 to 10 in steps of 2"),
        ({"n": 2.5}, "n=2.5: expected"),
        ({"kind": "b"}, "kind=b: expected one of a, 1, None"),
    ],
)
def test_what_no_trial_could_have_is_refused(
    study: StudyHandle, params: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        queue(study, params)
    assert list(study.waiting()) == []


def test_queued_trials_come_first_in_order(study: StudyHandle) -> None:
    numbers = [queue(study, params) for params in ({"lr": 0.5}, {"n": 4, "rate": 0.3, "kind": "1"})]
    assert numbers == [1, 2] == list(study.waiting())
    stock = optuna.load_study(study_name="s", storage=study.storage)
    first, second = stock.ask(), stock.ask()
    assert first.suggest_float("lr", 1e-3, 1.0, log=True) == 0.5
    assert second.suggest_int("n", 2, 10, step=2) == 4
    assert second.suggest_categorical("kind", ["a", 1, None]) == 1


def test_a_launch_under_way_takes_it_and_the_budget_stays(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    workshop.write(
        """
def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    note("running")
    told("go")
    return x
"""
    )
    studies = ("--studies-dir", str(workshop.paths.folder))
    launch = workshop.start("--n-trials", "3")
    workshop.noted("running")
    with pytest.raises(SystemExit) as ended:
        main(["enqueue", "study", "x=0.125", *studies])
    assert ended.value.code in (0, None)
    assert "the launch under way takes it next" in capsys.readouterr().out
    workshop.tell("go")
    assert finish(launch).code == 0
    trials = workshop.trials()
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 3
    assert trials[1].params == {"x": 0.125}
    with pytest.raises(SystemExit):
        main(["enqueue", "study", "x=0.25", *studies])
    assert "trial 3 of study study is queued" in (said := capsys.readouterr().out)
    assert "with --n-trials above 3" in said
    again = workshop.run("--n-trials", "3")
    assert "waiting     1 queued trial, for a larger --n-trials" in again.out + again.err
    with pytest.raises(SystemExit):
        main(["trials", "study", "--json", *studies])
    assert '"params": {"x": 0.25}' in capsys.readouterr().out
    assert workshop.run("--n-trials", "4").code == 0
    assert workshop.trials()[3].params == {"x": 0.25}
    with pytest.raises(SystemExit) as refused:
        main(["enqueue", "other", "x=0.25", *studies])
    assert refused.value.code == 2


def test_what_is_queued_is_plain_json_in_the_journal(study: StudyHandle, tmp_path: Path) -> None:
    queue(study, {"lr": 0.5})
    last = json.loads((tmp_path / "s.log").read_text().splitlines()[-1])
    assert "0.5" in json.dumps(last)
