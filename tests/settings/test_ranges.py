from typing import Any

import pytest

from journal_launcher.base.errors import UsageError
from journal_launcher.settings.ranges import Range, check_tables, parse_range


@pytest.mark.parametrize(
    ("value", "asked"),
    [
        (0.1, (0.1,)),
        ("relu", ("relu",)),
        (True, (True,)),
        ([64, 128], (64, 128)),
        ((64, 128), (64, 128)),
        ([True, False], (True, False)),
        ({"low": 1, "high": 3}, Range(1, 3)),
        ({"low": 1e-4, "high": 1e-2, "log": True}, Range(1e-4, 1e-2, True)),
        ({"low": 2, "high": 2, "log": False}, Range(2, 2, False)),
    ],
)
def test_a_value_a_list_and_a_table_are_understood(value: object, asked: object) -> None:
    assert parse_range("[space] x", value) == asked


@pytest.mark.parametrize(
    ("value", "asked", "whole"),
    [
        ({"low": 64, "high": 512, "step": 64}, Range(64, 512, step=64), True),
        ({"low": 0.0, "high": 1, "step": 0.25}, Range(0.0, 1, step=0.25), False),
        ({"low": 0, "high": 1.5}, Range(0, 1.5), False),
        ({"low": 1, "high": 1024, "log": True}, Range(1, 1024, True), True),
    ],
)
def test_a_range_may_have_a_step_where_steps_are_allowed(
    value: object, asked: Range, whole: bool
) -> None:
    read = parse_range("[space] x", value, steps=True)
    assert read == asked and isinstance(read, Range) and read.whole is whole


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "expected at least one choice, found an empty list"),
        ([1, 2, 1], "expected each choice once, found [1, 2, 1]"),
        ([[1]], "expected a value, a list of values or {low = …, high = …}, found [1]"),
        (None, "found None"),
        (float("nan"), "expected a finite number, found nan"),
        ([1, float("inf")], "expected a finite number, found inf"),
        ({"low": 1}, "expected a number for high, found none"),
        ({"low": "1", "high": 2}, "expected a number for low, found '1'"),
        ({"low": True, "high": 2}, "expected a number for low, found True"),
        ({"low": 0, "high": float("inf")}, "expected a finite number for high, found inf"),
        ({"low": 2, "high": 1}, "expected low up to high, found low 2 and high 1"),
        ({"low": 0, "high": 1, "log": True}, "expected low above 0 with log = true, found 0"),
        ({"low": 1, "high": 2, "log": "yes"}, "expected true or false for log, found 'yes'"),
        ({"low": 1, "hihg": 2}, "unknown key hihg; did you mean 'high'?"),
        ({"values": [1]}, "unknown key values; known: low, high, log"),
        ({"low": 1, "high": 9, "step": 2}, "unknown key step; known: low, high, log"),
    ],
)
def test_a_bad_range_is_one_line_that_names_the_key(value: object, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_range("[space] x", value)
    said = str(caught.value)
    assert said.startswith("[space] x: ") and said.endswith(message) and "\n" not in said


def test_a_number_too_large_for_a_float_is_no_finite_number() -> None:
    for value in (10**400, [1, -(10**400)], {"low": 1, "high": 10**400}):
        with pytest.raises(UsageError, match=r"^\[m\] x: expected a finite number"):
            parse_range("[m] x", value)


def test_a_model_type_refuses_a_step_before_anything_starts() -> None:
    tables: dict[str, Any] = {"catboost": {"depth": {"low": 4, "high": 8, "step": 2}}}
    with pytest.raises(UsageError, match=r"^\[catboost\] depth: unknown key step; known: low"):
        check_tables(tables, ("catboost",))
