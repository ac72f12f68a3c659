"""What the product does on a GPU: `python benchmarks/gpu.py [PART …] [--cpu] [--json FILE]`.

    trainer   one trial's folds in all the ways of trainer.py, on 98,783 x 62
    job       20 trials of that table from the process's start to the published model, without and
              with periodic embeddings
    packing   the same training in 1, 2 and 4 processes on the GPU at once
    profile   what a step is made of: its kernels, its parts, several steps in one graph

All parts without a name. Each is a process of its own with four minutes, after which a line says
that it took longer. Prints one table and writes its figures as JSON. `--cpu` is a dry run of small
sizes on a machine without a GPU: its figures mean nothing, and it is how this file is tested.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# As in a worker; read when the libraries load.
os.environ.setdefault("OMP_NUM_THREADS", "1")

HERE = Path(__file__).resolve().parent
LIMIT = 240.0  # seconds of a part
ROWS, COLUMNS = 98_783, 62
PERIODIC = (16, 8, 0.2)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    value: float | None
    unit: str
    note: str = ""


Part = Callable[[bool, Path], list[Row]]


# --- trainer


def trainer(cpu: bool, folder: Path) -> list[Row]:
    import trainer as ways

    options = argparse.Namespace(
        data=str(table(cpu, folder)),
        target="y",
        device="cpu" if cpu else "cuda",
        layers=1 if cpu else 2,
        width=16 if cpu else 256,
        batch=64 if cpu else 512,
        dropout=0.1,
        epochs=1 if cpu else 2,
        rounds=1,
        compile=not cpu,
    )
    found = ways.measure(options)
    rows = []
    for name, seconds in found.seconds.items():
        times = found.seconds["DataLoader loop"] / seconds
        note = f"{times:.1f} x the DataLoader loop, {found.metric} {found.scores[name]:.3f}"
        rows.append(Row(name, found.steps / seconds, "fold-steps/s", note))
    return rows + [Row(name, None, "fold-steps/s", why) for name, why in found.failed.items()]


def table(cpu: bool, folder: Path) -> Path:
    from designs import synthetic

    return synthetic(folder / "synthetic.npz", 400 if cpu else ROWS)


# --- job


def job(cpu: bool, folder: Path) -> list[Row]:
    data = table(cpu, folder)
    rows = []
    for embedding in ("none",) if cpu else ("none", "periodic"):
        config = folder / f"{embedding}.toml"
        config.write_text(f'[neural_net]\nembedding = "{embedding}"\n')
        place = ["--studies-dir", str(folder / embedding), "--study-name", "job", "--json"]
        size = ["--n-trials", "2" if cpu else "20", "--gpus", "none" if cpu else "auto"]
        size += ["--k-folds", "2", "--confirm", "0"] if cpu else []
        command = [sys.executable, "-P", "-m", "journal_launcher", "run", "--data", str(data)]
        command += ["--target", "y", "--config", str(config), "--pruner", "none", *size, *place]
        began = time.monotonic()
        done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, check=False)
        took = time.monotonic() - began
        if done.returncode:
            print(done.stderr[-3000:], file=sys.stderr)
            rows.append(Row(f"job, embedding {embedding}", None, "s", f"exit {done.returncode}"))
            continue
        result = json.loads(done.stdout)
        note = f"{result['n_finished']} trials, best {result['best_trial']['value']:.4f}"
        for gpu in result["gpus"] or []:
            share = gpu["utilization"]
            note += f", {gpu['used'] / 2**30:.1f} GiB" + (f" {share:.0%}" if share else "")
        rows.append(Row(f"job, embedding {embedding}", took, "s", note))
    return rows


# --- packing


def packing(cpu: bool, folder: Path) -> list[Row]:
    """Fold-steps/s of several processes, which begin to count at the same moment."""
    rows = []
    for count in (1, 2) if cpu else (1, 2, 4):
        command = [sys.executable, __file__, "--packed", *(["--cpu"] if cpu else [])]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        crew = [subprocess.Popen(command, **pipes) for _ in range(count)]
        try:
            for one in crew:
                if one.stdout.readline() != "ready\n":
                    raise SystemExit(f"one of {count} processes ended before it was ready")
            for one in crew:
                one.stdin.write("go\n")
                one.stdin.flush()
            rate = sum(float(one.stdout.readline()) for one in crew)
        finally:
            for one in crew:
                one.kill()
                one.communicate()
        rows.append(
            Row(f"{count} processes at once" if count > 1 else "1 process", rate, "fold-steps/s")
        )
    return rows


def packed(cpu: bool) -> None:
    """One of them: wait for a word, train for a while, say how fast."""
    training, batches = some_training(cpu)
    training.epoch()
    synchronize(cpu)
    print("ready", flush=True)
    sys.stdin.readline()
    began, taken = time.monotonic(), 0
    while time.monotonic() < began + (0.2 if cpu else 5.0):
        training.epoch()
        synchronize(cpu)
        taken += batches * 5
    print(taken / (time.monotonic() - began), flush=True)


def some_training(cpu: bool) -> tuple[Any, int]:
    from journal_launcher.tabular.models.neural_net.training import Step, Training

    net, device = some_net(cpu, periodic=False), some_device(cpu)
    folds, batch = some_folds(cpu), 64 if cpu else 512
    step = Step(net, len(folds), batch, folds[0], device, captured=not cpu)
    batches = len(folds[0].x) // batch
    training = Training(
        net,
        step,
        folds,
        learning_rate=1e-3,
        weight_decay=1e-2,
        batches=batches,
        epochs=1000,
        seeds=list(range(len(folds))),
    )
    return training, batches


def some_device(cpu: bool) -> Any:
    import torch

    torch.set_num_threads(1)
    torch.backends.cuda.matmul.allow_tf32 = True  # as the product
    return torch.device("cpu" if cpu else "cuda:0")


def some_net(cpu: bool, periodic: bool) -> Any:
    from journal_launcher.tabular.models.neural_net.mlp import Mlp

    width, inputs = (16, 6) if cpu else (256, COLUMNS)
    waves = (inputs, *PERIODIC) if periodic else (0, 0, 0, 0.0)
    return Mlp(inputs, 1, 2, width, 0.0, 0.1, *waves)


def some_folds(cpu: bool, rows: int | None = None) -> list[Any]:
    import torch

    from journal_launcher.tabular.models.neural_net.training import TensorRows

    device, random = some_device(cpu), torch.Generator().manual_seed(0)
    rows = rows or (400 if cpu else ROWS * 16 // 25)  # four fifths, a fifth of them held out
    x = torch.randn(rows, 6 if cpu else COLUMNS, generator=random)
    y = (2 * x[:, :1]).sin() + x[:, 1:2] * x[:, 2:3]
    return [TensorRows(x.to(device), y.to(device)) for _ in range(5)]


def synchronize(cpu: bool) -> None:
    import torch

    if not cpu:
        torch.cuda.synchronize()


# --- profile


def profile(cpu: bool, folder: Path) -> list[Row]:
    rows = []
    for periodic in (False, True):
        kind = "periodic" if periodic else "plain"
        found = profile_of(cpu, periodic)
        rows += [Row(f"{kind}: {what}", value, unit, note) for what, value, unit, note in found]
    return rows


def profile_of(cpu: bool, periodic: bool) -> list[tuple[str, float, str, str]]:
    import torch

    from journal_launcher.tabular.models.neural_net.training import Step

    net, device, batch = some_net(cpu, periodic), some_device(cpu), 64 if cpu else 512
    folds = some_folds(cpu, 2 * batch)
    step = Step(net, 5, batch, folds[0], device, captured=False)
    step.begin(
        net.initial([torch.Generator(device).manual_seed(k) for k in range(5)], torch.float32)
    )
    x, y = (torch.stack([getattr(rows, k)[:batch] for rows in folds], 1) for k in "xy")
    masks = torch.ones(net.layers, batch, 5, net.width, device=device)
    rates = torch.tensor([1e-3, 0.9999, 0.01], device=device)
    inputs = (x, y, masks, rates)

    def whole() -> None:
        step._take(*inputs)

    found = [("eager step", timed(whole, cpu), "us", "")]
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
    return found


def parts_of(step: Any, net: Any, inputs: tuple[Any, ...]) -> dict[str, Callable[[], Any]]:
    """Each part alone, and Adam over the same memory in more pieces, which it spreads over more
    multiprocessors."""
    import torch

    x, y, masks, rates = inputs
    state = (step._flat, step._gradient, step._first_moment, step._second_moment)

    def adam(pieces: int) -> None:
        size = -(-step._flat.numel() // (4 * pieces)) * 4
        lists = [list(torch.split(tensor.view(-1), size)) for tensor in state]
        torch._fused_adamw_(
            *lists,
            [],
            [step._count] * len(lists[0]),
            lr=rates[0],
            beta1=0.9,
            beta2=0.99,
            weight_decay=0.0,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
        )

    def clip() -> None:
        norms = torch.linalg.vector_norm(step._gradient, dim=1, keepdim=True)
        step._gradient.mul_((1.0 / (norms + 1e-6)).clamp_(max=1.0))

    def average() -> None:
        step._flat.mul_(rates[1])
        step.average.flat.lerp_(step._flat, rates[2])

    return {
        "gradient": lambda: net.backpropagate(
            step._layers, step._gradients, step.average.stats, x, y, masks
        ),
        "clip": clip,
        "clip by renorm": lambda: torch.renorm(step._gradient, 2, 0, 1.0),
        "decay and average": average,
        **{
            f"Adam in {pieces} pieces": lambda pieces=pieces: adam(pieces) for pieces in (1, 12, 36)
        },
    }


def timed(run: Callable[[], Any], cpu: bool, graphs: int = 0) -> float:
    """Median microseconds of a run; graphs: of so many runs in one CUDA graph."""
    import torch

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


def kernels_of(run: Callable[[], Any], cpu: bool) -> list[tuple[str, float]]:
    """Each kernel that a run launches, and its microseconds."""
    import torch
    from torch.profiler import ProfilerActivity

    run()
    synchronize(cpu)
    activities = [ProfilerActivity.CPU] if cpu else [ProfilerActivity.CPU, ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as seen:
        run()
        synchronize(cpu)
    return [(e.name, e.device_time) for e in seen.events() if str(e.device_type).endswith("CUDA")]


# --- all of it

PARTS: dict[str, Part] = {
    "trainer": trainer,
    "job": job,
    "packing": packing,
    "profile": profile,
}


def machine(cpu: bool) -> dict[str, Any]:
    """What the figures belong to."""
    import torch

    from journal_launcher.devices.nvml import NvmlUnavailableError, open_nvml

    found = {"torch": torch.__version__, "cuda": torch.version.cuda, "dry_run": cpu}
    found |= {"python": sys.version.split()[0], "device": "CPU", "driver": None}
    if not cpu:
        found["device"] = torch.cuda.get_device_name(0)
        try:
            with open_nvml() as nvml:
                found["driver"] = nvml.driver()[0]
        except NvmlUnavailableError as error:
            found["driver"] = str(error)
    return found


def measured(name: str, cpu: bool) -> list[Row]:
    """A part's rows, from a process of its own, which a limit and a crash may end."""
    print(f"{name}…", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rows.json"
        command = [sys.executable, __file__, name, "--part", str(out), *(["--cpu"] if cpu else [])]
        process = subprocess.Popen(command, start_new_session=True)
        try:
            status = process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            return [Row(name, None, "", f"took longer than {LIMIT:g} s: ended")]
        finally:
            end_group(process)
        if status or not out.exists():
            return [Row(name, None, "", f"failed with status {status}")]
        return [Row(**row) for row in json.loads(out.read_text())]


def end_group(process: "subprocess.Popen[Any]") -> None:
    """It and all that it started."""
    import contextlib
    import signal

    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--json", type=Path, default=Path("gpu.json"), metavar="FILE")
    parser.add_argument("--part", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--packed", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := [name for name in options.parts if name not in PARTS]:
        parser.error(f"no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    if options.packed:
        packed(options.cpu)
        return
    if options.part is not None:
        with tempfile.TemporaryDirectory() as folder:
            rows = PARTS[options.parts[0]](options.cpu, Path(folder))
        options.part.write_text(json.dumps([vars(row) for row in rows]))
        return
    import torch

    if not options.cpu and not torch.cuda.is_available():
        parser.error("expected a GPU that torch can open, found none; --cpu makes a dry run")
    about = machine(options.cpu)
    found = {name: measured(name, options.cpu) for name in options.parts or PARTS}
    print(", ".join(f"{key} {value}" for key, value in about.items()) + "\n")
    print("| part | what | figure | unit | |\n|---|---|---:|---|---|")
    for name, rows in found.items():
        for row in rows:
            figure = "failed" if row.value is None else f"{row.value:,.1f}"
            print(f"| {name} | {row.what} | {figure} | {row.unit} | {row.note} |")
    content = {name: [vars(row) for row in rows] for name, rows in found.items()}
    options.json.write_text(json.dumps({"machine": about, "parts": content}, indent=1))
    if any(row.value is None for rows in found.values() for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
