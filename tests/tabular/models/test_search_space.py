"""Search spaces and what a config file makes of them; over every model type."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from tabular.tasks import EACH_MODEL_TYPE, task_of

from journal_launcher.base.errors import UsageError
from journal_launcher.settings.ranges import Range
from journal_launcher.tabular.data.dataset import Dataset, Schema
from journal_launcher.tabular.models import ModelSettings, model_type
from journal_launcher.tabular.models.space import Parameter, Space, between, narrowed, one_of
from journal_launcher.worker.sampling import make_sampler

MakeTable = Callable[..., Dataset]
SETTINGS = ModelSettings(Schema((), "y", "regression"), 500, "r2", name="m")
SPACE: Space = {
    "depth": between(4, 8, default=7, least=1, most=16),
    "rate": between(0.03, 0.2, default=0.1, log=True, least=0),
    "size": one_of((32, 64, 128), default=64, least=2),
    "kind": one_of(("plain", "periodic"), default="plain"),
}


def ends_of(parameter: Parameter) -> Sequence[Any]:
    values = parameter.values
    if not isinstance(values, Range):
        return tuple(values)
    whole = isinstance(parameter.default, int)
    return tuple(int(end) if whole else end for end in (values.low, values.high))


def suggested(space: Space, params: dict[str, Any] | None = None) -> optuna.Trial:
    study = optuna.create_study()
    if params is not None:
        study.enqueue_trial(params)
    trial = study.ask()
    for name, parameter in space.items():
        parameter.suggest(trial, name)
    return trial


@pytest.mark.parametrize("name", EACH_MODEL_TYPE)
def test_own_defaults_and_bounds_agree_with_the_own_ranges(name: str) -> None:
    for rows in (100, 5_000, 100_000):
        model = model_type(name)(dataclasses.replace(SETTINGS, n_rows=rows))
        defaults = dict(model.defaults())
        study = optuna.create_study()
        study.enqueue_trial(defaults)
        # pytest turns Optuna's warning about a value outside the range into an error.
        assert dict(model.suggest(study.ask())) == defaults
        space = model.space()
        for key, parameter in space.items():
            for value in ends_of(parameter):  # each end of the own range may be asked for
                assert narrowed(space, {key: value}, name)[key].default == value


@pytest.mark.parametrize("name", EACH_MODEL_TYPE)
@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_a_model_of_every_end_of_the_space_is_read_back(
    make_table: MakeTable, tmp_path: Path, name: str, kind: str
) -> None:
    """What a file holds may depend on parameters, and a refit comes after all trials."""
    table = make_table(kind)
    model = task_of(table, name).make_model()
    ends = {key: ends_of(parameter) for key, parameter in model.space().items()}
    for place in range(max(map(len, ends.values()))):
        params = {key: values[place % len(values)] for key, values in ends.items()}
        fitted = model.fit(params, table.features, table.target, 2, 0)
        state = json.loads(json.dumps(fitted.save(tmp_path / f"model.{model.extension}")))
        again = model.load(tmp_path / f"model.{model.extension}", state)
        found, expected = again.predict(table.features), fitted.predict(table.features)
        np.testing.assert_allclose(found, expected, rtol=1e-5, err_msg=str(params))


@pytest.mark.parametrize("name", EACH_MODEL_TYPE)
def test_the_table_of_the_config_file_reaches_every_model_type(name: str) -> None:
    plain = model_type(name)(SETTINGS)
    ranges = {key: plain.defaults()[key] for key in list(plain.defaults())[:1]}
    model = model_type(name)(dataclasses.replace(SETTINGS, ranges=ranges))
    for _ in range(3):
        trial = optuna.create_study().ask()
        assert {key: model.suggest(trial)[key] for key in ranges} == ranges
    wrong = model_type(name)(dataclasses.replace(SETTINGS, name=name, ranges={"nothing": 1}))
    with pytest.raises(UsageError, match=rf"^\[{name}\] nothing: no such parameter; known: "):
        wrong.defaults()


@pytest.mark.parametrize(
    ("ranges", "default", "distribution"),
    [
        ({"depth": {"low": 2, "high": 5}}, 5, "IntDistribution(high=5, log=False, low=2, step=1)"),
        ({"depth": {"low": 8, "high": 9, "log": True}}, 8, "high=9, log=True, low=8"),
        ({"depth": 6}, 6, "IntDistribution(high=6, log=False, low=6, step=1)"),
        ({"depth": [4, 6]}, 6, "CategoricalDistribution(choices=(4, 6))"),
        ({"rate": {"low": 0.2, "high": 1}}, 0.2, "FloatDistribution(high=1.0, log=True, low=0.2"),
        ({"rate": {"low": 0, "high": 1}}, 0.1, "FloatDistribution(high=1.0, log=False, low=0.0"),
        ({"rate": {"low": 1, "high": 2, "log": False}}, 1, "high=2.0, log=False, low=1.0"),
        ({"rate": 1}, 1, "FloatDistribution(high=1.0, log=True, low=1.0"),
        ({"rate": 0}, 0, "FloatDistribution(high=0.0, log=False, low=0.0"),
        ({"rate": [1, 0.5]}, 0.5, "CategoricalDistribution(choices=(1.0, 0.5))"),
        ({"size": [128, 256]}, 128, "CategoricalDistribution(choices=(128, 256))"),
        ({"size": {"low": 8, "high": 48}}, 48, "IntDistribution(high=48, log=False, low=8"),
        ({"size": 16}, 16, "CategoricalDistribution(choices=(16,))"),
        ({"kind": "periodic"}, "periodic", "CategoricalDistribution(choices=('periodic',))"),
        ({"kind": ["periodic", "plain"]}, "plain", "choices=('periodic', 'plain')"),
    ],
)
def test_what_is_asked_for_is_what_is_suggested(
    ranges: dict[str, Any], default: Any, distribution: str
) -> None:
    (name,) = ranges
    space = narrowed(SPACE, ranges, "m")
    assert space[name].default == default
    trial = suggested(space, {key: parameter.default for key, parameter in space.items()})
    assert trial.params[name] == default  # no warning: the default lies in the new range
    assert distribution in repr(trial.distributions[name])
    others = {key: parameter for key, parameter in space.items() if key != name}
    assert others == {key: parameter for key, parameter in SPACE.items() if key != name}


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ({"dept": 3}, "dept: no such parameter; did you mean 'depth'?"),
        ({"depth": 30}, "whole numbers from 1 up to 16 (its own range: 4 to 8), found 30"),
        ({"depth": 4.5}, "depth: expected whole numbers from 1 up to 16"),
        ({"depth": True}, "found True"),
        ({"depth": "deep"}, "found 'deep'"),
        ({"depth": [4, 0]}, "found 0"),
        ({"depth": {"low": 4, "high": 99}}, "found 99"),
        ({"rate": -0.5}, "numbers from 0 (its own range: 0.03 to 0.2, log), found -0.5"),
        ({"size": [1, 2]}, "whole numbers from 2 (such as 32, 64, 128), found 1"),
        ({"kind": "fancy"}, "expected one or more of plain, periodic, found 'fancy'"),
        ({"kind": {"low": 1, "high": 2}}, "expected one or more of plain, periodic, found 1"),
    ],
)
def test_what_the_model_cannot_work_with_is_one_line(ranges: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        narrowed(SPACE, ranges, "catboost")
    said = str(caught.value)
    assert said.startswith("[catboost] ") and message in said and "\n" not in said


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp", "qmc"])
def test_a_fixed_value_is_in_every_trial_whatever_the_sampler(sampler: str) -> None:
    space = narrowed(SPACE, {"rate": 0.05, "size": 64, "kind": "plain"}, "m")
    study = optuna.create_study()
    for number in range(14):  # beyond the samplers' random start
        study.sampler = make_sampler(sampler, 1, number)
        trial = study.ask()
        params = {name: parameter.suggest(trial, name) for name, parameter in space.items()}
        study.tell(trial, float(params["depth"]))
        assert trial.params == params
        assert (params["rate"], params["size"], params["kind"]) == (0.05, 64, "plain")
    assert len({trial.params["depth"] for trial in study.trials}) > 1
