import dataclasses
import itertools
import json

import pytest

from journal_launcher.base.errors import UsageError
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.settings.options import option_of, parse_duration

REFUSED = [
    ({"n_trials": 0}, "--n-trials: expected 1 or more, found 0"),
    ({"workers": 0}, "--workers: expected 1 or more"),
    ({"k_folds": 1}, "--k-folds: expected 2 or more"),
    ({"test_size": 1.0}, "--test-size: expected 0 or more and below 1, found 1.0"),
    ({"dropout": -0.1}, "--dropout: expected 0 or more"),
    ({"seed": -1}, "--seed: expected 0 or more"),
    ({"seed": 2**32}, "--seed: expected less than 2^32"),
    ({"timeout": float("inf")}, "--timeout: expected a positive duration"),
    ({"sampler": "cmaes"}, "gp, qmc, pkg.module:attr, path/file.py:attr, found 'cmaes'"),
    ({"direction": ("minimize",)}, "--direction belongs to --objective or --command"),
    ({"arguments": ("-v",)}, "what follows -- belongs to --objective, found 1 without it"),
    ({"objective": "a.py:f", "arguments": "-v"}, "--: expected a list, found '-v'"),
    ({"objective": "train.py"}, "--objective: expected pkg.module:attr, path/file.py:attr, found"),
    ({"callback": ("stop",)}, "--callback: expected pkg.module:attr, path/file.py:attr, found"),
    ({"objective": "a.py:f", "command": "ls"}, "--objective and --command exclude each other"),
    ({"command": "ls"}, "--command needs parameters: a table [space]"),
    ({"space": {"x": [1]}}, "[space] needs a script: --command, or run in [command]"),
    ({"value": "last-line"}, "[command] value needs a script: --command"),
    ({"command": "ls", "space": {"x": [1]}, "k_folds": 3}, "with --command ls the script decides"),
    ({"objective": "a.py:f", "direction": ("up",)}, "--direction: expected minimize, maximize"),
    ({"objective": "a.py:f", "data": "x.csv"}, "--data is for the built-in models of a table"),
    (
        {"objective": "a.py:f", "model_type": "linear"},
        "--model-type is for the built-in models of a table",
    ),
    ({"split": "group"}, "--split group and --group-column"),
    ({"group_column": "g"}, "--split group and --group-column"),
    ({"split": "time"}, "--split time and --time-column"),
    ({"target": "y"}, "--target belongs to --data PATH"),
    ({"model_type": "linear", "dropout": 0.1}, "--dropout belongs to --model-type neural_net"),
    ({"objective": "a.py:f", "direction": "maximize"}, "--direction: expected a list, found 'max"),
    ({"n_trials": None}, "--n-trials: expected a whole number, found None"),
    ({"spaces": ["catboost"]}, "spaces: expected a table for each model type, found ['catboost']"),
    ({"spaces": {"catbost": {}}}, "[catbost]: no such model type; did you mean 'catboost'?"),
    ({"spaces": {"linear": 1}}, "[linear]: expected a table of parameters, found 1"),
    ({"objective": "a.py:f", "skip": {"hours": 1}}, "[skip] is for the built-in models of a table"),
    (
        {"objective": "a.py:f", "spaces": {"linear": {}}},
        "[linear] is for the built-in models of a table",
    ),
    (
        {"dropout": 0.1, "spaces": {"neural_net": {"dropout": 0.2}}},
        "[neural_net] dropout: --dropout fixes it already",
    ),
    ({"study_name": "../x"}, "study name '../x' is not valid"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_what_cannot_work_is_refused_with_the_reason(options: dict, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        LaunchSettings(**options)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "diabetes_neural_net"),
        ({"data": "/a b/houses 1.csv.gz", "target": "y"}, "houses_1_y_neural_net"),
        ({"data": "houses.csv", "target": "y", "compare_models": True}, "houses_y"),
        ({"data": "x.npz", "model_type": "catboost"}, "x_catboost"),
        ({"objective": "some/train.py:objective"}, "train_objective"),
        ({"objective": "pkg.train:run"}, "train_run"),
        ({"command": "python my/train.py {x}", "space": {"x": [1]}}, "train"),
        ({"command": "./run.sh {x}", "space": {"x": [1]}}, "run"),
        ({"study_name": "mine"}, "mine"),
    ],
)
def test_the_studys_name_comes_from_the_job(options: dict, name: str) -> None:
    assert LaunchSettings(**options).name == name


def test_settings_survive_json() -> None:
    settings = LaunchSettings(objective="a.py:f", direction=("minimize", "maximize"), seed=7)
    assert LaunchSettings.from_json(json.loads(json.dumps(settings.to_json()))) == settings
    script = LaunchSettings(
        command="python train.py {lr}",
        space={"lr": {"low": 1e-5, "high": 0.1, "log": True}, "opt": ["adam", "sgd"]},
        value={"file": "metrics.json", "key": ["a", "b"]},
        direction=("minimize", "maximize"),
        callback=("a.py:f",),
    )
    assert LaunchSettings.from_json(json.loads(json.dumps(script.to_json()))) == script


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("10m", 600), ("2h", 7200), ("1d", 86400), (" 1.5 m ", 90)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-1s", "soon", "10 minutes", "1e3s"])
def test_bad_durations(text: str) -> None:
    with pytest.raises(UsageError, match="expected a duration such as 30s, 10m or 2h"):
        parse_duration(text)


def test_the_options_of_a_group_stand_together_in_the_order_of_the_help() -> None:
    found = [option_of(field).group for field in dataclasses.fields(LaunchSettings)]
    assert [group for group, _ in itertools.groupby(found)] == [
        *("Study", "Devices", "Search", "Faults"),
        *("Table", "Model", "Your own objective", "Output"),
    ]


def test_every_option_is_declared_in_the_one_group_that_its_help_names() -> None:
    for group in LaunchSettings.__bases__:
        titles = {option_of(field).group for field in dataclasses.fields(group)}
        assert len(titles) == 1, group
    assert "__annotations__" not in vars(LaunchSettings), "it declares none of its own"
