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
