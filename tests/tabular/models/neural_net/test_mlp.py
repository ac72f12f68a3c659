"""The network alone: its gradient, its embeddings and what the folds of a batch have in common."""

from dataclasses import replace

import pytest
import torch
from tabular.models.neural_net.plainly import one_fold
from torch import Tensor
from torch.nn import functional

from journal_launcher.tabular.models.neural_net import mlp
from journal_launcher.tabular.models.neural_net.mlp import Mlp

FOLDS, ROWS = 3, 40
PLAIN = Mlp(inputs=5, outputs=1, layers=3, width=7, slope=0.0, dropout=0.0)
PERIODIC = replace(PLAIN, numbers=3, frequencies=4, embedding=2, sigma=0.5)


def generators() -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in range(FOLDS)]


def batch(net: Mlp) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(9)
    x = torch.randn(ROWS, FOLDS, net.inputs, generator=random, dtype=torch.float64)
    if net.outputs > 1:
        return x, torch.randint(0, net.outputs, (ROWS, FOLDS, 1), generator=random)
    return x, torch.randn(ROWS, FOLDS, 1, generator=random, dtype=torch.float64)


def drawn_masks(net: Mlp, dropout: float) -> Tensor:
    shape = (net.layers if dropout else 0, ROWS, FOLDS, net.width)
    random = torch.Generator().manual_seed(7)
    return (torch.rand(shape, generator=random, dtype=torch.float64) >= dropout).double()


@pytest.mark.parametrize("net", [PLAIN, PERIODIC], ids=["plain", "periodic"])
@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize(("slope", "dropout"), [(0.0, 0.0), (0.01, 0.0), (0.0, 0.5), (0.01, 0.5)])
def test_the_gradient_is_the_one_that_autograd_finds(
    net: Mlp, classes: int, slope: float, dropout: float
) -> None:
    net = replace(net, outputs=max(1, classes), slope=slope)
    x, y = batch(net)
    masks = drawn_masks(net, dropout)
    weights = net.initial(generators(), torch.float64)
    gradient = torch.full_like(weights.flat, torch.nan)
    layers, into = net.unflatten(weights.flat), net.unflatten(gradient)
    norms = net.norms(FOLDS, x.device)
    net.backpropagate(layers, into, norms, weights.stats, x, y, masks)
    for fold in range(FOLDS):
        flat = weights.flat[fold].clone().requires_grad_()
        output = one_fold(net, flat, masks[:, :, fold], x[:, fold])
        if classes:
            loss = functional.cross_entropy(output, y[:, fold, 0])
        else:
            loss = functional.mse_loss(output, y[:, fold])
        torch.testing.assert_close(gradient[fold], torch.autograd.grad(loss, flat)[0])


@pytest.mark.parametrize("classes", [0, 3])
def test_the_gradient_is_of_the_weighted_loss(classes: int) -> None:
    net = replace(PERIODIC, outputs=max(1, classes))
    x, y = batch(net)
    masks = drawn_masks(net, 0.0)
    random = torch.Generator().manual_seed(3)
    rows = torch.rand(ROWS, FOLDS, 1, generator=random, dtype=torch.float64)
    weights = net.initial(generators(), torch.float64)
    gradient = torch.full_like(weights.flat, torch.nan)
    layers, into = net.unflatten(weights.flat), net.unflatten(gradient)
    norms = net.norms(FOLDS, x.device)
    net.backpropagate(layers, into, norms, weights.stats, x, y, masks, rows)
    for fold in range(FOLDS):
        flat = weights.flat[fold].clone().requires_grad_()
        output = one_fold(net, flat, masks[:, :, fold], x[:, fold])
        if classes:
            losses = functional.cross_entropy(output, y[:, fold, 0], reduction="none")
        else:
            losses = functional.mse_loss(output, y[:, fold], reduction="none")[:, 0]
        loss = (losses * rows[:, fold, 0]).mean()
        torch.testing.assert_close(gradient[fold], torch.autograd.grad(loss, flat)[0])


@pytest.mark.parametrize("net", [PLAIN, PERIODIC], ids=["plain", "periodic"])
def test_the_network_that_predicts_is_the_one_that_trains(net: Mlp) -> None:
    """With the statistics of the batch, and a variance of n instead of n - 1."""
    weights = net.initial(generators(), torch.float64)
    x, y = batch(net)
    layers, into = net.unflatten(weights.flat), net.unflatten(torch.empty_like(weights.flat))
    norms = net.norms(FOLDS, x.device)
    for _ in range(500):  # the running statistics come to those of the one batch
        net.backpropagate(layers, into, norms, weights.stats, x, y, drawn_masks(net, 0.0))
    weights.stats[1::2] *= (ROWS - 1) / ROWS
    found = net.evaluate(weights, x)
    for fold in range(FOLDS):
        alone = one_fold(net, weights.flat[fold], drawn_masks(net, 0.0), x[:, fold])
        torch.testing.assert_close(found[:, fold], alone)
        torch.testing.assert_close(
            net.evaluate(weights.fold(fold), x[:, fold : fold + 1]), found[:, fold : fold + 1]
        )


def test_frequencies_begin_with_the_spread_asked_for() -> None:
    net = replace(PERIODIC, inputs=50, numbers=50, frequencies=100, sigma=0.25)
    periodic = net.unflatten(net.initial(generators(), torch.float32).flat).periodic
    frequencies, matrix, bias = periodic
    assert frequencies.shape == (FOLDS, 50, 100)
    assert float(frequencies.std()) == pytest.approx(0.25, rel=0.02)
    assert float(matrix.abs().max()) <= 200**-0.5
    assert float(bias.abs().max()) <= 200**-0.5


def test_waves_are_the_same_wherever_they_are_written() -> None:
    """A GPU writes them into two halves of one memory, a CPU puts them together."""
    angles = 9 * torch.randn(40, 3, 5, 16, generator=torch.Generator().manual_seed(0))
    found = mlp._in_halves(angles)
    assert torch.equal(found, mlp._waves(angles))
    assert torch.equal(found, torch.cat([angles.cos(), angles.sin()], dim=3))


def test_a_bias_that_batch_norm_takes_away_has_no_gradient() -> None:
    """Of a unit that every row leaves on. Rounding would make it wander: Adam takes any size."""
    net = replace(PERIODIC, numbers=1, embedding=2)
    weights = net.initial(generators(), torch.float32)
    bias = net.unflatten(weights.flat).periodic[2]
    bias[:, :, 0], bias[:, :, 1] = 10.0, 0.0
    x, y = (tensor.float() for tensor in batch(net))
    gradient = torch.zeros_like(weights.flat)
    layers, into = net.unflatten(weights.flat), net.unflatten(gradient)
    norms = net.norms(FOLDS, x.device)
    net.backpropagate(layers, into, norms, weights.stats, x, y, drawn_masks(net, 0.0))
    assert (into.periodic[2][:, 0, 0] == 0).all()
    assert (into.periodic[2][:, 0, 1] != 0).all()
    assert (into.periodic[1][:, 0, 0] != 0).any()
