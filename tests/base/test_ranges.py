import pytest

from journal_launcher.base.errors import UsageError
from journal_launcher.base.ranges import Range, parse_range


@pytest.mark.parametrize(
    ("value", "asked"),
    [
        (0.1, (0.1,)),
        ("relu", ("relu",)),
        ([64, 128], (64, 128)),
        ({"low": 1, "high": 3}, Range(1, 3)),
        ({"low": 1e-4, "high": 1e-2, "log": True}, Range(1e-4, 1e-2, True)),
        ({"low": 2, "high": 2, "log": False}, Range(2, 2, False)),
    ],
)
def test_a_value_a_list_and_a_table_are_understood(value: object, asked: object) -> None:
    assert parse_range("[space] x", value) == asked


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "expected at least one choice, found an empty list"),
        ([1, 2, 1], "expected each choice once, found [1, 2, 1]"),
        ([[1]], "expected a value, a list of values or {low = …, high = …}, found [1]"),
        (None, "found None"),
        (float("nan"), "expected a finite number, found nan"),
        ({"low": 1}, "expected a number for high, found none"),
        ({"low": "1", "high": 2}, "expected a number for low, found '1'"),
        ({"low": True, "high": 2}, "expected a number for low, found True"),
        ({"low": 0, "high": float("inf")}, "expected a finite number, found inf"),
        ({"low": 2, "high": 1}, "expected low up to high, found low 2 and high 1"),
        ({"low": 0, "high": 1, "log": True}, "expected low above 0 with log = true, found 0"),
        ({"low": 1, "high": 2, "log": "yes"}, "expected true or false for log, found 'yes'"),
        ({"low": 1, "hihg": 2}, "unknown key hihg; did you mean 'high'?"),
        ({"values": [1]}, "unknown key values; known: low, high, log"),
    ],
)
def test_a_bad_range_is_one_line_that_names_the_key(value: object, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_range("[space] x", value)
    said = str(caught.value)
    assert said.startswith("[space] x: ") and said.endswith(message) and "\n" not in said
