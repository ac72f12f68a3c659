"""Trials in another search space: which fit, and why others do not."""

from typing import Any

import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState, create_trial

from journal_launcher.settings.ranges import Asked, parse_range
from journal_launcher.study.fitting import fitted, misfit

OLD: dict[str, BaseDistribution] = {
    "lr": FloatDistribution(0.01, 1.0, log=True),
    "n": IntDistribution(1, 8),
    "opt": CategoricalDistribution(["a", 1, True]),
}


def trial(**params: Any) -> FrozenTrial:
    params = {"lr": 0.5, "n": 2, "opt": "a", **params}
    return create_trial(params=params, distributions=OLD, value=1.0)


def asked(value: Any) -> Asked:
    return parse_range("x", value, steps=True)


@pytest.mark.parametrize(
    ("space", "why"),
    [
        ({"lr": {"low": 0.001, "high": 5.0}}, None),
        ({"lr": {"low": 0.6, "high": 5.0}}, "lr is not in 0.6 to 5"),
        ({"lr": {"low": 0, "high": 5}}, None),
        ({"lr": {"low": 0.0, "high": 1.0, "step": 0.3}}, "lr is not in 0 to 1 in steps of 0.3"),
        ({"n": {"low": 2, "high": 16, "step": 2}}, None),
        ({"n": [1, 2, 3]}, None),
        ({"opt": ["b", "a"]}, None),
        ({"opt": ["b", "c"]}, "opt is a"),
    ],
)
def test_why_it_does_not_fit(space: dict[str, Any], why: str | None) -> None:
    wanted = {name: asked(value) for name, value in space.items()}
    assert misfit(trial(), wanted, whole=False) == why


def test_a_whole_space_has_every_parameter_and_no_other() -> None:
    space = {"lr": asked({"low": 0, "high": 5})}
    assert misfit(trial(), space, whole=True) == "lr is not in whole numbers 0 to 5"
    space = {"lr": asked({"low": 0.01, "high": 1.0}), "n": asked([2])}
    assert misfit(trial(), space, whole=True) == "the new space has no opt"
    more = {**space, "opt": asked(["a"]), "wd": asked([0.1])}
    assert misfit(trial(), more, whole=True) == "it has no wd"
    queued = create_trial(
        state=TrialState.WAITING, system_attrs={"fixed_params": {"n": 2, "opt": "z"}}
    )
    assert misfit(queued, more, whole=True) == "opt is z"


def test_true_is_not_one() -> None:
    assert misfit(trial(opt=True), {"opt": asked([1, "a"])}, whole=False) == "opt is True"
    assert fitted(trial(opt=1), {"opt": asked(["a", 1])}, whole=False).params["opt"] == 1


def test_what_it_is_in_the_new_space() -> None:
    space = {
        "lr": asked({"low": 0, "high": 2}),  # a number stays what it was where nobody says else
        "n": asked({"low": 1, "high": 99}),
        "opt": asked(["c", "a"]),
    }
    made = fitted(trial(), space, whole=False)
    assert made.distributions == {
        "lr": FloatDistribution(0.0, 2.0),
        "n": IntDistribution(1, 99),
        "opt": CategoricalDistribution(["c", "a"]),
    }
    assert made.params == {"lr": 0.5, "n": 2, "opt": "a"}
    assert fitted(trial(), {"lr": asked({"low": 0.1, "high": 9.0})}, whole=False).distributions[
        "lr"
    ] == FloatDistribution(0.1, 9.0, log=True)
    whole = fitted(trial(n=3), {**space, "n": asked([3]), "lr": asked([0.5])}, whole=True)
    assert whole.distributions["n"] == CategoricalDistribution([3])
    fixed = fitted(trial(), {"n": asked(2)}, whole=False)
    assert fixed.distributions["n"] == IntDistribution(2, 2)
    made.validate() if hasattr(made, "validate") else made._validate()


def test_a_queued_trial_stays_queued() -> None:
    queued = create_trial(
        state=TrialState.WAITING, system_attrs={"fixed_params": {"n": 2, "opt": "a"}}
    )
    made = fitted(queued, {"n": asked({"low": 1.0, "high": 3.0})}, whole=True)
    assert made.system_attrs["fixed_params"] == {"n": 2.0, "opt": "a"}
    assert queued.system_attrs["fixed_params"] == {"n": 2, "opt": "a"}
