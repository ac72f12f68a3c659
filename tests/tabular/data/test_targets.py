"""What is predicted, and the labels of classes."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tabular.data.tables import ROWS, columns, loaded, prepared, refusal

from journal_launcher.tabular.data.columns import Typed, label_of
from journal_launcher.tabular.data.dataset import Schema
from journal_launcher.tabular.data.targets import Target, decide_target, type_target


def decided(series: pd.Series, task: str = "auto") -> Target:
    column: Typed = type_target("y", series, None)
    rows = ~column.missing
    used = type_target("y", series[rows], None)
    return decide_target(task, "y", used if column.kind != "category" else column, series[rows])


def text(values: list[str]) -> pd.Series:
    return pd.Series(values, dtype=object)


class TestLabels:
    @pytest.mark.parametrize(
        ("series", "classes", "labels"),
        [
            (pd.Series([0, 1, 1]), ("0", "1"), [0, 1]),
            (pd.Series([0.0, 1.0, 1.0]), ("0", "1"), [0, 1]),
            (pd.Series([10, 9, 2]), ("2", "9", "10"), [2, 9, 10]),
            (pd.Series([True, False]), ("False", "True"), [False, True]),
            (text(["true", "false"]), ("false", "true"), [False, True]),
            (text(["1", "0"]), ("0", "1"), ["0", "1"]),
            (text(["01", "02", "10"]), ("01", "02", "10"), ["01", "02", "10"]),
            (text(["yes", "no"]), ("no", "yes"), ["no", "yes"]),
            (text(["1", "A"]), ("1", "A"), ["1", "A"]),
            (pd.Series([2**53, 2**53 + 1]), None, [2**53, 2**53 + 1]),
            (pd.Series([2**53 + 1, 5]), None, [5, 2**53 + 1]),
        ],
    )
    def test_are_what_the_column_holds(
        self, series: pd.Series, classes: tuple[str, ...] | None, labels: list[Any]
    ) -> None:
        target = decided(series)
        assert target.task == "classification"
        assert classes is None or target.classes == classes
        schema = Schema((), "y", target.task, target.classes, target.class_type)
        assert schema.labels.tolist() == labels
        assert type(schema.labels.tolist()[0]) is type(labels[0])
        assert Schema.from_json(schema.to_json()) == schema
        spelled = [target.classes[int(place)] for place in target.values]
        assert spelled == [label_of(cell) for cell in series]


class TestTask:
    def test_decimal_commas_are_a_regression(self, tmp_path: Path) -> None:
        facts = prepared(tmp_path, columns(y=[f"{place},5" for place in range(ROWS)]))
        assert facts["task"] == "regression"
        assert facts["reading"] == {"y": "number as 1.234,5"}

    def test_censored_values_are_refused_by_their_row(self, tmp_path: Path) -> None:
        y = [f"{place}.5" if place % 9 else f"<{place}.5" for place in range(ROWS)]
        message = refusal(tmp_path, columns(y=y))
        assert (
            "row 1, target 'y': expected a number, found '<0.5' (and 6 such rows more); write"
            in (message)
        )
        assert "empty the cell to leave the row out" in message
        assert "--task classification" in message
        assert "found '<0.5'" in refusal(tmp_path, columns(y=y), task="regression")

    def test_a_number_with_a_unit_is_refused(self, tmp_path: Path) -> None:
        message = refusal(tmp_path, columns(y=[f"{place} kg" for place in range(ROWS)]))
        assert "a number with a unit; write the numbers alone; if these are classes" in message

    def test_the_positions_of_codes_are_no_numbers(self, tmp_path: Path) -> None:
        codes = columns(y=[f"{place % 30:03d}" for place in range(ROWS)])
        message = refusal(tmp_path, codes, task="regression")
        assert "target 'y': expected numbers, found categories such as '000'; if" in message

    def test_marks_are_rows_without_a_target(self, tmp_path: Path) -> None:
        y = [*(f"{place}.5" for place in range(50)), *["?"] * 10]
        facts = prepared(tmp_path, columns(y=y))
        assert (facts["n_rows"], facts["task"]) == (50, "regression")
        assert facts["notes"] == [
            "10 rows without a target: left out",
            "column 'y': 10 cells hold '?' in place of a number: taken as missing",
        ]

    def test_a_slip_loses_no_row(self, tmp_path: Path) -> None:
        y = [*(f"{place}.5" for place in range(59)), "abc"]
        assert "row 60, target 'y': expected a number, found 'abc'" in refusal(
            tmp_path, columns(y=y)
        )
        with pytest.raises(Exception, match="rows of every class"):
            prepared(tmp_path, columns(y=y), task="classification")

    def test_few_counts_name_the_regression_they_may_be(self, tmp_path: Path) -> None:
        counts = np.minimum(np.arange(ROWS) // 7, 8)
        message = refusal(tmp_path, columns(y=counts), k_folds=10)
        assert "if 'y' counts or measures something, give --task regression" in message
        texts = np.array(list("abcdefghi"))[counts]
        assert "--task regression" not in refusal(tmp_path, columns(y=texts), k_folds=10)
        assert loaded(tmp_path, columns(y=counts), k_folds=10, task="regression").target.max() == 8

    def test_an_ambiguous_target_is_read_as_its_file_is(self, tmp_path: Path) -> None:
        y = [f"{place + 1},{place * 7 % 1000:03d}" for place in range(ROWS)]
        assert loaded(tmp_path, columns(y=y, x=columns()["x"])).target[0] == 1000
        x = [f"{place},25" for place in range(ROWS)]
        assert loaded(tmp_path, columns(y=y, x=x)).target[0] == 1
