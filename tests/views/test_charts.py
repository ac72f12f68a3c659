"""Axes of small charts: few ticks, at numbers that can be read."""

import pytest

from journal_launcher.views.report.charts import log_ticks, whole_ticks


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([0.03, 1e-4, 0.002], ["0.0001", "0.001", "0.01"]),
        ([0.037, 0.32], ["0.05", "0.1", "0.2"]),
        ([0.002, 0.03], ["0.002", "0.005", "0.01", "0.02"]),
        ([1, 64], ["1", "3", "10", "30"]),
        ([1e-6, 1.0], ["1e-06", "0.0001", "0.01", "1"]),
        ([3.11, 3.77], ["3.1", "3.8"]),
        ([1e-5, 1e-5], ["1e-05"]),
        ([], []),
    ],
)
def test_a_logarithmic_axis_has_few_round_numbers(values: list[float], texts: list[str]) -> None:
    axis = log_ticks(values)
    assert axis["ticktext"] == texts and list(map(float, texts)) == pytest.approx(axis["tickvals"])


def test_there_is_no_tick_between_two_whole_numbers() -> None:
    assert whole_ticks([1, 3, 2]) == whole_ticks([5.0]) == {"dtick": 1}
    assert whole_ticks([1, 2.5]) == whole_ticks([1, 200]) == whole_ticks([]) == {}
