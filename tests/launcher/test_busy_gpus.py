"""Eight GPUs, trials of very different lengths: nobody waits until the last trial is granted."""

import json

import pytest
from launcher.harness import Workshop
from optuna.trial import FrozenTrial

GPUS, TRIALS = 8, 96
SLEEPING = """
import random

def objective(trial):
    time.sleep(3 * random.Random(trial.number).lognormvariate(0, 0.8))
    return trial.suggest_float("x", 0, 1)
"""


@pytest.mark.slow
def test_eight_gpus_are_busy_until_the_last_grant(workshop: Workshop) -> None:
    """By the times in the journal, of trials that only sleep: on this machine there is no GPU."""
    workshop.write(SLEEPING)
    (workshop.folder / "libcuda.so.1").write_text("no library")
    gpus = [{"uuid": f"GPU-{index:032x}", "name": "NVIDIA H100"} for index in range(GPUS)]
    environment = {"LD_LIBRARY_PATH": str(workshop.folder), "FAKE_NVML": json.dumps({"gpus": gpus})}
    ended = workshop.run("--gpus", "all", "--n-trials", str(TRIALS), environment=environment)
    assert ended.code == 0, ended.err
    trials = workshop.trials()
    assert len(trials) == TRIALS
    assert len({trial.user_attrs["jl_device_uuid"] for trial in trials}) == GPUS
    share = busy_until_the_last_grant(trials)
    print(f"{GPUS} workers, {TRIALS} trials: {share:.1%} busy until the last grant")
    assert share >= 0.97


def busy_until_the_last_grant(trials: list[FrozenTrial]) -> float:
    """Of the time of all workers between the first trial's start and the last one's."""
    starts = [trial.datetime_start.timestamp() for trial in trials if trial.datetime_start]
    ends = [trial.datetime_complete.timestamp() for trial in trials if trial.datetime_complete]
    last = max(starts)
    worked = sum(min(end, last) - start for start, end in zip(starts, ends, strict=True))
    return worked / (GPUS * (last - min(starts)))
