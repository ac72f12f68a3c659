"""Types, target, what is left out, hold-out and folds."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import StratifiedKFold, StratifiedShuffleSplit
from tabular.data.tables import ROWS, columns, loaded, prepared, refusal

from journal_launcher.tabular.data.dataset import Column
from journal_launcher.tabular.data.prepared import (
    fresh_folds,
    load,
)

_SCALE = np.random.default_rng(0)
SURVEY = {
    **{name: _SCALE.integers(1, 5, 300) for name in ("health", "work", "home")},
    "y": _SCALE.choice(["yes", "no"], 300),
}
"""Few values that meet by chance, with either target."""


class TestTask:
    @pytest.mark.parametrize(
        ("target", "task", "classes"),
        [
            (["no", "yes"] * 30, "classification", ["no", "yes"]),
            ([True, False] * 30, "classification", ["False", "True"]),
            ([10, 9, 2] * 20, "classification", ["2", "9", "10"]),
            ([1.0, 0.0] * 30, "classification", ["0", "1"]),
            (list(range(20)) * 6, "classification", [str(place) for place in range(20)]),
            (list(range(21)) * 3, "regression", []),
            ([0.5, 1.5] * 30, "regression", []),
        ],
    )
    def test_auto(self, tmp_path: Path, target: list[Any], task: str, classes: list[str]) -> None:
        table = {"x": np.random.default_rng(0).normal(size=len(target)), "y": target}
        facts = prepared(tmp_path, table, k_folds=2)
        assert (facts["task"], facts["classes"]) == (task, classes)
        if classes:
            positions = load(Path(facts["directory"])).target
            labels = [f"{value:g}" if classes[0].isdigit() else str(value) for value in target]
            assert [classes[int(position)] for position in positions] == labels

    def test_whole_numbers_can_be_a_regression(self, tmp_path: Path) -> None:
        assert loaded(tmp_path, columns(y=[1, 2, 3] * 20), task="regression").target.max() == 3


class TestColumns:
    def kinds(self, folder: Path, values: list[Any]) -> tuple[str, Any]:
        repeated = (values * ROWS)[:ROWS]
        table = loaded(folder, {"v": repeated, "x": columns()["x"], "y": columns()["y"]})
        column = table.schema.columns[0]
        assert column.name == "v"
        first = table.features.codes if column.kind == "category" else table.features.numbers
        return column.kind, first[: len(values), 0].tolist()

    @pytest.mark.parametrize(
        ("values", "kind", "expected"),
        [
            (["1", "2.5", "-3e2"], "number", [1, 2.5, -300]),
            (["1", "None", "2"], "number", [1, None, 2]),
            (["1", "NA", "2"], "number", [1, None, 2]),
            (["12345678901234567890123", "1"], "number", [12345678901234567890123.0, 1]),
            (["1_000", "2"], "category", [0, 1]),
            (["True", "False"], "boolean", [1, 0]),
            (["true", "", "FALSE"], "boolean", [1, None, 0]),
            (["yes", "no"], "category", [1, 0]),
            (["a", "", "None"], "category", [1, -1, 0]),
            (["a", " a ", "b"], "category", [0, 0, 1]),
            (["1970-01-02", "1970-01-01"], "date", [86400, 0]),
            (["1970-01-01 00:01", "", "1970-01-01T00:00:30.5Z"], "date", [60, None, 30.5]),
            (["1970-01-01T01:00+01:00", "1970-02"], "date", [0, 31 * 86400]),
            (["1970/01/02", "1970/01/03"], "date", [86400, 172800]),
            (["02/01/1970", "13/01/1970"], "date", [86400, 12 * 86400]),
            (["1970-01-01", "1970-02-30"], "category", [0, 1]),
            (["1970-01-01", "later"], "category", [0, 1]),
        ],
    )
    def test_kinds(self, tmp_path: Path, values: list[str], kind: str, expected: list[Any]) -> None:
        found = self.kinds(tmp_path, values)
        assert found[0] == kind
        assert [None if value != value else value for value in found[1]] == expected

    def test_dates_do_not_depend_on_where_the_machine_stands(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as elsewhere:
            elsewhere.setenv("TZ", "America/New_York")
            time.tzset()
            found = self.kinds(tmp_path, ["1970-01-02", "1970-01-01"])
        time.tzset()
        assert found == ("date", [86400, 0])

    def test_what_carries_nothing_is_left_out(self, tmp_path: Path) -> None:
        text = [f"row {place}" for place in range(ROWS)]
        more = {"same": 1, "none": None, "again": columns()["x"], "id": text}
        table = {"": range(ROWS), **columns(**more)}
        facts = prepared(tmp_path, table)
        assert facts["n_features"] == 2
        assert facts["notes"] == []
        assert facts["summary"] == (
            "table.csv: 60 rows, regression of y; 1 number, 1 category; left out: column 1 (no "
            "name), same (constant), none (constant), again (a copy), id (never repeats)"
        )

    def test_one_value_and_gaps_is_not_constant(self, tmp_path: Path) -> None:
        assert prepared(tmp_path, columns(rare=[1.0, None] * 30))["n_features"] == 3

    def test_doubtful_columns_are_kept_and_noted(self, tmp_path: Path) -> None:
        slip = [*(np.arange(59) % 7), "7.5x"]
        facts = prepared(tmp_path, columns(number=range(1, ROWS + 1), slip=slip))
        assert facts["n_features"] == 4
        assert facts["notes"] == [
            "column 'number' counts the rows; remove it if it is only a number",
            "column 'slip' is read as categories: nearly all of it is numbers, but row 60 holds "
            "'7.5x'",
        ]

    def test_rows_without_a_target_are_left_out(self, tmp_path: Path) -> None:
        target = columns()["y"]
        target[[3, 5]] = np.nan
        colour = columns()["colour"].astype(object)
        colour[3] = "only here"
        facts = prepared(tmp_path, columns(y=target, colour=colour))
        assert facts["n_rows"] == 58
        assert facts["notes"] == ["2 rows without a target: left out"]
        table = load(Path(facts["directory"]))
        assert table.schema.columns[1].categories == ("blue", "green", "red")
        assert table.features.numbers[3:5, 0].tolist() == columns()["x"][[4, 6]].tolist()


class TestSplits:
    def test_copies_stay_together_whatever_their_targets(self, tmp_path: Path) -> None:
        once = columns(z=np.arange(ROWS) * 13 % 61)
        twice = {name: np.r_[values, values] for name, values in once.items()}
        twice["y"][:20] += 1
        facts = prepared(tmp_path, twice)
        assert (facts["duplicates"], facts["split"]["equal_rows"]) == (60, "together")
        assert facts["notes"] == [
            "60 rows with the features of an earlier one: copies (as many rows differ without any "
            "one column), kept together in every split"
        ]
        table = load(Path(facts["directory"]))
        fresh = fresh_folds(Path(facts["directory"]), 1)
        for one, other in [
            (table.train, table.holdout),
            *((fold.train, fold.valid) for fold in [*table.folds, *fresh]),
        ]:
            assert not set(one % ROWS) & set(other % ROWS)

    def test_values_that_meet_by_chance_are_divided_like_any_other_rows(
        self, tmp_path: Path
    ) -> None:
        facts = prepared(tmp_path, SURVEY, test_size=0)
        assert facts["split"]["equal_rows"] == "apart"
        count = facts["duplicates"]
        assert count > 150 and facts["notes"] == [
            f"{count} rows with the features of an earlier one: few values that meet by chance "
            "(without one of the columns far fewer rows differ), divided like any other rows"
        ]
        directory, target = Path(facts["directory"]), load(Path(facts["directory"])).target
        for found, seed in [(load(directory).folds, 0), (fresh_folds(directory, 7), 7)]:
            cutter = StratifiedKFold(5, shuffle=True, random_state=seed)
            valid = [fold[1].tolist() for fold in cutter.split(target, target)]
            assert [fold.valid.tolist() for fold in found] == valid

    @pytest.mark.parametrize("size", [0, 0.25])
    def test_a_study_that_began_under_the_former_rule_keeps_its_folds(
        self, tmp_path: Path, size: float
    ) -> None:
        facts = prepared(tmp_path, SURVEY, test_size=size, target_in_units=True)
        assert "equal_rows" not in facts["split"]
        assert [note.split(":")[0] for note in facts["notes"]] == [
            f"{facts['duplicates']} rows equal to an earlier row",
            "this study began under a former rule and goes on under it",
        ]
        assert facts["notes"][-1].endswith("begin anew with --overwrite")
        table, texts = load(Path(facts["directory"])), list(zip(*SURVEY.values(), strict=True))
        unit = np.array([texts.index(text) for text in texts])
        first, place = np.unique(unit, return_index=True, return_inverse=True)[1:]
        train = np.arange(len(first))
        if size:
            cut = StratifiedShuffleSplit(1, test_size=size, random_state=0)
            train, out = next(cut.split(first, table.target[first]))
            assert table.holdout.tolist() == np.flatnonzero(np.isin(place, out)).tolist()
        train = np.sort(train)
        cutter = StratifiedKFold(5, shuffle=True, random_state=0)
        cuts = cutter.split(train, table.target[first[train]])
        for fold, (_, valid) in zip(table.folds, cuts, strict=True):
            assert fold.valid.tolist() == np.flatnonzero(np.isin(place, train[valid])).tolist()

    def test_a_former_study_hears_nothing_where_the_rules_agree(self, tmp_path: Path) -> None:
        once = columns(z=np.arange(ROWS) * 13 % 61)
        twice = {name: np.r_[values, values] for name, values in once.items()}
        for table in (once, twice):
            new = prepared(tmp_path, table)
            former = prepared(tmp_path, table, target_in_units=True)
            assert former["folds_sha256"] == new["folds_sha256"]
            assert "former rule" not in str(former["notes"])

    def test_groups_stay_together_and_are_no_feature(self, tmp_path: Path) -> None:
        group = [f"g{place % 12}" for place in range(ROWS)]
        table = loaded(tmp_path, columns(group=group), split="group", group_column="group")
        assert [column.name for column in table.schema.columns] == ["x", "colour"]
        for fold in table.folds:
            assert not set(fold.train % 12) & set(fold.valid % 12)
        assert not set(table.train % 12) & set(table.holdout % 12)
        assert len(table.holdout) == 15

    def test_time_is_ordered_and_a_feature(self, tmp_path: Path) -> None:
        when = pd.Timestamp("2024-03-01") - pd.to_timedelta(np.arange(ROWS) // 2, unit="D")
        more = {"when": when.strftime("%Y-%m-%d")}
        table = loaded(tmp_path, columns(**more), split="time", time_column="when")
        assert table.schema.columns[-1] == Column("when", "date")
        assert table.holdout.tolist() == list(range(12))
        for fold in table.folds:
            assert fold.valid.max() < fold.train.min()

    def test_groups_follow_their_rows_when_others_are_left_out(self, tmp_path: Path) -> None:
        target = columns()["y"]
        target[:3] = np.nan
        more = {"y": target, "group": [f"g{place // 5}" for place in range(ROWS)]}
        table = loaded(tmp_path, columns(**more), split="group", group_column="group")
        assert len(table.target) == 57
        for fold in table.folds:
            assert not set((fold.train + 3) // 5) & set((fold.valid + 3) // 5)

    def test_every_row_needs_its_time(self, tmp_path: Path) -> None:
        when = [*range(59), None]
        message = refusal(tmp_path, columns(when=when), split="time", time_column="when")
        assert "--time-column when: expected a value in every row, row 60 has none" in message

    def test_fresh_folds_cut_the_same_rows_anew(self, tmp_path: Path) -> None:
        directory = Path(prepared(tmp_path, columns())["directory"])
        table = load(directory)
        same, other = fresh_folds(directory, 0), fresh_folds(directory, 1)
        assert repr(same) == repr(table.folds)
        assert repr(other) != repr(table.folds)
        assert np.array_equal(np.sort(np.concatenate([fold.valid for fold in other])), table.train)
