"""Whole launches on a real GPU: what workers are pinned to, what errors cost, who else is there."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from gpu.place import Place
from launcher.harness import ROOT, Ended, Workshop, finish
from tabular.tasks import needs

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("default"), pytest.mark.timeout(240)]

# A sticky error, a full memory, and a death from outside, each of one trial; then none.
OBJECTIVE = """
import torch

device = "cuda" if torch.cuda.is_available() else "cpu"

def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    if trial.number == 1 and device == "cuda":
        torch.zeros(4, device=device).gather(0, torch.tensor([7], device=device)).cpu()
    if trial.number == 2:
        if device == "cpu":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 8.00 TiB.")
        torch.empty(2**43, device=device, dtype=torch.uint8)
    if trial.number == 4:
        held = torch.ones(2**24, device=device)
        os.kill(os.getpid(), signal.SIGKILL)
    return float(torch.ones(8, device=device).sum()) + x
"""
# The libraries may be there by that variable alone.
PATHS = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
HOLDER = """
import sys, torch
held = torch.ones(2**31, device="cuda", dtype=torch.uint8)
torch.cuda.synchronize()
print("held", flush=True)
sys.stdin.read()
"""


def run(shop: Workshop, *options: str, table: bool = False) -> Ended:
    """With the real NVML, which the other tests replace."""
    return finish(shop.start(*options, table=table, environment={"PYTHONPATH": PATHS}), 200)


def placed(shop: Workshop) -> set[tuple[str, str]]:
    """Kind of device and what its check found, of all trials."""
    found = (trial.user_attrs for trial in shop.trials())
    return {(at["jl_device"].split()[0], at["jl_device_status"]) for at in found}


def expected(place: Place) -> set[tuple[str, str]]:
    return {("CPU", "cpu")} if place.cpu else {("GPU", "verified")}


def small(place: Place, *options: str) -> tuple[str, ...]:
    """The default table; on a CPU with few trials of few folds."""
    fewer = ("--k-folds", "2", "--confirm", "0") if place.cpu else ()
    return ("--gpus", place.gpus, *fewer, *options)


def test_every_trial_of_the_default_job_is_verified(place: Place, workshop: Workshop) -> None:
    trials = "2" if place.cpu else "20"
    ended = run(workshop, *small(place, "--n-trials", trials, "--json"), table=True)
    assert ended.code == 0, ended.err
    assert placed(workshop) == expected(place)
    assert Counter(workshop.states())["COMPLETE"] >= 2
    assert ended.json["model_path"] is not None and (ended.json["gpus"] is None) is place.cpu
    for gpu in ended.json["gpus"] or []:
        assert 0 < gpu["used"] <= gpu["total"]


def test_errors_that_a_process_survives_or_not_cost_one_trial_each(
    place: Place, workshop: Workshop
) -> None:
    workshop.write(OBJECTIVE)
    ended = run(workshop, "--gpus", place.gpus, "--n-trials", "6")
    assert ended.code == 0, ended.err
    states = Counter(workshop.states())
    assert states["COMPLETE"] == 6 and set(states) == {"COMPLETE", "FAIL"}
    reasons = {
        trial.number: trial.user_attrs["jl_fail_reason"]
        for trial in workshop.trials()
        if trial.state.name == "FAIL"
    }
    assert reasons[2].startswith("CUDA out of memory: ")
    assert "SIGKILL" in reasons[4], reasons
    if not place.cpu:
        assert "device-side assert" in reasons[1], reasons
    assert set(reasons) == ({2, 4} if place.cpu else {1, 2, 4})
    assert placed(workshop) == expected(place)


def test_two_workers_share_a_gpu(place: Place, workshop: Workshop) -> None:
    both = ("--workers", "2") if place.cpu else ("--workers-per-gpu", "2")
    trials = "3" if place.cpu else "12"
    ended = run(workshop, *small(place, *both, "--n-trials", trials), table=True)
    assert ended.code == 0, ended.err
    assert placed(workshop) == expected(place)
    assert {trial.user_attrs["jl_worker"] for trial in workshop.trials()} == {0, 1}


@contextmanager
def busy() -> Iterator[None]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        yield
        holder.kill()


def test_a_busy_gpu_is_left_alone_unless_it_is_asked_for(place: Place, workshop: Workshop) -> None:
    if place.cpu:
        pytest.skip("needs a GPU")
    workshop.write("def objective(trial): return 0.0")
    masked = {**os.environ, "PYTHONPATH": PATHS, "CUDA_VISIBLE_DEVICES": "0"}
    with busy():
        for gpus, code, said in (("auto", 2, "every GPU is in use"), ("all", 0, "used anyway")):
            options = ("--gpus", gpus, "--n-trials", "1")
            ended = finish(workshop.start(*options, environment=masked), 200)
            assert ended.code == code and said in ended.err, ended


@pytest.mark.parametrize(
    "model_type",
    [pytest.param(name, marks=needs(name)) for name in ("catboost", "xgboost", "lightgbm")],
)
@pytest.mark.parametrize("data", ["sklearn:diabetes", "sklearn:wine"])
def test_boosting_trains_on_the_gpu_if_it_can(
    place: Place, workshop: Workshop, model_type: str, data: str
) -> None:
    """LightGBM cannot."""
    if place.cpu and (data != "sklearn:wine" or model_type != "xgboost"):
        pytest.skip("of a dry run one of them is enough")
    if not place.cpu and model_type == "xgboost":
        _skip_without_cuda()
    options: tuple[str, ...] = ("--data", data, "--model-type", model_type, "--n-trials", "1")
    ended = run(workshop, *small(place, *options), table=True)
    assert ended.code == 0, ended.err
    on_cpu = place.cpu or model_type == "lightgbm"
    assert placed(workshop) == ({("CPU", "cpu")} if on_cpu else {("GPU", "verified")})
    assert workshop.sidecar()["model_type"] == model_type


def _skip_without_cuda() -> None:
    import xgboost

    if not xgboost.build_info()["USE_CUDA"]:
        pytest.skip("xgboost-cpu is installed, which has no CUDA")


def test_two_workers_of_catboost_share_a_gpu(place: Place, workshop: Workshop) -> None:
    if place.cpu:
        pytest.skip("the same as two workers of a network")
    options = ("--data", "sklearn:wine", "--model-type", "catboost", "--workers-per-gpu", "2")
    ended = run(workshop, *small(place, *options, "--n-trials", "2"), table=True)
    assert ended.code == 0, ended.err
    assert placed(workshop) == expected(place)
