"""The tables [health] and [skip] of a config file."""

from typing import Any

import pytest

from journal_launcher.base.errors import UsageError
from journal_launcher.settings.limits import HealthLimits, Limits


def test_what_is_not_set_keeps_its_default() -> None:
    limits = Limits.of({"dead-units": [0.1, 0.2]}, {"hours": 0.5})
    assert limits.health == HealthLimits(dead_units=(0.1, 0.2))
    assert (limits.skip.critical_results, limits.skip.hours) == (3, 0.5)
    assert Limits.of({}) == Limits.of() == Limits()


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"health": {"dead_unit": [0.1, 0.2]}}, r"\[health\] unknown key dead_unit; .*dead_units"),
        ({"skip": {"days": 1}}, r"\[skip\] unknown key days; known: critical_results, hours"),
        ({"skip": {5: 1}}, r"\[skip\] unknown key 5; known: critical_results, hours"),
        ({"health": 3}, r"\[health\] expected a table, found 3"),
        ({"health": {"dead_units": 0.5}}, r"dead_units = \[warning, critical\], found 0.5"),
        ({"health": {"dead_units": [0.5, "x"]}}, r"dead_units = \[warning, critical\]"),
        ({"health": {"dead_units": [0.5, 0.25]}}, "warning no later than critical"),
        ({"health": {"epochs_used": [0.1, 0.2]}}, "warning no later than critical"),
        ({"skip": {"hours": -1}}, "hours: expected a positive number up to 1,000,000, found -1"),
        ({"skip": {"critical_results": 1.5}}, "critical_results: expected a positive whole number"),
    ],
)
def test_a_mistake_in_the_tables_is_named(tables: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Limits.of(**tables)
