"""What is found inside a network that the test has built."""

import torch
from torch import Tensor
from torch.nn import functional

from journal_launcher.tabular.models.neural_net.network_check import Layer, inspect_network

UNITS, INPUTS = 4, 3


def views(flat: Tensor) -> list[Tensor]:
    first, shift, out = torch.split(flat, [UNITS * INPUTS, UNITS, UNITS])
    return [first.view(UNITS, INPUTS), shift, out.view(1, UNITS)]


def layers(flat: Tensor) -> list[Layer]:
    first, shift, out = views(flat)
    return [Layer("hidden 1", first, shift), Layer("output", out)]


def found(shifts: list[float], slope: float = 0.0, scale: float = 1.0) -> dict:
    random = torch.Generator().manual_seed(0)
    flat = torch.randn(UNITS * INPUTS + 2 * UNITS, generator=random)
    x = torch.randn(200, INPUTS, generator=random)
    _, shift, out = views(flat)
    shift.copy_(torch.tensor(shifts))
    out.mul_(scale)
    y = x.sum(dim=1, keepdim=True)

    def evaluate(flat: Tensor, x: Tensor) -> Tensor:
        first, shift, out = views(flat)
        return functional.leaky_relu(x @ first.T + shift, slope) @ out.T

    return inspect_network(evaluate, layers, flat, x, y)


def test_units_that_no_row_gets_through_are_dead() -> None:
    assert found([0.0] * 4)["dead_units"] == 0.0
    result = found([0.0, -1e3, 0.0, -1e3])
    assert result["dead_units"] == result["layers"][0]["dead_units"] == 0.5
    assert result["rows"] == 200


def test_a_leaky_unit_is_never_dead() -> None:
    assert found([0.0, -1e3, 0.0, -1e3], slope=0.01)["dead_units"] == 0.0


def test_a_layer_that_learns_nothing_spreads_the_gradients() -> None:
    even, uneven = found([0.0] * 4), found([0.0] * 4, scale=1e-5)
    assert 1 <= even["gradient_spread"] < 100
    assert uneven["gradient_spread"] > 1000
    norms = [layer["gradient_norm"] for layer in uneven["layers"]]
    assert uneven["gradient_spread"] == max(norms) / min(norms)


def test_without_any_gradient_the_spread_is_still_a_number() -> None:
    result = found([-1e3] * 4)
    assert result["dead_units"] == 1.0
    assert result["gradient_spread"] == 1.0
