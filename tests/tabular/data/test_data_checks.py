"""What is said of a table before a long night, and that --strict-data refuses it."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tabular.data.tables import ROWS, columns, prepared, refusal

from journal_launcher.tabular.data.data_checks import check_data
from journal_launcher.tabular.data.dataset import Column, Features, Schema

PLACE = np.arange(ROWS)


def notes_of(folder: Path, table: dict[str, Any], **given: Any) -> list[str]:
    notes: list[str] = prepared(folder, table, **given)["notes"]
    return notes


def test_a_sound_table_is_not_doubted(tmp_path: Path) -> None:
    assert notes_of(tmp_path, columns(), strict_data=True) == []


@pytest.mark.parametrize("scale", [1.0, -3.5])
def test_a_feature_that_is_the_target_is_named(tmp_path: Path, scale: float) -> None:
    leak = scale * columns()["y"] + 2 + 1e-4 * np.sin(PLACE)
    notes = notes_of(tmp_path, columns(leak=leak))
    assert len(notes) == 1 and re.match(r"column 'leak' is the target", notes[0]), notes


def test_a_leak_with_missing_values_is_found_and_a_few_values_prove_nothing(
    tmp_path: Path,
) -> None:
    target = columns()["y"]
    most = np.where(PLACE % 4 == 0, np.nan, target)
    few = np.where(PLACE < 3, target, np.nan)
    notes = notes_of(tmp_path, columns(most=most, few=few))
    assert [note.split("'")[1] for note in notes] == ["most"]


def test_a_strong_feature_is_no_leak(tmp_path: Path) -> None:
    assert notes_of(tmp_path, columns(strong=columns()["y"] + 2 * np.sin(PLACE))) == []


@pytest.mark.parametrize("kind", ["text", "number"])
def test_a_feature_that_stands_for_the_class_is_named(tmp_path: Path, kind: str) -> None:
    label = np.array(["no", "yes", "maybe"])[PLACE * 7 % 3]
    codes = {"text": np.array(["b", "a", "c"]), "number": np.array([4.5, -1.0, 2.0])}[kind]
    table = columns(leak=codes[PLACE * 7 % 3], coarse=np.array(["u", "u", "v"])[PLACE * 7 % 3])
    notes = notes_of(tmp_path, {**table, "colour": label, "y": label}, split="kfold")
    # Not `coarse`: it knows two classes apart only. `colour` is a copy of the target itself.
    assert sorted(note.split("'")[1] for note in notes) == ["colour", "leak"]


def test_a_target_with_almost_one_value_is_named(tmp_path: Path) -> None:
    target = np.where(PLACE == 7, 1000.001, 1000.0)
    notes = notes_of(tmp_path, columns(y=target), task="regression", test_size=0, metric="mae")
    assert len(notes) == 1 and notes[0].startswith("target 'y' has almost no variance"), notes


def test_more_features_than_training_rows_are_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    wide = {f"x{number}": rng.normal(size=ROWS) for number in range(60)}
    notes = notes_of(tmp_path, columns(**wide))
    assert notes == ["62 features and 48 rows to train on: chance alone can fit so few rows"]


def test_rows_equal_to_6_digits_across_the_split_are_counted(tmp_path: Path) -> None:
    once = columns(other=PLACE * 13 % 61)
    table = {name: np.concatenate([values, values]) for name, values in once.items()}
    table["x"][ROWS:] *= 1 + 1e-9
    notes = notes_of(tmp_path, table)
    assert len(notes) == 1 and "held-out rows equal training rows to 6 digits" in notes[0], notes
    table["x"][ROWS:] += 0.01
    assert notes_of(tmp_path, table) == []


def test_values_that_meet_by_chance_are_no_leak(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scales = {name: rng.integers(1, 5, 300).astype(float) for name in "abc"}
    table = {**scales, "y": rng.integers(0, 2, 300)}
    assert not [note for note in notes_of(tmp_path, table) if "digits" in note]
    table["a"] *= 1 + 1e-9 * rng.random(300)
    assert notes_of(tmp_path, table, strict_data=True) == []


def test_without_a_holdout_no_row_is_across_the_split(tmp_path: Path) -> None:
    table = {name: np.concatenate([values, values]) for name, values in columns().items()}
    table["x"][ROWS:] *= 1 + 1e-9
    assert notes_of(tmp_path, table, test_size=0) == []


def test_strict_data_refuses_also_what_was_parsed_before(tmp_path: Path) -> None:
    table = columns(leak=columns()["y"] * 2)
    message = refusal(tmp_path, table, strict_data=True)
    assert "column 'leak' is the target" in message and "leave out --strict-data" in message
    assert notes_of(tmp_path, table)  # parsed and kept
    with pytest.raises(Exception, match="column 'leak' is the target"):
        notes_of(tmp_path, table, strict_data=True)


def test_a_large_table_is_checked_without_a_copy_of_it() -> None:
    rng = np.random.default_rng(0)
    rows, width = 20_000, 30
    numbers = rng.normal(size=(rows, width))
    numbers[rng.random(rows) < 0.1, 3] = np.nan
    numbers[15_000:] = numbers[:5_000] * (1 + 1e-14)
    target = np.concatenate([numbers[:15_000, 0], numbers[:5_000, 0]])
    schema = Schema(tuple(Column(f"x{i}", "number") for i in range(width)), "y", "regression")
    features = Features(numbers, np.empty((rows, 0), dtype=np.int32))
    place = np.arange(rows)
    found = check_data(schema, features, target, place[:15_000], place[15_000:])
    assert [note.split(":")[0] for note in found] == [
        "column 'x0' is the target",
        "5,000 held-out rows equal training rows to 6 digits",
    ]
