"""A step that a GPU replays is the step that it takes, and the one that autograd takes in 64 bits.

For every architecture of the search space, of 62 columns.
"""

import statistics
from collections.abc import Iterator
from itertools import product

import pytest
import torch
from gpu.place import Place
from tabular.models.neural_net.plainly import gradient
from torch import Tensor

from journal_launcher.tabular.models.neural_net import model_type
from journal_launcher.tabular.models.neural_net.mlp import Mlp
from journal_launcher.tabular.models.neural_net.step import Step, TensorRows
from journal_launcher.tabular.models.neural_net.training import output

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("default")]

SIZES = (model_type._SMALL, model_type._MEDIUM, model_type._LARGE)
WIDTHS = sorted({width for sizes in SIZES for width in sizes.widths})
FOLDS, BATCH = 3, 128
RATES = [1e-3, 1 - 1e-5, 0.5, 1.0]


def nets(place: Place, layers: int, periodic: bool) -> Iterator[Mlp]:
    """On a CPU one of them, of few inputs."""
    waves = (model_type._FREQUENCIES, model_type._EMBEDDING, 0.2)
    inputs = 6 if place.cpu else 62
    numbers = (inputs - 2, *waves) if periodic else (0, 0, 0, 0.0)
    if place.cpu:
        yield Mlp(inputs, 1 if layers == 2 else 3, layers, 32, 0.01, 0.1, *numbers)
        return
    for width, dropout, slope, outputs in product(WIDTHS, (0.0, 0.1), (0.0, 0.01), (1, 2, 4)):
        yield Mlp(inputs, outputs, layers, width, slope, dropout, *numbers)


def taken(place: Place, net: Mlp, folds: list[TensorRows], captured: bool) -> Step:
    """A step taken from the first weights, with the first rows of each fold."""
    step = place.step(net, folds, BATCH, captured)
    step.begin(net.initial(place.generators(FOLDS), torch.float32))
    rates = torch.tensor(RATES, device=place.device)
    batch = (*stacked(folds), place.masks(net, BATCH, FOLDS), rates)
    for into, part in zip(step.inputs(1), batch, strict=True):
        into[0].copy_(part)
    step(1)
    return step


def stacked(folds: list[TensorRows]) -> tuple[Tensor, Tensor]:
    x = torch.stack([rows.x[:BATCH] for rows in folds], 1)
    return x, torch.stack([rows.y[:BATCH] for rows in folds], 1)


def off(found: Tensor, expected: Tensor) -> float:
    """Relative, of the fold that is furthest off."""
    gap = (found.double() - expected.double()).flatten(1).norm(dim=1)
    return float((gap / expected.double().flatten(1).norm(dim=1)).max())


def clipped(found: Tensor) -> Tensor:
    return found * (1.0 / (found.norm(dim=1, keepdim=True) + 1e-6)).clamp(max=1.0)


@pytest.mark.parametrize("periodic", [False, True], ids=["plain", "periodic"])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_every_architecture_takes_the_step_of_the_reference(
    place: Place, layers: int, periodic: bool
) -> None:
    found: dict[str, list[tuple[float, Mlp]]] = {}

    def note(name: str, value: float, net: Mlp) -> None:
        found.setdefault(name, []).append((value if value == value else float("inf"), net))

    for net in nets(place, layers, periodic):
        folds = [place.rows(net, BATCH, seed) for seed in range(FOLDS)]
        eager, captured = (taken(place, net, folds, kind) for kind in (False, True))
        flat = net.initial(place.generators(FOLDS), torch.float32).flat
        masks = place.masks(net, BATCH, FOLDS)
        x, y = stacked(folds)
        expected = clipped(
            torch.stack(
                [gradient(net, flat[k], masks[:, :, k], x[:, k], y[:, k]) for k in range(FOLDS)]
            )
        )
        note("captured against the reference", off(captured._gradient, expected), net)
        note("eager against the reference", off(eager._gradient, expected), net)
        note("captured against eager", off(captured._flat, eager._flat), net)
        note("their average", off(captured.average.flat, eager.average.flat), net)
        stats = captured.average.stats.transpose(0, 1), eager.average.stats.transpose(0, 1)
        note("their statistics", off(*stats), net)
    # In a wide network some unit of some row is so near zero that 32 bits see its other side.
    limits = {name: 0.02 if "reference" in name else 1e-3 for name in found}
    worst = {name: max(values, key=lambda pair: pair[0]) for name, values in found.items()}
    assert {name: pair for name, pair in worst.items() if pair[0] > limits[name]} == {}
    for name, values in found.items():
        assert statistics.median(value for value, _ in values) < 1e-4, name


def test_in_tf32_a_gradient_is_near_the_reference(place: Place) -> None:
    """As the product multiplies on a GPU; on a CPU it changes nothing."""
    torch.backends.cuda.matmul.allow_tf32 = True
    for periodic in (False,) if place.cpu else (False, True):
        net = next(nets(place, 2, periodic))
        folds = [place.rows(net, BATCH, seed) for seed in range(FOLDS)]
        step = taken(place, net, folds, True)
        flat = net.initial(place.generators(FOLDS), torch.float32).flat
        masks, (x, y) = place.masks(net, BATCH, FOLDS), stacked(folds)
        expected = [gradient(net, flat[k], masks[:, :, k], x[:, k], y[:, k]) for k in range(FOLDS)]
        # Ten bits of a number put more units on the other side of zero.
        assert off(step._gradient, clipped(torch.stack(expected))) < 0.15


@pytest.mark.parametrize("periodic", [False, True], ids=["plain", "periodic"])
@pytest.mark.parametrize("outputs", [1, 3])
def test_a_training_by_captured_steps_predicts_what_one_of_64_bits_does(
    place: Place, outputs: int, periodic: bool
) -> None:
    numbers = (4, 8, 4, 0.2) if periodic else (0, 0, 0, 0.0)
    net = Mlp(6, outputs, 2, 64, 0.01, 0.0, *numbers)
    found = {}
    for dtype, captured in ((torch.float64, False), (torch.float32, False), (torch.float32, True)):
        folds = [place.rows(net, 320, seed, dtype) for seed in range(FOLDS)]
        own = place.training(net, place.step(net, folds, 32, captured), folds)
        # The same weights and orders: the two precisions draw theirs in different ways.
        own._step.begin(net.initial(place.generators(FOLDS), torch.float64))
        own._random = place.generators(FOLDS)
        for _ in range(3):
            own.epoch()
        parts = zip(own.snapshot(), folds, strict=True)
        found[dtype, captured] = torch.stack([output(net, w, rows.x) for w, rows in parts])
    reference = found[torch.float64, False]
    assert float(reference.double().std()) > 0.3, "nothing was learned"
    for captured in (False, True):
        assert off(found[torch.float32, captured], reference) < 0.05


def test_a_captured_step_of_64_bits_is_the_eager_one(place: Place) -> None:
    """What reads rates and counts on a GPU takes 32 bits of them alone."""
    net = Mlp(6, 1, 2, 32, 0.0, 0.1)
    folds = [place.rows(net, 128, seed, torch.float64) for seed in range(FOLDS)]
    pairs = []
    for captured in (False, True):
        own = place.training(net, place.step(net, folds, 32, captured), folds)
        own.epoch()
        pairs.append(torch.cat([weights.flat for weights in own.snapshot()]))
    assert off(*pairs) < 1e-9
