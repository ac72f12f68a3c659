"""Hold-out quality: `python benchmarks/quality.py housing.csv median_house_value`.

For every model type and seed of the split, one study: first its trial 0 alone (the defaults), then
the whole budget. Prints a markdown table; `--model-types`, `--seeds`, `--n-trials`, `--workers`.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from journal_launcher import launch


def holdout(study: Path) -> dict[str, float]:
    """The hold-out metrics of a study's published model."""
    sidecar = json.loads((study / "best_model.meta.json").read_text())
    metrics: dict[str, float] = sidecar["holdout_metrics"]
    return metrics


def measure(options: argparse.Namespace, model_type: str, seed: int, folder: str) -> dict[str, Any]:
    """Trial 0's and the best trial's hold-out metrics, and the seconds of the whole study."""
    name = f"{model_type}_{seed}"
    found = []
    began = time.monotonic()
    for n_trials in (1, options.n_trials):
        launch(
            data=options.data,
            target=options.target,
            model_type=model_type,
            seed=seed,
            n_trials=n_trials,
            study_name=name,
            studies_dir=folder,
            gpus=options.gpus,
            workers=options.workers if options.gpus == "none" else None,
        )
        found.append(holdout(Path(folder) / name))
    return {"default": found[0], "best": found[1], "seconds": time.monotonic() - began}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("target")
    parser.add_argument(
        "--model-types", default="catboost,neural_net,hist_gradient_boosting,linear"
    )
    parser.add_argument("--seeds", default="20,21,22")
    parser.add_argument("--n-trials", type=int, default=20)
    parser.add_argument("--gpus", default="none")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    seeds = [int(seed) for seed in options.seeds.split(",")]
    print(
        "| model type | default R² | tuned R² | worst difference | tuned RMSE | minutes a study |"
    )
    print("|---|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for model_type in options.model_types.split(","):
            runs = [measure(options, model_type, seed, folder) for seed in seeds]
            default = [run["default"]["r2"] for run in runs]
            tuned = [run["best"]["r2"] for run in runs]
            worst = min(b - a for a, b in zip(default, tuned, strict=True))
            rmse = statistics.mean(run["best"]["rmse"] for run in runs)
            minutes = statistics.mean(run["seconds"] for run in runs) / 60
            print(
                f"| {model_type} | {statistics.mean(default):.4f} | {statistics.mean(tuned):.4f} "
                f"| {worst:+.4f} | {rmse:,.0f} | {minutes:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
