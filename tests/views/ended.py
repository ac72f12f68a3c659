"""Launches that have ended, for tests of what is said of them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from journal_launcher.base.artifacts.scores import Baseline, Baselines
from journal_launcher.base.artifacts.sidecar import Sidecar
from journal_launcher.base.events import BestTrial, LaunchEnded

STUDIES = Path("/data/my studies")
PARAMS = {"n_layers": 3, "learning_rate": 0.00123456789, "optimizer": "adamw"}
SIDECAR: dict[str, Any] = {
    "kind": "table",
    "model_type": "neural_net",
    "metric": "r2",
    "task": "regression",
    "cv_score": 0.47,
    "fold_scores": [0.4, 0.5, 0.51],
    "overfit_ratio": 1.1,
    "epochs": 40,
    "holdout_metrics": {"r2": 0.431, "rmse": 55.1},
    "holdout_interval": [0.33, 0.52],
    "refit": "train",
}
TABLE = LaunchEnded(
    study="diabetes_neural_net",
    exit_reason="done",
    exit_code=0,
    n_trials=20,
    n_finished=20,
    n_failed=0,
    directions=("maximize",),
    metric="r2",
    best_trial=BestTrial(7, (0.47,), PARAMS),
    model_path=STUDIES / "diabetes_neural_net/best_model.safetensors",
    journal=STUDIES / "diabetes_neural_net.log",
    seconds=252.0,
    sidecar=Sidecar.from_json(SIDECAR),
    baselines=Baselines({"dummy": Baseline(-0.012), "linear": Baseline(0.45)}),
)
OBJECTIVE = replace(
    TABLE,
    study="train_objective",
    directions=("minimize",),
    metric=None,
    best_trial=BestTrial(3, (0.25,), {"x": 0.5}),
    model_path=None,
    sidecar=None,
    baselines=None,
)
