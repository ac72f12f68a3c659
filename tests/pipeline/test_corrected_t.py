"""The corrected resampled t-test against figures worked out by hand."""

import math

import pytest

from journal_launcher.pipeline.corrected_t import corrected_t

FIRST = [0.82, 0.85, 0.80, 0.84, 0.83]


def test_the_correction_widens_the_test() -> None:
    second = [0.80, 0.84, 0.79, 0.81, 0.82]
    # differences 0.02, 0.01, 0.01, 0.03, 0.01: mean 0.016, variance 8e-5;
    # t = 0.016 / sqrt((1/5 + 1/4) * 8e-5) = 2.6667, 4 degrees of freedom (uncorrected: 4.0).
    t, p = corrected_t(FIRST, second)
    assert (t, p) == (pytest.approx(2.6667, abs=5e-5), pytest.approx(0.0560, abs=5e-5))
    assert corrected_t(second, FIRST) == (-t, p)


def test_folds_whose_training_rows_grow_with_time_overlap_more() -> None:
    second = [0.80, 0.84, 0.79, 0.81, 0.82]
    # The same with (1 + 1/2 + 1/3 + 1/4 + 1/5) / 5 = 0.45667 instead of 1/4:
    # t = 0.016 / sqrt(0.65667 * 8e-5) = 2.2075.
    t, p = corrected_t(FIRST, second, growing=True)
    assert (t, p) == (pytest.approx(2.2075, abs=5e-5), pytest.approx(0.0919, abs=5e-5))


def test_equal_scores_are_noise_and_a_constant_lead_is_none() -> None:
    assert corrected_t(FIRST, FIRST) == (0.0, 1.0)
    assert corrected_t([2.0, 3.0], [1.0, 2.0]) == (math.inf, 0.0)
    assert corrected_t([1.0, 2.0], [2.0, 3.0]) == (-math.inf, 0.0)
