"""A table in many files."""

from pathlib import Path

import pandas as pd
import pytest

from journal_launcher.base.data_text import fingerprint
from journal_launcher.base.errors import UsageError
from journal_launcher.tabular.data.readers import read_file


def folder(path: Path, **parts: str) -> Path:
    path = path / "parts"
    path.mkdir()
    for name, text in parts.items():
        (path / f"{name}.csv").write_text(text)
    return path


def refusal(source: Path | str) -> str:
    with pytest.raises(UsageError) as caught:
        read_file(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_or_a_pattern_in_the_order_of_names(tmp_path: Path) -> None:
    path = folder(tmp_path, b="y,x\n1,3\n", a="x,y\n1,0.5\n2,0.25\n", c="x,y\n")
    (path / "_SUCCESS").touch()
    (path / ".a.csv.crc").touch()
    (path / "schema.json").touch()
    for source in (path, f"{path}/", f"{path}/*.csv", f"{tmp_path}/**/*.csv"):
        table = read_file(source)
        assert table.frame.to_numpy().tolist() == [[1, 0.5], [2, 0.25], [3, 1]]
        assert table.frame.index.tolist() == [0, 1, 2] and table.format.parts == 3
    assert read_file(f"{path}/[ab].csv").format.parts == 2


def test_a_column_that_is_text_in_one_part_is_text_in_all(tmp_path: Path) -> None:
    path = folder(tmp_path, a="x,c\n1.50,1\n", b="x,c\n2.5,\n", c="x,c\n?,01\n")
    frame = read_file(path).frame
    assert frame["x"].tolist() == ["1.50", "2.5", "?"]
    assert frame["c"].tolist()[::2] == ["1", "01"] and frame["c"].isna().tolist()[1]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"b": "x,z\n1,2\n"}, "b.csv: expected the columns of a.csv, found other ones: 'y' is in "),
        ({"b": "x,y,z\n1,2,3\n"}, "other ones: 'z' is in b.csv, not in a.csv"),
        ({"b": "x,y\n1,2\n", "c": "x\n1\n"}, "c.csv: expected the columns of a.csv"),
        ({"b": "x;y\n1;2\n"}, "b.csv: expected ',' between the columns as in a.csv, found ';'"),
        ({"b": "x,y\n1\n"}, "b.csv: row 1 (line 2): expected 2 fields"),
    ],
)
def test_the_first_part_that_differs_is_named(
    tmp_path: Path, parts: dict[str, str], expected: str
) -> None:
    assert expected in refusal(folder(tmp_path, a="x,y\n1,2\n", **parts))


def test_parts_of_two_kinds_or_none(tmp_path: Path) -> None:
    path = folder(tmp_path)
    assert "parts of one table, found none" in refusal(path)
    (path / "a.parquet").touch()
    (path / "readme.txt").touch()
    assert "found 'a.parquet' and 'readme.txt'; name one file, or a pattern" in refusal(path)
    (path / "readme.txt").unlink()
    (path / "year=2020").mkdir()
    assert "found the folder 'year=2020'; name the files by a pattern" in refusal(path)
    assert "found none" in refusal(f"{path}/*.csv")


def hive(path: Path, **parts: str) -> Path:
    """Parts in folders: that of year_2023__city_A is in year=2023/city=A."""
    for name, text in parts.items():
        file = path / "parts" / f"{name.replace('__', '/').replace('_', '=')}/part-0.csv"
        file.parent.mkdir(parents=True)
        file.write_text(text)
    return path / "parts"


def test_the_columns_of_folders_are_columns(tmp_path: Path) -> None:
    path = hive(tmp_path, year_2023__city_A="x,y\n1,2\n3,4\n", year_2024__city_B="x,y\n5,6\n")
    (path / "_SUCCESS").touch()
    for source in (path, f"{path}/*/*/*.csv", f"{path}/**/*.csv", f"{path}/year=*/*/part-0.csv"):
        frame = read_file(source).frame
        assert frame.columns.tolist() == ["x", "y", "year", "city"]
        assert frame["year"].tolist() == [2023, 2023, 2024]
        assert frame["city"].tolist() == ["A", "A", "B"]
    assert read_file(path, {"year"}).frame["year"].tolist() == ["2023", "2023", "2024"]
    assert read_file(path / "year=2023").frame.columns.tolist() == ["x", "y", "city"]


def test_folders_say_nothing_of_a_column_that_the_files_have(tmp_path: Path) -> None:
    path = hive(tmp_path, year_1="year,y\n7,2\n", year_2="year,y\n8,2\n")
    assert read_file(path).frame["year"].tolist() == [7, 8]


def test_a_folder_without_a_value_and_one_that_is_escaped(tmp_path: Path) -> None:
    path = hive(tmp_path, c_a="y\n1\n", **{"c_b%20c": "y\n2\n"})
    (path / "c=__HIVE_DEFAULT_PARTITION__").mkdir()
    (path / "c=__HIVE_DEFAULT_PARTITION__" / "x.csv").write_text("y\n0\n")
    frame = read_file(path).frame
    assert frame["c"].tolist()[1:] == ["a", "b c"] and frame["c"].isna().tolist()[0]


def test_folders_of_other_columns_are_refused(tmp_path: Path) -> None:
    path = hive(tmp_path, a_1="y\n1\n", b_2="y\n1\n")
    assert "'a' is in a=1/part-0.csv, not in b=2/part-0.csv" in refusal(path)
    (path / "b=2" / "part-0.csv").unlink()
    (path / "b=2" / "old").mkdir()
    assert "expected files alone, found the folder 'old'" in refusal(path)


def test_the_fingerprint_has_the_folders(tmp_path: Path) -> None:
    path = hive(tmp_path, year_2023="y\n1\n", year_2024="y\n2\n")
    before = fingerprint(str(path))
    assert before == fingerprint(f"{path}/*/*.csv")
    (path / "year=2024").rename(path / "year=2025")
    assert fingerprint(str(path)) != before


def test_the_fingerprint_is_that_of_all_parts(tmp_path: Path) -> None:
    path = folder(tmp_path, a="x,y\n1,2\n", b="x,y\n3,4\n")
    found = {fingerprint(str(path)), fingerprint(f"{path}/*.csv")}
    assert len(found) == 1
    (path / "b.csv").write_text("x,y\n3,5\n")
    found.add(fingerprint(str(path)))
    (path / "b.csv").unlink()
    found.add(fingerprint(str(path)))
    assert len(found) == 3


def test_parquet_parts_keep_their_types(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = folder(tmp_path)
    ids = [2**53 + 1, None]
    pd.DataFrame({"id": pd.array(ids, "Int64"), "t": ["a", None]}).to_parquet(path / "a.parquet")
    pd.DataFrame({"id": [2**53 + 3], "t": [None]}).to_parquet(path / "b.parquet")
    frame = read_file(path).frame
    assert frame["id"].tolist() == [2**53 + 1, pd.NA, 2**53 + 3]
    assert frame["t"].isna().tolist() == [False, True, True]
    pd.DataFrame({"id": ["x"], "t": ["b"]}).to_parquet(path / "c.parquet")
    assert "c.parquet: expected numbers in column 'id' as in a.parquet, found text" in refusal(path)
