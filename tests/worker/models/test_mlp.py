"""The network alone: its gradient, its masks and its batches."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from journal_launcher.worker.models.mlp import Mlp, Rows, Training


def start(
    net: Mlp, rows: Rows, batch: int, batches: int = 1, kind: type[Training] = Training
) -> Training:
    return kind(
        net,
        rows,
        learning_rate=0.01,
        weight_decay=0.0,
        batch=batch,
        batches=batches,
        epochs=9,
        seed=0,
    )


def by_autograd(net: Mlp, flat: Tensor, masks: Tensor | None, x: Tensor, y: Tensor) -> Tensor:
    flat = flat.clone().requires_grad_()
    *hidden, out, bias = net.unflatten(flat)
    for layer in range(net.layers):
        matrix, scale, shift = hidden[3 * layer : 3 * layer + 3]
        x = functional.batch_norm(x @ matrix.T, None, None, scale, shift, training=True)
        x = functional.leaky_relu(x, net.slope)
        x = x if masks is None else x * masks[layer]
    output = x @ out.T + bias
    loss = functional.mse_loss if y.is_floating_point() else functional.cross_entropy
    return torch.autograd.grad(loss(output, y), flat)[0]


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize(("slope", "dropout"), [(0.0, 0.0), (0.01, 0.0), (0.0, 0.5), (0.01, 0.5)])
def test_the_gradient_is_the_one_that_autograd_finds(
    classes: int, slope: float, dropout: float
) -> None:
    net = Mlp(5, max(1, classes), layers=3, width=7, slope=slope, dropout=dropout)
    random = torch.Generator().manual_seed(0)
    x = torch.randn(40, 5, generator=random)
    y = torch.randn(40, 1, generator=random)
    if classes:
        y = torch.randint(0, classes, (40,), generator=random)
    training = start(net, Rows(x, y), batch=40)
    flat = training.average.flat.clone()
    found = training.backpropagate(x, y)
    # The same seed draws the same masks.
    masks = start(net, Rows(x, y), batch=40).draw_masks()
    torch.testing.assert_close(found, by_autograd(net, flat, masks, x, y))


@pytest.mark.parametrize("dropout", [0.01, 0.3, 0.9, 0.999])
def test_masks_drop_the_share_asked_for_and_keep_the_mean(dropout: float) -> None:
    net = Mlp(3, 1, layers=2, width=200, slope=0.0, dropout=dropout)
    rows = Rows(torch.zeros(500, 3), torch.zeros(500, 1))
    training = start(net, rows, batch=500)
    masks = training.draw_masks()
    assert masks is not None
    assert masks.shape == (2, 500, 200)
    assert float((masks == 0).float().mean()) == pytest.approx(dropout, abs=0.005)
    assert float(masks.mean()) == pytest.approx(1.0, abs=0.1)


def test_every_fold_takes_as_many_batches_as_the_smallest() -> None:
    rows = Rows(torch.zeros(100, 2), torch.zeros(100, 1))
    taken: list[int] = []

    class Counted(Training):
        def backpropagate(self, x: Tensor, y: Tensor) -> Tensor:
            taken.append(len(x))
            return super().backpropagate(x, y)

    training = start(Mlp(2, 1, 1, 4, 0.0, 0.0), rows, batch=16, batches=3, kind=Counted)
    training.epoch()
    assert taken == [16, 16, 16]
