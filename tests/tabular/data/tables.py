"""Small tables in files, prepared or refused: what the tests of datasets share."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from journal_launcher.base.errors import UsageError
from journal_launcher.tabular.data.dataset import Dataset
from journal_launcher.tabular.data.prepared import (
    load,
    prepare,
)
from journal_launcher.tabular.data.source import TableSource

ROWS = 60


def columns(**more: Any) -> dict[str, Any]:
    """Sixty rows of a number, a category and a regression target, and what the test adds."""
    place = np.arange(ROWS)
    base = {"x": place * 7 % 61 + 0.25, "colour": np.array(["red", "blue", "green"])[place % 3]}
    return {**base, "y": place * 11 % 59 + 0.5, **more}


def csv_of(folder: Path, table: dict[str, Any], name: str = "table.csv") -> str:
    path = folder / name
    pd.DataFrame(table).to_csv(path, index=False)
    return str(path)


def prepared(folder: Path, table: dict[str, Any], seed: int = 0, **given: Any) -> dict[str, Any]:
    source = TableSource(csv_of(folder, table), seed, **{"target": "y", **given})
    return prepare(source, folder / "cache")


def loaded(folder: Path, table: dict[str, Any], **given: Any) -> Dataset:
    return load(Path(prepared(folder, table, **given)["directory"]))


def refusal(folder: Path, table: dict[str, Any], **given: Any) -> str:
    with pytest.raises(UsageError) as caught:
        prepared(folder, table, **given)
    message = str(caught.value)
    assert "\n" not in message and message.startswith(str(folder / "table.csv: "))
    assert not (folder / "cache").exists()
    return message


def arrays(table: Dataset) -> list[np.ndarray]:
    cuts = [rows for fold in table.folds for rows in (fold.train, fold.valid)]
    features = [table.features.numbers, table.features.codes]
    return [*features, table.target, table.train, table.holdout, *cuts]
