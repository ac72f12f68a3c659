"""A GPU's memory: flat however many architectures come by, and enough again after it was not."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from gpu.place import Place
from tabular.models.small_tables import Reports, folds, settings, table
from tabular.tasks import task_of

from journal_launcher.tabular import metrics
from journal_launcher.tabular.data.dataset import Dataset
from journal_launcher.tabular.models.neural_net import model_type, step
from journal_launcher.tabular.models.neural_net.model_type import NeuralNet
from journal_launcher.worker.cuda_errors import is_out_of_memory
from journal_launcher.worker.jobs.table import TableObjective

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("default")]

MIB = 2**20


def model_on(place: Place) -> NeuralNet:
    model = NeuralNet(settings(gpu=True))
    model._device = place.device
    return model


def used() -> int:
    """Bytes of the whole GPU: also what torch does not count, of graphs say."""
    free, total = torch.cuda.mem_get_info()
    return int(total - free)


@pytest.mark.timeout(200)
def test_memory_stays_flat_while_architectures_change(place: Place) -> None:
    model = model_on(place)
    rows = 200 if place.cpu else 4000
    data, score = folds(*table(rows=rows)), metrics.score_function("r2", "regression")
    draw = random.Random(0)
    held: list[int] = []
    for number in range(2 if place.cpu else 200):
        params = {
            "layers": draw.randint(1, 3),
            "width": 16 if place.cpu else 8 * draw.randint(4, 64),
            "learning_rate": 0.01,
            "weight_decay": 0.01,
            "batch_size": draw.choice([32, 64, 128]),
            "dropout": draw.choice([0.0, 0.2]),
            "embedding": draw.choice(["none", "periodic"]),
            "sigma": 0.2,
        }
        found = model.cross_validate(params, data, score, number, Reports(), 1)
        assert np.isfinite(found.scores).all(), params
        assert len(model._steps) <= model_type._STEPS
        held.append(0 if place.cpu else used())
    print(
        f"MiB of the GPU in use after each 20th trial: {[amount // MIB for amount in held[::20]]}"
    )
    if not place.cpu:
        early, late = max(held[20:60]), max(held[-40:])
        assert late < 1.15 * early + 128 * MIB, [amount // MIB for amount in held[::20]]


@contextmanager
def full(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """No more memory than is taken now. On a CPU the next step that is captured finds none."""
    if not place.cpu:
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        taken = torch.cuda.memory_reserved() / torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(taken)
        try:
            yield []
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        return
    graph, failed = step._Graph, []

    def fail_once(*arguments: Any) -> Any:
        if not failed:
            failed.append(1)
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB.")
        return graph(*arguments)

    monkeypatch.setattr(step, "_Graph", fail_once)
    yield failed
    assert failed


def params_of(width: int) -> dict[str, Any]:
    return {
        "layers": 2,
        "width": width,
        "batch_size": 32,
        "learning_rate": 0.01,
        "weight_decay": 0.01,
        "embedding": "none",
        "dropout": 0.1,
    }


def test_where_kept_steps_fill_the_gpu_a_trial_gets_their_memory(
    place: Place, make_table: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: Dataset = make_table()
    objective = TableObjective(task_of(made, "neural_net", gpu=True), True, lambda *_: None)
    model = objective.model
    assert isinstance(model, NeuralNet)
    model._device = place.device
    monkeypatch.setattr(model, "_max_steps", 3)
    wide, narrow = (16, 24) if place.cpu else (2048, 1024)
    released: list[int] = []
    release = model.release
    monkeypatch.setattr(model, "release", lambda: (released.append(1), release()))

    def value(width: int) -> float:
        return objective(optuna.trial.FixedTrial(params_of(width), number=width))

    monkeypatch.setattr(model, "suggest", lambda trial: params_of(trial.number))
    assert np.isfinite(value(wide))
    with full(place, monkeypatch):
        assert np.isfinite(value(narrow))
    assert released == [1]
    assert np.isfinite(value(wide))


@pytest.mark.parametrize("where", ["before the capture", "in the capture"])
def test_a_full_gpu_is_known_as_such_and_its_process_lives_on(place: Place, where: str) -> None:
    if place.cpu:
        pytest.skip("needs a GPU")
    net = model_type.Mlp(62, 1, 3, 1024, 0.0, 0.1)
    like = place.rows(net, 2048, 0)
    take, calls = step.Step._take_each, []

    def limited(self: step.Step, *batches: Any) -> None:
        """No call into CUDA while a graph is captured: the limit is set around the warm-up."""
        calls.append(1)
        last = where == "in the capture"
        if last:
            take(self, *batches)
        if len(calls) == 1:
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
            total = torch.cuda.get_device_properties(0).total_memory
            reserved = torch.cuda.memory_reserved() + 8 * MIB
            torch.cuda.set_per_process_memory_fraction(reserved / total)
        if not last:
            take(self, *batches)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(step.Step, "_take_each", limited)
        with pytest.raises(RuntimeError) as caught:
            place.step(net, [like] * 5, 2048, True)
    torch.cuda.set_per_process_memory_fraction(1.0)
    assert is_out_of_memory(caught.value), caught.value
    del caught
    small = model_type.Mlp(8, 1, 2, 64, 0.0, 0.1)
    rows = [place.rows(small, 256, seed) for seed in range(5)]
    after = place.training(small, place.step(small, rows, 64, True), rows)
    after.epoch()
    assert all(torch.isfinite(weights.flat).all() for weights in after.snapshot())
