"""A whole table: which rows and columns are used, what is said of them, and what a study keeps."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tabular.data.tables import ROWS, arrays, columns, csv_of, loaded, prepared, refusal

from journal_launcher.tabular.data.source import TableSource
from journal_launcher.tabular.data.typed_table import TypedTable, read_table

AMOUNTS = [f"{place},{place * 7 % 1000:03d}.50" for place in range(1, ROWS + 1)]

REVIEW = [f"a review of several words {place % 59}" for place in range(ROWS)]


def read(folder: Path, table: dict[str, Any], **given: Any) -> TypedTable:
    return read_table(TableSource(csv_of(folder, table), 0, **{"target": "y", **given}))


class TestRows:
    @pytest.mark.parametrize("footer", ["Total", "Source: office of statistics"])
    def test_a_footer_without_a_target_decides_nothing(self, tmp_path: Path, footer: str) -> None:
        plain, with_footer = tmp_path / "plain", tmp_path / "footer"
        plain.mkdir()
        with_footer.mkdir()
        table = pd.DataFrame(columns())
        more = pd.concat([table.astype(object), pd.DataFrame([{"x": footer}])])
        one, other = loaded(plain, table.to_dict("list")), loaded(with_footer, more.to_dict("list"))
        assert one.schema == other.schema
        for left, right in zip(arrays(one), arrays(other), strict=True):
            assert left.tobytes() == right.tobytes()

    def test_a_row_that_is_left_out_may_hold_anything(self, tmp_path: Path) -> None:
        x, y = columns()["x"].copy(), columns()["y"].copy()
        x[3], y[3] = np.inf, np.nan
        assert prepared(tmp_path, columns(x=x, y=y))["n_rows"] == 59

    def test_a_row_is_named_as_in_the_file(self, tmp_path: Path) -> None:
        x, y = columns()["x"].copy(), columns()["y"].copy()
        x[9], y[3] = np.inf, np.nan
        assert "row 10, column 'x'" in refusal(tmp_path, columns(x=x, y=y))

    def test_a_footer_with_a_target_is_a_doubt_and_no_text_column(self, tmp_path: Path) -> None:
        table = columns(x=[*columns()["x"][:-1], "see below"])
        facts = prepared(tmp_path, table)
        assert "row 60: taken as missing; if that is a footer" in facts["notes"][0]
        message = refusal_of_doubt(tmp_path, table)
        assert message.startswith(
            "--strict-data: column 'x': numbers but for 'see below' in row 60"
        )


def refusal_of_doubt(folder: Path, table: dict[str, Any]) -> str:
    other = folder / "strict"
    other.mkdir()
    return refusal(other, table, strict_data=True).partition(": ")[2]


class TestColumns:
    def test_a_format_gives_the_values_of_the_plain_column(self, tmp_path: Path) -> None:
        plain, formatted = tmp_path / "plain", tmp_path / "formatted"
        plain.mkdir()
        formatted.mkdir()
        numbers = [float(amount.replace(",", "")) for amount in AMOUNTS]
        days = pd.date_range("2022-01-01", periods=ROWS)
        one = loaded(plain, columns(n=numbers, d=days.strftime("%Y-%m-%d"), share=numbers))
        share = [f"{number}%" for number in numbers]
        other = loaded(formatted, columns(n=AMOUNTS, d=days.strftime("%d.%m.%Y"), share=share))
        for left, right in zip(arrays(one), arrays(other), strict=True):
            assert left.tobytes() == right.tobytes()
        formats = {column.name: column.format for column in other.schema.columns}
        assert formats["n"] == "1,234.5" and formats["d"] == "d.m.y"

    def test_ids_are_left_out_by_their_names_and_texts_are_features(self, tmp_path: Path) -> None:
        given = columns(uid=[f"{place:08x}" for place in range(ROWS)], review=REVIEW, n=AMOUNTS)
        table = read(tmp_path, given)
        assert table.left_out == {"uid": "never repeats"}
        assert table.summary == (
            "table.csv: 60 rows, regression of y; 2 numbers, 1 category, 1 text; left out: uid "
            "(never repeats)"
        )
        assert table.reading["review"] == "text"
        schema, features = table.features()
        assert [column.name for column in schema.texts] == ["review"]
        assert features.texts is not None and features.texts[:, 0].tolist() == REVIEW
        assert [column.name for column in schema.numbers] == ["x", "n"]

    def test_texts_stay_left_out_of_a_study_that_began_so(self, tmp_path: Path) -> None:
        table = read(tmp_path, columns(review=REVIEW, n=AMOUNTS), texts=False)
        assert table.left_out == {"review": "text"}
        assert table.summary.endswith("2 numbers, 1 category; left out: review (text)")
        assert table.reading["review"] == "left out"
        assert table.features()[1].texts is None

    def test_texts_in_files_are_those_that_were_read(self, tmp_path: Path) -> None:
        review = ["", "Größe des alten Hauses", *REVIEW[2:]]
        data = loaded(tmp_path, columns(review=review))
        assert data.features.texts is not None
        assert data.features.texts[:][:, 0].tolist() == review
        few = data.features.take(np.array([3, 5]))
        assert few.texts is not None and few.texts[:, 0].tolist() == REVIEW[3:6:2]

    def test_texts_that_repeat_are_categories(self, tmp_path: Path) -> None:
        names = [f"a name of words {place % 50}" for place in range(ROWS)]
        assert read(tmp_path, columns(name=names)).left_out == {}

    def test_numbers_with_spaces_are_no_texts(self, tmp_path: Path) -> None:
        phones = [f"+49 30 {5500 + place} {place}" for place in range(ROWS)]
        assert read(tmp_path, columns(phone=phones)).left_out == {"phone": "never repeats"}

    @pytest.mark.parametrize("text", ["{} beds 2 baths", "{} x 100 g"])
    def test_words_beside_as_many_numbers_are_texts(self, tmp_path: Path, text: str) -> None:
        sizes = [text.format(place) for place in range(ROWS)]
        assert read(tmp_path, columns(size=sizes)).reading["size"] == "text"

    def test_groups_that_differ_beyond_2_to_the_53_are_different(self, tmp_path: Path) -> None:
        group = [2**53 + place // 2 for place in range(ROWS)]
        keys = read(tmp_path, columns(group=group), split="group", group_column="group").keys
        assert keys is not None and len(np.unique(keys)) == ROWS // 2

    def test_times_are_read_in_their_format(self, tmp_path: Path) -> None:
        when = pd.date_range("2022-01-01", periods=ROWS).strftime("%d.%m.%Y")
        table = columns(when=when)
        keys = read(tmp_path, table, split="time", time_column="when").keys
        assert keys is not None and (np.diff(keys) == 86400).all()

    def test_an_order_of_dates_can_be_given(self, tmp_path: Path) -> None:
        table = columns(when=["01/02/2024", "03/04/2024"] * 30)
        assert "give --date-order dmy or mdy" in refusal(tmp_path, table)
        first, second = (loaded(tmp_path, table, date_order=order) for order in ("dmy", "mdy"))
        assert first.features.numbers[0, 1] - second.features.numbers[0, 1] == 30 * 86400


class TestDoubts:
    def test_those_of_texts_that_are_left_out_are_told(self, tmp_path: Path) -> None:
        weights = [f"{place * 7 + 100}.{place:02d} kg" for place in range(ROWS)]
        table = read(tmp_path, columns(weight=weights))
        assert table.left_out == {"weight": "never repeats"}
        assert "a number with a unit; write the numbers alone" in table.doubts[0]

    def test_an_index_that_pandas_wrote_is_noted(self, tmp_path: Path) -> None:
        places = np.random.default_rng(0).permutation(ROWS)
        table = read(tmp_path, columns(**{"Unnamed: 0": places}))
        assert "'Unnamed: 0' is named as an index" in table.notes[-1]

    def test_rows_that_may_be_sums_are_told(self, tmp_path: Path) -> None:
        colour = [*columns()["colour"][:-2], "Total", "red"]
        assert "row 59 ('Total'): may be" in read(tmp_path, columns(colour=colour)).doubts[0]


class TestReading:
    def test_plain_columns_are_not_in_it(self, tmp_path: Path) -> None:
        days = pd.date_range("2022-01-01", periods=ROWS).strftime("%Y-%m-%d")
        flags, texts = ["true", "", "false"] * 20, [f"row {place}" for place in range(ROWS)]
        table = columns(day=days, flag=flags, text=texts, none=["1", "None", "2"] * 20)
        assert read(tmp_path, table).reading == {}

    def test_a_footer_is(self, tmp_path: Path) -> None:
        path = csv_of(tmp_path, columns())
        with open(path, "a") as file:
            file.write("Total,,\n")
        assert read_table(TableSource(path, 0, target="y")).reading == {"the footer": "left out"}

    def test_what_is_read_otherwise_is(self, tmp_path: Path) -> None:
        more = {
            "n": AMOUNTS,
            "gaps": ["0.5", "?", "1.5"] * 20,
            "review": REVIEW,
            "total": [*(place + 0.5 for place in range(59)), "Total"],
        }
        assert read(tmp_path, columns(**more)).reading == {
            "n": "number as 1,234.5",
            "gaps": "number, '?' missing",
            "review": "text",
            "total": "number, 'Total' missing",
        }

    def test_unique_codes_that_were_numbers_are_in_it(self, tmp_path: Path) -> None:
        from journal_launcher.tabular.data.deciding import type_columns
        from journal_launcher.tabular.data.typed_table import _reading
        from journal_launcher.tabular.data.useless import useless

        frame = pd.DataFrame({"zip": [f"{place:05d}" for place in range(ROWS)]}, dtype=object)
        typed = type_columns(frame)
        assert _reading(typed, useless(typed), frame) == {"zip": "left out"}

    def test_a_row_without_a_target_that_made_a_column_text_is_in_it(self, tmp_path: Path) -> None:
        x, y = columns()["x"].astype(object), columns()["y"].copy()
        x[30], y[30] = "broken", np.nan
        assert read(tmp_path, columns(x=x, y=y)).reading == {"x": "number"}
