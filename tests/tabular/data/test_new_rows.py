"""Reading rows to predict."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tabular.data.tables import columns, prepared

from journal_launcher.base.errors import UsageError
from journal_launcher.tabular.data.dataset import (
    features_from_frame,
    load,
    read_features,
)
from journal_launcher.tabular.data.table import Column, Schema

SCHEMA = Schema(
    (
        Column("x", "number"),
        Column("colour", "category", ("1", "blue", "red")),
        Column("flag", "boolean"),
        Column("day", "date"),
    ),
    "y",
    "regression",
)


class TestNewRows:
    def read(self, folder: Path, text: str) -> tuple[list[list[Any]], list[Any], tuple[str, ...]]:
        path = folder / "new.csv"
        path.write_text(text)
        features, notes = read_features(path, SCHEMA)
        return features.numbers.tolist(), features.codes[:, 0].tolist(), notes

    def test_columns_in_any_order_without_the_target(self, tmp_path: Path) -> None:
        text = "y,day,colour,flag,x\noops,1970-01-02,red,True,2\n,1970-01-01,1,False,1\n"
        assert self.read(tmp_path, text) == ([[2, 1, 86400], [1, 0, 0]], [2, 0], ())

    def test_unseen_categories_and_more_columns_are_noted(self, tmp_path: Path) -> None:
        header = "x,colour,flag,day,more\n"
        rows = "".join(f"1,{colour},1,1970-01-01,5\n" for colour in ("pink", "red", "01", "pink"))
        _, codes, notes = self.read(tmp_path, header + rows)
        assert codes == [-1, 2, -1, -1]
        assert notes == (
            "columns that the model does not use: 'more'",
            "column 'colour': 3 rows with categories that the training data did not have: 'pink', "
            "'01'; taken as missing",
        )

    def test_categories_that_look_like_numbers_stay_as_written(self, tmp_path: Path) -> None:
        _, codes, _ = self.read(tmp_path, "x,colour,flag,day\n1,01,,\n2,1,,\n")
        assert codes == [-1, 0]

    def test_the_file_is_read_by_what_is_in_it(self, tmp_path: Path) -> None:
        """Separator and encoding are the file's own, whatever that of the training data was."""
        plain = self.read(tmp_path, "x,colour,flag,day\n1.5,1,,\n2,1,,\n")
        numbers, codes, notes = self.read(
            tmp_path, "colour\tx\tflag\tday\t\n1\t1.5\t\t\t\n1\t2\t\t\t\n"
        )
        assert (repr(numbers), codes) == (repr(plain[0]), plain[1])
        assert notes == ("column 5 without a name and values: left out",)

    @pytest.mark.parametrize("data", [pd.DataFrame(), np.empty((0, 4))], ids=["frame", "array"])
    def test_no_rows_are_refused_in_one_line(self, data: Any) -> None:
        with pytest.raises(UsageError, match="expected rows to predict, found none"):
            features_from_frame(data, SCHEMA)

    def test_rows_with_gaps_stay(self, tmp_path: Path) -> None:
        numbers, codes, notes = self.read(tmp_path, "x,colour,flag,day\n,,,\nNA,nan,,\n")
        assert np.isnan(numbers).all() and np.shape(numbers) == (2, 3)
        assert (codes, notes) == ([-1, -1], ())

    @pytest.mark.parametrize(
        ("row", "expected"),
        [
            ("two,red,True,1970-01-01", "row 2, column 'x': expected a number as in the training"),
            ("2,red,maybe,1970-01-01", "row 2, column 'flag': expected a boolean"),
            ("2,red,2,1970-01-01", "row 2, column 'flag': expected a boolean"),
            ("2,red,True,soon", "row 2, column 'day': expected a date"),
            ("inf,red,True,1970-01-01", "row 2, column 'x': expected a finite number"),
        ],
    )
    def test_a_value_of_another_kind_is_named(
        self, tmp_path: Path, row: str, expected: str
    ) -> None:
        flag = "1" if ",2," in row else "True"
        with pytest.raises(UsageError) as caught:
            self.read(tmp_path, f"x,colour,flag,day\n1,red,{flag},1970-01-01\n{row}\n")
        assert expected in str(caught.value) and str(tmp_path / "new.csv") in str(caught.value)

    def test_missing_columns_are_named(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"expected the 4 columns .* missing: 'flag', 'day'"):
            self.read(tmp_path, "x,colour\n1,red\n")

    def test_a_frame_in_memory(self) -> None:
        frame = pd.DataFrame(
            {
                "day": pd.to_datetime(["1970-01-02", None]),
                "colour": [1, None],
                "x": pd.array([3, None], dtype="Int64"),
                "flag": [1, 0],
            },
            index=[7, 7],
        )
        features, notes = features_from_frame(frame, SCHEMA)
        assert features.codes.tolist() == [[0], [-1]] and notes == ()
        assert features.numbers[0].tolist() == [3, 1, 86400]
        assert np.isnan(features.numbers[1]).tolist() == [True, False, True]

    def test_an_array_in_memory(self) -> None:
        schema = Schema((Column("a", "number"), Column("b", "number")), "y", "regression")
        features, _ = features_from_frame(np.array([[1, 2], [3, 4]]), schema)
        assert features.numbers.tolist() == [[1, 2], [3, 4]]
        with pytest.raises(UsageError, match=r"shape \(rows, 2\), found \(2, 3\)"):
            features_from_frame(np.zeros((2, 3)), schema)

    def test_lists_in_a_frame_are_refused(self) -> None:
        schema = Schema((Column("a", "number"),), "y", "regression")
        with pytest.raises(UsageError, match="column 'a': expected one value in each row"):
            features_from_frame(pd.DataFrame({"a": [[1], [2]]}), schema)

    def test_the_training_file_reads_back_as_its_features(self, tmp_path: Path) -> None:
        table = columns(zip=["01", "1", "x"] * 20, flag=["true", "", "false"] * 20)
        facts = prepared(tmp_path, table)
        trained = load(Path(facts["directory"]))
        features, notes = read_features(Path(facts["data"]), trained.schema)
        assert features.numbers.tobytes() == trained.features.numbers.tobytes()
        assert features.codes.tobytes() == trained.features.codes.tobytes()
        assert notes == ()
