"""How long nothing got better: the same count for whoever reads the journal, whenever."""

import random
from datetime import datetime, timedelta
from typing import Any

import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from journal_launcher.study.stagnation import Stagnation

BEGAN = datetime(2026, 1, 1)


def trial(number: int, ended: float | None, *values: float, state: str = "COMPLETE") -> FrozenTrial:
    """ended: seconds; None while it runs."""
    made = create_trial(
        state=TrialState[state if ended is not None else "RUNNING"],
        values=list(values) if values and ended is not None else None,
    )
    made.number = number
    made.datetime_complete = None if ended is None else BEGAN + timedelta(seconds=ended)
    return made


def length(trials: list[FrozenTrial], *directions: str) -> int:
    return Stagnation(directions or ("minimize",), lambda trial: True).length(trials)


@pytest.mark.parametrize(
    ("values", "direction", "expected"),
    [
        ([], "minimize", 0),
        ([1.0], "minimize", 0),
        ([1.0, 2.0, 1.0], "minimize", 2),
        ([1.0, 2.0, 0.5, 3.0], "minimize", 1),
        ([1.0, 2.0, 0.5, 3.0], "maximize", 0),
        ([3.0, 2.0, 1.0], "maximize", 2),
    ],
)
def test_equal_is_not_better(values: list[float], direction: str, expected: int) -> None:
    trials = [trial(number, number, value) for number, value in enumerate(values)]
    assert length(trials, direction) == expected


def test_pruned_counts_and_failed_does_not() -> None:
    trials = [
        trial(0, 0, 1.0),
        trial(1, 1, state="PRUNED"),
        trial(2, 2, state="FAIL"),
        trial(3, 3, float("-inf")),
        trial(4, None),
    ]
    assert length(trials) == 2


def test_what_cannot_be_the_best_is_not_better() -> None:
    trials = [trial(0, 0, 3.0), trial(1, 1, 2.0), trial(2, 2, 1.0)]
    assert Stagnation(["minimize"], lambda trial: trial.number != 2).length(trials) == 1


def test_the_order_is_that_of_the_ends() -> None:
    """Trial 1 ended first; 0 was better than it, and 2 is not better than 0."""
    assert length([trial(0, 9, 1.0), trial(1, 3, 2.0), trial(2, 4, 3.0)]) == 0
    assert length([trial(0, 1, 1.0), trial(1, 3, 2.0), trial(2, 2, 3.0)]) == 2


def test_of_several_objectives_the_front_counts() -> None:
    values = [(1.0, 5.0), (2.0, 6.0), (3.0, 3.0), (1.0, 5.0), (0.0, 9.0)]
    trials = [trial(number, number, *both) for number, both in enumerate(values)]
    found = [length(trials[:n], "minimize", "maximize") for n in range(1, 6)]
    # The second one beats the first in the second objective alone; equal ones change nothing.
    assert found == [0, 0, 1, 2, 0]


def test_read_all_at_once_or_as_it_grows_is_the_same() -> None:
    """Also of trials that end out of order, and are written later than others that end later."""
    chance = random.Random(0)
    for _ in range(50):
        n = 30
        ends = [chance.random() for _ in range(n)]
        values = [chance.choice([1.0, 2.0, 3.0, 4.0]) for _ in range(n)]
        growing = Stagnation(["minimize"], lambda trial: True)
        seen: list[Any] = [trial(number, None) for number in range(n)]
        for number in sorted(range(n), key=lambda k: ends[k] + chance.random() / 5):
            seen[number] = trial(number, ends[number], values[number])
            again = Stagnation(["minimize"], lambda trial: True)
            assert growing.length(seen) == again.length(seen)
