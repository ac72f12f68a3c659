"""What a retry changes: every finding has a remedy, within the ranges of its model type."""

import dataclasses

import pytest
from tabular.tasks import EACH_MODEL_TYPE

from journal_launcher.health.remedies import CURES, remedied
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.settings.limits import HealthLimits
from journal_launcher.settings.model_types import MODEL_TYPES
from journal_launcher.tabular.data.dataset import Schema
from journal_launcher.tabular.models import ModelSettings, make_model


def test_every_finding_has_a_remedy_and_every_model_type_some() -> None:
    measured = {field.name for field in dataclasses.fields(HealthLimits)}
    assert set(CURES) == measured | {"non_finite", "better_than_dummy"}
    for name in MODEL_TYPES:
        settings = LaunchSettings(model_type=name)
        changed = remedied(settings, ["better_than_dummy"])
        assert changed is not None, f"{name}: `slower` or `regularised` changes no range"
        assert changed.spaces is not None and set(changed.spaces) == {name}
        while changed is not None:
            settings, changed = changed, remedied(changed, CURES)
        assert remedied(settings, CURES) is None, "remedies come to an end"


def test_a_users_own_choices_survive_a_remedy() -> None:
    asked = LaunchSettings(dropout=0.1, spaces={"neural_net": {"width": 64}, "linear": {}})
    found = remedied(asked, ["overfit_ratio"])
    assert found is not None and found.spaces is not None
    assert found.dropout == 0.1 and found.spaces["linear"] == {}
    assert found.spaces["neural_net"].keys() == {"width", "weight_decay"}


@pytest.mark.parametrize("name", EACH_MODEL_TYPE)
def test_the_ranges_of_a_remedy_are_ranges_of_the_model_type(name: str) -> None:
    settings: LaunchSettings | None = LaunchSettings(model_type=name)
    while settings is not None:
        ranges = (settings.spaces or {}).get(name, {})
        schema = Schema((), "", "regression")
        make_model(ModelSettings(schema, 0, "r2", name=name, ranges=ranges)).defaults()
        settings = remedied(settings, CURES)
