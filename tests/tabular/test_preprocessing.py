"""The encoder: what it learns, from which rows, and what comes out."""

import json

import numpy as np
import pytest

from journal_launcher.tabular.data.dataset import Features
from journal_launcher.tabular.preprocessing import Encoder

NAN = float("nan")


def numbers_only(*columns: list[float]) -> Features:
    numbers = np.array(columns, dtype=np.float64).T
    return Features(numbers, np.empty((len(numbers), 0), dtype=np.int32))


def codes_only(*columns: list[int]) -> Features:
    codes = np.array(columns, dtype=np.int32).T
    return Features(np.empty((len(codes), 0)), codes)


def mixed(rows: int = 200, seed: int = 0) -> Features:
    rng = np.random.default_rng(seed)
    numbers = rng.normal([0, 1000, -5], [1, 300, 0.01], size=(rows, 3))
    numbers[rng.random((rows, 3)) < [0.0, 0.2, 0.0]] = NAN
    return Features(numbers, rng.integers(-1, 4, size=(rows, 2)).astype(np.int32))


def test_numbers_become_standard_normal_whatever_their_distribution() -> None:
    skewed = np.exp(np.random.default_rng(0).normal(8, 2, size=(5000, 1)))
    features = Features(skewed, np.empty((5000, 0), dtype=np.int32))
    out = Encoder.fit(features).transform(features)[:, 0]
    assert out.dtype == np.float32
    assert abs(out.mean()) < 0.01
    assert abs(out.std() - 1) < 0.03
    assert (np.argsort(out[:200], kind="stable") == np.argsort(skewed[:200, 0])).mean() > 0.9


def test_the_map_is_that_of_the_training_rows() -> None:
    encoder = Encoder.fit(numbers_only([1.0, 3.0], [10.0, 30.0]))
    out = encoder.transform(numbers_only([2.0, 2.0], [20.0, 35.0]))
    np.testing.assert_allclose(out[0], 0, atol=1e-6)
    assert out[1, 1] > 0.5


def test_a_value_far_outside_goes_no_further_than_the_ends() -> None:
    encoder = Encoder.fit(numbers_only([-1.0, 0.0, 1.0]))
    out = encoder.transform(numbers_only([-1e9, -1.0, 1.0, 1e9]))[:, 0]
    assert out[0] == out[1] == -out[2] == -out[3]


def test_the_two_values_of_a_boolean_keep_apart() -> None:
    encoder = Encoder.fit(numbers_only([0.0] * 90 + [1.0] * 10))
    low, high = encoder.transform(numbers_only([0.0, 1.0]))[:, 0]
    assert -1 < low < 0
    assert high > 1


def test_missing_numbers_become_the_median_and_an_indicator() -> None:
    encoder = Encoder.fit(numbers_only([1.0, 2.0, 6.0, NAN], [1.0, 2.0, 3.0, 4.0]), to_normal=False)
    out = encoder.transform(numbers_only([NAN, 5.0], [NAN, 0.0]))
    # The second column was never missing in training: filled, no indicator.
    np.testing.assert_array_equal(out, [[2.0, 2.5, 1.0], [5.0, 0.0, 0.0]])


def test_without_scaling_values_pass_as_they_are() -> None:
    encoder = Encoder.fit(numbers_only([0.0, 5000.0]), to_normal=False)
    np.testing.assert_array_equal(encoder.transform(numbers_only([1e6, -3.0])), [[1e6], [-3.0]])
    exact = encoder.transform(numbers_only([1.7e9 + 1]), np.float64)
    assert exact.tolist() == [[1.7e9 + 1]]


@pytest.mark.parametrize("column", [[7.0, 7.0, 7.0], [NAN, NAN, NAN]])
def test_a_column_without_spread_or_without_values_stays_finite(column: list[float]) -> None:
    encoder = Encoder.fit(numbers_only(column))
    out = encoder.transform(numbers_only([7.0, 8.0, NAN]))
    assert np.isfinite(out).all()


def test_rare_missing_and_unseen_categories_share_the_other_column() -> None:
    encoder = Encoder.fit(codes_only([0] * 10 + [2] * 10 + [1]))
    out = encoder.transform(codes_only([0, 2, 1, -1, 99]))
    np.testing.assert_array_equal(out, [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1], [0, 0, 1]])


def test_missing_is_a_category_of_its_own_where_it_is_frequent() -> None:
    encoder = Encoder.fit(codes_only([0] * 10 + [-1] * 10))
    out = encoder.transform(codes_only([-1, 0, 5]))
    np.testing.assert_array_equal(out, [[1, 0, 0], [0, 1, 0], [0, 0, 1]])


def test_many_levels_keep_only_the_most_frequent() -> None:
    counts = np.repeat(np.arange(1000), np.arange(1000) % 50 + 10)
    encoder = Encoder.fit(Features(np.empty((len(counts), 0)), counts[:, None].astype(np.int32)))
    assert encoder.width == 65
    kept = encoder.levels[0]
    assert (kept % 50 >= 46).all()


def test_many_category_columns_stay_narrow_together() -> None:
    codes = np.random.default_rng(0).integers(0, 500, size=(20_000, 100)).astype(np.int32)
    assert Encoder.fit(Features(np.empty((20_000, 0)), codes)).width <= 512 + 100


def test_the_same_rows_give_the_same_state_whatever_is_transformed_in_between() -> None:
    train = mixed()
    encoder = Encoder.fit(train)
    before = json.dumps(encoder.to_json())
    encoder.transform(mixed(50, seed=1))
    assert json.dumps(encoder.to_json()) == before
    assert json.dumps(Encoder.fit(train).to_json()) == before


def test_fitting_and_transforming_leave_the_input_alone() -> None:
    train = mixed()
    numbers, codes = train.numbers.copy(), train.codes.copy()
    train.numbers.setflags(write=False)
    train.codes.setflags(write=False)
    Encoder.fit(train).transform(train)
    np.testing.assert_array_equal(train.numbers, numbers)
    np.testing.assert_array_equal(train.codes, codes)


@pytest.mark.parametrize("scale", [True, False])
def test_json_round_trip_is_exact(scale: bool) -> None:
    encoder = Encoder.fit(mixed(), scale)
    again = Encoder.from_json(json.loads(json.dumps(encoder.to_json(), allow_nan=False)))
    other = mixed(100, seed=2)
    assert again.to_json() == encoder.to_json()
    np.testing.assert_array_equal(again.transform(other), encoder.transform(other))


def test_one_row_and_no_rows_work() -> None:
    encoder = Encoder.fit(mixed(1))
    assert np.isfinite(encoder.transform(mixed(5))).all()
    assert encoder.transform(mixed(0)).shape == (0, encoder.width)
