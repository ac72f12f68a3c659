"""The `[space]` table: what it means, and the one line that each mistake gets."""

from typing import Any

import pytest

from journal_launcher.base.errors import UsageError
from journal_launcher.settings.ranges import Range
from journal_launcher.settings.space_table import kind_of, parse_space

READ = [
    ({"low": 1e-5, "high": 0.1, "log": True}, Range(1e-5, 0.1, log=True), "float, log"),
    ({"low": 0, "high": 1.5}, Range(0, 1.5), "float"),
    ({"low": 0.0, "high": 1, "step": 0.25}, Range(0.0, 1, step=0.25), "float"),
    ({"low": 0, "high": 1.5, "step": 1}, Range(0, 1.5, step=1), "float"),
    ({"low": 1, "high": 8}, Range(1, 8), "int"),
    ({"low": 64, "high": 512, "step": 64}, Range(64, 512, step=64), "int"),
    ({"low": 1, "high": 1024, "log": True}, Range(1, 1024, log=True), "int, log"),
    ([1, 2, 3], (1, 2, 3), [1, 2, 3]),
    (["adam", "a b; $(c)"], ("adam", "a b; $(c)"), ["adam", "a b; $(c)"]),
    ([True, False], (True, False), [True, False]),
    (3, (3,), [3]),
    ("adam", ("adam",), ["adam"]),
]


@pytest.mark.parametrize(("found", "asked", "kind"), READ)
def test_ranges_choices_and_fixed_values(found: Any, asked: Any, kind: Any) -> None:
    (read,) = parse_space({"x": found}).values()
    assert (read, kind_of(read)) == (asked, kind)
    assert repr(read) == repr(asked), "whole numbers stay whole, and true is not 1"


MISTAKES = [
    ({}, "[space]: expected parameters, found {}; such as lr = {low = 1e-5, high = 0.1, log"),
    ([1], "[space]: expected parameters, found [1]"),
    (
        {"weight-decay": [1]},
        "[space] weight-decay: expected letters, digits and '_' as a name; try",
    ),
    ({"2x": [1]}, "try _2x"),
    ({5: [1]}, "[space] 5: expected letters, digits and '_' as a name; try _5"),
    ({"x": {5: 1}}, "[space] x: unknown key 5; known: low, high, log, step"),
    ({"lr": [1], "LR": [1]}, "[space] LR and lr would both be JL_LR"),
    ({"dir": [1]}, "[space] dir: this name belongs to the trial's folder"),
    ({"trial_dir": [1]}, "[space] trial_dir: this name belongs to the trial's folder"),
    ({"x": []}, "[space] x: expected at least one choice, found an empty list"),
    ({"x": [[1]]}, "[space] x: expected a value, a list of values or {low = …, high = …}, found"),
    ({"x": None}, "[space] x: expected a value, a list of values or {low = …, high = …}, found"),
    ({"x": ["a\0b"]}, "[space] x: expected text without NUL, found 'a\\x00b'"),
    ({"x": "a\0b"}, "[space] x: expected text without NUL, found 'a\\x00b'"),
    ({"x": [1, float("nan")]}, "[space] x: expected a finite number, found nan"),
    ({"x": ["a", "a"]}, "[space] x: expected each choice once, found ['a', 'a']"),
    ({"x": {"low": 1}}, "[space] x: expected a number for high, found none"),
    ({"x": {"lo": 1, "high": 2}}, "[space] x: unknown key lo; did you mean 'low'?"),
    ({"x": {"values": [1]}}, "[space] x: unknown key values; known: low, high, log, step"),
    ({"x": {"low": "1", "high": 2}}, "expected a number for low, found '1'"),
    ({"x": {"low": True, "high": 2}}, "expected a number for low, found True"),
    ({"x": {"low": 0, "high": float("inf")}}, "expected a finite number for high, found inf"),
    ({"x": {"low": -1e308, "high": 1e308}}, "expected a finite high - low, found low -1e+308"),
    ({"x": {"low": 0.0, "high": 1.0, "step": 1e-300}}, "fewer than 2^53 steps from low to high"),
    ({"x": {"low": 2, "high": 1}}, "expected low up to high, found low 2 and high 1"),
    ({"x": {"low": 1, "high": 2, "log": "yes"}}, "expected true or false for log, found 'yes'"),
    ({"x": {"low": 0, "high": 2, "log": True}}, "expected low above 0 with log = true, found 0"),
    ({"x": {"low": 1, "high": 2, "log": True, "step": 1}}, "log and step exclude each other"),
    ({"x": {"low": 1, "high": 2, "step": 0}}, "expected a step above 0, found 0"),
    ({"x": {"low": 1, "high": 2, "step": "1"}}, "expected a number for step, found '1'"),
    ({"x": {"low": 1, "high": 2, "step": True}}, "expected a number for step, found True"),
    ({"x": {"low": 0.0, "high": 2, "step": float("inf")}}, "a finite number for step, found inf"),
    ({"x": {"low": 0, "high": 1, "step": 0.1}}, "step must be one, found 0.1; write low = 0.0"),
]


@pytest.mark.parametrize(("table", "message"), MISTAKES)
def test_each_mistake_is_named(table: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_space(table)
    assert message in str(caught.value) and "\n" not in str(caught.value)
