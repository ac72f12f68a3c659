"""What NumPy and torch call a number is one in a journal; what JSON has nothing for is named."""

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from journal_launcher.base.plain_json import as_json

NUMBERS = [
    (np.float32(0.5), 0.5),
    (np.float64(0.5), 0.5),
    (np.longdouble(0.5), 0.5),
    (np.int64(7), 7),
    (np.uint8(7), 7),
    (np.bool_(True), True),
    (np.array(0.5), 0.5),
    (torch.tensor(0.5), 0.5),
    (torch.tensor(0.5, requires_grad=True), 0.5),
    (torch.tensor(3), 3),
    (torch.tensor(0.5, dtype=torch.bfloat16), 0.5),
]
LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(("value", "plain"), NUMBERS)
def test_a_number_of_whatever_library_is_a_number(value: Any, plain: Any) -> None:
    assert json.dumps(as_json(value, "x")) == json.dumps(plain)
    nested = {"curve": [value, 1], "by": {"name": value}}
    expected = {"curve": [plain, 1], "by": {"name": plain}}
    assert json.dumps(as_json(nested, "x")) == json.dumps(expected)


def test_what_json_can_express_stays_what_it_is() -> None:
    keys = {1: 0, "2": 0, None: 0, False: [{1: 0}, {"1": 0}], 0.5: 0}
    for value in (None, "text", 1, 0.5, [1, {"a": None}], (1, 2), {"a": (1,)}, {3: keys}, 10**4000):
        assert as_json(value, "x") is value


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (np.zeros((2, 3)), "ndarray of shape (2, 3)"),
        (torch.zeros(2), "Tensor of shape (2,)"),
        ({"a": [Path("x")]}, "PosixPath"),
        ({1, 2}, "set"),
        (np.complex64(1j), "complex"),
        (datetime.date(2000, 1, 1), "date"),
        ({np.int64(1): 2}, "a key of type int64"),
        (LOOP, "what contains itself, or is too deep"),
        ([LOOP, np.float32(1)], "what contains itself, or is too deep"),
        ({1: "a", "1": "b"}, "the keys 1 and '1', one and the same in JSON"),
        (
            [{"x": {None: 0, "null": np.float32(1)}}],
            "the keys None and 'null', one and the same in JSON",
        ),
        (
            [{0.5: {True: 0}}, ({"true": 0, True: 0},)],
            "the keys 'true' and True, one and the same in JSON",
        ),
        ([10**5000], "a whole number of more than 4300 digits"),
        ({10**5000: 0}, "a whole number of more than 4300 digits"),
    ],
)
def test_anything_else_is_named(value: Any, found: str) -> None:
    with pytest.raises(TypeError) as caught:
        as_json(value, "trial 3, attribute 'a'")
    expected = "expected numbers, text, lists and dictionaries"
    assert str(caught.value) == f"trial 3, attribute 'a': {expected}, found {found}"
