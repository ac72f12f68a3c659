"""Trainings and steps for gpu.py: some data, a network, and what a step is made of."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity
from torch.utils._python_dispatch import TorchDispatchMode

from journal_launcher.tabular.models.neural_net.mlp import Mlp
from journal_launcher.tabular.models.neural_net.step import (
    ADAM,
    Step,
    TensorRows,
    clip,
    clip_at_once,
    in_pieces,
)
from journal_launcher.tabular.models.neural_net.training import Training

__all__ = ["operations_of", "profile_of", "some_training", "synchronize"]

ROWS, COLUMNS = 98_783, 62
PERIODIC = (16, 8, 0.2)
"""Of an embedding: frequencies, units, and the spread of the first ones."""


def some_training(cpu: bool) -> tuple[Training, int]:
    net, device = some_net(cpu, periodic=False), some_device(cpu)
    folds, batch = some_folds(cpu), 64 if cpu else 512
    batches = len(folds[0].x) // batch
    step = Step(net, len(folds), batch, batches, folds[0], device, captured=not cpu)
    training = Training(
        net,
        step,
        folds,
        learning_rate=1e-3,
        weight_decay=1e-2,
        epochs=1000,
        seeds=list(range(len(folds))),
    )
    return training, batches


def some_device(cpu: bool) -> torch.device:
    torch.set_num_threads(1)
    torch.backends.cuda.matmul.allow_tf32 = True  # as the product
    return torch.device("cpu" if cpu else "cuda:0")


def some_net(cpu: bool, periodic: bool) -> Mlp:
    width, inputs = (16, 6) if cpu else (256, COLUMNS)
    waves = (inputs, *PERIODIC) if periodic else (0, 0, 0, 0.0)
    return Mlp(inputs, 1, 2, width, 0.0, 0.1, *waves)


def some_folds(cpu: bool, rows: int | None = None) -> list[TensorRows]:
    device, random = some_device(cpu), torch.Generator().manual_seed(0)
    rows = rows or (400 if cpu else ROWS * 16 // 25)  # four fifths, a fifth of them held out
    x = torch.randn(rows, 6 if cpu else COLUMNS, generator=random)
    y = (2 * x[:, :1]).sin() + x[:, 1:2] * x[:, 2:3]
    return [TensorRows(x.to(device), y.to(device)) for _ in range(5)]


def synchronize(cpu: bool) -> None:
    if not cpu:
        torch.cuda.synchronize()


def profile_of(cpu: bool, periodic: bool) -> list[tuple[str, float, str, str]]:
    net, device, batch = some_net(cpu, periodic), some_device(cpu), 64 if cpu else 512
    folds = some_folds(cpu, 2 * batch)
    step = Step(net, 5, batch, 2, folds[0], device, captured=False)
    step.begin(
        net.initial([torch.Generator(device).manual_seed(k) for k in range(5)], torch.float32)
    )
    x, y = (torch.stack([getattr(rows, k)[:batch] for rows in folds], 1) for k in "xy")
    masks = torch.ones(net.layers, batch, 5, net.width, device=device)
    rates = torch.tensor([1e-3, 0.9999, 0.01, 1.0], device=device)
    inputs = (x, y, masks, rates)

    def whole() -> None:
        step._take(*inputs)

    found = [("eager step", timed(whole, cpu), "us", "")]
    found.append(("operations of a step", float(operations_of(whole)), "", "views not counted"))
    kernels = kernels_of(whole, cpu)
    if kernels:
        slowest = sorted(kernels, key=lambda pair: -pair[1])[:5]
        note = "; ".join(f"{name[:40]} {us:.1f}" for name, us in slowest)
        found.append(("kernels of a step", float(len(kernels)), "", note))
        found.append(("their time", sum(us for _, us in kernels), "us", ""))
    for name, run in parts_of(step, net, inputs).items():
        found.append((name, timed(run, cpu, graphs=1), "us", "" if cpu else "in a graph"))
    for steps in (1, 4, 16):
        took = timed(whole, cpu, graphs=steps) if not cpu or steps == 1 else None
        if took is not None:
            found.append(
                (f"captured step, {steps} a graph", took, "us", f"{5e6 / took:,.0f} fold-steps/s")
            )
    if not cpu:
        found.append(("memory of captured steps", held(net, batch, folds[0]), "MiB", "16 a graph"))
    return found


def held(net: Mlp, batch: int, like: TensorRows) -> float:
    """MiB that 16 captured steps take of the GPU, beside what those of all architectures share."""
    steps, free = [], []
    for batches in (16, 32):  # the first ones take what is shared; both are one graph
        steps.append(Step(net, 5, batch, batches, like, like.x.device, captured=True))
        synchronize(cpu=False)
        free.append(torch.cuda.mem_get_info()[0])
    return (free[0] - free[1]) / 2**20


def parts_of(step: Step, net: Mlp, inputs: tuple[Any, ...]) -> dict[str, Callable[[], Any]]:
    """Each part alone, and Adam over the same memory in more pieces, which it spreads over more
    multiprocessors."""
    x, y, masks, rates = inputs
    state = (step._flat, step._gradient, step._first_moment, step._second_moment)

    def adam(pieces: int) -> None:
        lists = [in_pieces(tensor, pieces) for tensor in state]
        torch._fused_adamw_(
            *lists,
            [],
            [rates[3]] * len(lists[0]),
            lr=rates[0],
            **ADAM,
        )

    def average() -> None:
        step._flat.mul_(rates[1])
        step.average.flat.lerp_(step._flat, rates[2])

    return {
        "gradient": lambda: net.backpropagate(
            step._layers, step._gradients, step._norms, step.average.stats, x, y, masks
        ),
        "clip": lambda: clip(step._gradient),
        "clip at once, as a GPU does": lambda: clip_at_once(step._gradient),
        "decay and average": average,
        **{
            f"Adam in {pieces} pieces": lambda pieces=pieces: adam(pieces) for pieces in (1, 12, 36)
        },
    }


def timed(run: Callable[[], Any], cpu: bool, graphs: int = 0) -> float:
    """Median microseconds of a run; graphs: of so many runs in one CUDA graph."""
    inner = 3 if cpu else 200
    if graphs and not cpu:
        one = run
        graph, side = torch.cuda.CUDAGraph(), torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            one()
        torch.cuda.synchronize()
        with torch.cuda.graph(graph, stream=side):
            for _ in range(graphs):
                one()
        run = graph.replay
    run()
    found = []
    for _ in range(3 if cpu else 5):
        synchronize(cpu)
        began = time.perf_counter()
        for _ in range(inner):
            run()
        synchronize(cpu)
        found.append((time.perf_counter() - began) / inner)
    return 1e6 * statistics.median(found) / max(1, graphs)


def operations_of(run: Callable[[], Any]) -> int:
    """How many operations a run asks of the device; most are a kernel each, a few several."""
    with _Counting() as counting:
        run()
    return counting.count


class _Counting(TorchDispatchMode):
    """Counts what is no view and no allocation."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        returned = (value.alias_info for value in func._schema.returns)
        view = any(alias is not None and not alias.is_write for alias in returned)
        allocates = "empty" in func.name() or func.name() == "aten::_unsafe_view"
        self.count += not (view or allocates)
        return func(*args, **(kwargs or {}))


def kernels_of(run: Callable[[], Any], cpu: bool) -> list[tuple[str, float]]:
    """Each kernel that a run launches, and its microseconds."""
    run()
    synchronize(cpu)
    activities = [ProfilerActivity.CPU] if cpu else [ProfilerActivity.CPU, ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as seen:
        run()
        synchronize(cpu)
    return [(e.name, e.device_time) for e in seen.events() if str(e.device_type).endswith("CUDA")]
