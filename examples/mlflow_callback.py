"""Every trial as a run in MLflow, in a store of files: no server.

journal-launcher run --objective examples/plain_function.py:objective \
    --callback examples/mlflow_callback.py:log

then `MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri ./mlruns` (`pip install mlflow`; to
log alone, `pip install mlflow-skinny`). MLFLOW_TRACKING_URI names another place, such as
sqlite:///mlflow.db, which newer versions prefer, or a server.
"""

import os
import time

import mlflow
import optuna
from mlflow.exceptions import MlflowException

os.environ.setdefault("MLFLOW_TRACKING_URI", "file:./mlruns")
os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")


def log(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    """Called in the worker that ran the trial; workers write at the same time."""
    client = mlflow.MlflowClient()
    run = client.create_run(
        _experiment(client, study.study_name),
        run_name=f"trial {trial.number}",
        start_time=int(trial.datetime_start.timestamp() * 1000),
    ).info.run_id
    for name, value in trial.params.items():
        client.log_param(run, name, value)
    for step, value in trial.intermediate_values.items():
        client.log_metric(run, "reported", value, step=step)
    for place, value in enumerate(trial.values or ()):
        client.log_metric(run, "value" if len(trial.values) == 1 else f"value_{place}", value)
    client.set_tag(run, "state", trial.state.name)
    complete = trial.state == optuna.trial.TrialState.COMPLETE
    client.set_terminated(run, "FINISHED" if complete else "FAILED")


def _experiment(client: mlflow.MlflowClient, name: str) -> str:
    """The study's, which the worker that is first makes."""
    for _ in range(10):
        found = client.get_experiment_by_name(name)
        if found is not None:
            return found.experiment_id
        try:
            return client.create_experiment(name)
        except MlflowException:  # another worker was first, and has not written it to the end
            time.sleep(0.1)
    raise RuntimeError(f"MLflow has no experiment {name}, and makes none")
