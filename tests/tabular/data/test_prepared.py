"""Preparing a table: what it says, what it refuses, and the cache."""

import hashlib
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tabular.data.sheets import rows_of, xlsx
from tabular.data.tables import ROWS, arrays, columns, csv_of, loaded, prepared, refusal

from journal_launcher.base.errors import UsageError
from journal_launcher.tabular.data import arrays as arrays_module
from journal_launcher.tabular.data.dataset import Column, Schema
from journal_launcher.tabular.data.prepared import KEEP_UNUSED, load, prepare
from journal_launcher.tabular.data.source import TableSource


class TestPrepare:
    def test_says_what_the_data_are(self, tmp_path: Path) -> None:
        facts = prepared(tmp_path, columns())
        directory, sha256 = Path(facts.pop("directory")), facts.pop("data_sha256")
        assert directory.is_absolute() and len(sha256) == 64
        assert facts.pop("schema_sha256") == load(directory).schema.sha256
        assert len(facts.pop("folds_sha256")) == len(facts.pop("values_sha256")) == 64
        files = {path.name: path.read_bytes() for path in directory.iterdir()}
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        assert facts.pop("files") == hashes and "meta.json" in hashes
        split = {"kind": "kfold", "k_folds": 5, "test_size": 0.2, "equal_rows": "apart"}
        assert json.loads(json.dumps(facts)) == {
            "data": str(tmp_path / "table.csv"),
            "file": {
                **{"separator": ",", "encoding": "UTF-8", "compression": None},
                **{"sheet": None, "other_sheets": [], "parts": 1, "headers": 0},
                **{"footer": 0, "subtotals": 0},
            },
            "target": "y",
            "task": "regression",
            "metric": "r2",
            "direction": "maximize",
            "split": {**split, "group_column": None, "time_column": None},
            "n_rows": 60,
            "n_train": 48,
            "n_holdout": 12,
            "n_features": 2,
            "classes": [],
            "duplicates": 0,
            "summary": "table.csv: 60 rows, regression of y; 1 number, 1 category",
            "reading": {},
            "notes": [],
        }

    def test_the_hash_of_the_values_has_all_that_is_learned_from(self, tmp_path: Path) -> None:
        weights = np.arange(1, 61)
        found = {
            prepared(tmp_path, columns(w=w), weight_column="w")["values_sha256"]
            for w in (weights, weights * 1.0, weights[::-1])
        }
        assert len(found) == 2

    def test_arrays_hold_the_table(self, tmp_path: Path) -> None:
        source, table = columns(), loaded(tmp_path, columns())
        colour = Column("colour", "category", ("blue", "green", "red"))
        assert table.schema == Schema((Column("x", "number"), colour), "y", "regression")
        assert table.features.numbers[:, 0].tolist() == source["x"].tolist()
        assert table.features.codes[:3, 0].tolist() == [2, 0, 1]
        assert table.target.tolist() == source["y"].tolist()
        dtypes = [array.dtype for array in arrays(table)]
        assert dtypes == [np.float64, np.int32, np.float64, *([np.int64] * 12)]

    def test_arrays_are_mapped_and_read_only(self, tmp_path: Path) -> None:
        table = loaded(tmp_path, columns())
        with pytest.raises(ValueError, match="read-only"):
            table.features.numbers[0, 0] = 1
        assert isinstance(table.features.numbers.base, np.memmap)

    @pytest.mark.parametrize(
        ("name", "task", "metric"),
        [
            ("diabetes", "regression", "r2"),
            ("iris", "classification", "log_loss"),
            ("digits", "classification", "log_loss"),
        ],
    )
    def test_bundled_data_sets(self, tmp_path: Path, name: str, task: str, metric: str) -> None:
        facts = prepare(TableSource(f"sklearn:{name}", 0), tmp_path)
        assert (facts["data"], facts["task"], facts["metric"]) == (f"sklearn:{name}", task, metric)
        assert len(load(Path(facts["directory"])).target) == facts["n_rows"]

    def test_npz_needs_no_target(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        np.savez(tmp_path / "t.npz", X=rng.normal(size=(40, 2)), y=rng.normal(size=40))
        facts = prepare(TableSource(str(tmp_path / "t.npz"), 0), tmp_path / "cache")
        assert (facts["target"], facts["n_features"]) == ("y", 2)

    def test_parquet_types(self, tmp_path: Path) -> None:
        pytest.importorskip("pyarrow")
        days = pd.date_range("2024-01-01", periods=ROWS)
        flags = pd.array([True, False, None] * 20, dtype="boolean")
        kinds = pd.Categorical(["u", "v"] * 30)
        frame = pd.DataFrame(columns(day=days, flag=flags, kind=kinds, only=days.date[::-1]))
        frame.to_parquet(tmp_path / "t.parquet")
        source = TableSource(str(tmp_path / "t.parquet"), 0, target="y")
        table = load(Path(prepare(source, tmp_path / "cache")["directory"]))
        found = {column.name: column.kind for column in table.schema.columns}
        expected = {"x": "number", "colour": "category", "day": "date", "flag": "boolean"}
        assert found == {**expected, "kind": "category", "only": "date"}
        assert table.features.numbers[0, 1] == pd.Timestamp("2024-01-01").timestamp()

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ({"target": None}, "needs --target COLUMN, one of x, colour, y"),
            ({"target": "color"}, "--target color: no such column; did you mean 'colour'?"),
            ({"target": "zzz"}, "--target zzz: no such column; there are x, colour, y"),
            ({"split": "group", "group_column": "colours"}, "did you mean 'colour'?"),
            ({"split": "group", "group_column": "y"}, "--group-column y: is the target"),
            ({"split": "time", "time_column": "colour"}, "expected numbers or dates such as"),
            ({"split": "stratified"}, "--split stratified needs classes"),
            ({"metric": "log_loss"}, "--metric log_loss does not score a regression; use r2, "),
            ({"target": "colour", "metric": "mae"}, "does not score a classification; use log_l"),
            ({"target": "colour", "task": "regression"}, "row 1, target 'colour': expected a numb"),
            ({"task": "classification"}, "needs text or whole numbers, found 0.5"),
            ({"k_folds": 31}, "--k-folds 31 needs 62 rows"),
            ({"k_folds": 25}, "--k-folds 25 needs 50 rows to train on, found 48"),
            ({"target": "colour", "k_folds": 20}, "20 rows of every class"),
        ],
    )
    def test_settings_that_do_not_fit(
        self, tmp_path: Path, given: dict[str, Any], expected: str
    ) -> None:
        assert expected in refusal(tmp_path, columns(), **given)

    def test_a_row_of_texts_in_place_of_a_header_is_not_quoted_whole(self, tmp_path: Path) -> None:
        table = columns(**{"word " * 1000: np.arange(ROWS)})
        assert len(refusal(tmp_path, table, target="zzz")) < 400

    @pytest.mark.parametrize(
        ("more", "expected"),
        [
            ({"y": np.nan}, "target 'y': expected different values, found none"),
            ({"y": 3.5}, "target 'y': expected different values, found the same in every row"),
            ({"y": "2024-01-01"}, "target 'y': expected different values"),
            (
                {"y": pd.date_range("2024", periods=ROWS)},
                "row 1, target 'y': expected a number or a class, found '2024-01-01', which is",
            ),
            ({"y": [1.5, np.inf] * 30}, "row 2, column 'y': expected a finite number, found inf"),
            ({"x": [*[1.5] * 59, -np.inf]}, "row 60, column 'x': expected a finite number"),
            ({"x": [*[1.5] * 59, -1e151]}, "a finite number of at most 1e+150, found -1e+151"),
            ({"y": [*np.arange(59), "oops"]}, "row 60, target 'y': expected a number, found 'oops"),
            ({"x": 1, "colour": "red"}, "expected a useful column beside the target"),
            ({"x": None, "colour": None}, "expected a useful column beside the target"),
        ],
    )
    def test_bad_values(self, tmp_path: Path, more: dict[str, Any], expected: str) -> None:
        assert expected in refusal(tmp_path, columns(**more))

    def test_a_column_of_numbers_with_one_letter_can_be_classes(self, tmp_path: Path) -> None:
        table = columns(y=[*([1, 2] * 28), *["A"] * 4])
        assert "if these are classes, give --task classification" in refusal(tmp_path, table)
        facts = prepared(tmp_path, table, task="classification", k_folds=2)
        assert facts["classes"] == ["1", "2", "A"]

    def test_the_target_alone_is_no_table(self, tmp_path: Path) -> None:
        assert "useful column" in refusal(tmp_path, {"y": np.arange(60) + 0.5})

    def test_a_rare_class_is_named(self, tmp_path: Path) -> None:
        message = refusal(tmp_path, columns(y=["common"] * 57 + ["rare"] * 3))
        assert "5 rows of every class to train on, found 3 of 'rare'" in message

    def test_a_class_missing_from_a_fold_is_named(self, tmp_path: Path) -> None:
        table = columns(y=["late" if place > 40 else "early" for place in range(ROWS)])
        table["when"] = np.arange(ROWS)
        message = refusal(tmp_path, table, split="time", time_column="when")
        assert "fold 1 has no row of class 'late'" in message

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            (
                {"metric": "roc_auc", "split": "kfold"},
                "fold 5 validates rows with the target 'no' alone, where roc_auc is undefined; use "
                "--metric log_loss or --split stratified",
            ),
            (
                {"metric": "average_precision", "split": "time", "time_column": "x"},
                "validates rows with the target 'no' alone, where average_precision is undefined; "
                "use --metric log_loss or fewer --k-folds",
            ),
            (
                {"target": "z", "split": "group", "group_column": "colour", "k_folds": 2},
                "fold 2 trains on rows with the target 0.1 alone, where r2 is undefined; use "
                "--metric rmse or fewer --k-folds",
            ),
        ],
    )
    def test_a_metric_that_a_fold_leaves_undefined_is_refused_with_one_that_works(
        self, tmp_path: Path, given: dict[str, Any], expected: str
    ) -> None:
        place = np.arange(ROWS)
        rare = np.where(place % 15 == 7, "yes", "no")
        z = np.where(columns()["colour"] == "red", place + 0.25, 0.1)
        table = {**columns(y=rare, x=place % 59), "z": z}
        assert expected in refusal(tmp_path, table, **{"test_size": 0, **given})
        works = {"metric": "rmse"} if given.get("target") else {"metric": "log_loss"}
        facts = prepared(tmp_path, table, **{"test_size": 0, **given, **works})
        assert "constant" not in facts
        # Also of arrays that were prepared for another metric.
        with pytest.raises(UsageError, match="is undefined; use"):
            prepared(tmp_path, table, **{"test_size": 0, **given})


class TestCache:
    def test_a_sheet_is_in_the_key(self, tmp_path: Path) -> None:
        rows: list[list[object]] = [["x", "y"], *([n * 7 % 61, n + 0.5] for n in range(60))]
        other = [row[::-1] if n else row for n, row in enumerate(rows)]
        path = xlsx(tmp_path / "t.xlsx", {"A": rows_of(rows), "B": rows_of(other)})
        sources = [TableSource(f"{path}{sheet}", 0, target="y") for sheet in ("", "#B", "#A")]
        found = [prepare(source, tmp_path / "cache") for source in sources]
        assert [facts["file"]["sheet"] for facts in found] == ["A", "B", "A"]
        assert found[0]["data_sha256"] == found[1]["data_sha256"]
        targets = [load(Path(facts["directory"])).target[:2].tolist() for facts in found]
        assert targets == [[0.5, 1.5], [0, 7], [0.5, 1.5]]

    def test_the_same_again_is_the_same(self, tmp_path: Path) -> None:
        first, second = (tmp_path / name for name in ("first", "second"))
        first.mkdir()
        second.mkdir()
        one, two = (prepared(folder, columns()) for folder in (first, second))
        assert Path(one["directory"]).name == Path(two["directory"]).name
        for left, right in zip(
            arrays(load(Path(one["directory"]))), arrays(load(Path(two["directory"]))), strict=True
        ):
            assert left.tobytes() == right.tobytes()

    def test_what_shapes_the_arrays_is_in_the_key(self, tmp_path: Path) -> None:
        variants: list[dict[str, Any]] = [
            {},
            {"seed": 1},
            {"k_folds": 4},
            {"test_size": 0.3},
            {"target": "x"},
            {"target_in_units": True},
        ]
        directories = {prepared(tmp_path, columns(), **given)["directory"] for given in variants}
        directories.add(prepared(tmp_path, columns(x=columns()["x"] + 1))["directory"])
        assert len(directories) == 7
        assert prepared(tmp_path, columns(), metric="mae")["directory"] in directories

    def test_a_second_launch_parses_nothing_and_imports_nothing_heavy(self, tmp_path: Path) -> None:
        facts = prepared(tmp_path, columns())
        code = (
            "import json, sys; from pathlib import Path\n"
            "from journal_launcher.tabular.data import prepared\n"
            "from journal_launcher.tabular.data.source import TableSource\n"
            f"source = TableSource({facts['data']!r}, 0, target='y')\n"
            f"facts = prepared.prepare(source, Path({str(tmp_path / 'cache')!r}))\n"
            "prepared.load(Path(facts['directory']))\n"
            "heavy = {'pandas', 'sklearn', 'scipy', 'torch'} & set(sys.modules)\n"
            "print(json.dumps([facts, sorted(heavy)]))"
        )
        answer = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        assert json.loads(answer.stdout) == [facts, []]

    def test_a_bundled_data_set_is_found_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = prepare(TableSource("sklearn:diabetes", 0), tmp_path)
        monkeypatch.delitem(sys.modules, "journal_launcher.tabular.data.parsing")
        assert prepare(TableSource("sklearn:diabetes", 0), tmp_path) == first
        assert "journal_launcher.tabular.data.parsing" not in sys.modules

    def test_old_entries_go_and_used_ones_stay(self, tmp_path: Path) -> None:
        used = Path(prepared(tmp_path, columns())["directory"])
        unused = Path(prepared(tmp_path, columns(), k_folds=3)["directory"])
        half_built = used.parent / ".building-killed"
        half_built.mkdir()
        theirs = used.parent / "of the user's own"
        theirs.mkdir()
        week_ago = time.time() - KEEP_UNUSED - 60
        for entry in (used, unused, half_built, theirs):
            os.utime(entry, (week_ago, week_ago))
        load(used)
        prepared(tmp_path, columns(), k_folds=4)
        assert used.exists() and theirs.exists()
        assert not unused.exists() and not half_built.exists()

    def test_many_at_once(self, tmp_path: Path) -> None:
        source = TableSource(csv_of(tmp_path, columns()), 0, target="y")
        with ThreadPoolExecutor(8) as pool:
            many = list(
                pool.map(lambda _: prepare(source, tmp_path / "cache"), range(8), timeout=120)
            )
        assert all(facts == many[0] for facts in many)
        assert [entry.name for entry in (tmp_path / "cache").iterdir()] == [
            Path(many[0]["directory"]).name
        ]

    def test_a_failed_write_leaves_nothing_behind(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(source: Path, target: Path) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(arrays_module, "move_into_place", full)
        with pytest.raises(OSError, match="No space left"):
            prepared(tmp_path, columns())
        assert list((tmp_path / "cache").iterdir()) == []
