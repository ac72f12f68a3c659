"""Which rows are equal, and which of them are copies."""

import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journal_launcher.tabular.data import equal_rows as module
from journal_launcher.tabular.data.equal_rows import are_copies, count_repeats, equal_rows


def judged(*columns: np.ndarray) -> bool:
    return are_copies(columns, equal_rows(columns))


def test_every_nan_is_the_same_missing_value() -> None:
    values = np.array([np.nan, -np.nan, 0.0])
    assert values[:1].tobytes() != values[1:2].tobytes()
    assert equal_rows([values, np.zeros(3, dtype=np.int32)]).tolist() == [0, 0, 2]


ROWS = st.lists(
    st.tuples(st.sampled_from([0.0, -0.0, 1.5, float("nan")]), st.sampled_from([-1, 0, 1])),
    min_size=1,
    max_size=40,
)


@settings(max_examples=60)
@given(ROWS)
def test_equal_rows_finds_exactly_the_equal_ones(rows: list[tuple[float, int]]) -> None:
    units = equal_rows([np.array([row[0] for row in rows]), np.array([row[1] for row in rows])])
    # repr makes NaN equal to NaN; + 0.0 makes -0.0 equal to 0.0.
    texts = [repr((row[0] + 0.0, row[1])) for row in rows]
    assert units.tolist() == [texts.index(text) for text in texts]
    assert count_repeats(units) == len(rows) - len(set(texts))


def test_a_value_moved_to_another_column_is_another_row() -> None:
    assert equal_rows([np.array([1.0, 2.0]), np.array([2.0, 1.0])]).tolist() == [0, 1]


def test_what_hashes_say_is_compared_with_the_values(monkeypatch: pytest.MonkeyPatch) -> None:
    right, mixed = module._hashes, []

    def poor(values: np.ndarray, place: int, salt: int = 0) -> np.ndarray:
        mixed.append(salt)
        return right(np.floor(values) if salt == 0 else values, place, salt)

    monkeypatch.setattr(module, "_hashes", poor)
    assert equal_rows([np.array([1.25, 1.5, 1.25])]).tolist() == [0, 1, 0]
    assert set(mixed) == {0, 1}
    # Of 21 different rows, poor hashes see 5 in one column: it is counted again, and 20 are enough.
    place = np.arange(21.0)
    columns = [np.r_[place, 0], np.r_[place[:-1] / 4, 0, 0]]
    assert judged(*columns)


def test_copies_differ_without_any_one_column_too_and_chance_does_not() -> None:
    rng = np.random.default_rng(0)
    three = rng.normal(size=(3, 200))
    assert judged(*np.hstack([three, three]))  # stacked twice
    assert judged(*np.hstack([three, three[:, :1]]))  # one row of a nearly unique table
    assert not judged(*three)  # nothing is equal
    assert not judged(*rng.integers(0, 5, (4, 2000)))  # an ordinal scale
    assert not judged(np.r_[three[0], three[0]])  # a single column


@pytest.mark.parametrize(("different", "expected"), [(95, True), (94, False)])
def test_ninety_five_of_a_hundred_are_as_many(different: int, expected: bool) -> None:
    """Without the last column, `different` of 100 different rows are left."""
    same = np.minimum(np.arange(100.0), different - 1)
    columns = [same, same * 2, np.arange(100.0)]
    assert judged(*(np.r_[column, column[:1]] for column in columns)) is expected


def test_a_large_table_takes_neither_long_nor_a_copy_of_it() -> None:
    table = np.random.default_rng(0).normal(size=(100, 50_000))
    table[:, -1] = table[:, 0]
    tracemalloc.start()
    began = time.perf_counter()
    assert judged(*table)
    seconds, peak = time.perf_counter() - began, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < table.nbytes / 8
    assert seconds < 20
