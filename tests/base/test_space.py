"""The `[space]` table: what it means, and the one line that each mistake gets."""

from typing import Any

import pytest

from journal_launcher.base.errors import UsageError
from journal_launcher.base.space import Choices, Range, parse_space

READ = [
    ({"low": 1e-5, "high": 0.1, "log": True}, Range(1e-5, 0.1, log=True), "float, log"),
    ({"low": 0, "high": 1.5}, Range(0.0, 1.5), "float"),
    ({"low": 0.0, "high": 1, "step": 0.25}, Range(0.0, 1.0, step=0.25), "float"),
    ({"low": 1, "high": 8}, Range(1, 8), "int"),
    ({"low": 64, "high": 512, "step": 64}, Range(64, 512, step=64), "int"),
    ({"low": 1, "high": 1024, "log": True}, Range(1, 1024, log=True), "int, log"),
    ([1, 2, 3], Choices((1, 2, 3)), [1, 2, 3]),
    (["adam", "a b; $(c)"], Choices(("adam", "a b; $(c)")), ["adam", "a b; $(c)"]),
    ([True, False], Choices((True, False)), [True, False]),
]


@pytest.mark.parametrize(("found", "dimension", "kind"), READ)
def test_ranges_and_choices(found: Any, dimension: Any, kind: Any) -> None:
    (read,) = parse_space({"x": found}).values()
    assert (read, read.kind) == (dimension, kind)
    assert [type(value) for value in vars(read).values()] == [
        type(value) for value in vars(dimension).values()
    ]


MISTAKES = [
    ({}, "[space]: expected parameters, found {}"),
    (
        {"weight-decay": [1]},
        "[space] weight-decay: expected letters, digits and '_' as a name; try",
    ),
    ({"2x": [1]}, "try _2x"),
    ({"lr": [1], "LR": [1]}, "[space] LR and lr would both be JL_LR"),
    ({"dir": [1]}, "[space] dir: this name belongs to the trial's folder"),
    ({"x": 3}, "[space] x: expected a table such as {low = 1e-5, high = 0.1, log = true} or a"),
    ({"x": 3}, "found 3; [3] fixes a value"),
    ({"x": []}, "[space] x: expected one choice or more"),
    ({"x": [[1]]}, "[space] x: expected text, numbers, true or false as choices, found [1]"),
    ({"x": ["a\0b"]}, "as choices, found 'a\\x00b'"),
    ({"x": [1, float("nan")]}, "expected finite choices"),
    ({"x": ["a", "a"]}, "expected different choices"),
    ({"x": {"low": 1}}, "[space] x: high is missing"),
    ({"x": {"lo": 1, "high": 2}}, "[space] x: expected low, high, log, step, found lo"),
    ({"x": {"low": "1", "high": 2}}, "expected a finite number for low, found '1'"),
    ({"x": {"low": True, "high": 2}}, "expected a finite number for low, found True"),
    ({"x": {"low": 0, "high": float("inf")}}, "expected a finite number for high, found inf"),
    ({"x": {"low": 2, "high": 1}}, "expected low <= high, found 2 and 1"),
    ({"x": {"low": 1, "high": 2, "log": "yes"}}, "expected true or false for log, found 'yes'"),
    ({"x": {"low": 0, "high": 2, "log": True}}, "log needs low above 0, found 0"),
    ({"x": {"low": 1, "high": 2, "log": True, "step": 1}}, "log and step exclude each other"),
    ({"x": {"low": 1, "high": 2, "step": 0}}, "expected a step above 0, found 0"),
    ({"x": {"low": 0, "high": 1, "step": 0.1}}, "step must be one, found 0.1; write low = 0.0"),
]


@pytest.mark.parametrize(("table", "message"), MISTAKES)
def test_each_mistake_is_named(table: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_space(table)
    assert message in str(caught.value) and "\n" not in str(caught.value)
