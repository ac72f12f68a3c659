"""What the columns of a file are: decided by all of their cells, and said."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from journal_launcher.base.errors import UsageError
from journal_launcher.tabular.data.columns import Typed
from journal_launcher.tabular.data.deciding import type_columns, type_of


def cells(*values: Any) -> pd.Series:
    """A column as a reader of text files gives it: text as written, NaN where it is missing."""
    return pd.Series([np.nan if value is None else value for value in values], dtype=object)


def read(*values: Any) -> tuple[str, str | None, list[Any]]:
    typed = type_of("v", cells(*values))
    found = [None if value != value else value for value in typed.values.tolist()]
    return typed.kind, typed.format, found


def many(count: int, *more: Any) -> pd.Series:
    """So many different numbers with fractions, and what the test adds."""
    return cells(*(f"{place + 0.25}" for place in range(count)), *more)


class TestNumbers:
    @pytest.mark.parametrize(
        ("values", "name", "expected"),
        [
            (["25,638.00", "505", None], "1,234.5", [25638, 505, None]),
            (["1.234,5", "12", "0,5"], "1.234,5", [1234.5, 12, 0.5]),
            (["12,5", "1,234"], "1.234,5", [12.5, 1.234]),
            (["1,234", "1,234,567"], "1,234.5", [1234, 1234567]),
            (["1.234", "1.234.567"], "1.234,5", [1234, 1234567]),
            (["1 234,5", "2 000"], "1 234,5", [1234.5, 2000]),
            (["1'234.50", "0.5"], "1'234.5", [1234.5, 0.5]),
            (["$9,608.39", "347.74", "($5.00)"], "1,234.5 $", [9608.39, 347.74, -5]),
            (["€ 12,50", "3"], "1.234,5 €", [12.5, 3]),
            (["51.9%", "0", "2%"], "1,234.5 %", [51.9, 0, 2]),
            (["12,345%", "2%"], "1.234,5 %", [12.345, 2]),
            (["12.345%", "2%"], "1,234.5 %", [12.345, 2]),
            (["0", "6", "7,5"], "1.234,5", [0, 6, 7.5]),
        ],
    )
    def test_a_format_is_that_of_all_cells(
        self, values: list[Any], name: str, expected: list[Any]
    ) -> None:
        assert read(*values) == ("number", name, expected)

    @pytest.mark.parametrize(
        "values",
        [
            ["12 kg", "13 kg"],
            ["$5", "€5"],
            ["51.9%", "0.3"],
            ["1,234.5", "1.234,5"],
            ["1,234", "1.234"],
            ["01234", "10001", "K1A 0B1"],
            ["01", "02", "10"],
            ["00501", None, "10001"],
            ["?", "-"],
            ["+", "-"],
            ["?", "a", "b"],
        ],
    )
    def test_what_is_not_one_kind_of_number_is_a_category(self, values: list[Any]) -> None:
        assert read(*values)[:2] == ("category", None)

    def test_numbers_of_nine_digits_in_three_groups_are_doubted(self) -> None:
        numbers = [f"{600 + n} {n:03d} {999 - n}" for n in range(30)]
        assert (
            "'600 000 999' is read as 600000999; remove" in type_of("n", cells(*numbers)).doubts[0]
        )
        assert type_of("n", cells(*numbers, "1 000")).doubts == ()

    def test_a_column_of_thousands_is_doubted(self) -> None:
        typed = type_of("n", cells("999", "1,234", "12,345"))
        assert typed.values.tolist() == [999, 1234, 12345]
        assert typed.doubts == (
            "column 'n': '1,234' is read as 1234 and not as 1.234, as nothing in the file decides "
            "it",
        )
        assert type_of("n", cells("€ 1.234", "€ 2.345")).values.tolist() == [1234, 2345]

    def test_other_columns_decide_what_a_mark_is(self) -> None:
        frame = pd.DataFrame({"n": cells("1,234", "5,678"), "x": cells("12,5", "0,25")})
        typed = type_columns(frame)["n"]
        assert (typed.format, typed.values.tolist()) == ("1.234,5", [1.234, 5.678])
        assert (
            "is read as 1.234 and not as 1234, as other columns have decimals with ','"
            in (typed.doubts[0])
        )
        frame["x"] = [12.5, 0.25]
        assert type_columns(frame)["n"].values.tolist() == [1234, 5678]

    @pytest.mark.parametrize(
        ("numbers", "beside", "semicolons", "expected", "why"),
        [
            (("1.234", "2.270"), ("12,5", "0,25"), False, 1234, "other columns have decimals with"),
            (("1.234", "999"), ("12,5", "0,25"), True, 1234, "other columns have decimals with"),
            (("1.2345", "999"), ("12,5", "0,25"), False, 1.2345, None),
            (("1.234", "2.270"), None, False, 1.234, None),
            (("1.234", "2.270"), None, True, 1.234, "the file has ';' between its columns"),
            (("1.234", "600"), None, True, 1234, "the file has ';' between its columns"),
            (("1.234", "600"), None, False, 1.234, "nothing in the file decides it"),
            (("1.234", "0"), None, False, 1.234, None),
            (("2.270", "600"), None, False, 2270, "'600' stands beside it"),
            (("2.270", "600.5"), None, False, 2.27, None),
            (("0.270", "600"), None, True, 0.27, None),
            (("2.270", "1600"), None, True, 2.27, None),
            (("1.234", "600"), ("0.5", "1.25"), True, 1.234, None),
            (("2.270", "600"), ("0.5", "1.25"), True, 2.27, "nothing in the file decides it"),
            (("1.205", "9.511"), ("3,5", "88.81"), True, 1205, "other columns have decimals with"),
            (("1.205", "9.511"), ("3,5", "88.81"), False, 1.205, "nothing in the file decides it"),
        ],
    )
    def test_points_are_of_decimals_unless_the_file_shows_otherwise(
        self,
        numbers: tuple[str, str],
        beside: tuple[str, str] | None,
        semicolons: bool,
        expected: float,
        why: str | None,
    ) -> None:
        """A doubt says what they are read as, wherever they could be of thousands."""
        frame = pd.DataFrame({"n": cells(*numbers)})
        for name, cell in enumerate(beside or ()):  # each shows a mark of the file
            frame[f"x{name}"] = cells(cell, cell)
        typed = type_columns(frame, semicolons=semicolons)["n"]
        assert typed.kind == "number" and typed.values[0] == expected
        assert len(typed.doubts) == (why is not None)
        for doubt in typed.doubts:
            assert f"is read as {expected:g}" in doubt and str(why) in doubt

    def test_a_zero_before_a_number_with_a_point_is_doubted(self) -> None:
        typed = type_of("icd", cells("250.0", "008.45", "401.9"))
        assert typed.values.tolist() == [250, 8.45, 401.9]
        assert "'008.45' is read as 8.45; if these are codes" in typed.doubts[0]

    def test_codes_and_shortened_ids_that_look_like_exponents_are_doubted(self) -> None:
        typed = type_of("room", cells("3E2", "12", "4E1"))
        assert typed.values.tolist() == [300, 12, 40]
        assert "'3E2' is read as 300; if these are codes" in typed.doubts[0]
        typed = type_of("barcode", cells("4.15620E+12", "4.1E+12"))
        assert "a sheet has dropped their last digits" in typed.doubts[0]
        assert type_of("n", cells("3E2", "1.5E1")).doubts == ()
        assert type_of("n", cells("4.15E+12", "7.5")).doubts == ()

    def test_decimal_commas_beside_points_are_doubted(self) -> None:
        frame = pd.DataFrame({"picks": cells("2,5", "1", "1,3"), "x": [0.5, 1.25, 2.0]})
        typed = type_columns(frame)
        assert "'2,5' is read as a decimal with ',', but other" in typed["picks"].doubts[0]
        assert typed["x"].doubts == ()
        assert type_columns(frame, semicolons=True)["picks"].doubts == ()
        (doubt,) = type_columns(frame[["picks"]].assign(picks=cells("2,5", "1,4", "1,12")))[
            "picks"
        ].doubts
        assert "in each the second number is greater than the first" in doubt
        other = frame[["picks"]].assign(picks=cells("2,5", "1,4", "3,1"))
        assert type_columns(other)["picks"].doubts == ()
        for usual in (("1,55", "1,99", "1,72"), ("0,5", "0,25", "0,75"), ("1,99", "2,49", "0,89")):
            assert type_columns(pd.DataFrame({"n": cells(*usual)}))["n"].doubts == ()

    def test_commas_in_a_file_with_semicolons_are_of_decimals_and_doubted(self) -> None:
        frame = pd.DataFrame({"n": cells("48,123", "40,100", "7")})
        typed = type_columns(frame, semicolons=True)["n"]
        assert typed.values.tolist() == [48.123, 40.1, 7]
        assert typed.doubts == (
            "column 'n': '48,123' is read as 48.123 and not as 48123, as the file has ';' between "
            "its columns",
        )
        frame["x"] = [0.5, 1.25, 2.0]
        assert type_columns(frame, semicolons=True)["n"].values.tolist() == [48123, 40100, 7]

    def test_only_digits_of_ascii_are_whole_numbers(self) -> None:
        cells_ = [*(str(2**53 + place) for place in range(50)), "²"]
        assert type_of("x", cells(*cells_)).kind == "category"

    def test_whole_numbers_beyond_2_to_the_53_stay_apart(self) -> None:
        near = [2**53, 2**53 + 1, 2**53 + 2, 2**53]
        for series in (pd.Series(near), pd.Series(near, dtype="Int64"), cells(*map(str, near))):
            typed = type_of("id", series)
            assert typed.kind == "category" and typed.values.tolist() == [0, 1, 2, 0]
            assert "2^53" in typed.notes[0]
        assert type_of("ns", pd.Series([2**60, 2**61])).kind == "number"
        assert type_of("ns", pd.Series([2**53 + 1, 5])).kind == "number"

    def test_leading_zeros_are_said(self) -> None:
        assert "begin with 0" in type_of("zip", cells("02134", "10001")).notes[0]
        assert read("00.5", "07", "1.5")[0] == "number"
        assert type_of("title", cells("007", "Alien", "Brazil")).notes == ()

    def test_typed_values_are_taken_as_they_are(self) -> None:
        assert type_of("v", pd.Series([1, 2])).kind == "number"
        assert type_of("v", pd.Series([True, None], dtype="boolean")).kind == "boolean"
        assert type_of("v", pd.to_datetime(pd.Series(["2022-01-31"]))).kind == "date"
        mixed = pd.Series([1.5, "?", 2, None], dtype=object)
        assert type_of("v", mixed).values[:1].tolist() == [1.5]

    def test_signs_behind_and_around_numbers_are_said(self) -> None:
        typed = type_of("n", cells("5", "12-", "\u22123"))
        assert typed.values.tolist() == [5, -12, -3]
        assert typed.notes == ("column 'n': '12-' is read as -12",)
        assert type_of("n", cells("5", "(7)")).notes == ("column 'n': '(7)' is read as -7",)
        assert type_of("n", cells("12-", "30-")).kind == "category"

    @pytest.mark.parametrize(
        "values",
        [
            ["5 km", "10 km", "20 km"],
            ["5", "10 kg", "20 kg"],
            ["3 km/h", "4 km/h", "7 km/h"],
            ["12°C", "13°C", "14°C"],
            ["5'11\"", "6'1\"", "6'2\""],
            ["1h 30m", "2h 5m", "3h 0m"],
            ["<5", "<10", "<20"],
            ["12+", "18+", "21+"],
            ["84/100", "71/100", "9/100"],
            ["4.5 of 5", "3 of 5", "1 of 5"],
            ["$1.5M", "$2B", "$350K"],
            ["R1,042.50", "R2,082.84", "R910.00"],
            ["KSh62,312.00", "KSh1,312.00", "KSh312.00"],
            ["CHF 199.-", "CHF 49.-", "CHF 9.-"],
            ["400,-", "30,-", "7,-"],
            ["Rs. 250/-", "Rs. 20/-", "Rs. 9/-"],
            ["%14", "%3", "%50"],
            ["21\uff05", "3\uff05", "50\uff05"],
            ["19±1", "20±1", "7±2"],
            ["192/min", "80/min", "64/min"],
            ["N52.5163", "N48.1372", "N50.1109"],
            ["62_312", "1_200", "7_044"],
            ["5‰", "6.5‰", "7‰"],
            ['="00123"', '="7"', '="8"'],
            ["P1DT2H", "PT30M", "PT1H5M"],
            ["7.58x10^1", "6.1x10^2", "5.25x10^3"],
            ["52.52, 13.40", "48.14, 11.58", "50.11, 8.68"],
            ["Fr 1'200.50", "Fr 900.00", "Fr 12.35"],
            ["speed=0.5", "speed=1.25", "speed=12.0"],
        ],
    )
    def test_units_are_doubted_with_an_example(self, values: list[str]) -> None:
        (doubt,) = type_of("w", cells(*values * 3)).doubts
        held = next((n, value) for n, value in enumerate(values, 1) if not value.isdigit())
        assert doubt == (
            f"column 'w' is read as categories: row {held[0]} holds {held[1]!r}, a number with a "
            "unit; write the numbers alone"
        )

    @pytest.mark.parametrize(
        "values",
        [
            [
                f"{n} {street} Street"
                for n, street in enumerate(("Oak", "Elm", "Ash", "Low", "Bay", "Fir", "Old") * 4)
            ],
            ["18-25", "26-35", "36-50"],
            ["18 to 25", "26 to 35", "36 to 50"],
            [f"{n:03x}a" for n in range(99, 160)],
            ["P1", "P2", "P3"],
            ["0.5-1.0", "1.0-1.5", "1.5-2.0"],
            ["1/2", "3/4", "5/8"],
            ["v1.2", "v1.10", "v2.0"],
            ["E11.9", "E10.65", "E78.5"],
            ["10.0.0.1", "10.0.0.2", "10.1.0.3"],
            ["2 doors", "4 doors"],
        ],
        ids=lambda values: values[0],
    )
    def test_what_only_looks_like_a_unit_is_not(self, values: list[str]) -> None:
        assert type_of("w", cells(*values)).doubts == ()

    def test_two_numbers_in_a_cell_and_hours_beyond_a_day_are_doubted(self) -> None:
        """Where there are many of them: a few are ratios, or codes."""
        pressures = [f"{110 + n}/{60 + n % 30}" for n in range(40)]
        assert "'110/60', two numbers" in type_of("bp", cells(*pressures)).doubts[0]
        assert type_of("bp", cells(*pressures[:5])).doubts == ()
        days = [f"5/{day}" for day in range(1, 32)]
        assert not any("two numbers" in doubt for doubt in type_of("day", cells(*days)).doubts)
        weeks = [f"{30 + n % 12}:{n:02d}" for n in range(40)]
        assert "'30:00', which may be a duration" in type_of("week", cells(*weeks)).doubts[0]


class TestFarValues:
    NUMBERS = tuple(50 + n * 7 % 23 / 2 for n in range(40))

    @pytest.mark.parametrize("value", [-999, 9999, -1, -9999.0, 99, 88888, 999.9, 2147483647])
    def test_what_may_stand_for_nothing_is_doubted_and_kept(self, value: float) -> None:
        typed = type_of("n", pd.Series([*self.NUMBERS, value, value]))
        assert typed.values[-1] == value
        assert typed.doubts == (
            f"column 'n': {value:.15g} in 2 rows (as in row 41), while all others are 50 to 61; if "
            "that stands for a missing value, empty such cells",
        )

    def test_several_of_them_and_one_row(self) -> None:
        (doubt,) = type_of("n", pd.Series([*self.NUMBERS, -999, 999])).doubts
        assert "-999 in 1 row (row 41), 999 in 1 row (row 42), while" in doubt

    @pytest.mark.parametrize(
        "values",
        [
            [*range(0, 2000, 7), 999],
            [*range(20), -1],
            [-1, 0, 1] * 9,
            [1, 2, 99],
            [1, 10, 100, 1000, 10_000, 50_000, 99_999],
            [*range(18, 60), 300],
        ],
        ids=["amid", "near", "few", "no others", "skewed", "no mark"],
    )
    def test_what_is_not_far_or_no_such_value(self, values: list[int]) -> None:
        assert type_of("n", pd.Series(values)).doubts == ()

    @pytest.mark.parametrize("value", [-3.4028235e38, -999.25, -127.0, 65535.0, 1e31])
    def test_what_instruments_and_grids_say_for_nothing(self, value: float) -> None:
        (doubt,) = type_of("n", pd.Series([*self.NUMBERS, value])).doubts
        assert f"{value:.15g} in 1 row" in doubt

    def test_what_surveys_say_for_no_answer(self) -> None:
        (doubt,) = type_of("q", pd.Series([*[1, 2, 3, 4, 5] * 9, 98, 99])).doubts
        assert "98 in 1 row (row 46), 99 in 1 row (row 47), while all others are 1 to 5" in doubt

    def test_a_zero_beside_years_is_doubted(self) -> None:
        (doubt,) = type_of("built", pd.Series([*range(1890, 2020, 3), 0, 0])).doubts
        assert "0 in 2 rows (as in row 45), while all others are 1890 to 2019; if" in doubt
        assert type_of("gain", pd.Series([*range(50, 200, 3), 0])).doubts == ()
        (doubt,) = type_of("model", pd.Series([*[2019, 2020, 2021] * 9, 0])).doubts
        assert "0 in 1 row (row 28), while all others are 2019 to 2021" in doubt
        assert type_of("n", pd.Series([*[101, 102] * 9, 0])).doubts == ()
        assert type_of("dose", pd.Series([*range(1890, 1910), *[0] * 10])).doubts == ()

    def test_a_far_value_is_doubted_where_the_other_end_is_zero(self) -> None:
        for values in ([*range(11), 9999], [*range(-10, 1), -999], [*[0, 1] * 9, 99]):
            (doubt,) = type_of("n", pd.Series(values)).doubts
            assert f"{values[-1]} in 1 row" in doubt
        assert type_of("n", pd.Series([*(1 + n / 50 for n in range(50)), 9.8])).doubts == ()

    def test_codes_need_few_others(self) -> None:
        for codes, value in (([0, 1], -99), ([1, 2, 3, 4], 99)):
            (doubt,) = type_of("n", pd.Series([*codes * 10, value])).doubts
            assert f"while all others are {codes[0]} to {codes[-1]}" in doubt
        assert type_of("n", pd.Series([*[10, 20] * 10, 99])).doubts == ()

    def test_no_duration_is_a_day(self) -> None:
        hours = [f"{hours}:05:10" for hours in (3, 7, *range(100, 130))]
        typed = type_of("d", cells(*hours))
        assert (typed.kind, typed.format, typed.doubts) == ("date", "h:m", ())
        assert typed.notes == ("column 'd': '100:05:10' is read as a duration, 360310 seconds",)

    def test_days_too(self) -> None:
        days = [*pd.date_range("2024-01-01", periods=20).strftime("%d.%m.%Y"), "01.01.1900"]
        (doubt,) = type_of("d", cells(*days)).doubts
        assert (
            "1900-01-01 in 1 row (row 21), while all others are 2024-01-01 to 2024-01-20" in doubt
        )


class TestGaps:
    @pytest.mark.parametrize("mark", ["?", "\\N", "-", ".", "*", "n.a.", "missing", "#DIV/0!"])
    def test_marks_among_numbers_are_missing_whatever_their_share(self, mark: str) -> None:
        typed = type_of("x", cells("1.5", mark, "2", mark, mark, mark))
        assert typed.kind == "number" and np.isnan(typed.values).tolist()[1:2] == [True]
        assert typed.notes == (
            f"column 'x': 4 cells hold {mark!r} in place of a number: taken as missing",
        )
        assert (typed.gaps[0].text, typed.gaps[0].row) == (mark, 2)

    def test_marks_among_dates_and_amounts(self) -> None:
        assert read("31.01.2022", "-")[:2] == ("date", "d.m.y")
        assert read("$5.25", "-", "?") == ("number", "1,234.5 $", [5.25, None, None])

    def test_the_word_none_is_missing_without_a_word(self) -> None:
        typed = type_of("x", cells("1", "None", "2"))
        assert (typed.kind, typed.notes, typed.gaps) == ("number", (), ())

    def test_slips_in_a_column_of_numbers_are_missing_and_doubted(self) -> None:
        typed = type_of("x", many(40, "abc", "7.5", "n/k", "7.5"))
        assert typed.kind == "number" and np.flatnonzero(typed.missing).tolist() == [40, 42]
        assert typed.doubts == (
            "column 'x': numbers but for 'abc' in row 41, 'n/k' in row 43: taken as missing; mend "
            "or empty such cells",
        )

    def test_what_a_sheet_shows_for_an_error_is_missing(self) -> None:
        for texts in (("12.03.2019", "#NV", "31.01.2021"), ("1.5", "#WERT!", "#DEEL/0!")):
            typed = type_of("v", cells(*texts))
            assert typed.kind in ("date", "number") and typed.missing.any() and typed.notes

    def test_a_footer_is_named(self) -> None:
        doubt = type_of("x", many(40, "Total")).doubts[0]
        assert "'Total' in row 41: taken as missing; if that is a footer, remove it" in doubt
        dates = cells(*(f"{day}.01.2022" for day in range(1, 31)), "Source: office")
        assert "if that is a footer" in type_of("when", dates).doubts[0]

    def test_codes_with_one_letter_are_categories(self) -> None:
        typed = type_of("code", cells(*(str(place % 7) for place in range(59)), "A"))
        assert typed.kind == "category"
        assert typed.doubts == (
            "column 'code' is read as categories: nearly all of it is numbers, but row 60 holds "
            "'A'",
        )

    def test_a_text_column_with_many_numbers_is_doubted(self) -> None:
        values = [f"<{place}.5" for place in range(15)]
        doubt = type_of("x", many(40, *values)).doubts[0]
        assert "73% of it are numbers, but row 41 holds '<0.5'" in doubt
        assert (
            "a number with a unit"
            in type_of("w", cells(*(f"{place} kg" for place in range(40)))).doubts[0]
        )
        ways = [f"{place},123.5" for place in range(1, 20)] + [f"{n}.123,5" for n in range(1, 20)]
        assert "written in several ways" in type_of("x", cells(*ways)).doubts[0]
        both = [f"{n}/01/2022" for n in range(13, 29)] + [f"01/{n}/2022" for n in range(13, 29)]
        assert "its dates are written in several ways" in type_of("d", cells(*both)).doubts[0]
        assert type_of("name", cells("a", "b 1", "c2")).doubts == ()

    def test_other_texts_among_many_dates_or_units_are_doubted(self) -> None:
        days = [f"2022-{n % 12 + 1:02d}-{n // 2 + 1:02d}" for n in range(30)]
        typed = type_of("d", cells(*days, *["unbekannt"] * 10))
        assert typed.doubts == (
            "column 'd' is read as categories: 75% of it are dates, but row 31 holds 'unbekannt'; "
            "mend or empty such cells if it is one of dates",
        )
        sizes = [f"{n}.5M" for n in range(15)] + [f"{n}k" for n in range(15)]
        (doubt,) = type_of("s", cells("varies", *sizes, *["varies"] * 5)).doubts
        assert "row 2 holds '0.5M', a number with a unit" in doubt

    def test_rows_are_those_of_the_file(self) -> None:
        series = many(40, "abc", "1.5")
        series.index = series.index + 5
        assert "'abc' in row 46" in type_of("x", series).doubts[0]


class TestDates:
    @pytest.mark.parametrize(
        ("values", "name"),
        [
            (["01/02/2022", "13/02/2022"], "d/m/y"),
            (["01/02/2022", "02/13/2022", None], "m/d/y"),
            (["31.01.2022", "1.2.2022"], "d.m.y"),
            (["31 Jan 2022", "1 Feb 2022"], "d mon y"),
            (["Jan 31, 2022"], "mon d, y"),
            (["01/31/2022", "02/01/2022 14:30"], "m/d/y"),
            (["31/01/22", "01/02/22", "15/03/22"], "d/m/y"),
            (["98/12/31", "01/12/31"], "yy/m/d"),
            (["10:30", "23:59"], "h:m"),
            (["2022-1-5", "2022-01-06"], "y-m-d"),
            (["2022-01-05", "2022-01-06T10:00Z"], None),
        ],
    )
    def test_the_order_is_that_of_all_cells(self, values: list[Any], name: str | None) -> None:
        assert read(*values)[:2] == ("date", name)

    def test_every_way_of_writing_gives_the_same_moments(self) -> None:
        days = pd.date_range("2022-01-01", periods=60)
        expected = days.to_numpy().astype("datetime64[s]").astype(np.float64).tolist()
        for written in ("%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%b-%Y", "%b %d, %Y"):
            typed = type_of("d", cells(*days.strftime(written)))
            assert (typed.kind, typed.values.tolist()) == ("date", expected), written
        for compact in (days.strftime("%Y%m%d"), days.strftime("%Y%m%d").astype(int)):
            typed = type_of("d", pd.Series(compact))
            assert (typed.format, typed.values.tolist()) == ("ymd", expected)

    def test_numbers_are_dates_only_where_that_is_certain(self) -> None:
        days = pd.date_range("2022-01-20", periods=20).strftime("%Y%m%d").astype(int)
        assert type_of("d", pd.Series(days[:9])).kind == "number"
        assert type_of("d", pd.Series([*days, 20220132])).kind == "number"
        assert type_of("d", pd.Series([*days, None])).kind == "date"
        assert type_of("d", pd.Series(range(20220001, 20220400))).kind == "number"

    def test_gaps_among_compact_dates_are_missing(self) -> None:
        days = pd.date_range("2022-01-20", periods=20).strftime("%Y%m%d")
        for odd in (["00000000", "99999999"], ["0", "-"], ["99991231"], ["-1", None]):
            typed = type_of("d", cells(*days, *odd))
            assert (typed.format, typed.missing.tolist()[-2:]) == ("ymd", [len(odd) > 1, True])
            assert "in place of a date: taken as missing" in typed.notes[0] and not typed.doubts
        numbers = type_of("d", pd.Series([*days.astype(int), 0, 99999999, None]))
        assert numbers.format == "ymd" and numbers.missing.sum() == 3
        assert [gap.text for gap in numbers.gaps] == ["0", "99999999"]
        times = type_of("d", pd.Series(days + "1230", dtype=object))
        assert times.values[0] == pd.Timestamp("2022-01-20 12:30").timestamp()

    def test_compact_dates_that_are_not_certain_are_doubted(self) -> None:
        days = pd.date_range("2022-01-20", periods=20).strftime("%Y%m%d").astype(int)
        assert type_of("d", pd.Series([*days, 20220132])).doubts == (
            "column 'd' is read as numbers, but '20220120' and most others may be dates; row 21 "
            "holds '20220132': mend or empty such cells if they are",
        )
        assert type_of("d", pd.Series(days[:9])).doubts == (
            "column 'd' is read as numbers, but '20220120' and all others may be dates; write "
            "2024-01-31 if they are",
        )
        assert type_of("d", pd.Series(range(20220001, 20220400))).doubts == ()
        padded = type_of("d", cells("01022022", "20012022"))
        assert "'01022022' may be a date" in padded.doubts[0] and padded.kind == "category"

    @pytest.mark.parametrize(
        ("values", "other"),
        [
            (["1.10.12", "2.3.14", "2.12.10"], "versions"),
            (["2009/10", "2010/11", "2011/12"], "seasons of two years"),
            (["1024-01", "2048-12"], "sizes or codes"),
        ],
    )
    def test_versions_and_seasons_are_no_dates(self, values: list[str], other: str) -> None:
        typed = type_of("v", cells(*values))
        assert typed.kind == "category" and f"may be {other} or dates" in typed.doubts[0]
        assert f"'{values[0]}' in row 1" in typed.doubts[0]

    def test_codes_in_three_parts_are_no_durations(self) -> None:
        typed = type_of("v", cells("66:10:22", "-", "124:01:11", "66:10:22"))
        assert typed.kind == "category" and typed.doubts == (
            "column 'v' is read as categories: '66:10:22' in row 1 and the like may be codes or "
            "durations; write durations in seconds",
        )

    @pytest.mark.parametrize("zone", ["CST", "est", "BST"])
    def test_a_zone_of_several_meanings_is_doubted(self, zone: str) -> None:
        days = [f"2022-01-{n} 10:00:00" for n in range(10, 20)]
        typed = type_of("d", cells(*days, f"2022-01-31 10:00:00 {zone}"))
        ahead = {"CST": "-06:00", "est": "-05:00", "BST": "+01:00"}[zone]
        assert typed.kind == "date" and typed.doubts == (
            f"column 'd': '2022-01-31 10:00:00 {zone}' is read as {ahead}, but other places have "
            f"a zone of that name; write {ahead} or what it is",
        )
        assert type_of("d", cells(*days, "2022-01-31 10:00:00 CEST")).doubts == ()
        assert len(type_of("d", cells(*days, f"2022-01-31 10:00:00{zone}")).doubts) == 1

    @pytest.mark.parametrize(
        "values", [["1.10.2", "2.3.1"], ["3/4", "1/2"], ["12/31", "7/12"], ["1.2.3.4"]]
    )
    def test_versions_and_ratios_of_other_kinds_stay_texts(self, values: list[str]) -> None:
        assert type_of("v", cells(*values)).kind == "category"

    @pytest.mark.parametrize(
        "values",
        [
            ["07:00-18:00", "12:00-13:00"],
            ["07:00-11:00", "09:00-12:00"],
            ["9:00 \u2013 17:30", "8:00 \u2013 12:00"],
            [f"20.10.2023 07:00-{hour:02d}:00" for hour in range(8, 13)],
            [f"2023-10-20 07:00-{hour:02d}:00" for hour in range(8, 19)],
        ],
    )
    def test_a_range_of_times_is_no_time_with_a_zone(self, values: list[str]) -> None:
        typed = type_of("slot", cells(*values))
        assert typed.kind == "category"
        assert f"{values[0]!r} is a range of times" in typed.doubts[0]

    def test_zones_behind_dates_are_some(self) -> None:
        across = [f"2024-01-05T{hour}:30-0{zone}:00" for hour in (10, 11) for zone in range(4, 9)]
        typed = type_of("at", cells(*across))
        assert typed.kind == "date" and typed.doubts == ()
        typed = type_of("at", cells("2023-10-20 07:00-05:00", "2023-12-20 07:00-06:00"))
        assert typed.kind == "date" and typed.doubts == ()
        assert typed.values[1] - typed.values[0] == 61 * 86400 + 3600
        assert (
            type_of("at", cells("2023-10-20 07:00+15:00", "2023-10-20 08:00+15:00")).kind != "date"
        )

    def test_what_browsers_and_programs_say(self) -> None:
        browser = "Fri May 24 2024 11:05:54 GMT+0100 (Central European Standard Time)"
        for text in (
            browser,
            "2024-05-24 10:05:54 +0000 UTC",
            "Friday, May 24th, 2024 at 10:05:54 AM",
        ):
            typed = type_of("at", cells(text))
            assert typed.kind == "date" and typed.values[0] == 1716545154, text

    def test_months_with_a_point(self) -> None:
        kind, name, values = read("01.2023", "12.2023", "10.2024", None)
        assert (kind, name) == ("date", "m.y")
        assert values == [1672531200, 1701388800, 1727740800, None]
        assert read("10.2023", "11.2023")[0] == "number"  # it may be anything
        assert read("01.2023", "13.2023")[0] == "number"

    def test_half_days_of_one_letter(self) -> None:
        assert read("3:24p", "12:05a") == ("date", "h:m", [55440, 300])

    @pytest.mark.parametrize("month", ["December", "Dezember", "dez", "dec", "décembre"])
    def test_december_begins_with_de_and_is_whole(self, month: str) -> None:
        kind, name, values = read(f"12 {month} 2023", "13 May 2023", "1 de enero de 2024")
        assert (kind, name, values) == ("date", "d mon y", [1702339200, 1683936000, 1704067200])

    def test_times_with_and_without_seconds_are_doubted(self) -> None:
        (doubt,) = type_of("pace", cells("11:45", "9:31", "1:10:42")).doubts
        assert "'11:45' is hours and minutes, 42300 seconds, beside times with seconds" in doubt
        (doubt,) = type_of("titer", cells("1:20", "1:40", "1:50")).doubts
        assert "'1:20' is read as a time; write ratios" in doubt
        assert type_of("at", cells("1:20", "2:40", "3:50")).doubts == ()
        assert type_of("at", cells("08:00", "08:05", "08:10")).doubts == ()

    def test_short_dates_that_show_their_day_are_some(self) -> None:
        for values in (["1.2.22", "13.2.22"], ["01.02.22", "01.03.22"], ["2009-10", "2010-12"]):
            assert type_of("d", cells(*values)).kind == "date"
        assert type_of("d", cells("Sa 1.1.22", "So 2.1.22")).kind == "date"

    @pytest.mark.parametrize(
        "text", ["2010H{}", "{} stycznia 2024", "Jan-2{}", "{} May", "W0{} 2024"]
    )
    def test_what_may_be_a_date_is_doubted(self, text: str) -> None:
        typed = type_of("d", cells(*(text.format(n) for n in range(1, 7))))
        assert typed.kind == "category" and typed.doubts == (
            f"column 'd' is read as categories: row 1 holds {text.format(1)!r}, which may be a "
            "date; write dates as 2024-01-31",
        )

    def test_two_orders_in_one_column_name_both_rows(self) -> None:
        few = cells("01/02/2024", "13/02/2024", "02/13/2024")
        assert type_of("d", few).doubts == (
            "column 'd': its dates are written in several ways; row 2 holds '13/02/2024', with the "
            "day first, and row 3 '02/13/2024', with the month first; write them alike",
        )
        alike = [f"{n % 12 + 1:02d}/{n % 11 + 1:02d}/2024" for n in range(60)]
        with pytest.raises(UsageError, match=r"row 61 holds '13-01-2024'.* row 62 '01-13-2024'"):
            type_of("d", cells(*(a.replace("/", "-") for a in alike), "13-01-2024", "01-13-2024"))
        mostly = type_of("d", cells(*(f"{n}/01/2024" for n in range(1, 29)), "01/25/2024"))
        assert mostly.kind == "date" and "'13/01/2024', with the day" in mostly.doubts[1]

    def test_an_order_that_nothing_shows_is_refused_with_what_decides_it(self) -> None:
        series = cells("01/02/2024", "03/04/2024")
        with pytest.raises(UsageError) as caught:
            type_of("when", series)
        assert str(caught.value) == (
            "row 1, column 'when': expected dates whose order shows in some row, found "
            "'01/02/2024' and the like in all; give --date-order dmy or mdy, or none if they are "
            "no dates"
        )
        assert type_of("when", series, "dmy").format == "d/m/y"
        assert type_of("when", series, "mdy").format == "m/d/y"
        assert type_of("when", series, "none").kind == "category"
        # What the cells show is not overruled.
        assert type_of("when", cells("31/01/2024"), "mdy").format == "d/m/y"

    def test_the_first_date_is_shown_and_not_a_mark(self) -> None:
        with pytest.raises(UsageError, match=r"row 2, column 'd': .* found '01/02/2024'"):
            type_of("d", cells("-", "01/02/2024"))

    def test_another_column_shows_the_order(self) -> None:
        frame = pd.DataFrame({"a": cells("01/02/2024", "03/04/2024"), "b": cells("13/02/24", None)})
        typed = type_columns(frame)["a"]
        assert typed.format == "d/m/y"
        assert typed.notes == ("column 'a': dates as d/m/y, the order in other columns",)
        frame["c"] = cells("02/13/2024", None)
        with pytest.raises(UsageError, match="--date-order"):
            type_columns(frame)

    def test_years_of_two_digits_that_may_come_first(self) -> None:
        series = cells(*(f"22/01/{day}" for day in range(13, 30)))
        with pytest.raises(UsageError, match="--date-order dmy or ymd"):
            type_of("d", series)
        assert type_of("d", series, "ymd").format == "yy/m/d"

    def test_years_of_two_digits_are_said(self) -> None:
        assert "1969 to 2068" in type_of("d", cells("31/01/45", "31/01/46")).notes[0]
        assert len(type_of("d", cells("31/01/2045", "missing")).notes) == 1


def test_nothing_but_gaps_is_a_category_without_labels() -> None:
    typed = type_of("x", cells(None, None))
    assert isinstance(typed, Typed) and typed.missing.all()


def test_a_long_text_column_is_given_up_early() -> None:
    series = cells(*(f"some words of a review, number {place}" for place in range(50_000)))
    assert type_of("review", series).kind == "category"


def test_categories_that_differ_in_capitals_are_named() -> None:
    typed = type_of("c", cells("Yes", "No", "yes", "NO"))
    assert typed.doubts == () and typed.notes == (
        "column 'c': 'Yes' and 'yes' are two categories; write them alike if they mean the same",
    )
    assert type_of("c", cells("Yes", "No")).notes == ()
    ids = [f"{chr(97 + n % 26)}{n}" for n in range(60)]
    assert type_of("id", cells(*ids, "A0")).notes == ()


class TestBlocks:
    """A voucher's first row alone may hold what is true of all of its rows."""

    BLOCKS = pd.DataFrame(
        {
            "date": cells("01/01/2024", None, None, "13/01/2024", None, "14/01/2024", None),
            "region": cells("N", None, None, "S", None, "N", None),
            "qty": [1.0, 2, 3, 4, 5, 6, 7],
        }
    )

    def test_columns_of_the_same_rows_are_doubted_once(self) -> None:
        typed = type_columns(self.BLOCKS)
        (doubt,) = typed["date"].doubts
        assert doubt.startswith(
            "columns 'date' and 'region' have values in the first row of each group alone, as in "
            "row 1 and row 4"
        )
        assert typed["region"].doubts == typed["qty"].doubts == ()

    def test_quarters_among_months_are_none(self) -> None:
        quarterly = [1.5, None, None, 2.5, None, None, 3.5]
        frame = pd.DataFrame({"gdp": quarterly, "cpi": quarterly, "month": range(7)})
        assert all(column.doubts == () for column in type_columns(frame).values())

    def test_one_column_with_gaps_is_none(self) -> None:
        frame = self.BLOCKS.assign(region=cells("N", None, "N", "S", None, "N", None))
        assert all(column.doubts == () for column in type_columns(frame).values())


class TestNumbersBesideTexts:
    """A sheet may hold numbers as numbers in some cells and as text in others."""

    @pytest.mark.parametrize(
        ("cells", "read"),
        [
            ([71.25, "1.100", 3.5], [71.25, 1.1, 3.5]),
            ([5.0, 7.0, "-1.100"], [5, 7, -1.1]),
            ([71.25, "1,100", None], [71.25, 1100, None]),
            ([71.25, "1.100 €", 3.5], [71.25, 1.1, 3.5]),
        ],
    )
    def test_a_text_that_may_be_a_thousand_is_a_doubt(
        self, cells: list[object], read: list[float | None]
    ) -> None:
        typed = type_of("n", pd.Series(cells, dtype="object"))
        np.testing.assert_array_equal(typed.values, np.array(read, dtype=float))
        text = next(cell for cell in cells if isinstance(cell, str))
        value = typed.values[cells.index(text)]
        assert typed.doubts == (
            f"column 'n': the text {text!r} in row {cells.index(text) + 1} beside numbers is read "
            f"as {value:.15g}; make such cells numbers in the sheet",
        )

    @pytest.mark.parametrize(
        "cells",
        [[71.25, "1.5", 3.5], [71.25, "1.100", "0.25"], [71.25, "1.100", "1100.5"], [1.5, "-", 2]],
    )
    def test_texts_that_show_their_point_are_none(self, cells: list[object]) -> None:
        assert type_of("n", pd.Series(cells, dtype="object")).doubts == ()

    def test_a_slip_is_but_a_slip(self) -> None:
        cells = [*(place + 0.5 for place in range(30)), "1.100 kg"]
        assert len(type_of("n", pd.Series(cells, dtype="object")).doubts) == 1

    def test_texts_alone_are_none(self) -> None:
        assert type_of("n", pd.Series(["71.25", "1.100"])).doubts == ()
