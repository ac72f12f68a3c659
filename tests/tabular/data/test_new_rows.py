"""Reading rows to predict."""

import json
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tabular.data.sheets import rows_of, xlsx
from tabular.data.tables import columns, prepared

from journal_launcher.base.errors import UsageError
from journal_launcher.tabular.data.columns import features_of
from journal_launcher.tabular.data.dataset import Column, Schema
from journal_launcher.tabular.data.deciding import type_columns
from journal_launcher.tabular.data.new_rows import apply_schema
from journal_launcher.tabular.data.prepared import (
    features_from_frame,
    load,
    read_features,
)

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
        assert notes == ("column 5 without a name and values: left out", *plain[2])

    @pytest.mark.parametrize("data", [pd.DataFrame(), np.empty((0, 4))], ids=["frame", "array"])
    def test_no_rows_are_refused_in_one_line(self, data: Any) -> None:
        with pytest.raises(UsageError, match="expected rows to predict, found none"):
            features_from_frame(data, SCHEMA)

    def test_rows_with_gaps_stay(self, tmp_path: Path) -> None:
        numbers, codes, notes = self.read(tmp_path, "x,colour,flag,day\n,,,\nNA,nan,,\n")
        assert np.isnan(numbers).all() and np.shape(numbers) == (2, 3)
        assert codes == [-1, -1]
        assert notes == ("columns without a value in any row: 'x', 'colour', 'flag', 'day'",)

    def test_one_row_with_gaps_is_no_empty_column(self, tmp_path: Path) -> None:
        assert self.read(tmp_path, "x,colour,flag,day\n,,,\n")[2] == ()

    def test_columns_that_are_empty_are_named(self) -> None:
        frame = pd.DataFrame(
            {"x": [None, ""], "colour": ["pink"] * 2, "flag": [1, None], "day": [pd.NaT] * 2}
        )
        notes = features_from_frame(frame, SCHEMA)[1]
        assert [note for note in notes if "any row" in note] == [
            "columns without a value in any row: 'x', 'day'"
        ]

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

    def test_every_row_is_one_to_predict(self, tmp_path: Path) -> None:
        """What would be a footer below training data is a row too."""
        header, row = "colour,x,flag,day\n", "red,1,True,1970-01-01\n"
        numbers, codes, notes = self.read(tmp_path, header + row * 3 + "Total,3,,\n")
        assert [x for x, *_ in numbers] == [1, 1, 1, 3] and codes == [2, 2, 2, -1]
        assert len(notes) == 1 and "'Total'; taken as missing" in notes[0]
        with pytest.raises(UsageError, match=r"row 4, column 'x': .* found 'Total'"):
            self.read(tmp_path, "x,colour,flag,day\n" + "1,red,,\n" * 3 + "Total,,,\n")
        cells: list[list[object]] = [["x", "colour", "flag", "day"], *[[1, "red", None, None]] * 3]
        path = xlsx(tmp_path / "t.xlsx", {"Data": rows_of([*cells, [3, "Total", None, None]])})
        assert read_features(path, SCHEMA)[0].codes[:, 0].tolist() == [2, 2, 2, -1]
        (tmp_path / "parts").mkdir()
        for name in "ab":
            (tmp_path / "parts" / f"{name}.csv").write_text(header + row * 3 + "Total,3,,\n")
        assert len(read_features(tmp_path / "parts", SCHEMA)[0]) == 8

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


FORMATTED = Schema(
    (
        Column("n", "number", format="1.234,5 €"),
        Column("share", "number", format="1,234.5 %"),
        Column("when", "date", format="d/m/y", gap_texts=("later",)),
        Column("code", "category", ("0", "1", "2.50", "A")),
    ),
    "y",
    "regression",
)


class TestFormats:
    """What the training data were decided to be is applied, and nothing decided anew."""

    def read(self, folder: Path, text: str) -> tuple[list[list[Any]], list[Any], tuple[str, ...]]:
        path = folder / "new.csv"
        path.write_text(text)
        features, notes = read_features(path, FORMATTED)
        return features.numbers.tolist(), features.codes[:, 0].tolist(), notes

    def test_text_is_read_in_the_format_of_its_column(self, tmp_path: Path) -> None:
        text = "n,share,when,code\n1.234,5%,02/01/1970,1\n5 €,0,01/02/1970,A\n"
        numbers, codes, notes = self.read(tmp_path, text)
        assert numbers == [[1234, 5, 86400], [5, 0, 31 * 86400]]
        assert (codes, notes) == ([1, 3], ())

    def test_typed_values_are_taken(self, tmp_path: Path) -> None:
        pytest.importorskip("pyarrow")
        frame = pd.DataFrame({"n": [1.5, 2], "share": [51.9, None], "code": [0.0, 2.5]})
        frame["when"] = pd.to_datetime(["1970-01-02", None])
        frame.to_parquet(tmp_path / "new.parquet")
        features, notes = read_features(tmp_path / "new.parquet", FORMATTED)
        assert features.numbers[0].tolist() == [1.5, 51.9, 86400]
        assert features.codes.tolist() == [[0], [2]]
        assert notes == ("column 'share': numbers are taken as percents, 51.9 as 51.9%",)

    @pytest.mark.parametrize(
        "cells",
        [
            [Decimal("1.234"), Decimal("2.500")],
            [1.234, np.float32(2.5)],
            pd.Categorical([1.234, 2.5]),
            [1.234, "2,5 €"],
        ],
        ids=["decimals", "floats", "levels", "number and text"],
    )
    def test_typed_cells_are_taken_whatever_the_column_is(self, cells: Any) -> None:
        schema = replace(FORMATTED, columns=FORMATTED.columns[:1])
        frame = pd.DataFrame({"n": pd.Series(cells, dtype=getattr(cells, "dtype", "object"))})
        features, notes = features_from_frame(frame, schema)
        assert features.numbers[:, 0].tolist() == [1.234, 2.5] and notes == ()

    def test_a_typed_cell_that_is_no_value_of_its_column_is_named(self) -> None:
        schema = replace(FORMATTED, columns=FORMATTED.columns[:1])
        frame = pd.DataFrame({"n": pd.Series([1.5, date(2023, 1, 1)], dtype="object")})
        with pytest.raises(UsageError, match=r"row 2, column 'n': .* found '2023-01-01'"):
            features_from_frame(frame, schema)
        with pytest.raises(UsageError, match="row 1, column 'n': expected a finite number"):
            features_from_frame(pd.DataFrame({"n": [10**400, "1"]}), schema)

    @pytest.mark.parametrize(
        "cells",
        [
            [date(1970, 1, 2), None],
            [datetime(1970, 1, 2), pd.NaT],
            [datetime(1970, 1, 2, 1, tzinfo=timezone(timedelta(hours=1))), "later"],
            [np.datetime64("1970-01-02"), None],
        ],
    )
    def test_typed_dates_are_taken(self, cells: list[Any]) -> None:
        schema = replace(FORMATTED, columns=FORMATTED.columns[2:3])
        frame = pd.DataFrame({"when": pd.Series(cells, dtype="object")})
        features, _ = features_from_frame(frame, schema)
        assert features.numbers[0, 0] == 86400 and np.isnan(features.numbers[1, 0])

    def test_dates_and_decimals_of_parquet_are_taken(self, tmp_path: Path) -> None:
        pytest.importorskip("pyarrow")
        frame = pd.DataFrame({"n": [Decimal("1.234")], "when": [date(1970, 1, 2)]})
        frame.assign(share=None, code="A").to_parquet(tmp_path / "new.parquet")
        features, _ = read_features(tmp_path / "new.parquet", FORMATTED)
        assert features.numbers[0, [0, 2]].tolist() == [1.234, 86400]

    def test_numbers_and_dates_beside_texts_in_a_sheet_are_taken(self, tmp_path: Path) -> None:
        rows: list[list[object]] = [["n", "share", "when", "code"]]
        rows += [[1.234, 5, "day:25570", 2.5], ["-", "7%", "later", "A"]]
        path = xlsx(tmp_path / "new.xlsx", {"Data": rows_of(rows)})
        features, _ = read_features(path, FORMATTED)
        assert features.numbers[0].tolist() == [1.234, 5, 86400]
        assert features.codes.tolist() == [[2], [3]] and features.numbers[1, 1] == 7

    @pytest.mark.parametrize(
        ("row", "expected"),
        [
            ("1234.56,5%,01/01/1970,1", "row 2, column 'n': expected a number as in the training"),
            ("$5,5%,01/01/1970,1", "such as 1.234,5 €, found '$5'"),
            ("5,0.519,01/01/1970,1", "such as 1,234.5 %, found '0.519'"),
            ("5,5%,01/13/1970,1", "such as 31/01/2022, found '01/13/1970'"),
            ("5,5%,1970-01-13,1", "such as 31/01/2022, found '1970-01-13'"),
            ("5,5%,soon,1", "row 2, column 'when': expected a date as in the training data, such"),
        ],
    )
    def test_a_misfit_is_named_with_the_format(
        self, tmp_path: Path, row: str, expected: str
    ) -> None:
        with pytest.raises(UsageError) as caught:
            self.read(tmp_path, f"n,share,when,code\n5,5%,01/01/1970,1\n{row}\n")
        assert expected in str(caught.value)

    def test_marks_are_missing_with_a_note(self, tmp_path: Path) -> None:
        text = "n,share,when,code\n?,5%,later,1\n-,5%,None,1\n"
        numbers, _, notes = self.read(tmp_path, text)
        assert np.isnan(numbers).tolist() == [[True, False, True]] * 2
        assert notes == (
            "column 'n': 2 cells hold '?', '-': taken as missing",
            "column 'when': 1 cell holds 'later': taken as missing",
        )

    @pytest.mark.parametrize(
        ("kind", "name", "known", "gaps"),
        [
            ("date", "h:m", "10:30", ("25:10:00", "10:00:00")),
            ("number", "1,234.5 $", "$1,234.50", ("12.5-", "7")),
        ],
    )
    def test_what_was_missing_in_training_stays_missing(
        self, kind: str, name: str, known: str, gaps: tuple[str, ...]
    ) -> None:
        """Of an older model too, whose format could not read what it reads today."""
        schema = Schema((Column("c", kind, format=name, gap_texts=gaps),), "y", "regression")
        features, notes = features_from_frame(pd.DataFrame({"c": [known, *gaps]}), schema)
        assert np.isnan(features.numbers[:, 0]).tolist() == [False, True, True]
        assert notes == (f"column 'c': 2 cells hold {gaps[0]!r}, {gaps[1]!r}: taken as missing",)

    def test_decimals_where_thousands_were_are_said(self) -> None:
        schema = Schema((Column("n", "number", (), "1.234,5"),), "y", "regression")
        _, notes = apply_schema(pd.DataFrame({"n": [2.27, 1.234, 600.0]}), schema)
        assert notes == (
            "column 'n': numbers are taken as they are, 2.27; the training data had thousands as "
            "in 1.234",
        )
        assert apply_schema(pd.DataFrame({"n": [2270.0, 600.0]}), schema)[1] == ()
        plain = Schema((*schema.columns, Column("b", "number")), "y", "regression")
        assert apply_schema(pd.DataFrame({"n": [2270.0], "b": [1.234]}), plain)[1] == ()

    def test_thousands_in_a_plain_column_are_said(self, tmp_path: Path) -> None:
        """Where another column shows that the file's decimals have commas."""
        columns = (Column("stock", "number"), Column("price", "number", (), "1.234,5"))
        path = tmp_path / "new.csv"
        path.write_text("stock;price\n900;5,00\n1.200;5,00\n")
        schema = Schema(columns, "y", "regression")
        features, notes = read_features(path, schema)
        assert features.numbers[:, 0].tolist() == [900, 1.2]
        assert notes == (
            "column 'stock': '1.200' is read as 1.2; write thousands without marks, as in 1200",
        )

    def test_codes_are_numbers_however_they_are_written(self, tmp_path: Path) -> None:
        header = "n,share,when,code\n"
        rows = "".join(f",,,{code}\n" for code in ("0.0", "1.0", "2.5", "A", "01", "-1.0"))
        _, codes, notes = self.read(tmp_path, header + rows)
        assert codes == [0, 1, 2, 3, -1, -1]
        assert "2 rows with categories" in notes[0]
        assert notes[1:] == ("columns without a value in any row: 'n', 'share', 'when'",)

    def test_codes_that_are_all_unknown_are_refused(self, tmp_path: Path) -> None:
        header = "n,share,when,code\n"
        with pytest.raises(UsageError, match=r"such as '0', '1', .*found others in all 10 rows"):
            self.read(tmp_path, header + ",,,x1\n" * 10)
        assert self.read(tmp_path, header + ",,,x1\n" * 9)[1] == [-1] * 9
        assert self.read(tmp_path, header + ",,,x1\n" * 10 + ",,,1\n")[1] == [-1] * 10 + [1]

    def test_two_categories_of_one_number_stay_apart(self) -> None:
        schema = Schema((Column("code", "category", ("1", "1.0")),), "y", "regression")
        frame = pd.DataFrame({"code": ["1", "1.0", "1.00"]})
        assert features_from_frame(frame, schema)[0].codes[:, 0].tolist() == [0, 1, -1]

    def test_a_formatted_training_file_reads_back_as_its_features(self, tmp_path: Path) -> None:
        place = np.arange(60)
        table = columns(
            n=[f"${p},{p:03d}.50" if p else "?" for p in place],
            share=[f"{p}.5%" for p in place % 7],
            when=[f"{p % 28 + 1}/{p % 12 + 1}/2022" for p in place],
            zip=[f"{p % 9:05d}" for p in place],
        )
        facts = prepared(tmp_path, table)
        trained = load(Path(facts["directory"]))
        assert [column.format for column in trained.schema.columns[2:5]] == [
            "1,234.5 $",
            "1,234.5 %",
            "d/m/y",
        ]
        features, notes = read_features(Path(facts["data"]), trained.schema)
        assert features.numbers.tobytes() == trained.features.numbers.tobytes()
        assert features.codes.tobytes() == trained.features.codes.tobytes()
        assert notes == ("column 'n': 1 cell holds '?': taken as missing",)


def test_a_schema_from_before_formats_is_the_same_schema() -> None:
    content = {
        "columns": [
            {"name": "x", "kind": "number", "categories": []},
            {"name": "colour", "kind": "category", "categories": ["blue", "red"]},
        ],
        **{"target": "y", "task": "classification", "classes": ["0", "1"]},
    }
    schema = Schema.from_json(content)
    assert json.loads(json.dumps(schema.to_json())) == content
    assert schema.sha256 == "e8096cf9f8a4087dc1bc7f26dccb3e98b4e2797d22c926d290592230084e1959"
    assert schema.labels.tolist() == ["0", "1"]


CELLS = (
    *("1", "2.5", "-3", "1,234", "1.234", "12,5", "1.234,5", "$5", "$1,234.5", "51.9%", "(5)"),
    *("5 EUR", "1 234", "1'234", "?", "-", "None", "Total", "true", "false", "01", "007", "12 kg"),
    *("2022-01-31", "31.01.2022", "13/02/2022", "02/13/2022", "31/01/22", "Jan 2022", "10:30"),
    *("20220131", "9007199254740993", "9007199254740992", "a b c d", "\u2212 5", "NaN"),
)


@pytest.mark.parametrize("seed", range(100))
def test_whatever_columns_hold_they_read_back_as_they_were(seed: int) -> None:
    rng = np.random.default_rng(seed)
    few = [rng.choice(CELLS, size=rng.integers(1, 5)) for _ in range(4)]
    table = {f"c{place}": rng.choice(cells, 40).astype(object) for place, cells in enumerate(few)}
    table["slips"] = np.array([*(f"{x:.2f}" for x in rng.normal(size=39)), few[0][0]], object)
    frame = pd.DataFrame(table).replace("NaN", np.nan)
    typed = {name: c.as_column(name) for name, c in type_columns(frame, "dmy").items()}
    schema = Schema(tuple(column for column, _ in typed.values()), "y", "regression")
    schema = Schema.from_json(json.loads(json.dumps(schema.to_json())))
    expected = features_of(schema, {name: values for name, (_, values) in typed.items()}, 40)
    found, _ = apply_schema(frame, schema)
    assert found.numbers.tobytes() == expected.numbers.tobytes()
    assert found.codes.tobytes() == expected.codes.tobytes()
