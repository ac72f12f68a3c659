"""Classes whose methods are not compiled behave like those of the standard library."""

import copy
import dataclasses
import pickle
from dataclasses import field
from functools import cached_property
from typing import Any

import pytest

from journal_launcher.base.dataclass import dataclass


@dataclass(frozen=True)
class Point:
    x: float
    y: float = 0.0
    names: list[str] = field(default_factory=list, compare=False)

    @cached_property
    def size(self) -> float:
        return abs(self.x) + abs(self.y)


@dataclass(frozen=True)
class Named(Point):
    name: str = "origin"


@dataclass
class Counter:
    start: int
    count: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.count = self.start


def test_values_by_place_by_name_and_by_default() -> None:
    point = Point(1.0, names=["a"])
    assert (point.x, point.y, point.names) == (1.0, 0.0, ["a"])
    assert Point(1.0).names is not Point(1.0).names


@pytest.mark.parametrize(
    ("args", "given"),
    [((), {}), ((1, 2, [], 4), {}), ((1,), {"x": 2}), ((1,), {"z": 2}), ((), {"y": 1.0})],
)
def test_other_arguments_are_refused(args: Any, given: Any) -> None:
    with pytest.raises(TypeError, match=r"expected Point\(x, y, names\)"):
        Point(*args, **given)


def test_what_is_no_argument_is_refused() -> None:
    make: Any = Counter
    with pytest.raises(TypeError, match=r"expected Counter\(start\)"):
        make(1, count=2)


def test_equal_values_of_one_class_are_equal() -> None:
    assert Point(1.0, 2.0) == Point(1.0, 2.0, ["not compared"])
    assert Point(1.0) != Point(2.0)
    assert Point(1.0) != Named(1.0)
    assert len({Point(1.0), Point(1.0), Point(2.0)}) == 2


def test_what_changes_has_no_hash() -> None:
    counter = Counter(3)
    assert counter.count == 3
    counter.count += 1
    assert counter != Counter(3)
    with pytest.raises(TypeError, match="unhashable"):
        hash(counter)


def test_frozen_is_frozen_and_caches() -> None:
    point: Any = Point(-1.0, 2.0)
    assert point.size == point.size == 3.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        point.x = 2.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        del point.x


def test_a_derived_class_has_the_fields_of_both() -> None:
    named = Named(1.0, name="n")
    assert [f.name for f in dataclasses.fields(named)] == ["x", "y", "names", "name"]
    assert repr(named) == "Named(x=1.0, y=0.0, names=[], name='n')"


def test_the_functions_for_dataclasses_work() -> None:
    point = dataclasses.replace(Point(1.0, 2.0), y=3.0)
    assert dataclasses.asdict(point) == {"x": 1.0, "y": 3.0, "names": []}
    assert pickle.loads(pickle.dumps(point)) == copy.deepcopy(point) == point
