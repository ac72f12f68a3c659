"""[[enqueue]]: parameters to try first, once, however often the command is repeated."""

from typing import Any

import pytest
from launcher.harness import Workshop

from journal_launcher.base import events
from journal_launcher.base.errors import UsageError

OBJECTIVE = """
def objective(trial):
    kind = trial.suggest_categorical("kind", ["a", "b", 3])
    return trial.suggest_float("lr", 1e-3, 1.0, log=True) + (kind == "a")
"""
FIRST: list[dict[str, Any]] = [{"lr": 0.5, "kind": "b"}, {"lr": 0.25}, {"lr": 0.25}]


def test_they_are_first_and_only_once(workshop: Workshop) -> None:
    workshop.write(OBJECTIVE)
    workshop.launch(n_trials=1, enqueue=FIRST)
    assert workshop.states() == ["COMPLETE", "WAITING"]
    workshop.launch(n_trials=3, enqueue=FIRST, workers=2)
    trials = workshop.trials()
    assert trials[0].params == {"lr": 0.5, "kind": "b"}
    assert trials[1].params["lr"] == 0.25
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 3
    # One more is queued, and what is there in other words is not.
    workshop.launch(n_trials=4, enqueue=[*FIRST, {"kind": "3"}, {"kind": 3}])
    assert workshop.trials()[3].params["kind"] == 3
    workshop.launch(n_trials=5, enqueue=[*FIRST, {"kind": "3"}, {"kind": 3}])
    assert sum("fixed_params" in trial.system_attrs for trial in workshop.trials()) == 3


def test_what_was_tried_by_chance_is_not_tried_again(workshop: Workshop) -> None:
    workshop.write(OBJECTIVE)
    workshop.launch(n_trials=1)
    (trial,) = workshop.trials()
    workshop.launch(n_trials=1, enqueue=[trial.params])
    assert len(workshop.trials()) == 1


@pytest.mark.parametrize(
    ("enqueue", "said"),
    [
        ([{"lrr": 0.1}], r"no trial had a parameter lrr; did you mean 'lr'\?"),
        ([{"lr": 5}], "lr=5: expected a number from 0.001 to 1.0"),
        ([{"lr": 0.1}, {"kind": "c"}], "kind=c: expected one of a, b, 3"),
        ([{}], "expected a table of parameters for each trial, such as lr = 0.01, found {}"),
        ({"lr": 0.1}, "expected a table of parameters for each trial"),
        ([3], "expected a table of parameters for each trial, such as lr = 0.01, found 3"),
        ([{"lr": object()}], "lr: expected a number, text, true, false or a list of such"),
        ([{"lr": float("nan")}], "lr: expected a number, text, true, false or a list of such"),
        (3, "expected a table of parameters for each trial"),
    ],
)
def test_mistakes_queue_nothing(workshop: Workshop, enqueue: Any, said: str) -> None:
    workshop.write(OBJECTIVE)
    workshop.launch(n_trials=1)
    with pytest.raises(UsageError, match=said):
        workshop.launch(n_trials=3, enqueue=enqueue)
    assert workshop.states() == ["COMPLETE"]


@pytest.mark.parametrize(
    ("enqueue", "said"),
    [
        ({"regularisation": 0.1}, "regularisation: linear has no such parameter; did you mean "),
        ({"regularization": -1}, "regularization=-1: expected a number from "),
    ],
)
def test_a_new_study_of_a_table_knows_its_parameters(
    workshop: Workshop, enqueue: dict[str, Any], said: str
) -> None:
    given: dict[str, Any] = {"objective": None, "model_type": "linear", "data": "sklearn:diabetes"}
    with pytest.raises(UsageError) as caught:
        workshop.launch(**given, n_trials=1, enqueue=[enqueue])
    assert str(caught.value).startswith(f"[[enqueue]] {said}")
    assert not workshop.paths.journal.exists()


def test_in_the_config_file(workshop: Workshop) -> None:
    workshop.write(OBJECTIVE)
    config = workshop.folder / "c.toml"
    config.write_text("n_trials = 2\n[[enqueue]]\nlr = 0.5\nkind = 'b'\n\n[[enqueue]]\nlr = 0.25\n")
    for _ in range(2):
        ended = workshop.run("--config", "c.toml")
        assert ended.code == 0, ended.err
    first, second = workshop.trials()
    assert first.params == {"lr": 0.5, "kind": "b"} and second.params["lr"] == 0.25
    printed = workshop.run("--config", "c.toml", "--print-config").out
    assert printed.endswith('[[enqueue]]\nlr = 0.5\nkind = "b"\n\n[[enqueue]]\nlr = 0.25\n')
    config.write_text("n_trials = 4\n[enqueue]\nlr = 0.5\n")
    ended = workshop.run("--config", "c.toml")
    assert ended.code == 2
    assert "--config c.toml: [[enqueue]]: expected a table of parameters for each" in ended.err
    for wrong, said in (
        ("lr = 8", "lr=8: expected a number from 0.001 to 1.0"),
        ("lrr = 0.5", "no trial had a parameter lrr; did you mean 'lr'?"),
        ("lr = 2020-01-01", "lr: expected a number, text, true, false or a list of such"),
    ):
        config.write_text(f"n_trials = 4\n[[enqueue]]\nlr = 0.5\n[[enqueue]]\n{wrong}\n")
        ended = workshop.run("--config", "c.toml")
        assert ended.code == 2 and len(workshop.trials()) == 2
        assert f"error: --config c.toml: [[enqueue]] number 2: {said}" in ended.err


def test_a_scripts_space_is_known_before_the_first_trial(workshop: Workshop) -> None:
    given: dict[str, Any] = {"objective": None, "command": "echo {lr}", "space": {"lr": [1, 2]}}
    with pytest.raises(
        UsageError, match=r"\[\[enqueue\]\] rl: no parameter of \[space\]; known: lr"
    ):
        workshop.launch(enqueue=[{"rl": 1}], **given)
    assert not workshop.paths.folder.exists()
    workshop.launch(enqueue=[{"lr": 2}], n_trials=1, **given)
    assert workshop.trials()[0].params == {"lr": 2}


def test_a_tables_default_parameters_stay_first(workshop: Workshop) -> None:
    table: dict[str, Any] = {"objective": None, "model_type": "linear", "n_trials": 2}
    with pytest.raises(UsageError, match=r"\[\[enqueue\]\] is for one model type"):
        workshop.launch(objective=None, compare_models=True, enqueue=[{"regularization": 1.0}])
    workshop.launch(enqueue=[{"regularization": 0.125}], **table)
    first, second = (trial.params for trial in workshop.trials())
    assert first["regularization"] != 0.125 and second["regularization"] == 0.125
    assert all(note.level != "warning" for note in workshop.of(events.Note))


def test_a_name_that_nothing_asks_for_is_told(workshop: Workshop) -> None:
    workshop.write(OBJECTIVE)
    workshop.launch(n_trials=1, enqueue=[{"lrr": 0.5, "kind": "a"}])
    said = [note.text for note in workshop.of(events.Note) if note.level == "warning"]
    assert said == ["trial 0 was queued with lrr, which nothing asked for"]


def test_a_value_outside_its_range_is_told_of_a_new_study_too(workshop: Workshop) -> None:
    workshop.write("def objective(trial):\n    return trial.suggest_float('x', -3, 3)\n")
    workshop.launch(n_trials=2, enqueue=[{"x": 8.0}, {"x": 3}])
    said = [note.text for note in workshop.of(events.Note) if note.level == "warning"]
    assert said == ["trial 0 was queued with x=8.0: expected a number from -3.0 to 3.0"]
