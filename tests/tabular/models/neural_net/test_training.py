"""Folds that train together: the same as each alone; batches, masks and where the rows lie."""

import logging
import weakref
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from tabular.models.neural_net.recorded import Recorded
from torch import Tensor

from journal_launcher.tabular.models.neural_net import step as steps
from journal_launcher.tabular.models.neural_net.encoding import move_to_device
from journal_launcher.tabular.models.neural_net.mlp import Mlp, Weights
from journal_launcher.tabular.models.neural_net.step import (
    Step,
    TensorRows,
    clip,
    clip_at_once,
    in_pieces,
)
from journal_launcher.tabular.models.neural_net.training import Training, ahead, draw_masks

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
BATCH, BATCHES, EPOCHS = 32, 10, 5
PLAIN = Mlp(inputs=6, outputs=1, layers=2, width=24, slope=0.01, dropout=0.0)
NETS = {
    "plain": PLAIN,
    "dropout": replace(PLAIN, dropout=0.3),
    "classes": replace(PLAIN, outputs=3),
    "periodic": replace(PLAIN, numbers=4, frequencies=5, embedding=3, sigma=0.3),
}


def table(
    net: Mlp, fold: int, dtype: torch.dtype = torch.float32, device: str = "cpu"
) -> TensorRows:
    """Folds differ by a row, as those of a real table do."""
    random = torch.Generator().manual_seed(100 + fold)
    rows = BATCH * BATCHES + fold % 2
    x = torch.randn(rows, net.inputs, generator=random, dtype=torch.float64)
    y = x[:, :1].sin() + x[:, 1:2] * x[:, 2:3]
    labels = torch.bucketize(y, torch.tensor([-0.5, 0.5], dtype=torch.float64))
    return TensorRows(x.to(device, dtype), (labels if net.outputs > 1 else y.to(dtype)).to(device))


def start(net: Mlp, folds: list[TensorRows], seeds: list[int], captured: bool = False) -> Training:
    step = Step(net, len(folds), BATCH, BATCHES, folds[0], folds[0].x.device, captured)
    return begin(net, step, folds, seeds)


def begin(
    net: Mlp, step: Step, folds: list[TensorRows], seeds: list[int], rate: float = 0.01
) -> Training:
    return Training(
        net,
        step,
        folds,
        learning_rate=rate,
        weight_decay=0.01,
        epochs=EPOCHS,
        seeds=seeds,
    )


def trained(training: Training, epochs: int = EPOCHS) -> list[Weights]:
    for _ in range(epochs):
        training.epoch()
    return training.snapshot()


def found(net: Mlp, weights: Weights, rows: TensorRows) -> Tensor:
    return net.evaluate(weights, rows.x[:, None])[:, 0]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize(("dtype", "within"), [(torch.float32, 1e-4), (torch.float64, 1e-9)])
def test_folds_trained_together_predict_what_each_alone_does(
    name: str, dtype: torch.dtype, within: float, device: str
) -> None:
    """Fifty steps from the same weights, with the same batches and masks."""
    net = NETS[name]
    folds = [table(net, fold, dtype, device) for fold in range(5)]
    together = trained(start(net, folds, seeds=[7, 8, 9, 10, 11]))
    for fold, rows in enumerate(folds):
        (alone,) = trained(start(net, [rows], seeds=[7 + fold]))
        before = net.initial([torch.Generator(device).manual_seed(7 + fold)], dtype)
        expected = found(net, alone, rows)
        assert (found(net, together[fold], rows) - expected).abs().max() < within
        assert (found(net, before, rows) - expected).abs().mean() > 0.1, "nothing was learned"


@pytest.mark.parametrize("device", DEVICES)
def test_a_step_serves_one_training_after_the_other(device: str) -> None:
    """As on a GPU, where it is captured once for all trials of an architecture."""
    net = NETS["dropout"]
    folds = [table(net, fold, device=device) for fold in range(2)]
    fresh = trained(start(net, folds, seeds=[1, 2]))
    step = Step(net, 2, BATCH, BATCHES, folds[0], folds[0].x.device, captured=device == "cuda")
    other = replace(net, dropout=0.5)
    trained(begin(other, step, folds, seeds=[3, 4]))
    again = trained(begin(net, step, folds, seeds=[1, 2]))
    for one, two in zip(fresh, again, strict=True):
        torch.testing.assert_close(one.flat, two.flat)
        torch.testing.assert_close(one.stats, two.stats)


@pytest.mark.parametrize("device", DEVICES)
def test_a_captured_step_weighs_its_rows(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that is not captured does; on a CPU, what stands in for a graph."""
    net = NETS["dropout"]
    random = torch.Generator().manual_seed(1)
    plain = [table(net, fold, device=device) for fold in range(2)]
    folds = [
        replace(rows, weights=torch.rand(len(rows.x), 1, generator=random).to(device))
        for rows in plain
    ]
    direct = trained(start(net, folds, seeds=[1, 2]))
    if device == "cpu":
        monkeypatch.setattr(steps, "_Graph", Recorded)
    captured = trained(start(net, folds, seeds=[1, 2], captured=True))
    unweighted = trained(start(net, plain, seeds=[1, 2]))
    for one, two, other in zip(direct, captured, unweighted, strict=True):
        torch.testing.assert_close(one.flat, two.flat, atol=1e-4, rtol=1e-4)
        assert (one.flat - other.flat).abs().max() > 0.01


@pytest.mark.parametrize("at_once", [1, 4, 16])
@pytest.mark.parametrize("name", NETS)
def test_steps_that_were_recorded_once_do_what_they_say_for_every_trial(
    name: str, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of a trial may be a constant of a step, and nothing may wait for the device.

    Of the ten steps of an epoch each is its own graph, or four and two are, or all of them.
    """
    monkeypatch.setattr(steps, "_STEPS_AT_ONCE", at_once)
    monkeypatch.setattr(steps, "_Graph", Recorded)
    net = replace(NETS[name], dropout=0.2)
    folds = [table(net, fold) for fold in range(2)]
    direct = trained(start(net, folds, seeds=[1, 2]))
    step = Step(net, 2, BATCH, BATCHES, folds[0], torch.device("cpu"), captured=True)
    trained(begin(replace(net, dropout=0.7, sigma=1.0), step, folds, seeds=[3, 4], rate=0.1))
    again = trained(begin(net, step, folds, seeds=[1, 2]))
    for one, two in zip(direct, again, strict=True):
        assert torch.equal(one.flat, two.flat) and torch.equal(one.stats, two.stats)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("periodic", [False, True], ids=["plain", "periodic"])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_steps_of_one_graph_are_the_same_steps_one_by_one(
    layers: int, periodic: bool, dropout: float, weighted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit by bit, for every architecture of the search space; only their widths are others."""
    monkeypatch.setattr(steps, "_Graph", Recorded)
    monkeypatch.setattr(steps, "_STEPS_AT_ONCE", 4)
    numbers = (4, 16, 8, 0.2) if periodic else (0, 0, 0, 0.0)
    for outputs, slope in ((1, 0.0), (3, 0.01)):
        net = Mlp(6, outputs, layers, 24, slope, dropout, *numbers)
        folds = [table(net, fold) for fold in range(2)]
        if weighted:
            random = torch.Generator().manual_seed(1)
            weights = [torch.rand(len(rows.x), 1, generator=random) for rows in folds]
            folds = [replace(rows, weights=own) for rows, own in zip(folds, weights, strict=True)]
        step = Step(net, 2, BATCH, BATCHES, folds[0], torch.device("cpu"), captured=True)
        assert (step.at_once, set(step._graphs)) == (4, {4, 2})
        direct = trained(start(net, folds, seeds=[1, 2]), 1)
        captured = trained(begin(net, step, folds, seeds=[1, 2]), 1)
        for one, two in zip(direct, captured, strict=True):
            assert torch.equal(one.flat, two.flat) and torch.equal(one.stats, two.stats)


@pytest.mark.parametrize(
    ("batches", "at_once", "last"),
    [(1, 1, 1), (16, 16, 16), (17, 9, 8), (123, 16, 11), (154, 16, 10)],
)
def test_an_epoch_is_graphs_of_about_one_size(
    batches: int, at_once: int, last: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "_Graph", lambda *_: None)
    step = Step(PLAIN, 1, BATCH, batches, table(PLAIN, 0), torch.device("cpu"), captured=True)
    assert step.at_once == at_once and set(step._graphs) == {at_once, last}


def test_the_inputs_of_all_graphs_lie_in_one_piece_of_memory_which_bounds_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A step of its own that is larger has memory of its own. Small GPUs have 8 GB."""
    monkeypatch.setattr(steps, "_Graph", lambda *_: None)
    steps.shared_inputs.cache_clear()
    folds, device = [table(NETS["dropout"], fold) for fold in range(5)], torch.device("cpu")

    def made(net: Mlp, batch: int) -> Step:
        return Step(net, 5, batch, 100, folds[0], device, captured=True)

    small, wide = made(NETS["dropout"], 32), made(replace(NETS["dropout"], width=512), 1024)
    memory = weakref.ref(steps.shared_inputs(device))
    assert steps.shared_inputs(device).nbytes == steps._INPUTS == 2**27
    assert small.at_once == 15 and wide.at_once == 6
    for step in (small, wide):
        held = [part.untyped_storage().data_ptr() for part in step.inputs(1)]
        assert set(held) == {steps.shared_inputs(device).data_ptr()}
        parts = step.inputs(step.at_once)
        assert sum(part.nbytes for part in parts) <= steps._INPUTS
        ends = [(part.data_ptr(), part.data_ptr() + part.nbytes) for part in parts]
        assert all(one[1] <= two[0] for one, two in pairwise(sorted(ends))), "they overlap"
    monkeypatch.setattr(steps, "_INPUTS", 2**20)
    large = made(replace(NETS["dropout"], width=512), 1024)
    assert large.at_once == 1
    assert large.inputs(1)[0].untyped_storage().data_ptr() != steps.shared_inputs(device).data_ptr()
    steps.shared_inputs.cache_clear()
    assert memory() is None


@pytest.mark.parametrize("device", DEVICES)
def test_a_gpus_clip_is_that_of_a_cpu(device: str) -> None:
    """Within 1e-6: it adds 1e-7 to the norm instead of 1e-6."""
    gradient = torch.randn(5, 4771, generator=torch.Generator().manual_seed(0)).to(device)
    wanted = torch.tensor([0.0, 1e-3, 1 - 3e-7, 1.001, 1e3], device=device)
    gradient *= (wanted / gradient.norm(dim=1))[:, None]
    expected = gradient.double().cpu()
    clip(expected)
    clip_at_once(gradient)
    off = (gradient.cpu() - expected).norm(dim=1) / expected.norm(dim=1).clamp(min=1e-9)
    assert float(off.max()) < 1.1e-6 and float(gradient.norm(dim=1).max()) < 1 + 1e-6


@pytest.mark.parametrize("folds", [1, 5])
def test_batches_are_drawn_by_few_operations(folds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the steps themselves; of a graph, however many steps it has (docs/gpu.md)."""
    monkeypatch.syspath_prepend(Path(__file__).parents[4] / "benchmarks")
    from gpu_steps import operations_of

    monkeypatch.setattr(Step, "__call__", lambda step, count: None)
    training = start(
        NETS["dropout"], [table(NETS["dropout"], fold) for fold in range(folds)], [*range(folds)]
    )
    orders = folds
    assert operations_of(training.epoch) == orders + {1: 7, 5: 19}[folds]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("captured", [False, True])
def test_the_learning_rate_is_what_a_gpus_optimiser_takes(
    dtype: torch.dtype, captured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads the rate and the number of the step as 32 bits each, also for weights of 64."""
    taken: list[tuple[torch.dtype, torch.dtype, torch.dtype]] = []
    numbers: list[float] = []
    fused = torch._fused_adamw_

    def watched(flat: list[Tensor], *rest: list[Tensor], lr: Tensor, **more: object) -> None:
        taken.append((flat[0].dtype, lr.dtype, rest[-1][0].dtype))
        numbers.append(float(rest[-1][0]) if not captured else 0.0)
        assert lr.dim() == 0
        fused(flat, *rest, lr=lr, **more)

    monkeypatch.setattr(steps, "_Graph", Recorded)
    monkeypatch.setattr(torch, "_fused_adamw_", watched)
    net = NETS["dropout"]
    folds = [table(net, fold, dtype) for fold in range(2)]
    trained(start(net, folds, seeds=[1, 2], captured=captured), epochs=1)
    assert set(taken) == {(dtype, torch.float32, torch.float32)}
    if not captured:
        assert numbers == list(range(1, BATCHES + 1))


@pytest.mark.parametrize(
    ("layers", "name", "most"),
    [
        (1, "plain", 25),
        (2, "plain", 33),
        (3, "plain", 41),
        (1, "periodic", 49),
        (2, "periodic", 57),
    ],
)
def test_a_step_asks_a_device_for_few_operations(
    layers: int, name: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU a step of a small network takes the time of their launches (docs/gpu.md)."""
    monkeypatch.syspath_prepend(Path(__file__).parents[4] / "benchmarks")
    from gpu_steps import operations_of

    net = replace(NETS[name], layers=layers, dropout=0.1, slope=0.0)
    folds = [table(net, fold) for fold in range(2)]
    counts: list[int] = []

    class Watched(Step):
        def _take(self, *batch: Tensor) -> None:
            counts.append(operations_of(lambda: super(Watched, self)._take(*batch)))

    step = Watched(net, 2, BATCH, BATCHES, folds[0], torch.device("cpu"))
    trained(begin(net, step, folds, seeds=[1, 2]), 1)
    assert set(counts) == {most}


@pytest.mark.parametrize("pieces", [1, 12, 36])
@pytest.mark.parametrize("folds", [1, 5])
def test_an_optimiser_of_many_pieces_takes_the_same_step(folds: int, pieces: int) -> None:
    flat = torch.randn(folds, 4771)
    parts = in_pieces(flat, pieces)
    assert len(parts) <= pieces and sum(map(torch.numel, parts)) == flat.numel()
    assert all(part.data_ptr() % 16 == 0 for part in parts)
    for part in parts:
        part.mul_(2.0)
    assert torch.equal(torch.cat(parts), flat.view(-1)), "they are its memory"


def test_one_fold_moves_no_other() -> None:
    """A fold with a target a thousand times as large has its own clipping and statistics."""
    folds = [table(PLAIN, fold) for fold in range(2)]
    loud = [folds[0], TensorRows(100 * folds[1].x, 1000 * folds[1].y)]
    quiet, beside = (trained(start(PLAIN, both, seeds=[1, 2]), 1) for both in (folds, loud))
    torch.testing.assert_close(quiet[0].flat, beside[0].flat)
    torch.testing.assert_close(quiet[0].stats, beside[0].stats)
    assert not torch.allclose(quiet[1].flat, beside[1].flat)


def test_an_epoch_takes_full_batches_of_every_fold_from_an_order_of_its_own() -> None:
    net = replace(PLAIN, inputs=1, dropout=0.1)
    folds = [
        TensorRows(torch.arange(BATCH * BATCHES + more).float()[:, None], torch.zeros(400, 1))
        for more in (0, 31)
    ]
    taken: list[Tensor] = []

    class Watched(Step):
        def _take(self, x: Tensor, y: Tensor, masks: Tensor, rates: Tensor) -> None:
            assert masks.shape == (2, BATCH, 2, 24)
            taken.append(x[:, :, 0].clone())

    step = Watched(net, 2, BATCH, BATCHES, folds[0], torch.device("cpu"))
    training = begin(net, step, folds, seeds=[1, 2])
    training.epoch()
    training.epoch()
    assert [len(batch) for batch in taken] == [BATCH] * BATCHES * 2
    first, second = (torch.cat(taken[at : at + BATCHES]) for at in (0, BATCHES))
    for fold, rows in enumerate(folds):
        seen = set(first[:, fold].tolist())
        assert len(seen) == BATCH * BATCHES and seen <= set(rows.x[:, 0].tolist())
        assert not torch.equal(first[:, fold], second[:, fold])
    assert not torch.equal(first[:, 0], first[:, 1])


def test_how_many_batches_are_drawn_at_once_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = table(PLAIN, 0)
    (at_once,) = trained(start(PLAIN, [rows], seeds=[1]))
    monkeypatch.setattr(steps, "_UNITS_AT_ONCE", 1)
    (one_by_one,) = trained(start(PLAIN, [rows], seeds=[1]))
    assert torch.equal(at_once.flat, one_by_one.flat)


@pytest.mark.parametrize("dropout", [0.01, 0.3, 0.9, 0.999])
def test_masks_drop_the_share_asked_for_and_keep_the_mean(dropout: float) -> None:
    masks = torch.full((4, 2, 125, 2, 200), torch.nan)
    draw_masks(dropout, [torch.Generator().manual_seed(seed) for seed in (0, 1)], masks)
    for fold in masks.unbind(3):
        assert float((fold == 0).float().mean()) == pytest.approx(dropout, abs=0.005)
        assert float(fold.mean()) == pytest.approx(1.0, abs=0.1)
    assert not torch.equal(*masks.unbind(3))


@pytest.mark.parametrize("rows", [8, 7])
def test_a_folds_masks_are_those_that_it_draws_alone(rows: int) -> None:
    """Also where the bytes of one fold are no whole words."""
    together = torch.empty(3, 2, rows, 2, 5)
    draw_masks(0.3, [torch.Generator().manual_seed(seed) for seed in (0, 1)], together)
    for seed, fold in enumerate(together.split(1, 3)):
        alone = torch.empty(3, 2, rows, 1, 5)
        draw_masks(0.3, [torch.Generator().manual_seed(seed)], alone)
        assert torch.equal(fold, alone)


def test_a_dropout_of_almost_nothing_is_one_and_none_draws_nothing() -> None:
    masks = torch.zeros(4, 2, 125, 1, 200)
    draw_masks(1e-9, [torch.Generator().manual_seed(0)], masks)
    assert masks.unique().tolist() == pytest.approx([0.0, 256 / 255])
    draw_masks(0.0, [], torch.empty(4, 0, 125, 1, 200))


def test_the_next_item_is_under_way_before_one_is_given_away() -> None:
    made: list[int] = []

    def items(count: int) -> Iterator[int]:
        for item in range(count):
            made.append(item)
            yield item

    given = ahead(items(3))
    assert next(given) == 0 and made == [0, 1]
    assert list(given) == [1, 2]


@pytest.mark.parametrize(
    ("free", "workers", "stays"),
    [(30, 1, True), (80, 1, False), (80, 2, False), (80, 3, True), (60, 2, False)],
)
def test_rows_that_would_fill_the_gpu_stay_on_the_host_and_it_is_said_once(
    free: int,
    workers: int,
    stays: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """20 GB of rows; the GPU has 80, half of which are for the rows of all workers."""
    moved: list[object] = []
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free * 10**9, 80 * 10**9))
    monkeypatch.setattr(Tensor, "to", lambda tensor, device: moved.append(device) or tensor)
    monkeypatch.setattr(Tensor, "nbytes", property(lambda tensor: 10 * 10**9))
    with caplog.at_level(logging.WARNING):
        rows = [torch.zeros(1), torch.zeros(1)]
        assert len(move_to_device(rows, torch.device("cuda:0"), workers)) == 2
    assert moved == ([] if stays else [torch.device("cuda:0")] * 2)
    among = f" for {workers} workers" if workers > 1 else ""
    expected = f"the encoded rows need 20 GB, of the GPU's memory {free} GB are free{among}: they "
    expected += "stay in the host's memory and stream to the GPU, which is slower"
    assert [record.getMessage() for record in caplog.records] == [expected] * stays
