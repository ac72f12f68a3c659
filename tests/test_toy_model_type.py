"""A model type added to a copy of the package as CONTRIBUTING says, and what it then can."""

import csv
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from launcher.harness import ROOT

from journal_launcher.settings.model_types import MODEL_TYPES

MODELS = MODEL_TYPES["linear"].class_path.rpartition(".")[0]  # where the classes lie
LIBRARY = MODELS.rpartition(".")[0]
CLASS = f'''
"""Least squares with a penalty, by numpy alone."""

import json
from pathlib import Path

import numpy as np

from {MODELS}.fold_by_fold import FoldByFold
from {MODELS}.space import between
from {LIBRARY}.preprocessing import Encoder


class Toy(FoldByFold):
    extension = "json"
    max_steps = 1
    every = 1
    members = 1

    def space(self):
        return {{"penalty": between(1e-3, 10.0, default=1.0, log=True, least=0)}}

    def fit(self, params, features, target, steps, seed, weights=None):
        encoder, mean = Encoder.fit(features, self.settings.flags["scaled"]), target.mean()
        x = encoder.transform(features, np.float64)
        square = x.T @ x + (params["penalty"] + 1e-9) * np.eye(x.shape[1])
        return FittedToy(encoder, np.linalg.solve(square, x.T @ (target - mean)), mean)

    def load(self, path, state):
        content = json.loads(Path(path).read_text())
        encoder = Encoder.from_json(state["encoder"])
        return FittedToy(encoder, np.array(content["weights"]), content["mean"])


class FittedToy:
    def __init__(self, encoder, weights, mean):
        self.encoder, self.weights, self.mean = encoder, weights, mean

    def predict(self, features):
        return self.encoder.transform(features, np.float64) @ self.weights + self.mean

    def predict_at(self, features, steps):
        return self.predict(features)

    def staged(self, features, every):
        yield self.predict(features)

    def save(self, path):
        content = {{"weights": self.weights.tolist(), "mean": float(self.mean)}}
        Path(path).write_text(json.dumps(content))
        return {{"encoder": self.encoder.to_json()}}
'''
ENTRY = f'''
    "toy": ModelSpec(
        "{MODELS}.toy:Toy",
        package="numpy",
        flags=("scaled",),
        remedies={{"regularised": Remedy(ranges={{"penalty": {{"low": 5.0, "high": 50.0}}}})}},
    ),
    "absent": ModelSpec("{MODELS}.absent:Absent", package="no_such_library", extra="absent"),
'''
OPTION = """
    scaled: bool = option(
        True, MODEL, f"Scale features for {belonging_to('scaled')}.", switch=True, twin=True
    )
"""
CONFIG = """
n_trials = 2
k_folds = 2
gpus = "none"

[toy]
penalty = [0.5, 2.0]
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with the new type, and two tables: of a slope, and of noise."""
    folder = tmp_path_factory.mktemp("house")
    package = folder / "journal_launcher"
    shutil.copytree(ROOT / "journal_launcher", package)
    (folder.joinpath(*MODELS.split(".")) / "toy.py").write_text(CLASS)
    entries = package / "settings" / "model_types.py"
    before, end, after = entries.read_text().partition("\n}\n")
    assert end
    entries.write_text(before + ENTRY.rstrip() + end + after)
    options = package / "settings" / "job_groups.py"
    before, first, after = options.read_text().partition("    refit: str = option(")
    assert first
    options.write_text(before + OPTION.lstrip("\n") + first + after)
    (folder / "run.toml").write_text(CONFIG)
    chance = random.Random(0)
    for name, slope in (("slope", 3.0), ("noise", 0.0)):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["a", "b", "y"])
            for _ in range(80):
                a, b = chance.random(), chance.random()
                rows.writerow([a, b, slope * a + chance.random()])
    return folder


def typed(house: Path, *words: str, code: int = 0) -> str:
    """Run a command with the copy of the package; what it printed, or said where it failed."""
    found = subprocess.run(
        [sys.executable, "-P", "-m", "journal_launcher", *words],
        cwd=house,
        env={**os.environ, "PYTHONPATH": str(house)},  # the bytecode is copied, too
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert found.returncode == code, found.stderr
    return found.stdout or found.stderr


def test_a_study_of_the_new_type_runs_and_its_model_is_judged_and_used(house: Path) -> None:
    options = ("--config", "run.toml", "--data", "slope.csv", "--target", "y")
    toy = ("--model-type", "toy", "--no-scaled")
    ended = json.loads(typed(house, "run", *options, *toy, "--json"))
    assert ended["n_finished"] == 2 and ended["best_trial"]["params"]["penalty"] in (0.5, 2.0)
    study = Path(ended["model_path"]).parent
    assert study.name == "slope_y_toy" and (study / "best_model.json").exists()
    told = json.loads((study / "best_model.meta.json").read_text())
    assert told["flags"]["scaled"] is False
    assert told["model_state"]["encoder"]["quantiles"] == [[], []]
    assert json.loads(typed(house, "health", study.name, "--json"))["level"] != "absent"
    typed(house, "predict", study.name, "--data", "slope.csv", "--out", "out.csv")
    assert len((house / "out.csv").read_text().splitlines()) == 81
    assert "same" in typed(house, "replay", study.name, "0")


def test_a_type_whose_library_is_missing_is_one_line_and_can_still_be_listed(house: Path) -> None:
    said = typed(house, "run", "--model-type", "absent", code=2)
    assert said == (
        "error: absent: its library no_such_library is not installed; type "
        "pip install 'journal-launcher[absent]'\n"
    )
    assert 'model_type = "absent"' in typed(
        house, "run", "--model-type", "absent", "--print-config"
    )


def test_the_new_type_is_compared_with_others(house: Path) -> None:
    options = ("--config", "run.toml", "--data", "slope.csv", "--target", "y", "--json")
    ended = json.loads(
        typed(
            house, "run", "--compare-models", "--model-types", "toy,linear", "--no-scaled", *options
        )
    )
    assert {model["model_type"] for model in ended["models"]} == {"toy", "linear"}
    assert all(model["rank"] for model in ended["models"]) and ended["exit_code"] == 0


def test_a_retry_changes_what_the_entry_says_and_the_skip_registry_knows_the_type(
    house: Path,
) -> None:
    options = ("--data", "noise.csv", "--target", "y", "--n-trials", "2", "--k-folds", "2")
    watched = ("--model-type", "toy", "--gpus", "none", "--max-watch-retries", "1", "--json")
    ended = json.loads(typed(house, "watch", *options, *watched, code=1))
    assert ended["message"].startswith("SKIP_MODEL")
    (line, _) = (house / "optuna_studies/noise_y_toy/decisions.jsonl").read_text().splitlines()
    then = json.loads(line)["then"]
    assert then["spaces"] == {"toy": {"penalty": {"low": 5.0, "high": 50.0}}}
    assert typed(house, "skip", "list").startswith("toy on ")
    assert "toy" in typed(house, "skip", "clear", "--model-type", "toy")
