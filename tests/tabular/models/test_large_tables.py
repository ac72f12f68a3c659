"""Wide and long tables: a trial of boosting is bounded in work and in memory, and still learns."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tabular.models.large_table import SIZES, model_of
from tabular.tasks import needs

BOOSTING = ("catboost", "xgboost", "lightgbm", "hist_gradient_boosting")
EACH = pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name)) for name in BOOSTING])
FOLDS = 3


@EACH
@pytest.mark.parametrize("size", SIZES)
def test_a_fold_is_estimated_to_take_two_minutes_at_most(name: str, size: str) -> None:
    """Or it has the fewest rounds that any table gets."""
    rows, columns, classes = SIZES[size]
    model: Any = model_of(name, rows, columns, classes)
    rounds = model.affordable
    assert rounds == 100 or model._seconds(limited=rounds < model.max_steps) * rounds <= 100


@pytest.mark.slow
@EACH
@pytest.mark.parametrize("size", SIZES)
def test_a_trial_takes_what_was_estimated_and_bounded_memory(name: str, size: str) -> None:
    """Seconds of a core, which other processes on the machine stretch: three times is as good."""
    rows, columns, _ = SIZES[size]
    said = subprocess.run(
        [sys.executable, "-P", "-m", "tabular.models.large_table", name, size, str(FOLDS)],
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(Path(__file__).parents[2]),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(said.stdout.splitlines()[-1])
    print(name, size, found)
    most = max(100.0, found["least"]) * (FOLDS + 1)
    assert found["seconds"] <= 3 * most
    assert found["peak_mb"] <= 1500 + 8 * rows * columns * 8 / 1e6
    assert found["score"] < found["dummy"] * 0.9
