"""What an epoch does on a GPU besides its steps: it waits for nothing, and begins anew alike."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from gpu.place import Place

from journal_launcher.tabular.models.neural_net.mlp import Mlp
from journal_launcher.tabular.models.neural_net.step import TensorRows

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("default")]

PLAIN = Mlp(8, 1, 2, 32, 0.0, 0.1)
NETS = {
    "plain": PLAIN,
    "classes": replace(PLAIN, outputs=3, dropout=0.0, layers=1),
    "periodic": replace(PLAIN, numbers=6, frequencies=16, embedding=8, sigma=0.2),
}


@contextmanager
def no_waiting(place: Place) -> Iterator[None]:
    """Within it, what makes the host wait for the GPU is an error."""
    if place.cpu:
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it is a prototype
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("where", ["on the device", "on the host"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", NETS)
def test_an_epoch_never_waits_for_the_device(
    place: Place, name: str, weighted: bool, where: str
) -> None:
    """The rows too, where they did not fit and come from the host."""
    net = NETS[name]
    folds = [place.rows(net, 160 + seed, seed) for seed in range(2)]
    if weighted:
        folds = [replace(rows, weights=torch.ones_like(rows.x[:, :1])) for rows in folds]
    if where == "on the host":
        folds = [TensorRows(*(part.cpu() for part in rows.tensors)) for rows in folds]
    training = place.training(net, place.step(net, folds, 32, True), folds)
    training.epoch()  # the first calls of libraries may wait
    place.sync()
    if where == "on the host":  # orders are drawn on the device and read on the host
        training.epoch()
    else:
        with no_waiting(place):
            training.epoch()
    assert all(torch.isfinite(weights.flat).all() for weights in training.snapshot())


def test_the_same_seed_trains_the_same_network(
    place: Place, record_property: Callable[[str, object], None]
) -> None:
    """Whether bit by bit is noted: a replay on the same model of GPU can promise no more."""
    net = NETS["periodic"]
    folds = [place.rows(net, 320, seed) for seed in range(3)]
    step = place.step(net, folds, 32, True)
    found = []
    for _ in range(2):
        training = place.training(net, step, folds)
        for _ in range(3):
            training.epoch()
        found.append(torch.cat([weights.flat for weights in training.snapshot()]))
    same = torch.equal(*found)
    record_property("bit by bit", same)
    print(f"the same seed twice, bit by bit: {same}")
    assert float((found[0] - found[1]).norm() / found[0].norm()) < 1e-3
