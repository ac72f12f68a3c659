"""Which launches a comparison of model types consists of."""

from dataclasses import replace
from typing import Any

import pytest

from journal_launcher.base.errors import UsageError
from journal_launcher.settings.comparison import compared_types, part
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.settings.model_types import MODEL_TYPES, SIMPLEST_FIRST


def installed() -> tuple[str, ...]:
    """The model types there are here, the simplest first."""
    return tuple(name for name in SIMPLEST_FIRST if MODEL_TYPES[name].installed)


def test_every_model_type_has_a_place_in_the_order_of_simplicity() -> None:
    assert set(SIMPLEST_FIRST) == set(MODEL_TYPES)
    assert compared_types(LaunchSettings(compare_models=True)) == installed()


def test_each_type_is_a_launch_of_its_own_and_a_networks_flags_are_the_networks() -> None:
    asked = LaunchSettings(
        compare_models=True, dropout=0.1, k_folds=3, model_types="catboost, linear"
    )
    assert asked.name == "diabetes"
    assert compared_types(asked) == ("catboost", "linear")
    linear, network = part(asked, "linear"), part(asked, "neural_net")
    assert linear == LaunchSettings(study_name="diabetes_linear", model_type="linear", k_folds=3)
    assert network == LaunchSettings(study_name="diabetes_neural_net", dropout=0.1, k_folds=3)


def test_gpus_asked_for_are_for_the_types_that_can_use_one() -> None:
    asked = LaunchSettings(compare_models=True, gpus="0,1", workers_per_gpu=2)
    assert part(asked, "catboost").gpus == "0,1"
    linear = part(asked, "linear")
    assert (linear.gpus, linear.workers_per_gpu) == ("auto", 1)
    assert part(LaunchSettings(compare_models=True, gpus="none"), "linear").gpus == "none"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model_types": "linear"}, f"expected two or more of {', '.join(SIMPLEST_FIRST[:2])}"),
        ({"model_types": "linear,linear"}, "found 'linear,linear'"),
        ({"model_types": "linear,forest"}, "found 'linear,forest'"),
        ({"model_type": "catboost"}, "--model-type does not go with --compare-models"),
        ({"debug": True}, "--debug does not go with --compare-models"),
    ],
)
def test_what_cannot_be_compared_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        compared_types(LaunchSettings(compare_models=True, **options))


def test_what_is_not_installed_is_left_out_unless_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    missing = replace(MODEL_TYPES["catboost"], package="no_such_library")
    monkeypatch.setitem(MODEL_TYPES, "catboost", missing)
    types = compared_types(LaunchSettings(compare_models=True))
    assert types == installed() and "catboost" not in types
    with pytest.raises(UsageError, match="catboost: its library no_such_library"):
        compared_types(LaunchSettings(compare_models=True, model_types="catboost,linear"))


@pytest.mark.parametrize("option", ["save_all_models", "leave_out_failed"])
def test_the_other_options_belong_to_a_comparison(option: str) -> None:
    said = f"--{option.replace('_', '-')} belongs to --compare-models"
    with pytest.raises(UsageError, match=said):
        LaunchSettings(**{option: True})
    whole = LaunchSettings(compare_models=True, **{option: True})
    assert not getattr(part(whole, "linear"), option)
