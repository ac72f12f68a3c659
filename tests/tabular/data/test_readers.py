"""Files become frames, and bad files one line that says where."""

import csv
import gzip
import io
import re
import sys
import zipfile
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journal_launcher.base.data_source import BUNDLED
from journal_launcher.base.data_text import fingerprint
from journal_launcher.base.errors import UsageError
from journal_launcher.tabular.data.readers import read_bundled, read_file

GOOD = b"a,b\n1,x\n2,y\n"


def write(folder: Path, content: bytes, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def frame_of(path: Path, texts: Collection[str] = ()) -> pd.DataFrame:
    return read_file(path, texts).frame


def refusal(path: Path | str) -> str:
    with pytest.raises(UsageError) as caught:
        read_file(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        b"\xef\xbb\xbf" + GOOD,
        GOOD.replace(b"\n", b"\r\n"),
        GOOD.rstrip(),
        b"\n \n" + GOOD.replace(b"1,x", b"\n1,x\n  ") + b"\n\n",
        b'"a","b"\n1,"x"\n2,"y"\n',
        b" a , b\n1, x\n2, y\n",
        b'a, "b"\n1, "x"\n2, "y"\n',
    ],
    ids=["plain", "BOM", "CRLF", "no final newline", "blank lines", "quoted", "spaces", "both"],
)
def test_csv_in_all_its_dresses(tmp_path: Path, content: bytes) -> None:
    frame = frame_of(write(tmp_path, content))
    assert list(frame.columns) == ["a", "b"]
    assert frame["a"].tolist() == [1, 2] and frame["b"].tolist() == ["x", "y"]


def test_gzip_has_the_fingerprint_of_its_text(tmp_path: Path) -> None:
    plain = write(tmp_path, GOOD)
    zipped = write(tmp_path, gzip.compress(GOOD), "table.csv.gz")
    assert frame_of(zipped).equals(frame_of(plain))
    assert fingerprint(str(zipped)) == fingerprint(str(plain))
    assert fingerprint(str(write(tmp_path, GOOD + b"3,z\n", "more.csv"))) != fingerprint(str(plain))


@settings(max_examples=60)
@given(
    st.integers(2, 4).flatmap(
        lambda width: st.lists(
            st.lists(st.text('ab"\n,;\' é', max_size=5).map(lambda t: f"t{t}e"), min_size=width,
                     max_size=width),
            min_size=1,
            max_size=8,
        )
    )
)  # fmt: skip
def test_what_the_csv_module_writes_is_read_back(rows: list[list[str]]) -> None:
    import tempfile

    names = [f"c{place}" for place in range(len(rows[0]))]
    text = io.StringIO()
    csv.writer(text).writerows([names, *rows])
    with tempfile.TemporaryDirectory() as folder:
        frame = frame_of(write(Path(folder), text.getvalue().encode()))
    assert frame.to_numpy().tolist() == rows


def test_texts_stay_as_written(tmp_path: Path) -> None:
    path = write(tmp_path, b"a,b\n01,02\n,3.0\n")
    frame = frame_of(path, {"b"})
    assert frame["b"].tolist() == ["02", "3.0"]
    assert frame["a"].tolist()[0] == "01", "a number has no zero in front"


def test_none_is_text_and_na_is_missing(tmp_path: Path) -> None:
    frame = frame_of(write(tmp_path, b"a,b\nNone,NA\nx,y\n"))
    assert frame["a"].tolist() == ["None", "x"]
    assert frame["b"].isna().tolist() == [True, False]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "found an empty file"),
        (b"\n  \n", "found an empty file"),
        (b"a,b\n", "expected rows, found none"),
        (b"a,b\n1,2\n3\n", r"row 2 (line 3): expected 2 fields as in the header, found 1"),
        (b"a,b\n1,2\n\n3,4,5\n", r"row 2 (line 4): expected 2 fields as in the header, found 3"),
        (b'a,b\n"1\n1",2\n3\n', r"row 2 (line 4): expected 2 fields"),
        (b"a,b\n1,2,\n", "row 1 (line 2): expected 2 fields as in the header, found 3"),
        (b"a,b\n1,x\n2,\xef\xf0\xe8\n", "line 3: expected UTF-8, found byte 0xef"),
        (b"a,b\n1,x\n2,\x00y\n", "line 3: expected text, found a NUL byte"),
        (b'a,b\n1,"x\n2,y\n', "line 3: unexpected end of data"),
        (b"a,b,a\n1,2,3\n", "expected different column names, found 'a' 2 times"),
        (b"a,,c\n1,2,3\n", "column 2 has no name"),
        ("a,b\n1,2\n".encode("utf-16-le"), "convert UTF-16 with iconv -f utf-16 -t utf-8"),
        (
            "a,b\n1,2\n".encode("utf-16")[:-1],
            "expected UTF-16, as the first bytes say, found trunc",
        ),
        (b"a,b\r1,2\r", r"expected lines that end in \n, found \r; convert with tr '\r' '\n'"),
    ],
    ids=lambda value: None if isinstance(value, str) else ascii(value),
)
def test_bad_csv_is_one_line_that_says_where(tmp_path: Path, content: bytes, expected: str) -> None:
    assert expected in refusal(write(tmp_path, content))


def test_an_unknown_encoding_names_the_tool_that_helps(tmp_path: Path) -> None:
    assert "iconv" in refusal(write(tmp_path, b"a,b\n\x82t\x82,1\n"))


def test_column_limit(tmp_path: Path) -> None:
    def wide(columns: int) -> Path:
        names = ",".join(f"c{place}" for place in range(columns))
        return write(tmp_path, f"{names}\n{','.join('1' * columns)}\n".encode())

    assert frame_of(wide(10_000)).shape == (1, 10_000)
    assert "expected 1 to 10,000 columns, found 10,001" in refusal(wide(10_001))


def test_what_is_no_file(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "gone.csv")
    (tmp_path / "folder.csv").mkdir()
    assert "parts of one table, found none" in refusal(tmp_path / "folder.csv")
    assert ".parquet" in refusal(write(tmp_path, GOOD, "table.json"))
    with pytest.raises(UsageError, match="no such file"):
        fingerprint(str(tmp_path / "gone.csv"))


def test_broken_gzip(tmp_path: Path) -> None:
    whole = gzip.compress(GOOD * 1000)
    assert refusal(write(tmp_path, whole[: len(whole) // 2], "cut.csv.gz"))
    assert "gzip" in refusal(write(tmp_path, GOOD, "plain.csv.gz"))


def test_npz(tmp_path: Path) -> None:
    path = tmp_path / "arrays.npz"
    x = np.arange(12.0).reshape(4, 3)
    np.savez(path, X=x, y=np.array(["u", "v", "u", "v"]))
    frame = frame_of(path)
    assert list(frame.columns) == ["x0", "x1", "x2", "y"]
    assert frame[["x0", "x1", "x2"]].to_numpy().tolist() == x.tolist()
    np.savez(path, X=x)
    assert list(frame_of(path).columns) == ["x0", "x1", "x2"]


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"Z": np.zeros(3)}, "expected arrays X and y, found Z"),
        ({"X": np.zeros(3), "y": np.zeros(3)}, "of shape (rows, columns)"),
        ({"X": np.zeros((3, 2)), "y": np.zeros(4)}, "expected y of shape (3,)"),
        ({"X": np.array([["a"]]), "y": np.zeros(1)}, "expected numbers X"),
        ({"X": np.zeros((3, 0)), "y": np.zeros(3)}, "expected 1 to 10,000 columns"),
        ({"X": np.array([[{}]]), "y": np.zeros(1)}, "pickle"),
    ],
)
def test_bad_npz(tmp_path: Path, arrays: dict[str, np.ndarray], expected: str) -> None:
    np.savez(tmp_path / "arrays.npz", **arrays)
    assert expected in refusal(tmp_path / "arrays.npz")


def _npy(header: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("X", b"text", "expected arrays X and y, found y"),
        ("X.npy", b"", "expected arrays X and y, found y"),
        ("X.npy", _npy("{'descr': '<f8', 'fortran_order"), "expected what numpy.savez writes"),
        *(
            ("X.npy", _npy(f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({n}, 3), }}"), why)
            for n, why in ((10**14, "found 2.235e+06 GiB"), (10**25, "found 2.235e+17 GiB"))
        ),
    ],
    ids=["no array", "empty", "half a header", "beyond memory", "beyond 64 bits"],
)
def test_a_damaged_npz(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    with zipfile.ZipFile(tmp_path / "arrays.npz", "w") as file:
        file.writestr(name, content)
        with file.open("y.npy", "w") as member:
            np.save(member, np.zeros(3))
    assert expected in refusal(tmp_path / "arrays.npz")


def test_an_encrypted_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "arrays.npz", X=np.zeros((3, 2)), y=np.zeros(3))
    content = bytearray((tmp_path / "arrays.npz").read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        for found in re.finditer(re.escape(signature), bytes(content)):
            content[found.start() + flags] |= 1
    assert "is encrypted" in refusal(write(tmp_path, bytes(content), "arrays.npz"))


def test_an_npz_that_is_none(tmp_path: Path) -> None:
    assert "no archive" in refusal(write(tmp_path, GOOD, "arrays.npz"))
    assert "no such file" in refusal(tmp_path / "gone.npz")


def test_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "table.parquet"
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    frame.to_parquet(path)
    assert frame_of(path)["a"].tolist() == [1, 2]
    assert frame_of(path)["b"].isna().tolist() == [False, True]
    assert refusal(write(tmp_path, GOOD, "broken.parquet"))
    content = path.read_bytes()
    damaged = write(tmp_path, content[:4] + b"\x55" * 12 + content[16:], "broken.parquet")
    assert "\\n" not in refusal(damaged)  # only the first line of what Arrow says


def test_bytes_and_durations_of_parquet(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    from journal_launcher.tabular.data.deciding import type_columns

    path = tmp_path / "table.parquet"
    seconds = pa.array([np.timedelta64(n, "s") for n in (90, 30, 60)])
    table = {"a": [b"yes", b"no ", b"\xff"], "n": [b"1", b"2.5", None], "t": seconds}
    parquet.write_table(pa.table(table), path)
    found = type_columns(frame_of(path))
    assert found["a"].labels == ("yes", "no", "\\xff")
    assert found["n"].kind == "number" and found["n"].values.tolist()[:2] == [1, 2.5]
    assert found["t"].kind == "number" and found["t"].values.tolist() == [90, 30, 60]


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    expected = "pip install 'journal-launcher[parquet]'"
    assert expected in refusal(write(tmp_path, b"PAR1", "table.parquet"))


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_data_sets(name: str) -> None:
    frame, target = read_bundled(name)
    assert len(frame) > 100 and target in frame.columns
    assert frame[target].nunique() > 1
