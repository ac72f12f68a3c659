"""Sheets become frames, and what cannot be one a line."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tabular.data.sheets import cell, rows_of, xlsx

from journal_launcher.base.data_text import fingerprint
from journal_launcher.base.errors import UsageError
from journal_launcher.tabular.data import excel
from journal_launcher.tabular.data.columns import texts_of
from journal_launcher.tabular.data.describe import describe
from journal_launcher.tabular.data.readers import read_file
from journal_launcher.tabular.data.source import TableSource

ROWS: list[list[object]] = [
    ["n", "text", "flag", "day", 2021, "mixed", None],
    [1.5, "a ", True, "day:44562", 1, 5, None],
    [None, "NA", None, "day:44563.5", 2, "x", None],
    [3, "#N/A", False, None, 3, 2.5, None],
    [None, None, None, None, None, None, None],
]


def refusal(source: Path | str) -> str:
    with pytest.raises(UsageError) as caught:
        read_file(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_sheet_has_the_types_of_its_cells(tmp_path: Path) -> None:
    path = xlsx(tmp_path / "t.xlsx", {"Data": rows_of(ROWS), "More": rows_of([["q"], [7]])})
    table = read_file(path)
    frame = table.frame
    assert frame.columns.tolist() == ["n", "text", "flag", "day", "2021", "mixed"]
    assert frame["n"].tolist()[::2] == [1.5, 3] and frame["n"].isna().tolist()[1]
    assert frame["text"].tolist() == ["a", None, None]
    assert frame["flag"].tolist()[::2] == [True, False] and frame["flag"].isna().tolist()[1]
    days = ["2022-01-01 00:00:00", "2022-01-02 12:00:00", "NaT"]
    assert [str(day) for day in frame["day"]] == days
    assert frame["2021"].tolist() == [1, 2, 3] and frame["mixed"].tolist() == [5, "x", 2.5]
    assert table.format.sheet == "Data" and table.format.separator is None
    assert table.notes == (), "what is beyond the cells is no column"
    other = read_file(f"{path}#More")
    assert other.frame["q"].tolist() == [7] and other.format.sheet == "More"
    assert fingerprint(f"{path}#More") == fingerprint(str(path))
    found = refusal(f"{path}#Mor")
    assert found == "expected one of the sheets Data, More, found no 'Mor'"


def test_a_sum_below_a_sheet_is_left_out(tmp_path: Path) -> None:
    rows: list[list[object]] = [["a", "b"], [1, 2], [3, 4], [5, 6], ["Total", 12]]
    table = read_file(xlsx(tmp_path / "t.xlsx", {"Data": rows_of(rows)}))
    assert table.frame["a"].tolist() == [1, 3, 5] and len(table.notes) == 1


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("", "found the empty sheet 'Data'"),
        (rows_of([["a", "b"]]), "expected rows, found none"),
        (rows_of([["a", "a"], [1, 2]]), "expected different column names, found 'a' 2 times"),
        (rows_of([["a", None], [1, 2]]), "column 2 has no name"),
        (
            f'<row r="1">{cell("a", "A1")}</row><row r="1048576">{cell(1, "XFD1048576")}</row>',
            "expected a sheet that fits into the",
        ),
    ],
    ids=["empty", "no rows", "twice", "no name", "beyond memory"],
)
def test_a_sheet_that_is_no_table(tmp_path: Path, rows: str, expected: str) -> None:
    assert expected in refusal(xlsx(tmp_path / "t.xlsx", {"Data": rows}))


def table(*above: list[object]) -> str:
    rows: list[list[object]] = [[f"g{n % 3}", n * 7 % 61 + 0.25, n * 11 % 59] for n in range(60)]
    return rows_of([*above, ["g", "x", "y"], *rows])


def described(source: Path | str, target: str = "y") -> dict[str, Any]:
    return describe(TableSource(str(source), 0, target=target))


def test_merged_cells_hold_the_value_of_the_first(tmp_path: Path) -> None:
    rows: list[list[object]] = [["g", "n", "x"], ["u", 1, 5], [None, None, 6], ["v", 2, 7]]
    merged = ["A2:A3", "B2:B3"]
    found = read_file(xlsx(tmp_path / "t.xlsx", {"D": rows_of(rows)}, merged))
    assert found.frame["g"].tolist() == ["u", "u", "v"] and found.frame["n"].tolist() == [1, 1, 2]
    assert found.notes == ("merged cells: 2 cells below the first of one hold its value",)


def test_values_in_first_rows_alone_are_doubted(tmp_path: Path) -> None:
    rows = "".join(f"{f'r{n // 6}' if n % 6 == 0 else ''},{n % 7},{n}\n" for n in range(60))
    (tmp_path / "t.csv").write_text("region,x,y\n" + rows)
    (doubt,) = described(tmp_path / "t.csv")["doubts"]
    assert (
        "'region' has a text in the first row of each group alone, as in row 1 and row 7" in doubt
    )


@pytest.mark.parametrize("gap", [[], [[None, None, None]]])
def test_titles_above_the_header_are_left_out_and_said(
    tmp_path: Path, gap: list[list[object]]
) -> None:
    path = xlsx(tmp_path / "t.xlsx", {"D": table(["Houses of 2024", None, None], *gap)}, ["A1:C1"])
    found = read_file(path)
    assert found.frame.columns.tolist() == ["g", "x", "y"] and len(found.frame) == 60
    assert found.notes == ("above the header, 'Houses of 2024': left out",)


def test_a_cover_is_no_table_and_the_message_names_the_other_sheet(tmp_path: Path) -> None:
    prose = rows_of([["Houses"], ["made by the office"], ["see the next sheet"]])
    path = xlsx(tmp_path / "t.xlsx", {"Cover": prose, "Data": table()})
    with pytest.raises(UsageError) as caught:
        described(path)
    assert str(caught.value) == (
        f"{path}: --target y: no such column; there are Houses; only the sheet 'Cover' was read, "
        "name another: t.xlsx#Data"
    )
    assert described(f"{path}#Data")["notes"] == []
    empty = xlsx(tmp_path / "e.xlsx", {"Cover": "", "Data": table()})
    assert refusal(empty).endswith("'Cover'; to read another one, name it: e.xlsx#Data")
    found = described(xlsx(tmp_path / "d.xlsx", {"Data": table(), "More": prose}))
    assert found["notes"] == [f"read from the sheet 'Data'; another one is {found['data']}#More"]


@pytest.mark.parametrize("ending", [".xlsx", ".xls", ".ods"])
def test_what_is_no_sheet_at_all(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"t{ending}"
    path.write_bytes(b"a,b\n1,2\n")
    assert "xlsx" in refusal(path) or refusal(path)


def test_moments_and_whole_numbers_among_texts_are_labelled_as_they_are_written() -> None:
    moment = pd.Timestamp(2022, 1, 2, 3).to_pydatetime()
    day = pd.Timestamp(2022, 1, 2).to_pydatetime()
    found = excel._column([moment, day, 3.0, 0.5, True, 1.0, "x", None])
    labels = ("2022-01-02 03:00:00", "2022-01-02", "3", "0.5", "True", "1", "x")
    assert texts_of("c", found).labels == labels
    assert found.tolist()[1:4] == [day, 3, 0.5], "what a cell holds as a number is one"
