"""DataFrames as files: nothing is lost, and all is as from a file of a user's own."""

from collections.abc import Callable
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from tabular.data.tables import ROWS, columns

from journal_launcher.base.errors import UsageError
from journal_launcher.tabular.data.dataset import Dataset
from journal_launcher.tabular.data.given_frames import as_frame, frame_file
from journal_launcher.tabular.data.prepared import features_from_frame, load, prepare
from journal_launcher.tabular.data.readers import read_file
from journal_launcher.tabular.data.source import TableSource

NUMBERS = np.random.default_rng(0).normal(size=ROWS)
DAYS = pd.date_range("2020-01-01", periods=ROWS, freq="5h")
GAPS = np.arange(ROWS) % 5 == 0
TEXTS = ["a word", None, "b"] * (ROWS // 3)
WORDS = pd.Series(TEXTS)


def with_gaps(values: Any, dtype: Any) -> Any:
    cells = [None if gap else value for gap, value in zip(GAPS, values, strict=True)]
    return pd.array(cells, dtype=dtype)


def written(frame: pd.DataFrame, folder: Path) -> Path:
    path = folder / "given.safetensors"
    path.write_bytes(frame_file(frame))
    return path


def dataset(path: Path, folder: Path, **given: Any) -> tuple[Dataset, dict[str, Any]]:
    facts = prepare(TableSource(str(path), 0, **{"target": "y", **given}), folder / "cache")
    return load(Path(facts["directory"])), facts


def assert_same(one: Dataset, other: Dataset) -> None:
    assert one.schema == other.schema
    np.testing.assert_array_equal(one.features.numbers, other.features.numbers)
    np.testing.assert_array_equal(one.features.codes, other.features.codes)
    np.testing.assert_array_equal(one.target, other.target)
    np.testing.assert_array_equal(one.holdout, other.holdout)
    for fold, same in zip(one.folds, other.folds, strict=True):
        np.testing.assert_array_equal(fold.train, same.train)


CSV = {
    "whole numbers": np.arange(ROWS, dtype="int16") * 3 % 50,
    "numbers": NUMBERS,
    "whole numbers with gaps": with_gaps(range(ROWS), "Int64"),
    "beyond 2^63": np.arange(ROWS, dtype="uint64") // 2 + 2**63,
    "booleans": NUMBERS > 0,
    "booleans with gaps": with_gaps((NUMBERS > 0).tolist(), "boolean"),
    "boolean objects": pd.Series(with_gaps((NUMBERS > 0).tolist(), "object")),
    "text": WORDS,
    "text objects": WORDS.astype(object),
    "zeros in front": [f"{place % 30:03d}" for place in range(ROWS)],
    "numbers in text": [f"{place % 40}.5" for place in range(ROWS)],
    "categories": pd.Categorical(WORDS),
    "intervals": pd.cut(NUMBERS, 4),
    "dates": DAYS,
    "dates with gaps": pd.Series(DAYS).mask(GAPS),
    "seconds": DAYS.as_unit("s"),
    "a zone": DAYS.tz_localize("Asia/Tokyo"),
    "days": [date(2020, 1, 1) + timedelta(days=place) for place in range(ROWS)],
    "times": [time(place % 24, place) for place in range(ROWS)],
    "decimals": [Decimal(place) / 4 for place in range(ROWS)],
    "periods": pd.period_range("2020-01", periods=ROWS, freq="M"),
    "sparse": pd.arrays.SparseArray(np.where(GAPS, NUMBERS, 0)),
    "sparse booleans": pd.arrays.SparseArray(GAPS),
    "text beside numbers": pd.Series([1, "a", 2.5] * (ROWS // 3), dtype=object),
    "True beside 1": pd.Series([1, True, "x"] * (ROWS // 3), dtype=object),
    "numbers of several types": pd.Series([1, np.float32(2.5), None] * (ROWS // 3), dtype=object),
    "arrow": with_gaps(range(ROWS), "int64[pyarrow]"),
    "arrow booleans": with_gaps((NUMBERS > 0).tolist(), "bool[pyarrow]"),
    "arrow text": pd.array(TEXTS, dtype=pd.ArrowDtype(pa.string())),
    "arrow moments": pd.array(DAYS.tolist(), dtype=pd.ArrowDtype(pa.timestamp("us", "UTC"))),
}
NO_PARQUET = {"intervals", "sparse", "sparse booleans", "text beside numbers", "True beside 1"}


class TestColumns:
    @pytest.mark.parametrize("name", CSV)
    def test_give_what_their_csv_file_gives(self, name: str, tmp_path: Path) -> None:
        frame = pd.DataFrame(columns(given=CSV[name]))
        frame.to_csv(tmp_path / "given.csv", index=False)
        ours, _ = dataset(written(frame, tmp_path), tmp_path)
        assert_same(ours, dataset(tmp_path / "given.csv", tmp_path)[0])
        assert "given" in [column.name for column in ours.schema.columns]
        features, _ = features_from_frame(frame, ours.schema)
        np.testing.assert_array_equal(features.numbers, ours.features.numbers)
        np.testing.assert_array_equal(features.codes, ours.features.codes)

    @pytest.mark.parametrize("name", sorted(set(CSV) - NO_PARQUET))
    def test_give_what_their_parquet_file_gives(self, name: str, tmp_path: Path) -> None:
        frame = pd.DataFrame(columns(given=CSV[name], single=NUMBERS.astype("float32")))
        frame.to_parquet(tmp_path / "given.parquet")
        ours, _ = dataset(written(frame, tmp_path), tmp_path)
        assert_same(ours, dataset(tmp_path / "given.parquet", tmp_path)[0])

    def test_in_arrow_tables_too(self, tmp_path: Path) -> None:
        table = pa.table(columns(given=pa.array([None, *range(2**53, 2**53 + ROWS - 1)])))

        class Polars:
            def to_arrow(self) -> pa.Table:
                return table

        frame = pd.DataFrame(columns(given=[pd.NA, *range(2**53, 2**53 + ROWS - 1)]))
        frame["given"] = frame["given"].astype("Int64")
        for given in (table, Polars()):
            assert frame_file(as_frame(given)) == frame_file(frame)

    def test_of_numbers_are_categories_if_their_type_says_so(self, tmp_path: Path) -> None:
        codes = np.arange(ROWS) % 4
        frame = pd.DataFrame(columns(given=pd.Categorical(codes), plain=pd.Categorical(codes > 1)))
        ours, facts = dataset(written(frame, tmp_path), tmp_path)
        kinds = {column.name: column.kind for column in ours.schema.columns}
        assert kinds == {"x": "number", "colour": "category"} | dict.fromkeys(
            ("given", "plain"), "category"
        )
        said = "column 'given' is read as categories, as its type says; a file's would be a number"
        assert said in facts["notes"] and facts["reading"]["given"] == "category"
        features, _ = features_from_frame(frame.astype({"given": int, "plain": str}), ours.schema)
        np.testing.assert_array_equal(features.codes, ours.features.codes)

    def test_of_several_types_are_said(self, tmp_path: Path) -> None:
        cells = pd.Series([1, None, "a"] * (ROWS // 3), dtype=object)
        found = read_file(written(pd.DataFrame({"mixed": cells}), tmp_path))
        assert found.notes == (
            "column 'mixed' has numbers (row 1) and text (row 3): read as the cells of a CSV file "
            "are",
        )

    @pytest.mark.parametrize(
        ("cells", "message"),
        [
            ([timedelta(1)] * 3, r"'bad'.*timedelta64.*by \.dt\.total_seconds\(\)"),
            ([1j, 2, 3], "'bad': expected a type of tables, found complex128"),
            ([None, [1], [2]], "row 2, column 'bad': expected text, a number, .* found list"),
            (["a", b"b", "c"], "row 2, column 'bad': expected .* found bytes"),
            (["a", {"b": 1}, "c"], "row 2, column 'bad': expected .* found dict"),
            (pd.Series([1, timedelta(1)], dtype=object), "row 2, .* found datetime.timedelta"),
            ([object()], "row 1, .* found object"),
        ],
    )
    def test_that_no_file_could_hold_are_refused(self, cells: Any, message: str) -> None:
        with pytest.raises(UsageError, match=message):
            frame_file(pd.DataFrame({"bad": cells}))


class TestNames:
    def test_that_are_numbers_become_text(self, tmp_path: Path) -> None:
        assert list(read_file(written(pd.DataFrame([[1, 2]]), tmp_path)).frame) == ["0", "1"]

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (["a", "a"], "different column names, found 'a' 2 times"),
            ([1, "1"], "different column names, found '1' 2 times"),
            (["a", ""], "a name for each column, found none for column 2"),
            (
                pd.MultiIndex.from_tuples([("a", 1), ("a", 2)]),
                r"one name for each column, found several levels; .*frame.columns = \['_'.join",
            ),
        ],
    )
    def test_that_are_none_are_refused(self, names: Any, message: str) -> None:
        with pytest.raises(UsageError, match=message):
            frame_file(pd.DataFrame([[1, 2]], columns=names))


class TestIndex:
    @pytest.mark.parametrize(
        "change",
        [
            lambda frame: frame.sample(frac=1, random_state=0).sort_values("x"),
            lambda frame: frame.sort_values("x").set_axis(np.arange(ROWS) + 7),
            lambda frame: frame.sort_values("x", ignore_index=True),
        ],
    )
    def test_that_counts_decides_nothing(self, change: Callable[[Any], Any]) -> None:
        frame = pd.DataFrame(columns())
        assert frame_file(change(frame)) == frame_file(frame.sort_values("x"))

    @pytest.mark.parametrize(
        ("index", "found"),
        [
            (pd.Index(["p", "q"]), "one of str"),
            (pd.Index([3, 4], name="id"), "one named 'id'"),
            (pd.MultiIndex.from_tuples([(1, 1), (1, 2)], names=["a", "b"]), "one named 'a', 'b'"),
            (DAYS[:2], "one of datetime64"),
        ],
    )
    def test_that_holds_something_is_refused(self, index: Any, found: str) -> None:
        with pytest.raises(UsageError, match=rf"{found}.*reset_index\(\) makes it a column"):
            frame_file(pd.DataFrame({"a": [1, 2]}, index=index))


class TestFile:
    @pytest.mark.parametrize("content", [b"", b"no such thing", b"\x08" + 7 * b"\0" + b"{}      "])
    def test_that_is_none_is_refused(self, content: bytes, tmp_path: Path) -> None:
        path = tmp_path / "given.safetensors"
        path.write_bytes(content)
        with pytest.raises(UsageError, match=r"expected a table that launch\(data=DataFrame\)"):
            read_file(path)

    def test_differs_with_a_value_a_name_or_a_type(self) -> None:
        frame = pd.DataFrame(columns())
        others = (
            frame.assign(x=frame["x"].where(frame.index > 0)),
            frame.rename(columns={"x": "z"}),
            frame.astype({"colour": "category"}),
            frame[["y", "x", "colour"]],
            frame[1:],
        )
        assert len({frame_file(other) for other in (frame, frame.copy(), *others)}) == 6

    def test_no_rows_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="expected rows, found none"):
            read_file(written(pd.DataFrame(columns()).head(0), tmp_path))
