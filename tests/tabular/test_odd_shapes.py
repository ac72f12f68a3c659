"""Tables of unusual shape: every model type learns, in little memory and time."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from tabular.tasks import EACH_MODEL_TYPE, publish

from journal_launcher.tabular import importance
from journal_launcher.tabular.data.dataset import Dataset
from journal_launcher.tabular.data.prepared import load, prepare
from journal_launcher.tabular.data.source import TableSource
from journal_launcher.tabular.predict import load as load_model

MEBIBYTES, CPU_SECONDS = 256, 60.0
"""Several times what any type takes of these tables on a busy machine."""
ZEROS = 0.99


def wide(rows: int, columns: int) -> dict[str, Any]:
    """A target of two of the columns; every tenth column is text."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, columns))
    table: dict[str, Any] = {f"x{place}": column for place, column in enumerate(x.T)}
    for place in range(9, columns, 10):
        table[f"x{place}"] = np.array(list("abcde"))[rng.integers(0, 5, size=rows)]
    return {**table, "y": 2 * x[:, 0] + x[:, 1] + rng.normal(size=rows) / 4}


def narrow(rows: int, target: Callable[[NDArray[np.float64]], Any]) -> dict[str, Any]:
    x = np.random.default_rng(0).normal(size=(rows, 4))
    return {**dict(zip("abcd", x.T, strict=True)), "y": target(x[:, 0])}


def of_50(x: NDArray[np.float64]) -> list[str]:
    """Classes of equally many rows, in the order of x."""
    return [f"class {rank * 50 // len(x)}" for rank in np.argsort(np.argsort(x))]


def mostly_zero(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(x > np.quantile(x, ZEROS), 10 * x, 0.0)


TABLES: dict[str, tuple[dict[str, Any], float, float]] = {
    # of the validation rows' scores the worst that is sane, and the best that is possible
    "more features than rows": (wide(40, 120), -1.5, 1.0),
    "320 columns": (wide(90, 320), -0.5, 1.0),
    "50 classes": (narrow(500, of_50), 1.1 * np.log(50), 0.0),
    "99 % zeros": (narrow(1000, mostly_zero), -0.5, 1.0),
    "99 % of one class": (
        narrow(1000, lambda x: np.where(mostly_zero(x) > 0, "yes", "no")),
        0.3,
        0.0,
    ),
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Dataset]:
    """prepared(name): the table, read once for all model types."""
    kept: dict[str, Dataset] = {}

    def found(name: str) -> Dataset:
        if name not in kept:
            file = tmp_path_factory.mktemp("shapes") / "table.csv"
            pd.DataFrame(TABLES[name][0]).to_csv(file, index=False)
            source = TableSource(str(file), 0, target="y", k_folds=3)
            facts = prepare(source, file.parent / "cache")
            kept[name] = load(Path(facts["directory"]))
        return kept[name]

    return found


@pytest.fixture(autouse=True)
def little_importance(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is measured until its time is up, whatever the table."""
    monkeypatch.setattr(importance, "_SECONDS", 0.1)


def _peak() -> int:
    """The most memory that this process has had since it was last reset, in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


@contextmanager
def bounded() -> Iterator[None]:
    with suppress(OSError):  # a container may forbid it; then the peak so far hides some of ours
        Path("/proc/self/clear_refs").write_text("5")
    before, began = _peak(), time.process_time()
    yield
    assert time.process_time() - began < CPU_SECONDS
    assert _peak() - before < MEBIBYTES * 1024


@pytest.mark.parametrize("model_type", EACH_MODEL_TYPE)
@pytest.mark.parametrize("name", TABLES)
def test_every_model_type_learns_from_a_table_of_unusual_shape(
    prepared: Callable[[str], Dataset], tmp_path: Path, name: str, model_type: str
) -> None:
    table = prepared(name)
    with bounded():
        model = load_model(publish(table, model_type, tmp_path / "study"))
    columns, worst, best = TABLES[name]
    low, high = sorted((worst, best))
    assert low <= model.sidecar["value"] <= high
    found = model.predict(pd.DataFrame(columns).drop(columns="y"))
    assert len(found) == len(columns["y"])
    if table.schema.task == "regression":
        assert np.isfinite(found).all()
    else:
        assert {*found} <= {*columns["y"]}


@pytest.mark.parametrize("embedding", ["none", "periodic"])
def test_a_network_of_many_columns_stays_small_with_any_embedding(
    prepared: Callable[[str], Dataset], tmp_path: Path, embedding: str
) -> None:
    table = prepared("320 columns")
    with bounded():
        study = publish(table, "neural_net", tmp_path / "study", ranges={"embedding": embedding})
    model = load_model(study)
    assert model.sidecar["params"]["embedding"] == embedding
    assert -1.0 <= model.sidecar["value"] <= 1.0
