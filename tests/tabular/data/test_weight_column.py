"""The column of --weight-column: what it may hold, and what becomes of it and of its rows."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tabular.data.tables import ROWS, arrays, columns, csv_of, loaded, prepared, refusal

from journal_launcher.tabular.data.dataset import Schema
from journal_launcher.tabular.data.describe import describe
from journal_launcher.tabular.data.prepared import features_from_frame, read_features
from journal_launcher.tabular.data.source import TableSource

WEIGHTS = 1 + np.arange(ROWS) % 4 / 2


def weighted(**more: Any) -> dict[str, Any]:
    return columns(w=WEIGHTS, **more)


def changed(row: int, cell: Any) -> list[Any]:
    """The weights with another cell in that row, counted from 1."""
    cells: list[Any] = WEIGHTS.tolist()
    cells[row - 1] = cell
    return cells


class TestReading:
    def test_it_is_no_feature_and_is_named_where_the_table_is(self, tmp_path: Path) -> None:
        facts = prepared(tmp_path, weighted(), weight_column="w")
        assert facts["weight_column"] == "w"
        assert facts["summary"] == (
            "table.csv: 60 rows, regression of y, weighted by w; 1 number, 1 category"
        )
        table = loaded(tmp_path, weighted(), weight_column="w")
        assert [column.name for column in table.schema.columns] == ["x", "colour"]
        assert table.weights is not None
        np.testing.assert_allclose(table.weights, WEIGHTS / WEIGHTS.mean(), rtol=1e-6)

    def test_without_it_nothing_is_said_of_weights(self, tmp_path: Path) -> None:
        facts = prepared(tmp_path, weighted())
        table = loaded(tmp_path, weighted())
        assert "weight_column" not in facts and table.weights is None
        assert "weight_column" not in table.schema.to_json()
        assert "w" in [column.name for column in table.schema.columns]

    def test_ten_times_the_weights_are_the_same_to_the_last_bit(self, tmp_path: Path) -> None:
        odd = np.random.default_rng(0).lognormal(sigma=3, size=ROWS)
        (tmp_path / "ten").mkdir()
        one = loaded(tmp_path, columns(w=odd), weight_column="w")
        ten = loaded(tmp_path / "ten", columns(w=10 * odd), weight_column="w")
        assert one.weights is not None and ten.weights is not None
        assert one.weights.tobytes() == ten.weights.tobytes()
        np.testing.assert_allclose(one.weights, odd / odd.mean(), rtol=1e-6)

    def test_rows_of_weight_zero_are_as_good_as_removed(self, tmp_path: Path) -> None:
        """From the kinds of the columns to the folds."""
        zero = np.arange(ROWS) % 9 == 4
        table = pd.DataFrame(weighted(odd=np.where(zero, "a text", "7")))
        table.loc[zero, "w"] = 0
        (tmp_path / "removed").mkdir()
        here = loaded(tmp_path, table.to_dict("list"), weight_column="w")
        there = loaded(tmp_path / "removed", table[~zero].to_dict("list"), weight_column="w")
        assert here.schema == there.schema
        pairs = zip([*arrays(here), here.weights], [*arrays(there), there.weights], strict=True)
        for one, other in pairs:
            assert one is not None and other is not None
            assert one.tobytes() == other.tobytes()
        facts = prepared(tmp_path, table.to_dict("list"), weight_column="w")
        assert f"{zero.sum()} rows of weight 0: left out" in facts["notes"]

    def test_a_row_without_a_target_needs_no_weight(self, tmp_path: Path) -> None:
        y = columns()["y"].copy()
        y[3] = np.nan
        table = columns(y=y, w=changed(4, -1))
        assert prepared(tmp_path, table, weight_column="w")["n_rows"] == ROWS - 1

    def test_describe_says_what_the_column_is_for(self, tmp_path: Path) -> None:
        source = TableSource(csv_of(tmp_path, weighted()), 0, target="y", weight_column="w")
        roles = {column["name"]: column["role"] for column in describe(source)["columns"]}
        assert roles == {"x": "feature", "colour": "feature", "y": "target", "w": "weight"}


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (changed(7, -0.5), "row 7, --weight-column w: expected a weight of 0 or more, found -0.5"),
        (
            changed(9, None),
            "row 9, --weight-column w: expected a weight in every row, found none; write 0 to "
            "leave the row out",
        ),
        (
            changed(9, "heavy"),
            "row 9, --weight-column w: expected a weight in every row, found 'heavy'; write 0",
        ),
        (changed(5, np.inf), "row 5, column 'w': expected a finite number, found inf"),
        (["5", *["light", "heavy"] * 30][:ROWS], "row 2, --weight-column w: expected a number, "),
        (["true", "false"] * 30, "row 1, --weight-column w: expected a number, found 'true'"),
        ([0] * ROWS, "--weight-column w: expected weights above 0, found 0 in all 60 rows"),
    ],
)
def test_what_is_no_weight_is_refused_with_its_row(
    tmp_path: Path, cells: list[Any], said: str
) -> None:
    assert said in refusal(tmp_path, columns(w=cells), weight_column="w")


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("y", {}, "is the target"),
        ("x", {"split": "group", "group_column": "x"}, "is the column of the groups"),
        ("x", {"split": "time", "time_column": "x"}, "is the column of the times"),
        ("ww", {}, "no such column; did you mean 'w'?"),
    ],
)
def test_a_column_has_one_use(tmp_path: Path, name: str, given: dict[str, Any], said: str) -> None:
    message = refusal(tmp_path, weighted(), weight_column=name, **given)
    assert f"--weight-column {name}: {said}" in message


class TestNewRows:
    def test_they_need_no_weights_and_have_none_looked_at(self, tmp_path: Path) -> None:
        schema = loaded(tmp_path, weighted(), weight_column="w").schema
        schema = Schema.from_json(json.loads(json.dumps(schema.to_json())))
        rows = columns()
        without, notes = read_features(Path(csv_of(tmp_path, rows, "without.csv")), schema)
        assert notes == ()
        odd = {**rows, "w": ["?"] * ROWS}
        found, notes = read_features(Path(csv_of(tmp_path, odd, "with.csv")), schema)
        assert notes == ()
        np.testing.assert_array_equal(found.numbers, without.numbers)
        found, notes = features_from_frame(pd.DataFrame(odd), schema)
        assert notes == ()
        np.testing.assert_array_equal(found.codes, without.codes)
