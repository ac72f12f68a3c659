"""AutoGluon on one table, run by a Python that has it: `autogluon_fit.py REQUEST.json` prints JSON.

The request: train, test (CSV files), target, problem_type, metric ("root_mean_squared_error" or
"log_loss"), preset, seconds, threads, folder. Its torch models stay off: they are not installed.
"""

import json
import sys
import time
from pathlib import Path

import pandas as pd
from autogluon.tabular import TabularPredictor

WITHOUT = ["NN_TORCH", "FASTAI"]


def main(request: dict[str, object]) -> None:
    train, test = pd.read_csv(request["train"]), pd.read_csv(request["test"])
    began = time.monotonic()
    predictor = TabularPredictor(
        request["target"],
        problem_type=request["problem_type"],
        eval_metric=request["metric"],
        path=request["folder"],
        verbosity=0,
    ).fit(
        train,
        presets=request["preset"],
        time_limit=request["seconds"],
        excluded_model_types=WITHOUT,
        num_cpus=request["threads"],
        num_gpus=0,
    )
    seconds = time.monotonic() - began
    board = predictor.leaderboard()
    single = board[~board["model"].str.startswith("WeightedEnsemble")].iloc[0]["model"]
    scores = predictor.evaluate(test, model=single, silent=True)
    ensemble = predictor.evaluate(test, silent=True)
    metric = str(request["metric"])
    print(
        json.dumps(
            {
                "model": single,
                "score": abs(scores[metric]),
                "ensemble": abs(ensemble[metric]),
                "models": len(board),
                "seconds": seconds,
            }
        )
    )


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
