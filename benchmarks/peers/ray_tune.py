"""Ray Tune with OptunaSearch, as many concurrent trials as workers."""

import contextlib
import os
import sys
from typing import Any

import ray
from objective import run
from ray import tune
from ray.tune.search import ConcurrencyLimiter
from ray.tune.search.optuna import OptunaSearch

n_trials, n_workers = map(int, sys.argv[1:])


def trainable(config: dict[str, Any]) -> dict[str, float]:
    with contextlib.suppress(PermissionError):  # from the second trial of a process on
        os.setsid()  # see `processes` in launcher.py
    return {"value": run(config["index"])}


os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
ray.init(num_cpus=n_workers, include_dashboard=False, log_to_driver=False)
points = [{"index": index} for index in range(n_trials)]
search = OptunaSearch(metric="value", mode="min", points_to_evaluate=points)
tuner = tune.Tuner(
    trainable,
    param_space={"index": tune.randint(0, 10**6)},
    tune_config=tune.TuneConfig(
        search_alg=ConcurrencyLimiter(search, max_concurrent=n_workers), num_samples=n_trials
    ),
    run_config=tune.RunConfig(verbose=0, storage_path=os.getcwd()),
)
assert not tuner.fit().errors
